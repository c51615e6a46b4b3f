"""NetCDF through xarray: CF names and attributes, CRS and affine as rioxarray keeps them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.cube import transform_of
from hypersharp.errors import InputError, installed, needs
from hypersharp.io.foreign import foreign
from hypersharp.io.packed import pack
from hypersharp.io.plain import LAYOUTS, WAVELENGTHS, WIDTHS, find_variable, order_lhw
from hypersharp.io.source import NOTES, Choice, Pixels, Source, spectral_nm
from hypersharp.system.atomic import check_room

if TYPE_CHECKING:
    import xarray as xr

ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    IndexError,
    EOFError,
    OverflowError,
    NotImplementedError,
    AssertionError,
    struct.error,
)  # h5py, h5netcdf and xarray raise all of these on broken files
EXPECTED = "a whole NetCDF file"
SPARE_BYTES = 2**17  # headers, coordinates, chunk index
AXES = {
    "l": ("band", "bands", "wavelength", "wavelengths", "wl", "spectral", "channel"),
    "h": ("y", "lat", "latitude", "northing", "row", "rows", "line", "lines", "downtrack", "along_track"),
    "w": ("x", "lon", "longitude", "easting", "column", "columns", "sample", "samples", "crosstrack", "across_track"),
}
Opener = Callable[[Path], AbstractContextManager[Any]]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An xarray Dataset with the numbers as they are stored; other libraries' errors become ours."""
    with path.open("rb") as file:
        engine = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}.get(file.read(4))
    if engine is None:
        raise InputError(f"{path} that does not begin like NetCDF", EXPECTED, "check the file")
    with needs("NetCDF"):
        import xarray as xr

        if engine == "h5netcdf":
            import h5netcdf  # noqa: F401
    raw: dict[str, Any] = {"engine": engine, "mask_and_scale": False, "decode_times": False}
    with foreign(path, EXPECTED, *ERRORS), xr.open_dataset(path, **raw) as dataset:
        yield dataset


class StorePixels(Pixels):
    """One variable of a NetCDF file or Zarr store as (band, y, x)."""

    def __init__(self, path: Path, opener: Opener, name: str, variable: Any, axes: list[int]) -> None:
        shape = variable.shape if variable.ndim == 3 else (1, *variable.shape)
        super().__init__((shape[axes[0]], shape[axes[1]], shape[axes[2]]), variable.dtype)
        self.path, self.opener, self.name, self.axes, self.flat = path, opener, name, axes, variable.ndim == 2

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        low = min(bands)
        wanted = {0: slice(low, max(bands) + 1), 1: rows, 2: columns}
        stored = tuple(wanted[self.axes.index(axis)] for axis in range(3))
        with self.opener(self.path) as dataset:
            variable = dataset[self.name].variable
            values = np.asarray(variable[stored[1:]] if self.flat else variable[stored])
        values = values[np.newaxis] if self.flat else values.transpose(self.axes)
        return values[[band - low for band in bands]]


def read(path: Path, choice: Choice) -> Source:
    """Open the one image in a NetCDF file, or the one named."""
    return read_dataset(path, choice, opened)


def read_dataset(path: Path, choice: Choice, opener: Opener) -> Source:
    """Open the one image of an xarray Dataset."""
    with opener(path) as dataset:
        found = {str(name): (item.shape, item.dtype) for name, item in dataset.data_vars.items()}
        name = find_variable(path, found, choice, {})
        variable = dataset[name]
        axes = _axes(variable, choice, f"'{name}' in {path}")
        bands = variable.shape[axes[0]] if variable.ndim == 3 else 1
        centres, widths = _spectral(dataset, WAVELENGTHS, bands), _spectral(dataset, WIDTHS, bands)
        flags = _listed(dataset, ("good_band", "good_bands", "bbl", "good_wavelengths"), bands)
        crs, transform = _place(dataset, variable, axes)
        return Source(
            StorePixels(path, opener, name, variable.variable, axes),
            wavelengths_nm=centres,
            fwhm_nm=widths,
            good_bands=None if flags is None else np.asarray(flags) != 0,
            crs=crs,
            transform=transform,
            nodata=_number(variable, ("_FillValue", "missing_value")),
            scale=_number(variable, ("scale_factor",), 1.0),
            offset=_number(variable, ("add_offset",), 0.0),
            notes=None if NOTES not in variable.attrs else str(variable.attrs[NOTES]),
        )


def _axes(variable: Any, choice: Choice, what: str) -> list[int]:
    """Which of the axes are bands, rows and columns: by the layout given, by their names, by the shape."""
    if variable.ndim == 2:
        return [0, 1, 2]
    names = [str(dim).lower() for dim in variable.dims]
    letters = "".join(next((letter for letter in "lhw" if name in AXES[letter]), "?") for name in names)
    named = letters if letters in LAYOUTS or sorted(letters) == ["h", "l", "w"] else None
    if choice.layout is None and named is not None:
        return [named.index(axis) for axis in "lhw"]
    return order_lhw(variable.shape, choice, what, {})


