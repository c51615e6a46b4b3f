"""An image at a size for the screen: averages of blocks of pixels, never more of the file than needed.

GeoTIFFs answer from their overviews. Elsewhere the window is read in strips and averaged; where it is larger than
`MOST_BYTES` and lies uncompressed on disk, only the middle row of each block is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import make_cube
from hypersharp.io.source import Source

if TYPE_CHECKING:
    from hypersharp.grid import Window

MOST_BYTES = 2**27
STRIP_BYTES = 2**25


def read_coarse(
    source: Source, bands: Sequence[int], window: Window | None, most_yx: tuple[int, int]
) -> NDArray[np.float32]:
    """Decoded values (band, n, m) of a window with n, m <= most_yx; NaN where nothing was measured.

    A window that is not larger than most_yx comes as it is.

    Raises: InputError for bands or a window that are not there.
    """
    chosen, (y0, x0, height, width) = source.region(bands, window)
    shape_yx = min(height, max(1, most_yx[0])), min(width, max(1, most_yx[1]))
    if shape_yx == (height, width):
        return source.values(chosen, (y0, x0, height, width)).astype(np.float32)
    coarse = getattr(source.pixels, "coarse", None)
    if coarse is None:
        return _averaged(source, chosen, (y0, x0, height, width), shape_yx)
    raw = coarse(chosen, slice(y0, y0 + height), slice(x0, x0 + width), shape_yx)
    values: NDArray[np.float32] = np.asarray(source.decoded(raw, chosen), np.float32)
    if source.valid is not None:
        kept = source.valid.read(slice(y0, y0 + height), slice(x0, x0 + width), shape_yx)
        values = np.where(kept, values, np.float32(np.nan))
    return values


def coarse_cube(source: Source, most_px: int) -> xr.DataArray:
    """The whole image with at most so many pixels a side, all of a size, on no map."""
    bands, height, width = source.pixels.shape
    step = max(1.0, max(height, width) / most_px)
    values = read_coarse(source, range(bands), None, (round(height / step), round(width / step)))
    return make_cube(values, wavelengths_nm=source.wavelengths_nm, fwhm_nm=source.fwhm_nm)


def _averaged(source: Source, bands: list[int], window: Window, shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    """Means over blocks of the window's pixels, those missing left out."""
    y0, x0, height, width = window
    columns = _edges(width, shape_yx[1])
    row_bytes = width * len(bands) * source.pixels.dtype.itemsize
    sparse = isinstance(source.pixels, np.ndarray) and height * row_bytes > MOST_BYTES
    found = np.empty((len(bands), *shape_yx), np.float32)
    for first, rows in _strips(_edges(height, shape_yx[0]), row_bytes, sparse):
        values = source.values(bands, (y0 + rows[0], x0, rows[-1] - rows[0], width))
        found[:, first : first + len(rows) - 1] = _block_means(values, rows - rows[0], columns)
    return found


def _edges(length: int, count: int) -> NDArray[np.int64]:
    """Where `count` blocks of a side begin, and the end of the last."""
    edges: NDArray[np.int64] = np.arange(count + 1) * length // count
    return edges


def _strips(rows: NDArray[np.int64], row_bytes: int, sparse: bool) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(first block, edges of its blocks) of strips of at most STRIP_BYTES, or of the middle row of each block."""
    if sparse:
        middles = (rows[:-1] + rows[1:]) // 2
        yield from ((n, np.array([row, row + 1])) for n, row in enumerate(middles))
        return
    largest = int(np.diff(rows).max())
    step = max(1, STRIP_BYTES // (row_bytes * largest))
    for first in range(0, len(rows) - 1, step):
        yield first, rows[first : first + step + 1]


def _block_means(
    values: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(band, y, x) -> the mean of each block without its NaN; NaN where there is nothing else."""
    there = np.isfinite(values)
    sums, counts = (
        np.add.reduceat(np.add.reduceat(part, rows[:-1], axis=1), columns[:-1], axis=2)
        for part in (np.where(there, values, 0).astype(np.float64), there.astype(np.int64))
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
