"""NetCDF through xarray: CF names and attributes, CRS and affine as rioxarray keeps them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.cube import affine_from, transform_of
from hypersharp.errors import InputError, installed, needs
from hypersharp.io.arrays import GOOD_BANDS, WAVELENGTHS, WIDTHS, find_variable, listed, order_lhw
from hypersharp.io.image import Image
from hypersharp.io.packed import pack
from hypersharp.stored import NOTES, Stored, VariablePixels, spectral_nm
from hypersharp.system.atomic import check_room
from hypersharp.system.read_errors import READ_ERRORS, reading

EXPECTED = "a whole NetCDF file"
SPARE_BYTES = 2**17  # headers, coordinates, chunk index
AXES = {
    "l": ("band", "bands", "wavelength", "wavelengths", "wl", "spectral", "channel"),
    "h": ("y", "lat", "latitude", "northing", "row", "rows", "line", "lines", "downtrack", "along_track"),
    "w": ("x", "lon", "longitude", "easting", "column", "columns", "sample", "samples", "crosstrack", "across_track"),
}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An xarray Dataset with the numbers as they are stored; other libraries' errors become ours."""
    with path.open("rb") as file:
        engine = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}.get(file.read(4))
    if engine is None:
        raise InputError(f"{path} that does not begin like NetCDF", EXPECTED, "check the file")
    if engine == "h5netcdf":
        with needs("NetCDF"):
            import h5netcdf  # noqa: F401
    raw: dict[str, Any] = {"engine": engine, "mask_and_scale": False, "decode_times": False}
    with reading(path, EXPECTED, *READ_ERRORS), xr.open_dataset(path, **raw) as dataset:
        yield dataset


def read(image: Image) -> Stored:
    """Open the one image in a NetCDF file, or the one named."""
    return read_dataset(image, _opened)


def read_dataset(image: Image, opener: Callable[[Path], AbstractContextManager[Any]]) -> Stored:
    """Open the one image of an xarray Dataset."""
    with opener(image.path) as dataset:
        name = find_variable(image, {str(name): (item.shape, item.dtype) for name, item in dataset.data_vars.items()})
        variable = dataset[name]
        axes = _axes(variable, image, f"'{name}' in {image.path}")
        pixels = VariablePixels(image.path, opener, name, variable, axes)
        flags = listed(dataset.variables, GOOD_BANDS, pixels.shape[0])
        crs, transform = _place(dataset, variable, axes)
        return Stored(
            pixels,
            wavelengths_nm=_spectral(dataset, WAVELENGTHS, pixels.shape[0], "unknown"),
            fwhm_nm=_spectral(dataset, WIDTHS, pixels.shape[0], "nm"),
            good_bands=None if flags is None else flags != 0,
            crs=crs,
            transform=transform,
            nodata=_number(variable, ("_FillValue", "missing_value")),
            scale=_number(variable, ("scale_factor",), 1.0),
            offset=_number(variable, ("add_offset",), 0.0),
            notes=None if NOTES not in variable.attrs else str(variable.attrs[NOTES]),
        )


def _axes(variable: Any, image: Image, what: str) -> list[int]:
    """Which of the axes are bands, rows and columns: by the layout given, by their names, by the shape."""
    if variable.ndim == 2:
        return [0, 1, 2]
    names = [str(dim).lower() for dim in variable.dims]
    letters = "".join(next((letter for letter in "lhw" if name in AXES[letter]), "?") for name in names)
    if image.layout in (None, "hw") and sorted(letters) == ["h", "l", "w"]:
        return [letters.index(axis) for axis in "lhw"]
    return order_lhw(variable.shape, image, what, {})


def _spectral(dataset: Any, names: tuple[str, ...], bands: int, unit: str) -> np.ndarray | None:
    """Wavelengths or widths in nm; `unit` where none is given."""
    for name, variable in dataset.variables.items():
        numbers = listed({name: variable}, names, bands)
        if numbers is not None:
            return spectral_nm(numbers, str(variable.attrs.get("units") or unit))
    return None


def _number(variable: Any, names: tuple[str, ...], default: float | None = None) -> Any:
    """A number among the attributes."""
    for name in names:
        for place in (variable.attrs, variable.encoding):
            value = np.asarray(place.get(name))
            if value.dtype.kind in "iuf" and value.size == 1:
                return float(value.ravel()[0])
    return default


def _place(dataset: Any, variable: Any, axes: list[int]) -> tuple[Any, Any]:
    """CRS and affine from the grid mapping and the coordinates of the pixel centres; no affine without [geo]."""
    mapping = str(variable.encoding.get("grid_mapping", variable.attrs.get("grid_mapping", "spatial_ref")))
    attributes = dataset[mapping].attrs if mapping in dataset.variables else {}
    crs = attributes.get("crs_wkt", attributes.get("spatial_ref"))
    crs = crs if isinstance(crs, str) else None
    if not installed("affine"):
        return crs, None
    rows, columns = variable.dims if variable.ndim == 2 else (variable.dims[axes[1]], variable.dims[axes[2]])
    centres = [variable.coords[dim].values if dim in variable.coords else None for dim in (columns, rows)]
    return crs, affine_from(attributes.get("GeoTransform"), *centres)


def dataset_of(cube: xr.DataArray) -> xr.Dataset:
    """A Dataset that stores a cube as its file did, with all that is known about it."""
    packed = pack(cube)
    image = xr.DataArray(packed.values, dims=cube.dims, coords=cube.coords, name="cube")
    image.attrs = {"long_name": "image"}
    if NOTES in cube.attrs:
        image.attrs[NOTES] = str(cube.attrs[NOTES])
    if packed.scale != 1 or packed.offset != 0:
        image.attrs |= {"scale_factor": packed.scale, "add_offset": packed.offset}
    if "spatial_ref" in cube.coords:
        attributes, place = dict(cube.coords["spatial_ref"].attrs), transform_of(cube)
        if place is not None:  # that holds now: a slice moves it
            attributes["GeoTransform"] = " ".join(repr(float(number)) for number in place.to_gdal())
        image.attrs["grid_mapping"] = "spatial_ref"
        image.coords["spatial_ref"] = ((), 0, attributes)
    for name in ("wavelength", "fwhm"):
        if name in image.coords:
            image.coords[name].attrs["units"] = "nm"
    dataset = image.to_dataset()
    for variable in dataset.variables.values():
        variable.encoding = {"_FillValue": None}
    if packed.nodata is not None:
        dataset["cube"].encoding = {"_FillValue": np.asarray(packed.nodata).astype(packed.values.dtype)[()]}
    return dataset


def write(cube: xr.DataArray, path: Path) -> None:
    """Write NetCDF-4, compressed."""
    with needs("NetCDF"):
        import h5netcdf  # noqa: F401
    check_room(path, cube.nbytes + SPARE_BYTES)
    dataset = dataset_of(cube if cube.dtype != np.float16 else cube.astype("f4"))
    dataset["cube"].encoding |= {"zlib": True, "complevel": 4, "shuffle": True}
    dataset.to_netcdf(path, engine="h5netcdf")
