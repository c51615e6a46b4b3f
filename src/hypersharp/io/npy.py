"""NumPy's .npy: a plain array (band, y, x), mapped into memory."""

from pathlib import Path

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import laid_out, plain_order, with_stored
from hypersharp.errors import InputError
from hypersharp.io.image import Image
from hypersharp.io.packed import write_numbers
from hypersharp.stored import Stored
from hypersharp.system.read_errors import READ_ERRORS, reading


def read(image: Image) -> Stored:
    """Map an .npy file into memory; two axes are one band."""
    with reading(image.path, "plain numbers, not pickled objects", *READ_ERRORS):
        array = np.lib.format.open_memmap(image.path, mode="r")  # which never unpickles
    if array.dtype.kind not in "iufb":
        raise InputError(f"{image.path} of type {array.dtype}", "real numbers", "convert it")
    if array.ndim == 3 and image.layout is None:
        plain_order(array.shape, str(image.path), "give the layout: hwl (rows, columns, bands) or lhw")
    return Stored(laid_out(array, with_stored(image, {}, "lhw"), str(image.path), {}))


def write(cube: xr.DataArray, path: Path) -> None:
    """Write the numbers alone."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(cube.dtype), "fortran_order": False, "shape": cube.shape}
        np.lib.format.write_array_header_1_0(file, header)
    write_numbers(cube.data, path, cube.dtype)
