"""Small 2-D tables (a blur kernel, a spectral response) read from .npy, .mat, .csv and .txt."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.system.read_errors import READ_ERRORS

FloatArray = NDArray[np.float64]
SUFFIXES = (".npy", ".mat", ".csv", ".txt")


def is_table_path(spec: str) -> bool:
    """Whether `spec` names a file that `read_table` would read; FILE.mat may be followed by :VARIABLE."""
    return Path(_split_variable(spec)[0]).suffix.lower() in SUFFIXES


def read_table(spec: str | Path, what: str, fits: Callable[[tuple[int, ...]], bool]) -> FloatArray:
    """The finite 2-D table in a file, float64.

    `spec` is a path; a .mat file may carry `:VARIABLE`, else the only variable whose shape `fits`
    is taken. A first line of a .csv or .txt that holds names is skipped.

    Raises InputError for a missing file, another suffix, anything that is not one finite 2-D table.
    """
    path_text, variable = _split_variable(str(spec))
    path = Path(path_text)
    if not path.is_file():
        raise InputError(f"no file '{path}'", f"a {what} ({', '.join(SUFFIXES)})", "check the path")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        table = _read_npy(path, what)
    elif suffix == ".mat":
        table = _read_mat(path, what, variable, fits)
    elif suffix in (".csv", ".txt"):
        table = _read_text(path, what)
    else:
        raise InputError(f"suffix '{suffix}'", f"one of {', '.join(SUFFIXES)}", f"save the {what} as .csv")
    return _check(table, path, what)


def _split_variable(spec: str) -> tuple[str, str | None]:
    head, separator, tail = spec.rpartition(":")
    return (head, tail) if separator and head.lower().endswith(".mat") else (spec, None)


def _read_npy(path: Path, what: str) -> NDArray[np.generic]:
    try:
        with warnings.catch_warnings(action="ignore"):
            return np.asarray(np.load(path, allow_pickle=False))
    except READ_ERRORS as exc:
        raise InputError(f"'{path}' unreadable ({exc})", f"a {what}, 2-D", "save a plain array") from exc


def _read_mat(
    path: Path, what: str, variable: str | None, fits: Callable[[tuple[int, ...]], bool]
) -> NDArray[np.generic]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with warnings.catch_warnings(action="ignore"):
            content = loadmat(path)
    except (MatReadError, *READ_ERRORS) as exc:
        raise InputError(f"'{path}' unreadable ({exc})", "a MATLAB v5 file", "save it with -v7") from exc
    arrays = {name: value for name, value in content.items() if not name.startswith("__")}
    if variable is None:
        names = [name for name, value in arrays.items() if fits(np.shape(value))]
        if len(names) != 1:
            found = ", ".join(f"{name} {np.shape(value)}" for name, value in arrays.items()) or "no variable"
            raise InputError(f"{found} in '{path}'", f"one {what}", f"name it: {path}:VARIABLE")
        variable = names[0]
    if variable not in arrays:
        raise InputError(f"no variable '{variable}' in '{path}'", f"one of {', '.join(arrays)}", "name one of these")
    return np.asarray(arrays[variable])


def _read_text(path: Path, what: str) -> NDArray[np.generic]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        rows = [line.replace(",", " ").replace(";", " ").split() for line in lines if line.lstrip()[0] != "#"]
        body = rows if rows and _is_number(rows[0][0]) else rows[1:]
        return np.array([[float(cell) for cell in row] for row in body])
    except (ValueError, OSError, IndexError) as exc:
        raise InputError(f"'{path}' unreadable ({exc})", f"a {what}: numbers, one row a line", "mend it") from exc


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check(table: NDArray[np.generic], path: Path, what: str) -> FloatArray:
    if table.ndim != 2 or table.size == 0 or not np.issubdtype(table.dtype, np.number):
        raise InputError(f"{table.dtype} {table.shape} in '{path}'", f"a {what}, numbers in 2-D", "save it so")
    real = np.asarray(table.real, dtype=np.float64)
    if not np.isfinite(real).all():
        raise InputError(f"{(~np.isfinite(real)).sum()} values not finite in '{path}'", "finite ones", "mend it")
    return real
