"""Stored numbers from physical ones: the inverse of `cube.decode`, taken only where nothing is lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.cube import decode, nodata_of, stored_nodata
from hypersharp.system.atomic import take_room

BLOCK = 256  # pixels along a side
PIECE_BYTES = 2**26  # of a lazy cube in memory at once


@dataclass(frozen=True)
class Packed:
    """Numbers as a file stores them (numpy or dask), and how to read them."""

    values: Any
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0


def pack(cube: xr.DataArray) -> Packed:
    """Store a cube the way its file did (`cube.encoding`) if that gives every value back, else as it is.

    A dask-backed cube is stored as it is: to look at all its values first would cost a second pass.
    """
    values, nodata = cube.data, nodata_of(cube)
    if cube.dtype.kind != "f":
        return Packed(values, None if stored_nodata(cube.dtype, nodata) is None else nodata)
    plain = Packed(values, float("nan"))
    if not isinstance(values, np.ndarray):
        return plain
    scale, offset = float(cube.encoding.get("scale_factor", 1)), float(cube.encoding.get("add_offset", 0))
    dtype, missing = np.dtype(cube.encoding.get("dtype", cube.dtype)), np.isnan(values)
    marker = stored_nodata(dtype, nodata)
    if dtype.kind not in "iuf" or scale == 0 or (missing.any() and marker is None):
        return plain
    raw = np.where(missing, 0, values)
    if scale != 1 or offset != 0:
        raw = (raw.astype("f8") - offset) / scale
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        raw = np.rint(raw)
        if raw.min() < limits.min or raw.max() > limits.max:
            return plain
    with np.errstate(over="ignore", invalid="ignore"):
        stored = raw.astype(dtype)
    if marker is not None:
        stored[missing] = marker
    same = decode(stored, nodata, scale, offset).astype(values.dtype) if stored.size else values
    return Packed(stored, nodata, scale, offset) if np.array_equal(same, values, equal_nan=True) else plain


def pieces(values: Any) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of a stored cube (band, y, x) in which it is written: one piece, or whole blocks of a lazy one.

    Blocks come row after row; those of a piece hold `PIECE_BYTES` at most, where one does.
    """
    bands, height, width = values.shape
    if isinstance(values, np.ndarray):
        yield slice(0, height), slice(0, width)
        return
    columns = max(1, PIECE_BYTES // (BLOCK * BLOCK * bands * values.dtype.itemsize)) * BLOCK
    for y in range(0, height, BLOCK):
        for x in range(0, width, columns):
            yield slice(y, min(y + BLOCK, height)), slice(x, min(x + columns, width))


def write_numbers(values: Any, path: Path, dtype: Any, order: Sequence[int] = (0, 1, 2)) -> None:
    """Write plain numbers, their axes in that order, to the end of a file; lazy ones piece by piece."""
    if isinstance(values, np.ndarray):
        with path.open("ab") as file:
            np.ascontiguousarray(values.transpose(order), dtype).tofile(file)
        return
    start = path.stat().st_size if path.exists() else 0
    take_room(path, start + values.size * np.dtype(dtype).itemsize)
    body = np.memmap(path, dtype, "r+", start, tuple(values.shape[axis] for axis in order))
    for rows, columns in pieces(values):
        place = [(slice(None), rows, columns)[axis] for axis in order]
        body[tuple(place)] = np.asarray(values[:, rows, columns]).transpose(order)
    body.flush()
