"""The value that travels: a DataArray (band, y, x) with wavelengths (nm), CRS and affine.

`wavelength`, `fwhm` (both nm) and `good_band` are coordinates on `band` where known. CRS and affine are
kept the way rioxarray keeps them, so `cube.rio` works. Missing pixels are NaN in floating arrays;
`cube.encoding` remembers, in xarray's words, how a file stored the numbers (`dtype`, `_FillValue`,
`scale_factor`, `add_offset`), and saving returns to that form where nothing is lost by it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.errors import InputError, installed, needs
from hypersharp.grid import Grid, Window, check_window, swath_grid, window_transform
from hypersharp.numerics.gappy import gappy_bands

if TYPE_CHECKING:
    import xarray as xr
    from affine import Affine

DIMS = ("band", "y", "x")
LONLAT = ("longitude", "latitude")  # coordinates (y, x) of a swath: degrees of its pixels' centres
NUMBERS = ("row", "column")  # coordinates along y and x of a rotated grid, which has no others


def make_cube(
    values: Any,
    *,
    wavelengths_nm: Any = None,
    fwhm_nm: Any = None,
    good_bands: Any = None,
    crs: Any = None,
    transform: Affine | None = None,
    nodata: float | None = None,
) -> xr.DataArray:
    """Put an array and its metadata into the DataArray (band, y, x) that hypersharp works with.

    Args:
        values: (L, H, W), numpy or dask; of torch without its gradients.
        wavelengths_nm, fwhm_nm: centre and full width at half maximum of each band in nm, (L,).
        good_bands: (L,), False for bands to exclude.
        crs: anything rasterio takes.
        transform: the affine from pixel corners (x, y) to map coordinates.
        nodata: pixels of this value become NaN (integers become floats then); it is written back on saving.

    Returns:
        The cube, with coordinates `wavelength`, `fwhm` and `good_band` on `band`, and `cube.rio` for CRS and affine.

    Raises:
        InputError: values are not three-dimensional, or a list is not as long as there are bands.

    >>> cube = make_cube(np.ones((3, 2, 2)), wavelengths_nm=[450, 550, 650])
    >>> cube.sizes["band"], cube.wavelength.values.tolist()
    (3, [450.0, 550.0, 650.0])
    """
    import xarray as xr

    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    if np.ndim(values) != 3:
        raise InputError(f"an array of shape {np.shape(values)}", "three axes (band, y, x)", "reshape it")
    cube = xr.DataArray(decode(values, nodata), dims=DIMS)
    per_band = (("wavelength", wavelengths_nm, float), ("fwhm", fwhm_nm, float), ("good_band", good_bands, bool))
    for name, given, kind in per_band:
        if given is not None:
            listed, bands = np.array(given, dtype=kind).ravel(), cube.sizes["band"]
            if len(listed) != bands:
                found = f"{len(listed)} values of {name} for {bands} bands"
                raise InputError(found, "one for each band", f"give {bands}, or none")
            cube.coords[name] = ("band", listed)
    if nodata is not None:
        cube.encoding["_FillValue"] = nodata
    return georeferenced(cube, crs, transform)


def decode(raw: Any, nodata: float | None, scale: Any = 1.0, offset: Any = 0.0) -> Any:
    """Physical values of stored ones: nodata -> NaN, then raw * scale + offset.

    `scale` and `offset` are numbers or arrays that broadcast, such as (L, 1, 1). Integers stay as they
    are where there is nothing to do; else up to 16 bits become float32, more become float64.
    """
    scaled = bool(np.any(np.asarray(scale) != 1) or np.any(np.asarray(offset) != 0))
    marker = stored_nodata(raw.dtype, nodata)
    if marker is None and not scaled:
        return raw
    float_type = raw.dtype if raw.dtype.kind == "f" else np.dtype("f4" if raw.dtype.itemsize <= 2 else "f8")
    values = raw.astype(float_type)
    if marker is not None:
        values = np.where(raw == marker, float_type.type(np.nan), values)
    if scaled:
        values = values * np.asarray(scale, float_type) + np.asarray(offset, float_type)
    return values


def stored_nodata(dtype: np.dtype[Any], nodata: float | None) -> Any:
    """The nodata value in the type of the stored numbers; None where no stored number can equal it."""
    if nodata is None or not np.isfinite(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    if dtype.kind not in "iu":
        return None
    limits = np.iinfo(dtype)
    return dtype.type(int(nodata)) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def georeferenced(cube: xr.DataArray, crs: Any, transform: Affine | None) -> xr.DataArray:
    """The cube with CRS, affine and pixel centres; as it is, with a warning, where [geo] is missing."""
    if crs is None and transform is None:
        return cube
    if not installed("rioxarray"):
        warnings.warn("no georeference is kept; pip install 'hypersharp[geo]'", stacklevel=3)
        return cube
    import rioxarray  # noqa: F401  (gives DataArray its .rio)
    from pyproj.exceptions import ProjError
    from rasterio import Env
    from rasterio.errors import CRSError

    encoding = dict(cube.encoding)
    try:
        with Env():  # which keeps GDAL's own words off the screen
            cube = cube if crs is None else cube.rio.write_crs(crs)
    except (CRSError, ProjError, UnicodeError) as error:
        raise _unknown_crs(crs) from error
    if transform is not None:
        if not np.all(np.isfinite(transform[:6])):
            found = f"the affine {tuple(transform[:6])}"
            raise InputError(found, "six finite numbers", "correct or remove the georeference")
        cube = cube.drop_vars([name for name in ("y", "x", *NUMBERS) if name in cube.coords])
        cube = cube.rio.write_transform(transform)
        height, width = cube.sizes["y"], cube.sizes["x"]
        # row and column numbers tell what a slice of a rotated grid has left of it
        numbered = {"row": ("y", np.arange(height)), "column": ("x", np.arange(width))}
        cube = cube.assign_coords(_centres(transform, height, width) or numbered)
    cube.encoding.update(encoding)
    return cube


def _centres(transform: Affine, height: int, width: int) -> dict[str, np.ndarray]:
    """Map coordinates of the pixel centres along y and x; none for a rotated grid."""
    if transform.b or transform.d:
        return {}
    xs = transform.c + transform.a * (np.arange(width) + 0.5)
    ys = transform.f + transform.e * (np.arange(height) + 0.5)
    return {"y": ys, "x": xs}


def wavelengths_nm(cube: xr.DataArray) -> np.ndarray | None:
    """The bands' centre wavelengths in nm, None where unknown."""
    return np.asarray(cube.coords["wavelength"].values) if "wavelength" in cube.coords else None


