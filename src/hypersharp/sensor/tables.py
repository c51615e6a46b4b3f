"""Small 2-D tables (a blur kernel, a spectral response) read from .npy, .mat, .csv and .txt."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.system.read_errors import READ_ERRORS, reading

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]
SUFFIXES = (".npy", ".mat", ".csv", ".txt")


def is_table_path(spec: str) -> bool:
    """Whether `spec` names a file that `read_table` would read; FILE.mat may be followed by :VARIABLE."""
    return Path(split_variable(spec)[0]).suffix.lower() in SUFFIXES


def read_table(spec: str | Path, what: str, fits: Callable[[tuple[int, ...]], bool]) -> FloatArray:
    """The finite 2-D table in a file, float64.

    `spec` is a path; a .mat file may carry `:VARIABLE`, else the only variable whose shape `fits`
    is taken. A first line of a .csv or .txt that holds names is skipped.

    Raises: InputError for a missing file, another suffix, anything that is not one finite 2-D table.
    """
    text, variable = split_variable(str(spec))
    path, expected = Path(text), f"a {what}: finite numbers in 2-D"
    if not path.is_file():
        raise InputError(f"no file '{path}'", f"a {what} ({', '.join(SUFFIXES)})", "check the path")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"suffix '{suffix}'", f"one of {', '.join(SUFFIXES)}", f"save the {what} as .csv")
    if suffix == ".mat":
        arrays = read_mat(path)
        names = [name for name, value in arrays.items() if fits(value.shape)] if variable is None else [variable]
        if len(names) != 1:
            several = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "no variable"
            raise InputError(f"{several} in '{path}'", f"one {what}", f"name it: {path}:VARIABLE")
        if names[0] not in arrays:
            known = f"one of {', '.join(arrays)}"
            raise InputError(f"no variable '{variable}' in '{path}'", known, "name one of these")
        found = arrays[names[0]]
    else:
        with reading(path, expected, *READ_ERRORS), warnings.catch_warnings(action="ignore"):
            found = np.asarray(np.load(path, allow_pickle=False) if suffix == ".npy" else read_rows(path))
    if found.ndim != 2 or found.size == 0 or not np.issubdtype(found.dtype, np.number):
        raise InputError(f"{found.dtype} {found.shape} in '{path}'", expected, f"save the {what} alone")
    table = np.asarray(found.real, dtype=np.float64)
    if not np.isfinite(table).all():
        raise InputError(f"{(~np.isfinite(table)).sum()} values not finite in '{path}'", expected, "fill these in")
    return table


def split_variable(spec: str) -> tuple[str, str | None]:
    """FILE.mat:VARIABLE in two; None without a variable."""
    head, separator, tail = spec.rpartition(":")
    return (head, tail) if separator and head.lower().endswith(".mat") else (spec, None)


def read_mat(path: Path) -> dict[str, NDArray[np.generic]]:
    """The variables of a MATLAB file of version 4 to 7.

    Raises: InputError for any other file.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    expected = "a MATLAB file saved with -v7"
    with reading(path, expected, *READ_ERRORS, MatReadError), warnings.catch_warnings(action="ignore"):
        return {name: np.asarray(value) for name, value in loadmat(path).items() if not name.startswith("__")}


def read_rows(path: Path) -> list[list[float]]:
    """Numbers between commas, semicolons or spaces; comments (#) and a line of names are skipped."""
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    rows = [line.replace(",", " ").replace(";", " ").split() for line in lines if line.lstrip()[0] != "#"]
    try:
        float(rows[0][0])
    except ValueError:
        rows = rows[1:]
    return [[float(cell) for cell in row] for row in rows]
