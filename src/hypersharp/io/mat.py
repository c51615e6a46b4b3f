"""MATLAB files: v5 to v7 through scipy.io, v7.3 (HDF5, axes reversed) through h5py.

Fields of structs are variables called STRUCT.FIELD where nothing else can be the image, or one is asked for; what is
known of it lies beside it.
"""

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import described, find_variable, laid_out, metadata_of, order_lhw, with_stored
from hypersharp.errors import InputError, OutputError
from hypersharp.io.image import Image
from hypersharp.products.hdf import opened_hdf, text_of
from hypersharp.stored import NOTES, Stored, VariablePixels
from hypersharp.system.read_errors import READ_ERRORS, reading

EXPECTED = "a whole MATLAB file"
SMALL = 4096  # variables of so few elements are read at once: wavelengths, counts, names
V5_LIMIT_BYTES = 2**31
KINDS = {"single": "f4", "double": "f8", "logical": "b1"}  # MATLAB's classes; those of integers are called as numpy's
_opened = partial(opened_hdf, expected=EXPECTED, feature="MATLAB v7.3")


def read(image: Image) -> Stored:
    """Open the one image in a .mat file, or the one named."""
    with image.path.open("rb") as file:
        head = file.read(1024)
    return _read_v73(image) if b"\x89HDF\r\n" in head else _read_v5(image)


def _read_v5(image: Image) -> Stored:
    """Open a file of version 4 to 7."""
    import scipy.io
    from scipy.io.matlab import MatReadError

    errors = (*READ_ERRORS, MatReadError)
    with reading(image.path, EXPECTED, *errors), warnings.catch_warnings(action="ignore"):
        listed = scipy.io.whosmat(image.path)
        # a broken file may claim more elements than 64 bits can count
        few = {name for name, shape, _ in listed if np.prod(shape, dtype=object) <= SMALL}
        wanted = [name for name, _, kind in listed if name in few or (name, kind) == (NOTES, "char")]
        types = {name: KINDS.get(kind, kind if kind[:3] in ("int", "uin") else "O") for name, _, kind in listed}
        found = {name: (shape, np.dtype(types[name])) for name, shape, _ in listed}
        loaded = scipy.io.loadmat(image.path, variable_names=wanted) if wanted else {}
        small, fields = {name: loaded[name] for name in wanted}, dict[str, np.ndarray]()
        structs = [name for name, _, kind in listed if kind in ("struct", "cell")]
        if structs and _looks_inside(image, found):
            inside = scipy.io.loadmat(image.path, variable_names=structs, simplify_cells=True)
            fields = {name: array for struct in structs for name, array in _fields(struct, inside[struct])}
            found |= {name: (array.shape, array.dtype) for name, array in fields.items()}
    name = find_variable(image, found, small)
    if name in fields:
        small |= _beside(name, fields)
        laid = laid_out(fields[name], with_stored(image, small), f"'{name}' in {image.path}", small, matlab=True)
        return described(laid, small)
    with reading(image.path, EXPECTED, *errors), warnings.catch_warnings(action="ignore"):
        array = scipy.io.loadmat(image.path, variable_names=[name])[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise InputError(f"'{name}' in {image.path}, complex or sparse", "an array of real numbers", "name another")
    return described(laid_out(array, with_stored(image, small), f"'{name}' in {image.path}", small, matlab=True), small)


def _read_v73(image: Image) -> Stored:
    """Open a file of version 7.3; a 3-D image is read when it is cut.

    HDF5 holds MATLAB's axes the other way round. A file without its mark was written by a program that does not turn
    them (h5py), whose order they are read in.
    """
    with _opened(image.path) as file:
        arrays = {name: item for name, item in file.items() if hasattr(item, "shape") and item.shape is not None}
        if _looks_inside(image, {name: (item.shape, item.dtype) for name, item in arrays.items()}):
            arrays |= _items(file)
        matlab = any("MATLAB_class" in item.attrs for item in arrays.values()) or file.userblock_size > 0
        turn = slice(None, None, -1 if matlab else 1)
        found, small = dict[str, tuple[tuple[int, ...], np.dtype[Any]]](), dict[str, np.ndarray]()
        for name, item in arrays.items():
            kind = text_of(item.attrs.get("MATLAB_class", ""))  # which some programs write as bytes and some as text
            numeric = (kind in ("", *KINDS) or kind[:3] in ("int", "uin")) and "MATLAB_sparse" not in item.attrs
            found[name] = item.shape[turn], item.dtype if numeric else np.dtype(object)
            if item.dtype.kind in "iufb" and (item.size <= SMALL or (name == NOTES and not numeric)):
                values = np.asarray(item[()])
                values = values.T if matlab else values
                if kind == "char" and values.dtype.kind == "u":
                    values = np.array("".join(chr(code) for code in values.ravel() if code < 0xD800))
                small[name] = values
        name = find_variable(image, found, small)
        small |= _beside(name, small)
        wanted, what, item = with_stored(image, small), f"'{name}' in {image.path}", arrays[name]
        if item.ndim == 2:
            values = np.asarray(item[()])
            return described(laid_out(values.T if matlab else values, wanted, what, small), small)
        axes = order_lhw(found[name][0], wanted, what, small, matlab=matlab)
        axes = [2 - axis for axis in axes] if matlab else axes
        return described(VariablePixels(image.path, _opened, item.name, item, axes), small)


def _looks_inside(image: Image, found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> bool:
    """Whether structs are looked into: where a field is asked for, or nothing else can be an image."""
    if image.variable is not None:
        return image.variable not in found or found[image.variable][1].kind == "O"
    return not any(dtype.kind in "iuf" and sum(side > 1 for side in shape) > 1 for shape, dtype in found.values())


def _fields(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays in a struct that scipy has made a dict, by name; those of cells are counted from 1."""
    if isinstance(value, dict):
        for field, part in value.items():
            yield from _fields(f"{name}.{field}", part)
    elif isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        for number, part in enumerate(value, start=1):
            yield from _fields(f"{name}{{{number}}}", part)
    elif np.asarray(value).dtype.kind in "iufbU":
        yield name, np.asarray(value)


def _items(file: Any) -> dict[str, Any]:
    """The arrays in the groups of an HDF5 file, which are MATLAB's structs, by name; each once, as links may circle."""
    found = dict[str, Any]()

    def note(name: str, item: Any) -> None:
        if "/" in name and not name.startswith("#") and getattr(item, "shape", None) is not None:
            found[name.replace("/", ".")] = item

    file.visititems(note)
    return found


def _beside(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Small arrays of the struct that a field lies in, by the names of their own fields."""
    struct = name.rpartition(".")[0] + "."
    return {
        other.removeprefix(struct): array
        for other, array in arrays.items()
        if struct != "." and other.startswith(struct) and other != name and array.size <= SMALL
    }


def write(cube: xr.DataArray, path: Path) -> None:
    """Write `cube` (rows, columns, bands) and all that is known about it, as v5 while it can hold it."""
    import scipy.io

    values = np.asarray(cube.data)
    if values.nbytes >= V5_LIMIT_BYTES:
        raise OutputError(f"{values.nbytes / 1e9:.1f} GB for a MATLAB v5 file", "less than 2 GB", "write .nc or .tif")
    known = {"cube": values.transpose(1, 2, 0), "layout": "hwl"} | metadata_of(cube)
    scipy.io.savemat(path, known, oned_as="row")
