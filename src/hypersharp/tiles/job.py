"""What a worker has to know to sharpen any tile of a scene, and how it does it; what is shown of the scene."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import decode, with_bands_of
from hypersharp.errors import InputError
from hypersharp.fusion.finish import missing_number, missing_pixels, result_type
from hypersharp.fusion.learn import Fusion
from hypersharp.grid import middle, window_transform
from hypersharp.numerics.loops import slices
from hypersharp.pair.lattice import Lattice
from hypersharp.pair.pair import Pair
from hypersharp.pair.place import place
from hypersharp.pair.reduced import MOST_PX
from hypersharp.pair.sample import Sample
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tiling import Tile, Tiling, halo_of, tile_around
from hypersharp.tiles.store import JOB, Store, Tiles, write_whole
from hypersharp.tiles.values import encode_values, read_values
from hypersharp.uncertainty.model import modelled_errors
from hypersharp.uncertainty.predict import REACH, Intervals, find_intervals, interval_floats_per_px

HALF_WIDTHS = np.dtype(np.float32)
WINDOW_PX = 40  # coarse pixels at most along a side of the windows that the mean error is taken from
PART_PX = 384  # fine pixels along a side of what a page shows of a scene
PAIR = ("hs_bands", "ms_bands", "all_bands", "unit", "spectra", "left_out", "warnings", "changes", "spikes")
LEARNED = ("sharpener", "options", "choice", "record")


@dataclass(frozen=True, eq=False)
class Job:
    """What was learned of a scene, and the form of the result.

    `dtype` is the result's; `tiling` lays out the tiles, one that is everything before they are, for so many
    `workers`; `intervals` predict the result's error, if wanted.
    """

    fusion: Fusion
    dtype: np.dtype[Any]
    tiling: Tiling
    workers: int = 1
    intervals: Intervals | None = None

    @classmethod
    def of(cls, fusion: Fusion, *, keeps_nodata: bool) -> "Job":
        """A job of one tile. Of a result of whole numbers all pixels must be sure to be there.

        keeps_nodata: or its format has to say which number stands for those that are not.
        """
        placement = fusion.pair.placement
        whole = all(image.outline().dtype.kind in "iu" for image in (placement.hs, placement.ms))
        gaps = not whole or placement.has_gaps or fusion.pair.changes is not None
        tiling = Tiling(placement.shape_yx, placement.ratio, max(placement.shape_yx), 0)
        return cls(fusion, result_type(fusion.pair, gaps=gaps, keeps_nodata=keeps_nodata), tiling)

    def sharpen(self, tile: Tile, device: str | None = None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The core of a tile, (all bands of hs, H, W), in the unit and type of the result; its half-widths, if any."""
        sharp, pair = self.fusion.estimate(tile, device)
        made = self.fusion.core(sharp, pair, tile, self.dtype)
        if self.intervals is None:
            return made, None
        with torch.inference_mode():
            widths = self.intervals(sharp, pair)
        return made, self.fusion.core(widths, pair, tile, HALF_WIDTHS)

    def halo_px(self) -> int:
        """How far (fine pixels) a pixel of the result and its half-width see."""
        ratio = self.fusion.pair.ratio
        return self.fusion.sharpener.halo_px(ratio) + (REACH * ratio if self.intervals else 0)

    def floats_per_px(self) -> float:
        """How many float32 making a tile holds per fine pixel at most."""
        bands, ms_bands = len(self.fusion.pair.hs_bands), len(self.fusion.pair.ms_bands)
        own = self.fusion.sharpener.floats_per_px(bands, ms_bands)
        return max(own, interval_floats_per_px(bands)) if self.intervals else own


def store_job(job: Job, store: Store) -> None:
    """Keep a job for other processes and for a run that goes on later.

    Raises: OSError where it cannot be written.
    """
    fusion, sensor, placement = job.fusion, job.fusion.sensor, job.fusion.pair.placement
    value = {
        "images": placement.images,
        "placed": (placement.described(), placement.notes, placement.stripes),
        "pair": {name: getattr(fusion.pair, name) for name in PAIR},
        "sensor": (sensor.given_psf, sensor.given_srf, sensor.estimate if sensor.is_estimated else None),
        "learned": {name: getattr(fusion, name) for name in LEARNED},
        "job": {name: getattr(job, name) for name in ("dtype", "tiling", "workers", "intervals")},
    }
    write_whole(store.folder / JOB, encode_values(value, call=store.call))


