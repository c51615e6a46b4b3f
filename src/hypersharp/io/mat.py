"""MATLAB files: v5 to v7 through scipy.io, v7.3 (HDF5, axes reversed) through h5py."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.errors import InputError, OutputError, needs
from hypersharp.io.foreign import foreign
from hypersharp.io.plain import beside, described, find_variable, laid_out, order_lhw, with_stored
from hypersharp.io.source import Choice, Pixels, Source

if TYPE_CHECKING:
    import xarray as xr

ERRORS = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
    struct.error,
    zlib.error,
)  # scipy.io raises all of these on broken files
EXPECTED = "a whole MATLAB file"
SMALL = 4096  # variables of so few elements are read at once: wavelengths, counts, names
V5_LIMIT_BYTES = 2**31


def read(path: Path, choice: Choice) -> Source:
    """Open the one image in a .mat file, or the one named."""
    with path.open("rb") as file:
        head = file.read(1024)
    return _read_v73(path, choice) if b"\x89HDF\r\n" in head else _read_v5(path, choice)


def _read_v5(path: Path, choice: Choice) -> Source:
    """Open a file of version 4 to 7."""
    import scipy.io
    from scipy.io.matlab import MatReadError

    with foreign(path, EXPECTED, *ERRORS, MatReadError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        wanted = [name for name, (shape, _) in found.items() if int(np.prod(shape, dtype=object)) <= SMALL]
        beside_it = _loaded(path, wanted) if wanted else {}
    typed = {name: (shape, _dtype(kind)) for name, (shape, kind) in found.items()}
    name = find_variable(path, typed, choice, beside_it)
    with foreign(path, EXPECTED, *ERRORS, MatReadError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = _loaded(path, [name])[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise InputError(f"'{name}' in {path}, complex or sparse", "an array of real numbers", "name another")
    image = laid_out(array, with_stored(choice, beside_it), f"'{name}' in {path}", beside_it)
    return described(image, beside_it)


def _loaded(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Some variables of a v5 file."""
    import scipy.io

    return {name: value for name, value in scipy.io.loadmat(path, variable_names=names).items() if name in names}


def _dtype(kind: str) -> np.dtype[Any]:
    """The numpy type of a MATLAB class; object for all that holds no plain numbers."""
    name = {"single": "f4", "double": "f8", "logical": "b1"}.get(kind, kind)
    return np.dtype(name) if name[:3] in ("f4", "f8", "b1", "int", "uin") else np.dtype(object)


def _read_v73(path: Path, choice: Choice) -> Source:
    """Open a file of version 7.3; a 3-D image is read when it is cut."""
    with _opened(path) as file:
        arrays = {name: item for name, item in file.items() if hasattr(item, "shape") and item.shape is not None}
        found = {name: (item.shape[::-1], _stored_dtype(item)) for name, item in arrays.items()}
        numeric = {name: item for name, item in arrays.items() if item.dtype.kind in "iufb"}
        small = {name: _small(item) for name, item in numeric.items() if item.size <= SMALL}
        name = find_variable(path, found, choice, small)
        shape, dtype = found[name]
        chosen, what = with_stored(choice, small), f"'{name}' in {path}"
        if len(shape) == 2:
            return described(laid_out(np.asarray(arrays[name][()]).T, chosen, what, small), small)
    axes = order_lhw(shape, chosen, what, small)
    return described(V73Pixels(path, name, shape, axes, dtype), small)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An HDF5 file; h5py's errors become ours."""
    with needs("MATLAB v7.3"):
        import h5py
    with foreign(path, EXPECTED, *ERRORS), h5py.File(path, "r") as file:
        yield file


def _stored_dtype(item: Any) -> np.dtype[Any]:
    """The numpy type of a v7.3 variable; object for text, cells and sparse matrices."""
    kind = item.attrs.get("MATLAB_class", b"")
    numeric = kind in (b"", b"double", b"single", b"logical") or bytes(kind)[:3] in (b"int", b"uin")
    return item.dtype if numeric and "MATLAB_sparse" not in item.attrs else np.dtype(object)


def _small(item: Any) -> np.ndarray:
    """A small variable, text decoded."""
    values = np.asarray(item[()]).T
    if item.attrs.get("MATLAB_class", b"") == b"char" and values.dtype.kind == "u":
        return np.array("".join(chr(code) for code in values.ravel() if code < 0xD800))
    return values


class V73Pixels(Pixels):
    """A 3-D variable of a v7.3 file as (band, y, x), whatever its own order of axes."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], axes: list[int], dtype: Any) -> None:
        super().__init__((shape[axes[0]], shape[axes[1]], shape[axes[2]]), dtype)
        self.path, self.name, self.axes = path, name, axes

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        low = min(bands)
        wanted = {0: slice(low, max(bands) + 1), 1: rows, 2: columns}
        matlab = [wanted[self.axes.index(axis)] for axis in range(3)]
        with _opened(self.path) as file:
            stored = np.asarray(file[self.name][tuple(reversed(matlab))])
        return stored.transpose(2, 1, 0).transpose(self.axes)[[band - low for band in bands]]


def write(cube: xr.DataArray, path: Path) -> None:
    """Write `cube` (rows, columns, bands) and all that is known beside it, as v5 while it can hold it."""
    import scipy.io

    values = np.asarray(cube.data)
    if values.dtype == np.float16:
        values = values.astype("f4")
    if values.nbytes >= V5_LIMIT_BYTES:
        raise OutputError(f"{values.nbytes / 1e9:.1f} GB for a MATLAB v5 file", "less than 2 GB", "write .nc or .tif")
    known = {"cube": values.transpose(1, 2, 0), "layout": "hwl"} | beside(cube)
    scipy.io.savemat(path, known, oned_as="row")
