"""The middle of a scene that was made in tiles, as cubes that fit the memory: what a page about the scene shows."""

from dataclasses import replace

import numpy as np
import xarray as xr

from hypersharp.cube import with_bands_of
from hypersharp.grid import middle, window_transform
from hypersharp.pair.lattice import Lattice
from hypersharp.pair.tiling import halo_of, tile_around
from hypersharp.tiles.job import Job
from hypersharp.tiles.uncertainty import with_intervals

PART_PX = 384  # fine pixels along a side


def middle_part(job: Job) -> dict[str, xr.DataArray]:
    """The cubes "result", "hs", "ms" and "error" (half-widths) of the middle of the scene, on nested grids.

    Raises: InputError as `with_intervals`.
    """
    job = job if job.intervals else with_intervals(job)
    pair, placement = job.fusion.pair, job.fusion.pair.placement
    window = middle(pair.shape_yx, PART_PX // pair.ratio)
    y, x, height, width = (pair.ratio * size for size in window)
    sharp, widths = job.sharpen(tile_around(window, halo_of(job.halo_px(), pair.ratio), pair.shape_yx))
    assert job.intervals is not None and widths is not None
    hs, ms = placement.read(window)
    place = placement.fine.transform and window_transform(placement.fine.transform, (y, x, height, width))

    def cube(values: np.ndarray) -> xr.DataArray:
        return with_bands_of(placement.hs.outline(), values, crs=placement.fine.crs, transform=place)

    rows, columns = placement.fine.shape_yx
    shown = f"shown here: the middle {width} x {height} of {columns} x {rows} pixels"
    nested = Lattice((0, 0, height, width), pair.ratio, pair.ratio, offset_px_yx=placement.offset_px_yx)
    known = {"frame": "ms", **nested.described()}
    record = replace(job.fusion.record, notes=(*job.fusion.record.notes, shown), placement=known)
    error = cube(widths).assign_attrs(job.intervals.attrs())
    return {"result": record.on(cube(sharp)), "hs": hs, "ms": ms, "error": error}
