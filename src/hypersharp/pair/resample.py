"""The pixels of an image on another grid: one bicubic resampling (Keys 1981), or cubic splines for a mere shift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import shift

from hypersharp.cube import changing_crs, fwhm_nm, good_bands, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import needs
from hypersharp.grid import Grid, Points, affine_of, beside, lattice_offset
from hypersharp.pair.tensors import fill_bands

if TYPE_CHECKING:
    from affine import Affine

AWAY_PX = 1000.0  # an affine of offset 0 and step 1 means "none" to GDAL


def shifted(ms: xr.DataArray, shift_px_yx: Iterable[float]) -> xr.DataArray:
    """The image as it is `shift_px_yx` further down and right, in its own type; gaps move with it."""
    values = np.asarray(ms.values)
    single = values.astype(np.float32)
    back = [-length for length in shift_px_yx]
    moved = np.stack([shift(band, back, order=3, mode="nearest") for band in fill_bands(single)])
    for band, missing in zip(moved, np.isnan(single), strict=True):
        if missing.any():
            band[shift(missing.astype(np.float32), back, order=1, mode="nearest") > 0.5] = np.nan
    return ms.copy(data=_as_stored(moved, values.dtype).astype(values.dtype, copy=False))


def resampled(cube: xr.DataArray, source: Grid, target: Grid) -> NDArray[Any]:
    """The pixels (band, H, W) of another grid, NaN where the nearest is missing; taken over where they coincide."""
    source = beside(source, target)
    offset = lattice_offset(source, target) if source.crs == target.crs else None
    values = np.asarray(cube.values)
    if offset is not None:
        y, x = offset
        height, width = target.shape_yx
        if min(y, x) >= 0 and y + height <= values.shape[1] and x + width <= values.shape[2]:
            return values[:, y : y + height, x : x + width]
    return _as_stored(_warped(values, source, target), values.dtype)


def _warped(values: NDArray[Any], source: Grid, target: Grid) -> NDArray[np.floating]:
    """Bicubic resampling; within one CRS in pixels of the target, so that large coordinates cost no digits."""
    from rasterio.crs import CRS
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    dtype = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
    result = np.full((len(values), *target.shape_yx), np.nan, dtype)
    start, end, crs = affine_of(source), affine_of(target), (source.crs, target.crs)
    if source.crs == target.crs:
        away = affine_type().translation(AWAY_PX, AWAY_PX)
        start, end, crs = away @ ~end @ start, away, (CRS.from_epsg(3857),) * 2
    with changing_crs(*crs):
        reproject(
            values.astype(dtype, copy=False),
            result,
            src_transform=start,
            dst_transform=end,
            src_crs=crs[0],
            dst_crs=crs[1],
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
            tolerance=0.0,
        )
    return result


def _as_stored(values: NDArray[np.floating], dtype: np.dtype[Any]) -> NDArray[Any]:
    """In the type they came in; whole numbers become floating where some are missing."""
    if dtype.kind not in "iub" or np.isnan(values).any():
        return values
    whole = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    return np.asarray(np.clip(np.rint(values), whole.min, whole.max).astype(whole.dtype))


def on_grid(cube: xr.DataArray, values: Any, grid: Grid) -> xr.DataArray:
    """A cube of these pixels on this grid, with the bands of another; without georeference where that has none."""
    place: dict[str, Any] = {} if transform_of(cube) is None else {"crs": grid.crs, "transform": grid.transform}
    bands: dict[str, Any] = {"wavelengths_nm": wavelengths_nm(cube), "fwhm_nm": fwhm_nm(cube)}
    made = make_cube(values, **bands, good_bands=good_bands(cube), **place)
    made.encoding.update(cube.encoding)
    return made.assign_attrs(cube.attrs)


def affine_type() -> type[Affine]:
    """The class of affines, which comes with rasterio."""
    with needs("bringing images to one grid"):
        import rasterio  # noqa: F401  (resamples)
        from affine import Affine
    return Affine


def project(source: object, target: object, xs: Sequence[float], ys: Sequence[float]) -> Points:
    """Map coordinates of one CRS in another; infinite where they have no place there."""
    from rasterio.warp import transform

    with changing_crs(source, target):
        mapped_xs, mapped_ys, *_ = transform(source, target, xs, ys)
    return mapped_xs, mapped_ys
