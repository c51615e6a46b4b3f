"""Mask files: one band of the image's own size, anything but zero leaves the pixel out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.cube import crs_of, leave_out, nodata_of, transform_of
from hypersharp.errors import InputError
from hypersharp.io import open_cube

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.grid import Window

PLAIN = (".npy", ".npz", ".mat")


def open_masked(
    path: str | Path,
    *,
    variable: str | None = None,
    layout: str | None = None,
    mask: str | Path | None = None,
    saturated: float | None = None,
    window: Window | None = None,
) -> xr.DataArray:
    """Open an image, or a window of it, with NaN where a mask file is not zero and where a value reaches `saturated`.

    Raises: InputError as `open_cube` and `cube.leave_out`, and for a mask of several bands or another place.
    """
    cube = open_cube(path, variable=variable, layout=layout, window=window)
    flags = None if mask is None else _flags(Path(mask), cube, window)
    return leave_out(cube, flags, saturated=saturated, what=str(path), part=window is not None)


def _flags(path: Path, image: xr.DataArray, window: Window | None = None) -> np.ndarray:
    """(y, x) True where the mask file says to leave a pixel out; its nodata value counts as a number."""
    mask = open_cube(path, layout="hw" if path.suffix.lower() in PLAIN else None, window=window)
    if mask.shape[0] != 1:
        raise InputError(f"{path} of {mask.shape[0]} bands", "one band of zeros and ones", "choose the band")
    _check_place(mask, image, path)
    values, nodata = mask.values[0], nodata_of(mask)
    flags: np.ndarray = np.where(np.isnan(values), 1 if nodata is None else nodata, values) != 0
    return flags


def _check_place(mask: xr.DataArray, image: xr.DataArray, path: Path) -> None:
    """Raise where a mask of the image's size says that it lies elsewhere."""
    here, there = transform_of(image), transform_of(mask)
    crs, mask_crs = crs_of(image), crs_of(mask)
    if mask.shape[1:] != image.shape[1:] or here is None or there is None or crs is None or mask_crs is None:
        return
    if mask_crs != crs or not there.almost_equals(here, 1e-3 * max(abs(here.a), abs(here.b))):
        raise InputError(f"{path} on another grid than its image", "the same corner and pixels", "resample it")
