"""Scenes of any size: fused tile by tile into a file, in bounded memory, on several processes or machines.

What belongs to the scene as a whole is learned once, from a sample (`methods.scene`); tiles see a halo, so that they
agree with the whole image and with each other. While tiles are made, the finished ones are written into the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import with_bands_of
from hypersharp.describe import counted
from hypersharp.errors import CallError, OutputError, needs
from hypersharp.fusion.fuse import find_method, method_for
from hypersharp.io import check_apart, check_output, open_cube, save_cube
from hypersharp.io.format import format_for, suffixes
from hypersharp.io.image import Image
from hypersharp.pair.lazy import PairSource, open_pair
from hypersharp.pair.place import Move
from hypersharp.pair.settings import DEFAULTS, FuseOptions, Precision, Progress, Runtime
from hypersharp.sensor.psf import PSF
from hypersharp.system.memory import free_bytes, give_back_memory
from hypersharp.tiles.job import HALF_WIDTHS, Job, learn_job, store_job, stored_job
from hypersharp.tiles.plan import FLOAT_BYTES, make_tiling, whole_bytes
from hypersharp.tiles.store import (
    JOB,
    FinishedTiles,
    Kind,
    TileProgress,
    finished_tiles,
    folder_for,
    open_store,
    resumable,
)
from hypersharp.tiles.uncertainty import with_trust
from hypersharp.tiles.workers import Submit, in_process, on_cluster, stamp_of
from hypersharp.uncertainty.calibrate import trust_floats_per_px

BLOCK_PX = 256  # side of the pieces in which the result is written
WHOLE_SHARE = 0.6  # of the memory that is free: what a scene fused at once may take


@dataclass(frozen=True)
class TiledOptions:
    """How a scene is fused in tiles.

    `memory_bytes`: what all processes together may take, None: 60 % of what is free. `workers`: processes, None: one a
    GPU or core; 1 is a thread of this process. `scheduler`: the address of a dask cluster, used as it is. `resume`: go
    on with the tiles of an interrupted run of the same call. `side_px`: of a tile, None: from the memory.
    """

    memory_bytes: float | None = None
    workers: int | None = None
    scheduler: str | None = None
    resume: bool = False
    side_px: int | None = None

    def memory(self) -> float:
        return self.memory_bytes or WHOLE_SHARE * free_bytes()

    def processes(self) -> int:
        from dask.system import CPU_COUNT

        return self.workers or torch.cuda.device_count() or int(CPU_COUNT)


@dataclass(frozen=True, eq=False)
class TiledRun:
    """A scene about to be fused: what was learned of it, where its tiles lie, and who will make them."""

    job: Job
    folder: Path
    out: Path
    tiles: TiledOptions
    trust: Path | None = None

    @property
    def notes(self) -> list[str]:
        """What was decided, as people read it."""
        fewer = self.tiles.workers is None and self.job.workers < self.tiles.processes()
        said = [f"{counted(self.job.workers, 'worker')}, for the memory has no room for more"] if fewer else []
        return [*self.job.settings.notes, str(self.job.tiling), *said]

    def carry_out(
        self, progress: Callable[[float], None] = lambda _: None, announce: Callable[[str], None] = lambda _: None
    ) -> xr.DataArray:
        """Make the tiles that are missing, write the result, remove the tiles; the result, to be read lazily.

        Raises: OutputError where the disk is full or cannot be written: the finished tiles are kept.
        """
        count = len(self.job.tiling)
        done = TileProgress(self.out, finished_tiles(self.folder, count), count, progress)
        for path in (self.out, self.trust):
            remove_stale(path)
        give_back_memory()
        with self.workers(announce) as submit:
            submit(self.folder, [number for number in range(count) if number not in done.finished], done)
            try:
                save_cube(self.cube(done), self.out)
                if self.trust:
                    announce(f"{self.out} is written, half-widths follow")
                    save_cube(self.trust_cube(done), self.trust)
            except OutputError as error:
                raise resumable(error) from error
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.cube(done)

    def workers(self, announce: Callable[[str], None]) -> AbstractContextManager[Submit]:
        processes = self.tiles.workers or self.job.workers
        if processes == 1 and self.tiles.scheduler is None:
            return in_process()
        return on_cluster(self.tiles.scheduler, processes, announce)

    def cube(self, done: TileProgress) -> xr.DataArray:
        """The result as a cube that is read from tiles."""
        return self.from_tiles(done, "sharp", self.job.dtype).assign_attrs(hypersharp="; ".join(self.notes))

    def trust_cube(self, done: TileProgress) -> xr.DataArray:
        """Its half-widths as such a cube."""
        assert self.job.trust is not None
        units = self.job.pair.hs.outline().attrs.get("units")
        return self.from_tiles(done, "trust", HALF_WIDTHS).assign_attrs(self.job.trust.attrs(units=units))

    def from_tiles(self, done: TileProgress, kind: Kind, dtype: np.dtype[Any]) -> xr.DataArray:
        with needs("fusing in tiles"):
            import dask.array as da
        pair, hs = self.job.pair, self.job.pair.hs.outline()
        pixels = FinishedTiles(self.folder, self.job.tiling, hs.shape[0], dtype, done, kind)
        chunks = (hs.shape[0], BLOCK_PX, BLOCK_PX)
        values = da.from_array(pixels, chunks=chunks, name=False, asarray=True)  # type: ignore[no-untyped-call]
        return with_bands_of(hs, values, crs=pair.fine.crs, transform=pair.fine.transform)


def prepare(
    hs: Image,
    ms: Image,
    out: Path,
    *,
    method: str = "auto",
    tiles: TiledOptions = TiledOptions(),
    options: FuseOptions = DEFAULTS,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    move: Move = "shift",
    trust: Path | None = None,
) -> TiledRun:
    """Open the pair, learn from a sample of it what the method needs of the scene, and lay out the tiles.

    From psf to move as `fuse` takes them; trust: where to write the half-widths of 90 % intervals, if wanted.

    Raises: InputError as `fuse`; CallError for an output that cannot be streamed, a memory too small, or tiles of
    another call; OutputError for a disk with too little room.
    """
    check_streamed(out)
    if trust:
        check_streamed(trust)
    check_apart([out, trust], [hs.path, ms.path, hs.mask, ms.mask])
    chosen = find_method(method_for(method, options.weights))
    pair = open_pair(hs, ms, ratio=ratio, move=move, psf_told=psf is not None)
    told = {"psf": psf, "srf": srf, **vars(replace(options, progress=None))}
    call = {
        "hs": hs.stamp(),
        "ms": ms.stamp(),
        "files": [str(hs), str(ms)],
        "method": method,
        "ratio": ratio,
        "move": move,
        "scale": scale,
        "options": {name: str(value) for name, value in told.items()},
        "trust": trust and str(trust),
    }
    check_room(pair, out, trust)
    folder = open_store(out, call, resume=tiles.resume)
    if not (folder / JOB).exists():
        job = learn_job(pair, chosen, options, psf=psf, srf=srf, scale=scale)
        store_job(laid_out(with_trust(job, chosen) if trust else job, tiles), folder / JOB)
    return TiledRun(stored_job(folder / JOB, stamp_of(folder)), folder, out, tiles, trust)


def laid_out(job: Job, tiles: TiledOptions) -> Job:
    """The job with its tiles, for as many workers as were asked for, or else as fit the memory.

    Raises: CallError for a memory that is too small.
    """
    most = tiles.processes()
    for workers in range(most, 0, -1):
        try:
            tiling = make_tiling(
                job.pair.shape_yx,
                job.pair.ratio,
                halo_px=job.halo_px(),
                bytes_per_px=FLOAT_BYTES * job.floats_per_px(),
                memory_bytes=tiles.memory(),
                workers=workers,
                side_px=tiles.side_px,
            )
        except CallError:
            if workers == 1 or tiles.workers or tiles.scheduler:
                raise
        else:
            break
    return replace(job, tiling=tiling, workers=workers)


def fuse_in_tiles(
    hs: str | Path | Image,
    ms: str | Path | Image,
    out: str | Path,
    *,
    method: str = "auto",
    memory_bytes: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "torch",
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    consistent: bool | None = None,
    budget_s: float = 60.0,
    move: Move = "shift",
    trust: str | Path | None = None,
    progress: Progress = lambda _: None,
) -> xr.DataArray:
    """Sharpen two files into a third in bounded memory, whatever their size; the result, to be read lazily.

    From weights to move as `fuse`; see `TiledOptions` for what comes before them. trust: a file for the half-widths
    that `predict_error` would give. On several workers a script that calls this needs the usual
    `if __name__ == "__main__":`, for processes are started that import it.

    Raises: InputError, CallError, OutputError as `prepare` and `TiledRun.carry_out`.
    """
    coarse, fine = (image if isinstance(image, Image) else Image(Path(image)) for image in (hs, ms))
    tiles = TiledOptions(memory_bytes, workers, scheduler, resume)
    options = FuseOptions(
        weights=weights, device=device, precision=precision, runtime=runtime, consistent=consistent, budget_s=budget_s
    )
    run = prepare(
        coarse,
        fine,
        Path(out),
        method=method,
        tiles=tiles,
        options=options,
        psf=psf,
        srf=srf,
        ratio=ratio,
        scale=scale,
        move=move,
        trust=None if trust is None else Path(trust),
    )
    run.carry_out(progress)
    return open_cube(out, lazy=True)


def bytes_for_whole(hs: Image, ms: Image, method: str, *, trust: bool = False) -> float:
    """About what `fuse` would take for two files, from their outlines, and for predicting the error if `trust`."""
    coarse, fine = hs.outline(), ms.outline()
    floats = find_method(method).floats_per_px(coarse.shape[0], fine.shape[0])
    if trust:
        floats = max(floats, trust_floats_per_px(coarse.shape[0]))
    return whole_bytes((fine.shape[1], fine.shape[2]), 1, FLOAT_BYTES * floats)


def check_streamed(out: Path) -> None:
    """Raise where a result cannot be written piece by piece."""
    check_output(out)
    if not format_for(out).streamed:
        raise CallError(
            f"the output {out} for a scene fused in tiles",
            f"a name ending in one of {', '.join(suffixes(streamed=True))}",
            "change its suffix",
        )


def check_room(pair: PairSource, out: Path, trust: Path | None = None) -> None:
    """Raise where the disk has no room for the tiles that are missing, and for results that cannot be smaller."""
    results = [path for path in (out, trust) if path]
    bands = pair.hs.outline().shape[0]
    whole = float(bands * pair.fine.shape_yx[0] * pair.fine.shape_yx[1] * FLOAT_BYTES)
    made = sum(path.stat().st_size for path in folder_for(out).glob("*.npy"))
    free = shutil.disk_usage(out.resolve().parent).free
    least = sum(1 if format_for(path).compressed else 2 for path in results)
    if free < whole * least - made:
        raise OutputError(
            f"{free / 1e9:.1f} GB left on the disk of {out}",
            f"{(2 * len(results) * whole - made) / 1e9:.1f} GB for the result and its tiles while they are made",
            "free some, or write elsewhere",
        )


def remove_stale(out: Path | None) -> None:
    """Remove what a killed run had half written."""
    for left in out.parent.glob(f".{out.name}.*.partial") if out else ():
        shutil.rmtree(left, ignore_errors=True)
