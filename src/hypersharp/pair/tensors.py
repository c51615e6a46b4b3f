"""The only door between cubes (xarray, numpy) and tensors (torch)."""

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hypersharp.cube import like_ms_with_bands_of_hs, only_usable, usable_bands


def to_tensor(cube: xr.DataArray, scale: float) -> Tensor:
    """Cube (band, y, x) -> float32 tensor, divided by scale, gaps filled from the nearest pixel."""
    values = np.asarray(cube.values, dtype=np.float32) / np.float32(scale)
    return torch.from_numpy(fill_gaps(values))


def fill_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same image with each pixel that has a NaN in any band taken from the nearest whole one."""
    missing = np.isnan(values).any(0)
    if not missing.any() or missing.all():
        return np.nan_to_num(values)
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: NDArray[np.float32] = values[:, nearest[0], nearest[1]]
    return filled


def from_tensor(estimate: Tensor, hs: xr.DataArray, ms: xr.DataArray, scale: float) -> xr.DataArray:
    """Tensor (L', H, W) -> cube in the user's units, with the bands of hs, on ms's grid, gaps of either put back.

    L' are the usable bands of hs; the others are NaN in their place. The dtype is that of hs, or, where NaN has
    to stand for something in whole numbers, a floating one.
    """
    values = estimate.float().cpu().numpy() * np.float32(scale)
    kept = usable_bands(hs)
    missing = missing_pixels(only_usable(hs, "hs"), only_usable(ms, "ms"))
    if not kept.all():
        values, found = np.full((len(kept), *missing.shape), np.nan, np.float32), values
        values[kept] = found
    if np.issubdtype(hs.dtype, np.floating):
        values = values.astype(hs.dtype, copy=False)
    elif kept.all() and not missing.any():
        limits = np.iinfo(hs.dtype)
        return like_ms_with_bands_of_hs(np.clip(np.rint(values), limits.min, limits.max).astype(hs.dtype), hs, ms)
    values[:, missing] = np.nan
    return like_ms_with_bands_of_hs(values, hs, ms)


def missing_pixels(hs: xr.DataArray, ms: xr.DataArray) -> NDArray[np.bool_]:
    """(H, W): where ms, or the coarse pixel of hs above it, is NaN in any band."""
    ratio = ms.shape[1] // hs.shape[1]
    coarse = gaps(hs).repeat(ratio, axis=0).repeat(ratio, axis=1)
    missing: NDArray[np.bool_] = coarse | gaps(ms)
    return missing


def gaps(cube: xr.DataArray) -> NDArray[np.bool_]:
    """(y, x): where a cube is NaN in any band."""
    found: NDArray[np.bool_] = np.zeros(cube.shape[1:], bool)
    if np.issubdtype(cube.dtype, np.floating):
        for band in cube.values:
            found |= np.isnan(band)
    return found


def measured(cube: xr.DataArray) -> Tensor | None:
    """(y, x): True where a cube has a value in every band; None where it has one everywhere."""
    missing = gaps(cube)
    return torch.from_numpy(~missing) if missing.any() else None