def _listed(dataset: Any, names: tuple[str, ...], bands: int) -> np.ndarray | None:
    """A variable or coordinate with one number for each band."""
    for name in names:
        if name in dataset.variables and dataset[name].shape == (bands,) and dataset[name].dtype.kind in "iufb":
            return np.asarray(dataset[name].values)
    return None


def _spectral(dataset: Any, names: tuple[str, ...], bands: int) -> np.ndarray | None:
    """Wavelengths or widths in nm."""
    for name in names:
        numbers = _listed(dataset, (name,), bands)
        if numbers is not None:
            default = "nm" if names == WIDTHS else None
            return spectral_nm(numbers, str(dataset[name].attrs.get("units") or default or "unknown"))
    return None


def _number(variable: Any, names: tuple[str, ...], default: float | None = None) -> Any:
    """A number among the attributes."""
    for name in names:
        for place in (variable.attrs, variable.encoding):
            value = np.asarray(place.get(name, np.nan if name in ("scale_factor", "add_offset") else None))
            if value.dtype.kind in "iuf" and value.size == 1 and name in place:
                return float(value.ravel()[0])
    return default


def _place(dataset: Any, variable: Any, axes: list[int]) -> tuple[Any, Any]:
    """CRS and affine from the grid mapping and the coordinates."""
    mapping = str(variable.encoding.get("grid_mapping", variable.attrs.get("grid_mapping", "spatial_ref")))
    attributes = dataset[mapping].attrs if mapping in dataset.variables else {}
    crs = attributes.get("crs_wkt", attributes.get("spatial_ref"))
    image = variable.drop_attrs() if variable.ndim == 2 else variable.drop_attrs().isel({variable.dims[axes[0]]: 0})
    rows, columns = ("y", "x") if variable.ndim == 2 else (variable.dims[axes[1]], variable.dims[axes[2]])
    known = {new: image.coords[old] for new, old in (("y", rows), ("x", columns)) if old in image.coords}
    return crs if isinstance(crs, str) else None, _transform(known, attributes)


def _transform(known: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """The affine of the pixel centres and the GeoTransform attribute; None without either or without [geo]."""
    import xarray as xr

    if not installed("affine"):
        return None
    coords: dict[str, Any] = {axis: centres.values.astype(float) for axis, centres in known.items()}
    stand_in = (
        xr.DataArray(0).assign_coords(spatial_ref=((), 0, attributes))
        if len(coords) < 2
        else xr.DataArray(np.empty((len(coords["y"]), len(coords["x"])), "b1"), coords, ("y", "x")).assign_coords(
            spatial_ref=((), 0, attributes)
        )
    )
    return transform_of(stand_in)


def dataset_of(cube: xr.DataArray) -> xr.Dataset:
    """A Dataset that stores a cube as its file did, with all that is known about it."""
    import xarray as xr

    packed = pack(cube)
    image = xr.DataArray(packed.values, dims=cube.dims, coords=cube.coords, name="cube")
    image.attrs = {"long_name": "image"}
    if NOTES in cube.attrs:
        image.attrs[NOTES] = str(cube.attrs[NOTES])
    if packed.scale != 1 or packed.offset != 0:
        image.attrs |= {"scale_factor": packed.scale, "add_offset": packed.offset}
    if "spatial_ref" in cube.coords:
        image.attrs["grid_mapping"] = "spatial_ref"
        _refresh(image, cube)
    for name in ("wavelength", "fwhm"):
        if name in image.coords:
            image.coords[name].attrs["units"] = "nm"
    dataset = image.to_dataset()
    for variable in dataset.variables.values():
        variable.encoding = {"_FillValue": None}
    if packed.nodata is not None:
        dataset["cube"].encoding = {"_FillValue": np.asarray(packed.nodata).astype(packed.values.dtype)[()]}
    return dataset


def _refresh(image: xr.DataArray, cube: xr.DataArray) -> None:
    """Write the affine that holds now (a slice moves it) in place of the one that held when it was read."""
    attributes = dict(cube.coords["spatial_ref"].attrs)
    place = transform_of(cube)
    if place is not None:
        attributes["GeoTransform"] = " ".join(repr(float(number)) for number in place.to_gdal())
    image.coords["spatial_ref"] = ((), 0, attributes)


def write(cube: xr.DataArray, path: Path) -> None:
    """Write NetCDF-4, compressed."""
    with needs("NetCDF"):
        import h5netcdf  # noqa: F401
    check_room(path, cube.nbytes + SPARE_BYTES)
    dataset = dataset_of(cube if cube.dtype != np.float16 else cube.astype("f4"))
    dataset["cube"].encoding |= {"zlib": True, "complevel": 4, "shuffle": True}
    dataset.to_netcdf(path, engine="h5netcdf")
