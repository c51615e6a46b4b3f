"""What named arrays say of an image: which axes, wavelengths and place, by the CF conventions and by custom.

Works on xarray objects, whether they lie in a file (NetCDF, Zarr) or in memory. Source: CF conventions 1.11,
sections 2.5 (unsigned, fill), 4 (coordinates) and 5.6 (grid mappings).
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hypersharp.conventions.arrays import (
    GOOD_BANDS,
    LEAST_NM,
    MOST_NM,
    WAVELENGTHS,
    WIDTHS,
    Wanted,
    numbers_of,
    order_lhw,
)
from hypersharp.cube import affine_from, counts_pixels
from hypersharp.errors import InputError, installed
from hypersharp.sensor.wavelengths import named_nm, numbers_in, per_nm, spectral_nm, unit_nm, widths_nm

AXES = {
    "l": "band bands wavelength wavelengths wl wvl lambda spectral spectrum channel channels spectral_band",
    "h": "y lat latitude northing row rows line lines downtrack along_track yc",
    "w": "x lon longitude easting column columns sample samples crosstrack across_track xc",
    "t": "time t date step valid_time",
}
LETTERS = {name: letter for letter, names in AXES.items() for name in names.split()}
Y_NAMES = ("latitude", "projection_y_coordinate", "grid_latitude")
X_NAMES = ("longitude", "projection_x_coordinate", "grid_longitude")
DEGREES = ("degrees_north", "degrees_east", "degree_north", "degree_east", "degrees_n", "degrees_e")
WAVELENGTH_NAMES = (*WAVELENGTHS, "center_wavelength", "centre_wavelength", "radiation_wavelength")
DEGREE_DIMS = ("lat", "lon", "latitude", "longitude")
WIDTH_NAMES = (*WIDTHS, "bandwidth", "band_width", "full_width_half_max")
Parts = tuple[int | None, int, int]  # positions of band, row and column among the axes of an array


def axes_of(variable: Any, image: Wanted, what: str) -> Parts:
    """Which of the axes are bands, rows and columns: by the layout given, by their names, by the shape.

    Axes beyond these must be of length 1.

    Raises: InputError for several times, or a shape that does not show it.
    """
    names = [str(dim).lower() for dim in variable.dims]
    letters = [LETTERS.get(name, "?") for name in names]
    for place, size in enumerate(variable.shape):
        if letters[place] == "t" and size > 1:
            found = f"{what} of {size} steps along {names[place]}"
            raise InputError(found, "one moment", f"choose one, in xarray .isel({names[place]}=0)")
    if image.layout in (None, "hw") and letters.count("h") == letters.count("w") == 1 and letters.count("l") <= 1:
        rest = [place for place, letter in enumerate(letters) if letter not in "lhw" and variable.shape[place] > 1]
        bands = letters.index("l") if "l" in letters else rest.pop() if len(rest) == 1 else None
        if not rest:
            return bands, letters.index("h"), letters.index("w")
    spare = [place for place, size in enumerate(variable.shape) if size == 1 and letters[place] not in "lhw"]
    kept = [place for place in range(variable.ndim) if place not in spare[: max(0, variable.ndim - 3)]]
    if len(kept) == 2:
        return None, kept[0], kept[1]
    band, row, column = order_lhw(tuple(variable.shape[place] for place in kept), image, what, {})
    return kept[band], kept[row], kept[column]


def spectra_of(
    variables: Mapping[str, Any], variable: Any, band_dim: str | None, bands: int
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Wavelengths and widths in nm, and flags of good bands, of one array with a band axis; None where not said.

    variables: all that is known by name, groups' included; each has values and attrs.
    """
    centres, unit = _wavelengths(variables, variable, band_dim, bands)
    unit = unit or unit_of(variable.attrs, spectral=True)
    widths, width_unit = _listed(variables, WIDTH_NAMES, bands)
    flags, _ = _listed(variables, GOOD_BANDS, bands)
    narrow = widths is not None and np.isfinite(widths).any() and np.nanmedian(widths) < 1
    width_unit = width_unit or (unit if narrow else None)
    return spectral_nm(centres, unit), widths_nm(widths, width_unit, centres), None if flags is None else flags != 0


