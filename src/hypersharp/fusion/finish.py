"""From an estimate to a result: all bands, the user's unit and type, gaps where either image has some, its place."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.cube import with_bands_of, with_lonlat
from hypersharp.pair.pair import Pair
from hypersharp.pair.placement import Placement
from hypersharp.pair.tensors import TensorPair


def missing_pixels(pair: TensorPair) -> NDArray[np.bool_]:
    """(H, W): where ms, or the coarse pixel of hs above it, is not measured."""
    missing: NDArray[np.bool_] = (~pair.measured_finely()).numpy()
    return missing


def finished(estimate: Tensor, missing: NDArray[np.bool_], pair: Pair, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(L', H, W) of the usable bands -> (L, H, W) in the user's unit; NaN where something is missing.

    Whole numbers are rounded and clipped to what their type holds; nothing may be missing then.
    """
    values = estimate.float().cpu().numpy() * np.float32(pair.unit)
    bands = pair.all_bands[0]
    if len(pair.hs_bands) < bands:
        values, found = np.full((bands, *missing.shape), np.nan, np.float32), values
        values[pair.hs_bands] = found
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        exact = np.float64 if dtype.itemsize > 2 else np.float32  # whose numbers reach the limits
        values = np.clip(np.rint(values, dtype=exact), limits.min, limits.max)
    else:
        values[:, missing] = np.nan
    return values.astype(dtype, copy=False)


def result_type(pair: Pair, *, gaps: bool) -> np.dtype[Any]:
    """The type of hs, as its file has it; a floating one where NaN may have to stand for something in whole numbers."""
    image, hs = pair.placement.hs, pair.placement.hs.outline()
    dtype: np.dtype[Any] = hs.dtype
    if not gaps and len(pair.hs_bands) == len(hs):
        if image.path and "scale_factor" not in hs.encoding:  # read as floats where a number may stand for nodata
            dtype = np.dtype(hs.encoding.get("dtype", dtype))
        if dtype.kind in "iu":
            return dtype
    return dtype if dtype.kind == "f" else np.dtype(np.float32)


def as_cube(values: Any, placement: Placement) -> xr.DataArray:
    """Values (L, H, W), numpy or dask, on the pair's fine grid with the bands of hs."""
    fine = placement.fine
    cube = with_bands_of(placement.hs.outline(), values, crs=fine.crs, transform=fine.transform)
    return with_lonlat(cube, placement.lonlat)
