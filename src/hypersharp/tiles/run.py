"""Scenes of any size: fused tile by tile into a file, in bounded memory, on several processes or machines.

What belongs to the scene as a whole is learned once, from a sample (`pair.sample`); tiles see a halo, so that they
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

from hypersharp.describe import counted
from hypersharp.errors import CallError, OutputError, noted_on_stop
from hypersharp.fusion.finish import as_cube
from hypersharp.fusion.learn import learn_pair
from hypersharp.io import check_apart, check_output, open_cube, save_cube
from hypersharp.io.format import format_for, suffixes
from hypersharp.io.image import Image
from hypersharp.methods.table import find_method
from hypersharp.networks.inference import settled_precision
from hypersharp.pair.options import (
    Coregister,
    Frame,
    Options,
    Precision,
    Progress,
    Runtime,
    choose_device,
    given_ratio,
    ignore,
)
from hypersharp.pair.pair import Pair
from hypersharp.pair.place import pair_of
from hypersharp.pair.placement import Placement
from hypersharp.pair.record import Record
from hypersharp.pair.sensor import GivenPSF, GivenSRF, told_apart
from hypersharp.sensor.psf import PSF
from hypersharp.system.deterministic import is_deterministic
from hypersharp.system.elsewhere import address_of
from hypersharp.system.memory import free_bytes, give_back_memory
from hypersharp.system.read_errors import real_path
from hypersharp.tiles.job import HALF_WIDTHS, Job, store_job, stored_job, with_intervals
from hypersharp.tiles.plan import FLOAT_BYTES, WRITER_BYTES, make_tiling
from hypersharp.tiles.store import FinishedTiles, Kind, Store, TileProgress, Tiles, folder_for, resumable
from hypersharp.tiles.workers import Submit, in_processes, in_threads, on_cluster, sharpen_tile
from hypersharp.uncertainty.predict import check_predictable, interval_floats_per_px

BLOCK_PX = 256  # side of the pieces in which the result is written
WHOLE_SHARE = 0.6  # of the memory that is free: what a scene fused at once may take
SAME_SIDE_PX = 256  # of tiles that are to be the same whatever the memory and the number of workers


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

    def processes(self) -> int:
        from dask.system import CPU_COUNT

        return self.workers or torch.cuda.device_count() or int(CPU_COUNT)


@dataclass(frozen=True, eq=False)
class TiledRun:
    """A scene about to be fused: what was learned of it, where its tiles lie, and who will make them.

    It holds its folder: no other run writes the same output meanwhile.
    """

    job: Job
    store: Store
    out: Path
    tiles: TiledOptions
    uncertainty: Path | None = None

    @property
    def record(self) -> Record:
        fewer = self.tiles.workers is None and self.job.workers < self.tiles.processes()
        limited = f", {counted(self.job.workers, 'worker')} (limited by the memory)" if fewer else ""
        return self.job.fusion.record.took(tiles=f"{self.job.tiling}{limited}")

    def carry_out(self, progress: Progress = ignore, announce: Callable[[str], None] = lambda _: None) -> None:
        """Make the tiles that are missing, write the result, remove the tiles.

        Tiles are put together by threads of this process, whatever cluster computes lazy arrays by default.

        Raises: OutputError where the disk is full or cannot be written: the finished tiles are kept.
        """
        import dask.threaded

        tiles, count = Tiles.of(self.store.folder), len(self.job.tiling)
        done = TileProgress(self.out, tiles.finished(count), count, progress)
        give_back_memory()
        sharp = self.record.on(self.from_tiles(tiles, done, "sharp", self.job.dtype))
        processes, again = self.tiles.workers or self.job.workers, "repeat the call with --resume to go on"
        if self.tiles.scheduler is not None:
            workers: AbstractContextManager[Submit] = on_cluster(self.tiles.scheduler, announce)
        else:
            workers = in_threads(1, sharpen_tile) if processes == 1 else in_processes(processes)
        try:
            with (
                dask.config.set(scheduler=dask.threaded.get),
                noted_on_stop(lambda: f"{len(tiles.finished(count))} of {counted(count, 'tile')} kept: {again}"),
                workers as submit,
                done.ended_by_errors(),
            ):
                submit(tiles, [number for number in range(count) if number not in done.finished], done)
                save_cube(sharp, self.out)
                if self.uncertainty and self.job.intervals:
                    announce(f"{self.out} is written, half-widths follow")
                    units = self.job.fusion.pair.placement.hs.outline().attrs.get("units")
                    widths = self.from_tiles(tiles, done, "half-width", HALF_WIDTHS)
                    save_cube(widths.assign_attrs(self.job.intervals.attrs(units=units)), self.uncertainty)
            self.store.clear()
        except OutputError as error:
            raise resumable(error) from error
        finally:
            self.store.lock.release()

    def from_tiles(self, tiles: Tiles, done: TileProgress, kind: Kind, dtype: np.dtype[Any]) -> xr.DataArray:
        """The result, or its half-widths, as a cube that is read from tiles."""
        import dask.array as da

        bands = self.job.fusion.pair.all_bands[0]
        pixels = FinishedTiles(tiles, self.job.tiling, bands, dtype, done, kind)
        chunks = (bands, BLOCK_PX, BLOCK_PX)
        values = da.from_array(pixels, chunks=chunks, name=False, asarray=True)  # type: ignore[no-untyped-call]
        return as_cube(values, self.job.fusion.pair.placement)


def prepare(
    hs: Image,
    ms: Image,
    out: Path,
    *,
    method: str = "auto",
    tiles: TiledOptions | None = None,
    options: Options | None = None,
    psf: GivenPSF = None,
    srf: GivenSRF = None,
    ratio: int | None = None,
    pair: Pair | None = None,
    uncertainty: Path | None = None,
    progress: Progress = ignore,
) -> TiledRun:
    """Open the pair, learn from a sample of it what the method needs of the scene, and lay out the tiles.

    psf, srf, ratio and pair as `fuse_images` takes them; uncertainty: where to write the half-widths of 90 % intervals,
    if wanted.

    Raises: InputError as `fuse`; CallError for an output that cannot be streamed, a memory too small, or tiles of
    another call, or another run at work there; OutputError for a disk with too little room.
    """
    options, tiles = options or Options(), tiles or TiledOptions()
    for path in (out, uncertainty):
        if path:
            check_output(path)
            if not format_for(path).streamed:
                expected = f"a name ending in one of {', '.join(suffixes(streamed=True))}"
                raise CallError(f"the output {path} for a scene fused in tiles", expected, "change its suffix")
    check_apart([out, uncertainty], [hs.path, ms.path, hs.mask, ms.mask])
    find_method(method)
    call = {
        "hs": hs.stamp(),
        "ms": ms.stamp(),
        "files": [str(hs), str(ms)],
        "method": method,
        "ratio": ratio,
        "sensor": [told_apart(psf), told_apart(srf), told_apart(options.weights)],
        "options": options.chosen(),
        "uncertainty": uncertainty and str(uncertainty),
    }
    store = Store(out, call, resume=tiles.resume)
    try:
        if not store.is_learned:
            pair = pair or pair_of(hs, ms, options, psf=psf, ratio=ratio)
            check_room(pair.placement, out, uncertainty)
            if uncertainty:
                check_predictable(pair, method, options, psf, srf)
            fusion = learn_pair(pair, method, options, psf=psf, srf=srf, in_parts=True, progress=progress)
            precision = settled_precision(choose_device(fusion.options.device), fusion.options.precision)
            settled = replace(fusion, options=replace(fusion.options, precision=precision))  # all processes agree
            job = Job.of(settled, keeps_nodata=format_for(out).nodata)
            store_job(laid_out(with_intervals(job) if uncertainty else job, tiles), store)
        job = stored_job(Tiles.of(store.folder), None)
        check_room(job.fusion.pair.placement, out, uncertainty)
    except BaseException:
        store.give_up()
        raise
    return TiledRun(job, store, out, tiles, uncertainty)


def laid_out(job: Job, tiles: TiledOptions) -> Job:
    """The job with its tiles, for as many workers as were asked for, or else as fit the memory.

    Raises: CallError for a memory that is too small.
    """
    for workers in range(tiles.processes(), 0, -1):
        try:
            tiling = make_tiling(
                job.fusion.pair.shape_yx,
                job.fusion.pair.ratio,
                halo_px=job.halo_px(),
                bytes_per_px=FLOAT_BYTES * job.floats_per_px(),
                memory_bytes=tiles.memory_bytes or WHOLE_SHARE * free_bytes(),
                workers=workers,
                side_px=tiles.side_px or (SAME_SIDE_PX if is_deterministic() else None),
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
    ensemble: bool = False,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    consistent: bool | None = None,
    budget_s: float | None = None,
    coregister: Coregister = "local",
    frame: Frame = "ms",
    destripe: bool = True,
    keep_changed: bool = False,
    uncertainty: str | Path | None = None,
    progress: Progress = ignore,
) -> xr.DataArray:
    """Sharpen two files into a third in bounded memory, whatever their size.

    Args:
        hs, ms: the files; HS (L, h, w) and MS (l, H, W).
        out: the file to write; a format that is written piece by piece.
        method, weights, device, precision, runtime, ensemble, psf: as `fuse` takes them.
        srf, ratio, scale, consistent, budget_s, coregister: likewise (a response is (l, L)).
        frame, destripe, keep_changed: likewise.
        memory_bytes: what all processes together may use; by default 60 % of what is free.
        workers: processes that compute tiles; by default one per GPU or core.
        scheduler: address of a dask cluster to compute them on instead.
        resume: continue an interrupted run of the same call.
        uncertainty: a file for the half-widths (L, H, W) that `predict_error` would give.
        progress: called with the fraction done, 0..1.

    Returns:
        The result (L, H, W), read when it is used.

    Raises:
        InputError: as `fuse`, or nothing to resume.
        CallError: an output that cannot be written piece by piece.
        OutputError: no room, or an output that must not be replaced.

    >>> import tempfile
    >>> from hypersharp.io import save_cube
    >>> from hypersharp.cube import make_cube
    >>> folder = Path(tempfile.mkdtemp())
    >>> hs = save_cube(make_cube(np.ones((5, 8, 8))), folder / "hs.npy")
    >>> ms = save_cube(make_cube(np.ones((1, 16, 16))), folder / "ms.npy")
    >>> fuse_in_tiles(hs, ms, folder / "sharp.npy", method="bicubic", workers=1).shape
    (5, 16, 16)
    """
    own = Options(weights=weights, device=device, precision=precision, runtime=runtime, ensemble=ensemble)
    own = replace(own, consistent=consistent, budget_s=budget_s, scale=scale, coregister=coregister)
    options = replace(own, frame=frame, destripe=destripe, keep_changed=keep_changed)
    coarse, fine = (image if isinstance(image, Image) else Image(Path(image)) for image in (hs, ms))
    run = prepare(
        *(coarse, fine, Path(out)),
        method=method,
        tiles=TiledOptions(memory_bytes, workers, scheduler, resume),
        options=options,
        psf=psf,
        srf=srf,
        ratio=given_ratio(ratio),
        uncertainty=None if uncertainty is None else Path(uncertainty),
    )
    run.carry_out(progress)
    return open_cube(out, lazy=True)


def bytes_for_whole(hs: Image, ms: Image, method: str, *, uncertainty: bool = False) -> float:
    """About what `fuse` would take for two files, from their outlines, and for predicting the error if wanted."""
    coarse, fine = hs.outline(), ms.outline()
    floats = find_method(method).floats_per_px(coarse.shape[0], fine.shape[0])
    if uncertainty:
        floats = max(floats, interval_floats_per_px(coarse.shape[0]))
    return WRITER_BYTES + FLOAT_BYTES * floats * fine.shape[1] * fine.shape[2]


def check_room(placement: Placement, out: Path, uncertainty: Path | None = None) -> None:
    """Raise where the disk has no room for the tiles that are missing, and for results that cannot be smaller."""
    results = [path for path in (out, uncertainty) if path]
    rows, columns = placement.fine.shape_yx
    whole = float(placement.hs.outline().shape[0] * rows * columns * FLOAT_BYTES)
    folder = folder_for(out)
    made = sum(path.stat().st_size for path in folder.glob("*.npy"))
    free = shutil.disk_usage(real_path(folder).parent).free
    here = [path for path in results if address_of(path) is None]
    least = len(results) + sum(not format_for(path).compressed for path in here)
    if free < whole * least - made:
        needed = f"{(2 * len(results) * whole - made) / 1e9:.1f} GB for the result and its tiles while they are made"
        raise OutputError(f"{free / 1e9:.1f} GB left on the disk of {out}", needed, "free some, or write elsewhere")