def _wavelengths(
    variables: Mapping[str, Any], variable: Any, band_dim: str | None, bands: int
) -> tuple[np.ndarray | None, Any]:
    """Wavelengths and their unit: by standard name, by name, of the band axis itself, or in the attributes."""
    for found in variables.values():
        if found.attrs.get("standard_name") in ("radiation_wavelength", "sensor_band_central_radiation_wavelength"):
            centres = numbers_of(found, bands)
            if centres is not None:
                return centres, unit_of(found.attrs)
    centres, unit = _listed(variables, WAVELENGTH_NAMES, bands)
    axis = variables.get(band_dim or "")
    said = None if axis is None else axis.attrs.get("units")
    if centres is None and axis is not None and (unit_nm(said) or per_nm(said) or _are_nm(axis)):
        centres, unit = numbers_of(axis, bands), unit_of(axis.attrs)
    if centres is None and (centres := _in_texts(variables, band_dim, bands)) is not None:
        unit = "nm"
    for name in WAVELENGTH_NAMES if centres is None else ():
        value = variable.attrs.get(name)  # an array, a list or a text
        numbers = np.asarray(numbers_in(value) if isinstance(value, str) else value).ravel()
        if numbers.dtype.kind in "iuf" and numbers.size == bands:
            unit = variable.attrs.get(f"{name}_units") or unit_of(variable.attrs, spectral=True)
            return numbers.astype(float), unit
    return centres, unit


def _are_nm(axis: Any) -> bool:
    """Whether the coordinate of a band axis in no unit holds wavelengths: numbers of theirs that do not count bands."""
    numbers = np.asarray(axis.values)
    if numbers.dtype.kind != "f" or numbers.ndim != 1 or not numbers.size or axis.attrs.get("units"):
        return False
    return bool(numbers.min() >= LEAST_NM and numbers.max() <= MOST_NM)


def _in_texts(variables: Mapping[str, Any], band_dim: str | None, bands: int) -> np.ndarray | None:
    """Wavelengths (nm) in texts, one a band: "450 nm" by name or as labels of the band axis, bare numbers by name."""
    for name, found in variables.items():
        by_name = name.rpartition("/")[2].lower() in WAVELENGTH_NAMES
        if not (by_name or name == band_dim) or found.shape != (bands,) or found.dtype.kind not in "UO":
            continue
        texts = [str(text) for text in found.values]
        centres, numbers = named_nm(texts), [numbers_in(text) for text in texts]
        if centres is None and by_name and all(number and len(number) == 1 for number in numbers):
            centres = spectral_nm([number[0] for number in numbers if number], unit_of(found.attrs))
        if centres is not None:
            return centres
    return None


def unit_of(attributes: Mapping[str, Any], *, spectral: bool = False) -> Any:
    """The unit in the words of CF, of ENVI's header, or of rioxarray that read one."""
    names = ("wavelength_units", "wavelength units", "radiation_wavelength_unit")
    return next(
        (attributes[name] for name in (() if spectral else ("units", "unit")) + names if name in attributes), None
    )


def _listed(variables: Mapping[str, Any], names: tuple[str, ...], bands: int) -> tuple[np.ndarray | None, Any]:
    """A list of one number a band by name, the last part of it in a group, and its unit."""
    for name, found in variables.items():
        if name.rpartition("/")[2].lower() in names and (numbers := numbers_of(found, bands)) is not None:
            return numbers, unit_of(found.attrs)
    return None, None


def number_of(variable: Any, names: Iterable[str], default: float | None = None) -> Any:
    for name in names:
        for place in (variable.attrs, variable.encoding):
            value = np.asarray(place.get(name))
            if value.dtype.kind in "iuf" and value.size == 1:
                return float(value.ravel()[0])
    return default


def true_type(variable: Any) -> np.dtype[Any]:
    """The type that stored whole numbers are meant in: `_Unsigned` says so where a format knows no other."""
    dtype: np.dtype[Any] = np.dtype(variable.dtype)
    said = str(variable.attrs.get("_Unsigned", variable.encoding.get("_Unsigned", ""))).lower()
    if said == "true" and dtype.kind == "i":
        return np.dtype(f"u{dtype.itemsize}")
    return np.dtype(f"i{dtype.itemsize}") if said == "false" and dtype.kind == "u" else dtype