def fwhm_nm(cube: xr.DataArray) -> np.ndarray | None:
    """The bands' full widths at half maximum in nm, None where unknown."""
    return np.asarray(cube.coords["fwhm"].values) if "fwhm" in cube.coords else None


def good_bands(cube: xr.DataArray) -> np.ndarray | None:
    """True for each band to be trusted, None where no list is known."""
    return cube.coords["good_band"].values.astype(bool) if "good_band" in cube.coords else None


def transform_of(cube: xr.DataArray) -> Affine | None:
    """The affine from pixel corners (x, y) to map coordinates, None where unknown.

    The stored affine counts unless the coordinates of the pixel centres contradict it, or on a rotated grid the row
    and column numbers, which they do after a slice such as `cube[:, 10:]`. Coordinates that only count the pixels are
    no place without a CRS.
    """
    said = cube.coords["spatial_ref"].attrs if "spatial_ref" in cube.coords else {}
    text = said.get("GeoTransform")
    xs, ys = (cube.coords[axis].values if axis in cube.coords else None for axis in ("x", "y"))
    if text is None and "crs_wkt" not in said and counts_pixels(xs) and counts_pixels(ys):
        return None
    place = affine_from(text, xs, ys)
    if place is None or not all(name in cube.coords for name in NUMBERS):
        return place
    (y0, step_y), (x0, step_x) = (
        (float(numbers[0]), float(numbers[-1] - numbers[0]) / (len(numbers) - 1) if len(numbers) > 1 else 1.0)
        for numbers in (cube.coords[name].values for name in NUMBERS)
    )
    corner = type(place).translation(x0 + (1 - step_x) / 2, y0 + (1 - step_y) / 2)  # centres lie at y0, y0 + step, ...
    return place @ corner @ type(place).scale(step_x, step_y)


