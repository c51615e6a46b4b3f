"""NumPy's files: .npy, a plain array (band, y, x) mapped into memory; .npz, the pixels as `cube` and what is known."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import (
    WAVELENGTHS,
    described,
    find_variable,
    laid_out,
    listed,
    metadata_of,
    plain_order,
    with_stored,
)
from hypersharp.errors import InputError
from hypersharp.io.image import Image
from hypersharp.io.packed import write_numbers
from hypersharp.stored import Stored, check_memory
from hypersharp.system.read_errors import READ_ERRORS, reading

SMALL = 2**16  # numbers; larger arrays are read only where they are the image
EXPECTED = "plain numbers, not pickled objects"
DO = "give the layout: hwl (rows, columns, bands) or lhw"


def read(image: Image) -> Stored:
    """Map an .npy file into memory, two axes being one band; of an .npz open the one image, or the one named."""
    path = image.path
    if path.suffix.lower() == ".npz":
        return _read_archive(image)
    with reading(path, EXPECTED, *READ_ERRORS):
        array = np.lib.format.open_memmap(path, mode="r")  # which never unpickles
    if array.dtype.kind not in "iufb":
        raise InputError(f"{path} of type {array.dtype}", "real numbers", "convert it")
    if array.ndim == 3 and image.layout is None:
        plain_order(array.shape, str(path), DO)
    return Stored(laid_out(array, with_stored(image, {}, "lhw"), str(path), {}))


def _read_archive(image: Image) -> Stored:
    """Open the one image in an .npz archive, or the one named."""
    path = image.path
    with reading(path, EXPECTED, *READ_ERRORS), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path}, an .npy array", "an .npz archive", "rename it to .npy")
        with archive:
            shapes = dict(_shapes(archive))
            arrays = {name: archive[name] for name, (shape, _) in shapes.items() if prod(shape) <= SMALL}
            name = find_variable(image, shapes, arrays)
            shape, dtype = shapes[name]
            check_memory(prod(shape) * dtype.itemsize)
            arrays[name] = archive[name]
    stated = image.layout is not None or "layout" in arrays or name == "cube"
    # bands last: a list of wavelengths has one entry for each place along the last axis, and not along the first
    lengths = {np.size(array) for key, array in arrays.items() if str(key).lower() in WAVELENGTHS}
    last = len(shape) == 3 and shape[2] in lengths and shape[0] not in lengths
    wanted = with_stored(image, arrays, "hwl" if last else "lhw")
    if arrays[name].ndim == 3 and not stated and not last and listed(arrays, WAVELENGTHS, len(arrays[name])) is None:
        plain_order(arrays[name].shape, f"'{name}' in {path}", DO)
    pixels = laid_out(arrays[name], wanted, f"'{name}' in {path}", arrays)
    return described(pixels, arrays)


def _shapes(archive: Any) -> Iterator[tuple[str, tuple[tuple[int, ...], np.dtype[Any]]]]:
    """Name, shape and type of the arrays of an archive, from their headers alone."""
    for name in archive.files:
        with archive.zip.open(f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name) as file:
            if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
                continue  # something else in the archive
            version = file.read(1)[0], file.read(1)[0]
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            yield name, (shape, dtype)


def write(cube: xr.DataArray, path: Path) -> None:
    """Write the numbers alone; into an archive as `cube`, with all that is known about them."""
    with path.open("wb") as file:
        if path.suffix.lower() == ".npz":
            np.savez(file, cube=np.asarray(cube.data), **metadata_of(cube))
            return
        header = {"descr": np.lib.format.dtype_to_descr(cube.dtype), "fortran_order": False, "shape": cube.shape}
        np.lib.format.write_array_header_1_0(file, header)
    write_numbers(cube.data, path, cube.dtype)
