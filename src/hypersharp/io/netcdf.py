"""NetCDF through xarray: CF names and attributes, CRS and affine as rioxarray keeps them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import NAME_IT, check_whole
from hypersharp.conventions.dataset import image_shape, read_dataset
from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import InputError, needs
from hypersharp.io.image import Image
from hypersharp.io.packed import pack
from hypersharp.products.hdf import is_hdf, opened_hdf, text_of
from hypersharp.stored import NOTES, Stored
from hypersharp.system.atomic import check_room
from hypersharp.system.read_errors import READ_ERRORS, reading

EXPECTED = "a whole NetCDF file"
SPARE_BYTES = 2**17  # headers, coordinates, chunk index
WHOLE = {"Conventions": "CF-1.11", "title": "Hyperspectral image", "history": "written by hypersharp"}
OF_BANDS = {
    "wavelength": {"standard_name": "radiation_wavelength", "long_name": "centre of the band", "units": "nm"},
    "fwhm": {"long_name": "full width of the band at half maximum", "units": "nm"},
    "good_band": {"long_name": "whether the band is good"},
}
OF_SWATHS = {
    "latitude": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"},
}
UNITS: dict[str, dict[str, Any]] = {
    "reflectance": {"long_name": "reflectance", "units": "1"},
    "radiance": {"long_name": "radiance"},
}
SMALL = 2**16  # values; variables of groups that hold more are no lists of bands


@contextmanager
def _opened(path: Path, group: str | None = None) -> Iterator[Any]:
    """An xarray Dataset with the numbers as they are stored; other libraries' errors become ours."""
    with path.open("rb") as file:
        engine = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}.get(file.read(4))
    if engine is None:
        raise InputError(f"{path} that does not begin like NetCDF", EXPECTED, "check the file")
    raw: dict[str, Any] = {"engine": engine, "mask_and_scale": False, "decode_times": False}
    if engine == "h5netcdf":
        with needs("NetCDF"):
            import h5netcdf  # noqa: F401
        raw |= {"group": group, "phony_dims": "access"}
    with reading(path, EXPECTED, *READ_ERRORS), xr.open_dataset(path, **raw) as dataset:
        yield dataset


def read(image: Image) -> Stored:
    """Open the one image in a NetCDF file, or the one named, as group/name where it lies in a group."""
    grouped = _in_groups(image.path)
    check_whole(image, grouped)
    group, _, name = (image.variable or "").rpartition("/")
    images = sorted(name for name, found in grouped.items() if found.ndim == 3 and 1 not in found.shape)
    if image.variable is None and images:
        with _opened(image.path) as root:
            in_root = any(len(image_shape(item)) > 1 for item in root.data_vars.values())
        if not in_root:
            if len(images) > 1:
                listed = f"{len(images)} possible images in {image.path} ({', '.join(images[:8])})"
                raise InputError(listed, "one", NAME_IT)
            group = images[0].rpartition("/")[0]
    opener = partial(_opened, group=group) if group else _opened
    lists = {name: found for name, found in grouped.items() if found.ndim == 1}
    return read_dataset(image, opener, name=name or None, lists=lists)


def _in_groups(path: Path) -> dict[str, xr.Variable]:
    """The variables in the groups of an HDF5 file: lists with their values, others by their shape alone."""
    found: dict[str, xr.Variable] = {}
    if not is_hdf(path):
        return found
    with needs("NetCDF"):
        import h5py

    def note(name: str, item: Any) -> None:
        if "/" not in name or not isinstance(item, h5py.Dataset) or item.shape is None or item.dtype.kind not in "iufb":
            return
        small = item.ndim == 1 and item.size <= SMALL
        values = item[()] if small else np.broadcast_to(np.zeros((), item.dtype), item.shape)
        texts = {key: text_of(item.attrs[key]) for key in ("units", "standard_name") if key in item.attrs}
        found[name] = xr.Variable([str(axis) for axis in range(item.ndim)], values, texts)

    with opened_hdf(path, EXPECTED, "NetCDF") as file:
        file.visititems(note)
    return found


def coordinate_words(cube: xr.DataArray) -> dict[str, dict[str, str]]:
    """What CF asks x and y to say of themselves, by the kind of CRS."""
    crs, axes = crs_of(cube), {name: {"axis": name.upper(), "long_name": f"{name} coordinate"} for name in ("y", "x")}
    if crs is not None and crs.is_geographic:
        axes["y"] |= {"standard_name": "latitude", "units": "degrees_north"}
        axes["x"] |= {"standard_name": "longitude", "units": "degrees_east"}
    elif crs is not None:
        unit = crs.linear_units.replace(" ", "_")
        unit = "m" if unit in ("metre", "meter") else unit  # as UDUNITS has it
        for name, words in axes.items():
            words |= {"standard_name": f"projection_{name}_coordinate", "units": unit}
    return axes


def dataset_of(cube: xr.DataArray) -> xr.Dataset:
    """A Dataset that stores a cube as its file did, with all that is known about it."""
    packed = pack(cube)
    image = xr.DataArray(packed.values, dims=cube.dims, coords=cube.coords, name="cube")
    image.attrs = UNITS.get(str(cube.attrs.get("units")), {"long_name": "image"}).copy()
    if NOTES in cube.attrs:
        image.attrs[NOTES] = str(cube.attrs[NOTES])
    if packed.scale != 1 or packed.offset != 0:
        image.attrs |= {"scale_factor": packed.scale, "add_offset": packed.offset}
    if "spatial_ref" in cube.coords:
        attributes, place = dict(cube.coords["spatial_ref"].attrs), transform_of(cube)
        if place is not None:  # that holds now: a slice moves it
            attributes["GeoTransform"] = " ".join(repr(float(number)) for number in place.to_gdal())
        attributes["long_name"] = "coordinate reference system"
        image.attrs["grid_mapping"] = "spatial_ref"
        image.coords["spatial_ref"] = ((), np.int32(0), attributes)  # CF has no 64-bit integers
    for name, attributes in (coordinate_words(cube) | OF_BANDS | OF_SWATHS).items():
        if name in image.coords:
            image.coords[name].attrs = attributes
    dataset = image.to_dataset().assign_attrs(WHOLE)
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
    dataset = dataset_of(cube)
    dataset["cube"].encoding |= {"zlib": True, "complevel": 4, "shuffle": True}
    dataset.to_netcdf(path, engine="h5netcdf")
