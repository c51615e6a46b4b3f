"""NumPy's .npy: a plain array (band, y, x), mapped into memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.errors import InputError
from hypersharp.io.arrays import laid_out, with_stored
from hypersharp.io.packed import pieces
from hypersharp.io.stored import Stored
from hypersharp.system.atomic import take_room
from hypersharp.system.read_errors import READ_ERRORS, reading

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image


def read(image: Image) -> Stored:
    """Map an .npy file into memory; two axes are one band."""
    with reading(image.path, "plain numbers, not pickled objects", *READ_ERRORS):
        array = np.lib.format.open_memmap(image.path, mode="r")  # which never unpickles
    if array.dtype.kind not in "iufb":
        raise InputError(f"{image.path} of type {array.dtype}", "real numbers", "convert it")
    return Stored(laid_out(array, with_stored(image, {}, "lhw"), str(image.path), {}))


def write(cube: xr.DataArray, path: Path) -> None:
    """Write the numbers alone."""
    if isinstance(cube.data, np.ndarray):
        with path.open("wb") as file:
            np.save(file, cube.data, allow_pickle=False)
        return
    body = np.lib.format.open_memmap(path, "w+", cube.dtype, cube.shape)
    take_room(path, path.stat().st_size)
    for rows, columns in pieces(cube.data):
        body[:, rows, columns] = cube.data[:, rows, columns]
    body.flush()
