"""The image in an xarray Dataset of a file: one variable with an axis for the bands, or a variable a band."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.conventions.arrays import Wanted, find_variable
from hypersharp.conventions.cf import (
    LETTERS,
    Parts,
    axes_of,
    lonlat_of,
    number_of,
    place_of,
    spectra_of,
    true_type,
    unit_of,
)
from hypersharp.errors import InputError
from hypersharp.sensor.wavelengths import in_text, spectral_nm
from hypersharp.stored import NOTES, Joined, Stored, VariablePixels, one_or_each

Opener = Callable[[Path], AbstractContextManager[Any]]
CENTRES = ("radiation_wavelength", "wavelength", "center_wavelength", "central_wavelength")
LISTED = 8  # names in a message


def read_dataset(
    image: Wanted, opener: Opener, *, name: str | None = None, lists: Mapping[str, Any] | None = None
) -> Stored:
    """Open the one image of an xarray Dataset, or the one named; `lists`: what else may be known of its bands."""
    with opener(image.path) as dataset:
        variables = [dataset[chosen] for chosen in chosen_names(dataset, image, name or image.variable)]
        axes = [axes_of(variable, image, f"'{variable.name}' in {image.path}") for variable in variables]
        planes = [
            VariablePixels(image.path, opener, str(variable.name), variable, parts, true_type(variable))
            for variable, parts in zip(variables, axes, strict=True)
        ]
        pixels = Joined(planes, [(band, 0) for band in range(len(planes))]) if len(planes) > 1 else planes[0]
        known = {str(key): found for key, found in dataset.variables.items()} | dict(lists or {})
        centres, widths, flags = band_facts_of(variables, axes[0], known)
        crs, transform = place_of(dataset.variables, variables[0], axes[0])
        notes = variables[0].attrs.get(NOTES)
        return Stored(
            pixels,
            wavelengths_nm=centres,
            fwhm_nm=widths,
            good_bands=flags,
            crs=crs,
            transform=transform,
            lonlat=lonlat_of(dataset.variables, variables[0], axes[0]) if transform is None else None,
            nodata=one_or_each([_nodata(variable) for variable in variables]),
            scale=one_or_each([number_of(variable, ("scale_factor",), 1.0) for variable in variables]),
            offset=one_or_each([number_of(variable, ("add_offset",), 0.0) for variable in variables]),
            notes=None if notes is None else str(notes),
        )


def image_shape(variable: Any) -> tuple[int, ...]:
    """The lengths of the axes that an image may have: without those of one entry, and without time."""
    named = zip(variable.dims, variable.shape, strict=True)
    letters = [(LETTERS.get(str(dim).lower(), "?"), size) for dim, size in named]
    kept = [size for letter, size in letters if letter in "lhw" or (letter == "?" and size > 1)]
    return tuple(kept) if len(kept) > 1 else tuple(variable.shape)


def chosen_names(dataset: Any, image: Wanted, name: str | None) -> list[str]:
    """The variable that is the image, or those that are its bands; `name` may be a pattern such as `rhos_*`.

    Raises: InputError where none or several may be the image.
    """
    found = {str(key): item for key, item in dataset.data_vars.items()}
    pattern = name if name and "*" in name else None
    if pattern:
        found, name = {key: item for key, item in found.items() if fnmatchcase(key, pattern)}, None
    shapes = {key: (image_shape(item), item.dtype) for key, item in found.items()}
    one = name or (not pattern and any(len(shape) == 3 for shape, _ in shapes.values()))
    planes = [] if one else _planes(found)
    if len(planes) < 2:
        return [find_variable(Wanted(image.path, name), shapes)]
    others = [key for key, item in found.items() if key not in planes and len(image_shape(item)) == 2]
    left = f"; left out: {', '.join(others[:LISTED])}" if others else ""
    warnings.warn(f"{len(planes)} variables are the bands: {', '.join(planes[:LISTED])}{left}", stacklevel=3)
    return planes


def _planes(found: Mapping[str, Any]) -> list[str]:
    """The names of the largest set of images of one band, in the order of their wavelengths where all have one.

    Else by their numbers, where all are named alike: Zarr and HDF5 list names in any order, or as texts (1, 10, 2).

    Raises: InputError where two have one wavelength, as in a file of several products.
    """
    sets: dict[Any, list[str]] = {}
    for name, item in found.items():
        degrees = LETTERS.get(name.lower(), "?") != "?" or item.attrs.get("standard_name") in ("latitude", "longitude")
        plane = len(image_shape(item)) == 2 and item.dtype.kind in "iuf"
        if plane and not degrees and "flag_meanings" not in item.attrs:
            sets.setdefault((item.dims, item.shape, item.dtype), []).append(name)
    names = max(sets.values(), key=len, default=[])
    placed = [(centre[0], name) for name in names if (centre := _centre(found[name])) is not None]
    if len(placed) < 2:
        parts = {name: re.split(r"(\d+)", name) for name in names}
        alike = len({part[0] for part in parts.values()}) == 1 and all(len(part) > 1 for part in parts.values())
        return sorted(names, key=lambda name: (int(parts[name][1]), parts[name][2:])) if alike else names
    if len({nm for nm, _ in placed}) < len(placed):
        what = f"several bands of one wavelength ({', '.join(names[:LISTED])})"
        raise InputError(what, "one variable a band", "name those of one kind by a pattern: --variable 'rhos_*'")
    return [name for _, name in sorted(placed)]


def _centre(variable: Any) -> tuple[float, Any] | None:
    """The wavelength that a variable of one band names, and its unit."""
    for name in CENTRES:
        number = number_of(variable, (name,))
        if number is not None:
            return number, unit_of(variable.attrs, spectral=True) or variable.attrs.get(f"{name}_unit")
    return in_text(str(variable.attrs.get("long_name", "")))


def band_facts_of(variables: Sequence[Any], parts: Parts, known: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Wavelengths, widths (nm) and flags of the bands of one variable, or of several of one band each."""
    if len(variables) == 1:
        band_dim = None if parts[0] is None else str(variables[0].dims[parts[0]])
        bands = 1 if parts[0] is None else variables[0].shape[parts[0]]
        return spectra_of(known, variables[0], band_dim, bands)
    centres = [_centre(variable) for variable in variables]
    if None in centres:
        return None, None, None
    return spectral_nm([centre[0] for centre in centres if centre], centres[0] and centres[0][1]), None, None


def _nodata(variable: Any) -> float | None:
    """The value of a missing pixel, as a number of the type that is meant."""
    nodata, dtype = number_of(variable, ("_FillValue", "missing_value")), true_type(variable)
    if nodata is None or dtype == variable.dtype or not np.isfinite(nodata):
        return nodata  # type: ignore[no-any-return]
    return float(np.asarray(int(nodata)).astype(dtype))
