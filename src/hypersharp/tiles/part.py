"""The middle of a scene that was made in tiles, as cubes that fit the memory: what a page about the scene shows."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import with_bands_of
from hypersharp.grid import middle, window_transform
from hypersharp.methods.base import Method
from hypersharp.tiles.job import Job
from hypersharp.tiles.plan import tile_around
from hypersharp.tiles.uncertainty import with_trust

PART_PX = 384  # fine pixels along a side


def middle_part(job: Job, method: Method) -> dict[str, xr.DataArray]:
    """The cubes "result", "hs", "ms" and "error" (half-widths) of the middle of the scene, on nested grids.

    Raises: InputError as `with_trust`.
    """
    job = job if job.trust else with_trust(job, method)
    pair, ratio = job.pair, job.pair.ratio
    window = middle(pair.shape_yx, PART_PX // ratio)
    y, x, height, width = (ratio * size for size in window)
    sharp, widths = job.sharpen(tile_around(window, job.halo_px() // ratio, pair.shape_yx))
    assert job.trust is not None and widths is not None
    hs, ms = pair.read(window)
    place = pair.fine.transform and window_transform(pair.fine.transform, (y, x, height, width))

    def cube(values: NDArray[np.generic]) -> xr.DataArray:
        return with_bands_of(pair.hs.outline(), values, crs=pair.fine.crs, transform=place)

    rows, columns = pair.fine.shape_yx
    said = f"shown here: the middle {width} x {height} of {columns} x {rows} pixels"
    notes = "; ".join([f"method {method.name}", *job.settings.notes, said])
    error = cube(widths).assign_attrs(job.trust.attrs())
    return {"result": cube(sharp).assign_attrs(hypersharp=notes), "hs": hs, "ms": ms, "error": error}
