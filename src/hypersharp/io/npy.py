"""NumPy's .npy (a plain array (band, y, x)) and .npz (the same with wavelengths and place beside it)."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.errors import InputError
from hypersharp.io.foreign import foreign
from hypersharp.io.packed import pieces
from hypersharp.io.plain import beside, described, find_variable, laid_out, with_stored
from hypersharp.io.source import Choice, Source
from hypersharp.system.atomic import take_room

if TYPE_CHECKING:
    import xarray as xr

NPY_ERRORS = (OSError, ValueError, EOFError, TypeError, KeyError, SyntaxError, OverflowError, tokenize.TokenError)
NPZ_ERRORS = (*NPY_ERRORS, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError)
EXPECTED = "plain numbers, not pickled objects"


def read(path: Path, choice: Choice) -> Source:
    """Map an .npy file into memory; two axes are one band."""
    with foreign(path, EXPECTED, *NPY_ERRORS):
        array = np.lib.format.open_memmap(path, mode="r")  # which never unpickles
    _check_numeric(path, array)
    return Source(laid_out(array, with_stored(choice, {}, "lhw"), str(path), {}))


def read_npz(path: Path, choice: Choice) -> Source:
    """Open the one image in an .npz archive, or the one named."""
    with foreign(path, EXPECTED, *NPZ_ERRORS), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path}, an .npy array", "an .npz archive", "rename it to .npy")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    name = find_variable(path, {key: (array.shape, array.dtype) for key, array in arrays.items()}, choice, arrays)
    chosen = with_stored(choice, arrays, "lhw")
    return described(laid_out(arrays[name], chosen, f"'{name}' in {path}", arrays), arrays)


def _check_numeric(path: Path, array: np.ndarray) -> None:
    """Raise on strings, records and complex numbers."""
    if array.dtype.kind not in "iufb":
        raise InputError(f"{path} of type {array.dtype}", "real numbers", "convert it")


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


def write_npz(cube: xr.DataArray, path: Path) -> None:
    """Write the numbers as `cube` and all that is known beside them."""
    known: dict[str, Any] = beside(cube)
    with path.open("wb") as file:
        np.savez(file, cube=np.asarray(cube.data), **known)