def place_of(variables: Mapping[str, Any], variable: Any, parts: Parts) -> tuple[Any, Any]:
    """CRS and affine from the grid mapping and the coordinates of the pixel centres; no affine without [geo]."""
    said = variable.encoding.get("grid_mapping", variable.attrs.get("grid_mapping", "spatial_ref"))
    named = [word.rstrip(":") for word in str(said).split()]
    others = [name for name, found in variables.items() if "grid_mapping_name" in found.attrs]
    mappings = (*named, "spatial_ref", "crs", *(others if len(others) == 1 else ()))  # whatever it is called
    mapping = next((name for name in mappings if name in variables and variables[name].ndim == 0), None)
    attributes = {} if mapping is None else dict(variables[mapping].attrs)
    rows, columns = (str(variable.dims[part]) for part in parts[1:])
    ys, xs = _centres(variables, rows, Y_NAMES), _centres(variables, columns, X_NAMES)
    crs = _crs(attributes, variable, {rows: ys, columns: xs})
    if not installed("affine"):
        return crs, None
    swath = [name for name, found in variables.items() if found.ndim == 2 and _is_degrees(found)]
    placed = lonlat_of(variables, variable, parts) is not None
    if swath and not placed and (ys is None or xs is None) and "GeoTransform" not in attributes:
        text = f"the place of each pixel in {' and '.join(swath[:2])} is not read: the image is taken to have no place"
        warnings.warn(text, stacklevel=3)
    height = float(attributes.get("perspective_point_height", 1))
    centres = [None if found is None else _in_map_units(found, height) for found in (xs, ys)]
    if centres[0] is not None and (crs == "EPSG:4326" or _is_degrees(xs)):  # across the date line
        centres[0] = np.unwrap(centres[0], period=360)
    if crs is None and "GeoTransform" not in attributes and all(map(counts_pixels, centres)):
        return None, None
    return crs, affine_from(attributes.get("GeoTransform"), *centres)


def lonlat_of(variables: Mapping[str, Any], variable: Any, parts: Parts) -> np.ndarray | None:
    """The degrees (2, y, x) of the pixels of a swath, from variables in degrees on its rows and columns; else None."""
    dims = tuple(variable.dims[part] for part in parts[1:])
    on_pixels = [found for found in variables.values() if found.dims == dims and _is_degrees(found)]
    axes = []
    for end in ("e", "n"):  # degrees_east, degrees_north
        found = [one for one in on_pixels if str(one.attrs["units"]).lower().rpartition("_")[2].startswith(end)]
        if len(found) != 1:
            return None
        degrees, fill = np.asarray(found[0].values, float), number_of(found[0], ("_FillValue", "missing_value"))
        axes.append(degrees if fill is None else np.where(degrees == fill, np.nan, degrees))
    return np.stack(axes)


def _centres(variables: Mapping[str, Any], dim: str, names: tuple[str, ...]) -> Any:
    """The coordinates along an axis: of its own name, or those that CF calls so; None where there are none."""
    own = variables.get(dim)
    if own is not None and own.ndim == 1 and own.dtype.kind in "iuf":
        return own
    along = (found for found in variables.values() if found.dims == (dim,) and found.dtype.kind in "iuf")
    return next((found for found in along if found.attrs.get("standard_name") in names or _is_degrees(found)), None)


def _is_degrees(variable: Any) -> bool:
    return str(variable.attrs.get("units", "")).lower() in DEGREES


def _in_map_units(centres: Any, height: float) -> np.ndarray:
    """Coordinates in the unit of the CRS: scanning angles times the height of the satellite, km as m."""
    unit = str(centres.attrs.get("units", "")).lower()
    factor = height if unit in ("rad", "radian", "radians") else 1000.0 if unit in ("km", "kilometers") else 1.0
    scale, offset = number_of(centres, ("scale_factor",), 1.0), number_of(centres, ("add_offset",), 0.0)
    packed = "scale_factor" in centres.attrs
    values = np.asarray(centres.values, dtype=float)
    return (values * scale + offset if packed else values) * factor


def _crs(attributes: Mapping[str, Any], variable: Any, centres: Mapping[str, Any]) -> Any:
    """The CRS as WKT or a code: from the mapping's text, its CF parameters, the attributes, or degrees on the axes."""
    for name in ("crs_wkt", "spatial_ref", "proj4", "proj4text", "epsg_code"):
        if isinstance(attributes.get(name), str) and attributes[name].strip():
            return attributes[name]
    if "grid_mapping_name" in attributes and installed("pyproj"):
        from pyproj import CRS
        from pyproj.exceptions import CRSError

        try:
            return CRS.from_cf(dict(attributes)).to_wkt()
        except (CRSError, KeyError, TypeError, ValueError) as error:
            name = str(attributes["grid_mapping_name"])[:40]
            warnings.warn(f"the grid mapping {name} is not understood ({str(error)[:80]})", stacklevel=4)
            return None
    said = variable.attrs.get("crs")
    if isinstance(said, str) and said.strip():
        return said
    degrees = [
        found is not None and (_is_degrees(found) or (dim.lower() in DEGREE_DIMS and "units" not in found.attrs))
        for dim, found in centres.items()
    ]
    return "EPSG:4326" if all(degrees) else None
