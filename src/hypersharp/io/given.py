"""Cubes as other programs hand them over in memory: numpy, dask, xarray (of rioxarray, stackstac, odc-stac, xee).

What is said of the numbers is done here: nodata, scale and offset that an attribute names and nobody has applied, a
unit of wavelengths, a time of one step, a variable a band, corners for centres.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.conventions.arrays import Wanted, plain_order
from hypersharp.conventions.cf import Parts, axes_of, lonlat_of, place_of, spectra_of
from hypersharp.conventions.dataset import band_facts_of, chosen_names
from hypersharp.cube import DIMS, LONLAT, NUMBERS, counts_pixels, crs_of, decode, make_cube, transform_of, with_lonlat
from hypersharp.errors import InputError, installed
from hypersharp.io.image import Image
from hypersharp.stored import NOTES, per_band

OWN = {"wavelength", "fwhm", "good_band", "spatial_ref", "band", "x", "y", *NUMBERS, *LONLAT}
NODATA = ("_FillValue", "missing_value", "nodata", "nodatavals")
SCALE, OFFSET = ("scale_factor", "scales"), ("add_offset", "offsets")
RAW = (*NODATA, *SCALE, *OFFSET, "crs", "transform", "grid_mapping", "wavelength", "wavelengths", "wavelength_units")
AnyImage = xr.DataArray | xr.Dataset | NDArray[Any] | str | Path
LOOKED_AT = 4096  # values, for whole numbers among floating ones


def as_cube(image: AnyImage, what: str) -> xr.DataArray:
    """An image in memory, or a path, as a cube (band, y, x) in the unit that it means; `what` names it in messages.

    A cube of this package comes back as it is.

    Raises: InputError for what is no image, is ambiguous, or lacks a choice (of a time, of a variable).

    >>> image = xr.DataArray(np.full((1, 2, 2), 7, "i2"), dims=("time", "lat", "lon"), attrs={"_FillValue": 7})
    >>> as_cube(image, "ms").dims, bool(np.isnan(as_cube(image, "ms")).all())
    (('band', 'y', 'x'), True)
    """
    if isinstance(image, str | Path):
        return Image(Path(image)).stored().cube()
    if isinstance(image, xr.Dataset):
        return _of_dataset(image, what)
    if isinstance(image, xr.DataArray):
        return image if _is_own(image) else _of_array(image, what)
    if not hasattr(image, "shape") or not hasattr(image, "dtype"):
        raise InputError(f"{what} of type {type(image).__name__}", "an image in memory", "open it with hypersharp.open")
    if len(image.shape) == 2:
        return make_cube(image[None])
    if len(image.shape) != 3:
        raise InputError(f"{what} with {len(image.shape)} axes", "three (band, y, x)", "reshape it")
    plain_order(image.shape, what, "transpose it to (band, y, x): array.transpose(2, 0, 1)")
    return make_cube(image)


def _is_own(cube: xr.DataArray) -> bool:
    """Whether nothing about a cube is to be understood first."""
    units = {str(cube.coords[name].attrs.get("units", "nm")) for name in ("wavelength", "fwhm") if name in cube.coords}
    centres = cube.coords["wavelength"].values if "wavelength" in cube.coords else None
    in_nm = units <= {"nm"} and (
        centres is None or centres.dtype.kind == "f" and not np.fmax.reduce(centres, axis=None) < 100
    )
    labels = cube.coords["band"] if "band" in cube.coords and centres is None else None
    numbered = labels is None or (labels.dtype.kind in "iu" and "units" not in labels.attrs)
    counted = all(axis in cube.coords and counts_pixels(cube.coords[axis].values) for axis in ("y", "x"))
    own = OWN.issuperset(map(str, cube.coords)) and not set(cube.attrs) & set(RAW)
    return cube.dims == DIMS and own and in_nm and numbered and not (counted and transform_of(cube) is None)


def _of_dataset(dataset: xr.Dataset, what: str) -> xr.DataArray:
    """The one image of a Dataset, or its variables as bands; those that are called by numbers, too."""
    dataset = dataset.rename_vars({name: str(name) for name in dataset.data_vars if not isinstance(name, str)})
    names = chosen_names(dataset, Wanted(Path(what)), None)
    frame = {name: dataset.attrs[name] for name in ("crs", "transform") if name in dataset.attrs}  # of all variables
    arrays = [dataset[name].assign_attrs({**frame, **dataset[name].attrs}) for name in names]
    if len(arrays) == 1:
        return _of_array(arrays[0], what, dataset.variables)
    cubes = [_of_array(array, what, dataset.variables) for array in arrays]
    centres, *_ = band_facts_of(arrays, axes_of(arrays[0], Wanted(Path(what)), what), {})
    values = np.concatenate([np.asarray(cube.data) for cube in cubes])
    return make_cube(values, wavelengths_nm=centres, crs=crs_of(cubes[0]), transform=transform_of(cubes[0]))


def _of_array(array: xr.DataArray, what: str, variables: Mapping[Any, Any] | None = None) -> xr.DataArray:
    parts = axes_of(array, Wanted(Path(what)), what)
    known = {str(name): found for name, found in {**dict(variables or {}), **dict(array.coords)}.items()}
    bands = 1 if parts[0] is None else array.shape[parts[0]]
    centres, widths, flags = spectra_of(known, array, None if parts[0] is None else str(array.dims[parts[0]]), bands)
    if "row" in known and "column" in known:  # a cube of ours on a rotated grid
        crs, transform = crs_of(array), transform_of(array)
    else:
        crs, transform = _place(known, array, parts)
    kept = [part for part in parts if part is not None]  # all other axes are of one entry
    raw, order = array.data[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))], sorted(kept)
    raw = raw.transpose([order.index(part) for part in kept])
    values, encoding = _meant(raw if parts[0] is not None else raw[None], array, what)
    place = {"crs": crs, "transform": transform}
    cube = make_cube(values, wavelengths_nm=centres, fwhm_nm=widths, good_bands=flags, **place)
    cube.encoding.update(encoding)
    cube = with_lonlat(cube, lonlat_of(known, array, parts) if transform is None else None)
    return cube.assign_attrs({name: array.attrs[name] for name in (NOTES, "units") if name in array.attrs})


def some_values(raw: Any, nodata: float | None) -> np.ndarray:
    """Some of the measured values of an array, of the first of its blocks that has any; none where all are missing."""
    for block in (raw.blocks[index] for index in np.ndindex(raw.numblocks)) if hasattr(raw, "blocks") else raw:
        values = np.asarray(block).ravel()
        values = values[np.isfinite(values) & (values != nodata)]
        if values.size:
            return np.asarray(values[:LOOKED_AT])
    return np.zeros(0)


def _meant(raw: Any, array: xr.DataArray, what: str) -> tuple[Any, dict[str, Any]]:
    """The numbers that stored ones mean, by attributes that nobody has applied yet, and how they were stored."""
    nodata = next(_numbers(array.attrs, NODATA), [None])[0]
    scale, offset = (next(_numbers(array.attrs, names), [default]) for names, default in ((SCALE, 1.0), (OFFSET, 0.0)))
    scaled = any(number != 1 for number in scale) or any(number != 0 for number in offset)
    seen = some_values(raw, nodata) if scaled and raw.dtype.kind == "f" else np.zeros(1)
    if np.any(seen != np.rint(seen)):
        text = f"{what} says scale_factor {scale[0]:g}, but holds no whole numbers: they are taken as scaled already"
        warnings.warn(text, stacklevel=4)
        scale, offset = [1.0], [0.0]
    stored = {name: value for name, value in array.encoding.items() if name in ("_FillValue", "dtype", *SCALE, *OFFSET)}
    each = list(range(raw.shape[0]))
    factors = [per_band(numbers[0] if len(numbers) == 1 else numbers, each) for numbers in (scale, offset)]
    values = decode(raw, nodata, *factors)
    if nodata is not None:
        stored |= {"_FillValue": nodata, "dtype": raw.dtype}
    if scaled and len(scale) == len(offset) == 1:
        stored |= {"scale_factor": scale[0], "add_offset": offset[0], "dtype": raw.dtype}
    return values, stored


def _numbers(attributes: Mapping[Any, Any], names: tuple[str, ...]) -> Iterator[list[float]]:
    """What attributes of these names hold, one number or one a band."""
    for name in names:
        values = np.asarray(attributes.get(name))
        if values.dtype.kind in "iuf" and values.size:
            numbers = [float(number) for number in values.ravel()]
            yield numbers if len(set(numbers)) > 1 else numbers[:1]


def _place(known: dict[str, Any], array: xr.DataArray, parts: Parts) -> tuple[Any, Any]:
    """CRS and affine; also those that stackstac puts elsewhere, whose coordinates are corners."""
    crs, place = place_of(known, array, parts)
    epsg = np.asarray(known["epsg"].values) if "epsg" in known else np.zeros(())
    if crs is None and epsg.size == 1 and epsg.dtype.kind in "iu" and int(epsg) > 0:
        crs = int(epsg)
    if {"xc", "yc"} <= set(known) and known["xc"].ndim == 2 and installed("affine"):  # rioxarray, of a rotated grid
        from affine import Affine

        xs, ys = known["xc"].values, known["yc"].values
        (a, d), (b, e) = (
            (float(xs[end] - xs[0, 0]) / max(1, steps), float(ys[end] - ys[0, 0]) / max(1, steps))
            for end, steps in (((0, -1), xs.shape[1] - 1), ((-1, 0), xs.shape[0] - 1))
        )
        return crs, Affine(a, b, float(xs[0, 0]), d, e, float(ys[0, 0])) @ Affine.translation(-0.5, -0.5)
    said = array.attrs.get("transform")
    if place is not None and said is not None and np.size(said) in (6, 9):
        a, _, c, _, e, f = (float(number) for number in tuple(said)[:6])
        off = (place.c + place.a / 2 - c) / a, (place.f + place.e / 2 - f) / e if e else 0.0
        if all(abs(number - round(number)) < 1e-3 for number in off):  # its coordinates are the pixels' corners
            place = place @ type(place).translation(0.5, 0.5)
    return crs, place