@lru_cache(maxsize=2)
def stored_job(tiles: Tiles, device: str | None) -> Job:
    """The job of tiles, with what it computes with on a device, by default its own; read once by a process.

    Raises: InputError where what `store_job` wrote is not there any more.
    """
    if Tiles.of(tiles.folder) != tiles:
        raise InputError(f"the job of another run in {tiles.folder}", "that of these tiles", "repeat the call")
    found = read_values(tiles.job, device)
    (hs, ms), (known, notes, stripes) = found["images"], found["placed"]
    placement = replace(place(hs, ms, known=known), notes=notes, stripes=stripes)
    psf, srf, estimate = found["sensor"]
    sensor = PairSensor(None, psf, srf)
    if estimate is not None:
        sensor.estimate = estimate
    pair = Pair(placement, **found["pair"], sample=None)
    return Job(Fusion(pair, sensor=sensor, **found["learned"]), **found["job"])


def with_intervals(job: Job) -> Job:
    """The job with what predicts the result's error: learned in the middle of the scene, its mean all over it.

    Raises: InputError for a scene that is too small for that, or shows nothing in its middle.
    """
    pair = job.fusion.pair
    total, count, sample = 0.0, 0, Sample.of(pair.shape_yx, pair.ratio)
    rows, columns = (  # of small tiles that cover the sample
        [(run.start + part.start, part.stop - part.start) for run in runs for part in slices(len(run), WINDOW_PX)]
        for runs in (sample.rows, sample.columns)
    )
    with torch.inference_mode():
        intervals = find_intervals(job.fusion, pair.read(middle(pair.shape_yx, MOST_PX)))
        for (y, height), (x, width) in product(rows, columns):
            tile = tile_around((y, x, height, width), 2 * REACH, pair.shape_yx)
            part, core = pair.read(tile.seen), tile.core_in_seen(pair.ratio)
            sharp = job.fusion.sharpen(part).float().cpu()
            errors = modelled_errors(intervals.model, sharp, part.hs, part.ms, intervals.sensor).mean(0)
            found = errors[core][torch.from_numpy(~missing_pixels(part)[core])]
            total, count = total + float(found.double().sum()), count + found.numel()
    if not count:
        raise InputError("no measured pixel all over the scene", "some", "mask less")
    return replace(job, intervals=replace(intervals, mean=total / count))


def middle_part(job: Job) -> dict[str, xr.DataArray]:
    """The cubes "result", "hs", "ms" and, where it can be learned, "error" (half-widths) of the middle of the scene.

    They lie on nested grids.
    """
    if not job.intervals:
        with suppress(InputError):  # too late to end a run: its result is written
            job = with_intervals(job)
    pair, placement = job.fusion.pair, job.fusion.pair.placement
    window = middle(pair.shape_yx, PART_PX // pair.ratio)
    y, x, height, width = (pair.ratio * size for size in window)
    sharp, widths = job.sharpen(tile_around(window, halo_of(job.halo_px(), pair.ratio), pair.shape_yx))
    hs, ms = placement.read(window)
    place = placement.fine.transform and window_transform(placement.fine.transform, (y, x, height, width))

    def cube(values: np.ndarray) -> xr.DataArray:
        return with_bands_of(placement.hs.outline(), values, crs=placement.fine.crs, transform=place)

    if sharp.dtype.kind in "iu":
        sharp = decode(sharp, missing_number(placement))
    rows, columns = placement.fine.shape_yx
    shown = f"shown here: the middle {width} x {height} of {columns} x {rows} pixels"
    nested = Lattice((0, 0, height, width), pair.ratio, pair.ratio, offset_px_yx=placement.offset_px_yx)
    known = {"frame": "ms", **nested.described()}
    record = replace(job.fusion.record, notes=(*job.fusion.record.notes, shown), placement=known)
    cubes = {"result": record.on(cube(sharp)), "hs": hs, "ms": ms}
    if job.intervals and widths is not None:
        cubes["error"] = cube(widths).assign_attrs(job.intervals.attrs())
    return cubes
