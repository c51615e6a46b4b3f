"""From an estimate to a result: all bands, the user's unit and type, gaps where either image has some, its place."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.cube import decode, nodata_of, stored_nodata, with_bands_of, with_lonlat
from hypersharp.pair.pair import Pair
from hypersharp.pair.placement import Placement
from hypersharp.pair.tensors import TensorPair


def missing_pixels(pair: TensorPair) -> NDArray[np.bool_]:
    """(H, W): where ms, or the coarse pixel of hs above it, is not measured."""
    missing: NDArray[np.bool_] = (~pair.measured_finely()).numpy()
    return missing


def finished(estimate: Tensor, missing: NDArray[np.bool_], pair: Pair, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(L', H, W) of the usable bands -> (L, H, W) in the user's unit; NaN where something is missing.

    Whole numbers are rounded and clipped to what their type holds; what is missing is the number that hs has for it,
    which no value stays at. Without such a number nothing may be missing.
    """
    values = estimate.float().cpu().numpy() * np.float32(pair.unit)
    bands = pair.all_bands[0]
    if len(pair.hs_bands) < bands:
        values, found = np.full((bands, *missing.shape), np.nan, np.float32), values
        values[pair.hs_bands] = found
    values[:, missing] = np.nan
    if dtype.kind in "iu":
        limits, gap = np.iinfo(dtype), missing_number(pair.placement)
        exact = np.float64 if dtype.itemsize > 2 else np.float32  # whose numbers reach the limits
        values = np.clip(np.rint(values, dtype=exact), limits.min, limits.max)
        if gap is not None:
            values[values == gap] = gap + 1 if gap < limits.max else gap - 1
            values[np.isnan(values)] = gap
    return values.astype(dtype, copy=False)


def stored_type(placement: Placement) -> np.dtype[Any]:
    """The type of hs, as its file has it."""
    hs = placement.hs.outline()
    as_read = not placement.hs.path or "scale_factor" in hs.encoding  # else floats may stand for whole numbers
    return np.dtype(hs.dtype if as_read else hs.encoding.get("dtype", hs.dtype))


def missing_number(placement: Placement) -> int | None:
    """The number that stands for a missing pixel in the file of an hs of whole numbers; None where none does."""
    dtype = stored_type(placement)
    number = stored_nodata(dtype, nodata_of(placement.hs.outline())) if placement.hs.path else None
    return int(number) if number is not None and dtype.kind in "iu" else None


def result_type(pair: Pair, *, gaps: bool, keeps_nodata: bool = True) -> np.dtype[Any]:
    """The type of hs, as its file has it; a floating one where NaN has to stand for something in whole numbers.

    keeps_nodata: whether `missing_number`, if there is one, can stand for it.
    """
    stored, outline = stored_type(pair.placement), pair.placement.hs.outline()
    nothing_missing = not gaps and len(pair.hs_bands) == len(outline)
    if stored.kind in "iu" and (nothing_missing or (keeps_nodata and missing_number(pair.placement) is not None)):
        return stored
    return outline.dtype if outline.dtype.kind == "f" else np.dtype(np.float32)


def as_cube(values: Any, placement: Placement) -> xr.DataArray:
    """Values (L, H, W), numpy or dask, on the pair's fine grid with the bands of hs; in memory NaN is missing."""
    fine, gap = placement.fine, missing_number(placement)
    whole = values.dtype.kind in "iu" and gap is not None
    stored = {"_FillValue": gap, "dtype": values.dtype} if whole else {}
    if whole and isinstance(values, np.ndarray) and (values == gap).any():
        values = decode(values, gap)
    cube = with_bands_of(placement.hs.outline(), values, crs=fine.crs, transform=fine.transform)
    cube.encoding |= stored
    return with_lonlat(cube, placement.lonlat)