def affine_from(geo_transform: Any, xs: np.ndarray | None, ys: np.ndarray | None) -> Affine | None:
    """The affine in GDAL's text, unless the pixel centres lie over 1e-4 pixels elsewhere: then the one they imply.

    A single row or column keeps the step of the text. Centres that are not evenly spaced are left out, with a warning.

    Raises: InputError for a text that is no affine.
    """
    if geo_transform is None and (xs is None or ys is None):
        return None
    from affine import Affine

    stored = None
    if geo_transform is not None:
        try:
            numbers = [float(word) for word in str(geo_transform).split()]
        except ValueError:
            numbers = []
        if len(numbers) != 6 or not np.all(np.isfinite(numbers)):
            found = f"the affine {str(geo_transform)[:80]!r}"
            raise InputError(found, "six finite numbers", "correct or remove the georeference")
        stored = Affine.from_gdal(*numbers)
    if xs is None or ys is None or (stored is not None and (stored.b or stored.d)):
        return stored
    xs, ys = xs.astype(float), ys.astype(float)
    if not (_even(xs) and _even(ys)):
        warnings.warn("coordinates that are not evenly spaced are left out: the image has no place", stacklevel=3)
        return None
    if stored is not None:
        expected = _centres(stored, len(ys), len(xs))
        gap_x, gap_y = (np.abs(expected[axis] - own)[[0, -1]].max() for axis, own in (("x", xs), ("y", ys)))
        if gap_x < 1e-4 * abs(stored.a) and gap_y < 1e-4 * abs(stored.e):
            return stored
    step_x, step_y = (
        (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else known
        for centres, known in ((xs, stored.a if stored else None), (ys, stored.e if stored else None))
    )
    if step_x is None or step_y is None:
        return None
    return Affine(step_x, 0, xs[0] - step_x / 2, 0, step_y, ys[0] - step_y / 2)


def counts_pixels(centres: np.ndarray | None) -> bool:
    """Whether coordinates only count the pixels, from 0 or 1 or by their middles."""
    if centres is None or len(centres) == 0 or centres[0] not in (0, 0.5, 1):
        return False
    return bool(np.array_equal(centres, centres[0] + np.arange(len(centres))))


def _even(centres: np.ndarray) -> bool:
    """Whether coordinates are evenly spaced, to half a step: those in float32 are not quite."""
    if len(centres) < 2:
        return True
    steps = np.linspace(centres[0], centres[-1], len(centres))
    return bool(np.all(np.abs(centres - steps) <= abs(centres[-1] - centres[0]) / (len(centres) - 1) / 2))


def crs_of(cube: xr.DataArray) -> Any:
    """The CRS as a rasterio CRS, None where unknown. Raises: InputError for a text that PROJ does not know."""
    if "spatial_ref" not in cube.coords or "crs_wkt" not in cube.coords["spatial_ref"].attrs:
        return None
    from rasterio import Env
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    text = str(cube.coords["spatial_ref"].attrs["crs_wkt"])
    try:
        with Env():
            return CRS.from_wkt(text)
    except (CRSError, UnicodeError) as error:
        raise _unknown_crs(text) from error


def _unknown_crs(crs: Any) -> InputError:
    return InputError(f"the CRS {str(crs)[:60]!r}", "one that PROJ knows, such as EPSG:32633", "use that")


@contextmanager
def changing_crs(source: Any, target: Any) -> Iterator[None]:
    """Turn what GDAL raises where coordinates of one CRS have no place in another into an InputError."""
    from rasterio import Env
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, RasterioError

    try:
        with Env():
            yield
    except (RasterioError, CRSError, CPLE_BaseError) as error:
        names = " and ".join(f"{str(crs)[:60]!r}" for crs in (source, target))
        raise InputError(f"the CRS {names}", "two of one Earth", "correct or remove the georeference") from error


def nodata_of(cube: xr.DataArray) -> float | None:
    """The value that stands for missing pixels in the file, None where unknown."""
    nodata = cube.encoding.get("_FillValue", cube.attrs.get("_FillValue"))
    return None if nodata is None else float(nodata)


def grid_of(cube: xr.DataArray) -> Grid:
    """Shape, affine and CRS of a cube; of a swath by its longitudes and latitudes."""
    lonlat = lonlat_of(cube)
    if lonlat is not None:
        with needs("geolocation"):
            from rasterio.crs import CRS
        return swath_grid(lonlat[0], lonlat[1], CRS.from_epsg(4326))
    return Grid((cube.sizes["y"], cube.sizes["x"]), transform_of(cube), crs_of(cube))


def lonlat_of(cube: xr.DataArray) -> np.ndarray | None:
    """The degrees (2, y, x) of the centres of the pixels of a swath; None for an image on a map, or nowhere."""
    if not all(name in cube.coords for name in LONLAT) or transform_of(cube) is not None:
        return None
    return np.stack([np.asarray(cube.coords[name].values, float) for name in LONLAT])


def with_lonlat(cube: xr.DataArray, lonlat: np.ndarray | None) -> xr.DataArray:
    """The cube with the place of each of its pixels, (2, y, x); as it is for None."""
    if lonlat is None:
        return cube
    return cube.assign_coords({name: (("y", "x"), axis) for name, axis in zip(LONLAT, lonlat, strict=True)})


def cut(cube: xr.DataArray, window: Window) -> xr.DataArray:
    """The pixels of a window (y0, x0, height, width) in their place, a view of the cube's own.

    Raises:
        InputError: the window is empty or reaches beyond the cube.
    """
    y0, x0, height, width = check_window(window, (cube.sizes["y"], cube.sizes["x"]))
    part, place = cube[:, y0 : y0 + height, x0 : x0 + width], transform_of(cube)
    if place is None or ("y" in cube.coords and "x" in cube.coords and not (place.b or place.d)):
        return part  # the coordinates of its pixel centres say where it lies
    return georeferenced(part, None, window_transform(place, window))


def flipped(cube: xr.DataArray, axes: Sequence[int]) -> xr.DataArray:
    """The cube from the far end of its rows, columns or both (axes 0, 1), in its place; a view of its pixels."""
    place, (height, width) = transform_of(cube), cube.shape[1:]
    cube = cube.isel({DIMS[1 + axis]: slice(None, None, -1) for axis in axes})
    if place is None:
        return cube
    down, across = -1 if 0 in axes else 1, -1 if 1 in axes else 1
    turn = type(place)(across, 0, width * (across < 0), 0, down, height * (down < 0))
    return georeferenced(cube, None, place @ turn)


def usable_bands(cube: xr.DataArray) -> np.ndarray:
    """True for each band that no list calls bad, that has a value but zero anywhere, and no more gaps than others."""
    flags = good_bands(cube)
    usable: np.ndarray = np.ones(cube.sizes["band"], bool) if flags is None else flags.copy()
    for band in np.flatnonzero(usable):
        values = np.asarray(cube[band].data)
        usable[band] = any(((row > 0) | (row < 0)).any() for row in values)  # which NaN is neither; mostly the first
    if cube.dtype.kind == "f":
        kept = np.flatnonzero(usable)
        usable[kept] = ~gappy_bands([np.asarray(cube[band].data) for band in kept])
    return usable


def only_usable(cube: xr.DataArray, what: str) -> xr.DataArray:
    """The cube without the bands that `usable_bands` rules out; `what` names it in the message.

    Raises: InputError for wrong axes, no pixel, or no usable band.
    """
    check_axes(cube, what)
    kept = usable_bands(cube)
    if not kept.any():
        found = f"{what} without one band that is good and has a finite value"
        raise InputError(found, "an image", "check its bad-band list, its nodata value and its extent")
    return cube if kept.all() else cube.isel(band=np.flatnonzero(kept))


def leave_out(
    cube: xr.DataArray, mask: Any = None, *, saturated: float | None = None, what: str = "image", part: bool = False
) -> xr.DataArray:
    """Set pixels to nodata (NaN in every band), so that they are excluded from every estimate and score.

    Args:
        cube: (L, H, W); integers become floats where something is excluded.
        mask: (H, W); anything but zero excludes a pixel (clouds, shadows, water, ...).
        saturated: excludes pixels that reach this value in any usable band.
        what: the image's name in messages.
        part: whether this is a part of an image, which may be excluded entirely.

    Returns:
        The cube (L, H, W) with NaN there, its metadata unchanged.

    Raises:
        InputError: a mask of another size, or one that excludes every pixel.

    >>> cube = make_cube(np.array([[[1, 2], [3, 255]]]))
    >>> leave_out(cube, [[1, 0], [0, 0]], saturated=255).values.tolist()
    [[[nan, 2.0], [3.0, nan]]]
    """
    height, width = cube.shape[1:]
    out: np.ndarray = np.zeros((height, width), bool) if mask is None else np.asarray(mask) != 0
    if out.shape != (height, width):
        raise wrong_mask(out.shape, what, (height, width))
    for band in np.flatnonzero(usable_bands(cube)) if saturated is not None else ():
        out |= np.asarray(cube[band].data) >= saturated
    if out.all() and not part:
        do = "turn the mask round: it is zero where a pixel counts; or raise --saturated"
        raise InputError(f"a mask that leaves out all of {what}", "pixels that are left", do)
    if not out.any():
        return cube
    kept = cube.where(~out[np.newaxis])
    kept.encoding = dict(cube.encoding)
    return kept


def wrong_mask(shape: Sequence[int], what: str, shape_yx: tuple[int, int]) -> InputError:
    """The error for a mask of another shape than its image."""
    found = f"a mask of {' x '.join(map(str, shape))} for {what} of {shape_yx[0]} x {shape_yx[1]} pixels"
    return InputError(found, "one value for each of its pixels", f"make the mask on the grid of {what}")


def with_bands_of(hs: xr.DataArray, values: Any, *, crs: Any, transform: Affine | None) -> xr.DataArray:
    """A cube of these values in that place; wavelengths, flags and nodata of `hs`."""
    known: dict[str, Any] = {"wavelengths_nm": wavelengths_nm(hs), "fwhm_nm": fwhm_nm(hs), "good_bands": good_bands(hs)}
    cube, nodata = make_cube(values, **known, crs=crs, transform=transform), nodata_of(hs)
    if nodata is not None and cube.dtype.kind == "f" and "scale_factor" not in hs.encoding:
        cube.encoding["_FillValue"] = nodata
    return cube


def check_cube(cube: xr.DataArray, what: str) -> None:
    """Check that a cube can be worked with; `what` names it in the message.

    Raises: InputError for wrong axes, no pixel, no numbers, infinite values, or no finite value at all.
    """
    check_axes(cube, what)
    infinite = missing = 0
    for plane in cube if cube.dtype.kind == "f" else ():  # band by band, to spare memory
        values = np.asarray(plane.data)
        infinite += int(np.isinf(values).sum())
        missing += int(np.isnan(values).sum())
    if infinite:
        raise InputError(f"{what} with {infinite} infinite values", "finite numbers or NaN", "mask them as NaN")
    if missing == cube.size:
        raise InputError(f"{what} without one finite pixel", "an image", "check its nodata value and its extent")


def check_axes(cube: xr.DataArray, what: str) -> None:
    """Check axes, size and type of a cube; `what` names it in the message.

    Raises: InputError for wrong axes, no pixel, or no numbers.
    """
    if cube.dims != DIMS:
        raise InputError(f"{what} with axes {cube.dims}", f"axes {DIMS}", "rename or transpose them")
    if 0 in cube.shape:
        raise InputError(f"{what} of {shape_text(cube)}", "at least one band, row and column", "check how it was cut")
    if cube.dtype.kind not in "iufb":
        raise InputError(f"{what} of type {cube.dtype}", "real numbers", "convert it")


def shape_text(cube: xr.DataArray) -> str:
    """The shape for messages: `31 x 64 x 64`."""
    return " x ".join(map(str, cube.shape))
