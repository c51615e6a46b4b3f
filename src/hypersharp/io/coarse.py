"""An image at a size for the screen: averages of blocks of pixels, never more of the file than needed.

GeoTIFFs answer from their overviews. Elsewhere the window is read in strips and averaged; where it is larger than
`MOST_BYTES` and lies uncompressed on disk, only the middle row of each block is.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import make_cube
from hypersharp.grid import Window
from hypersharp.stored import Stored

MOST_BYTES = 2**27
STRIP_BYTES = 2**25


def read_coarse(
    stored: Stored, bands: Sequence[int], window: Window | None, most_yx: tuple[int, int]
) -> NDArray[np.float32]:
    """Decoded values (band, n, m) of a window with n, m <= most_yx; NaN where nothing was measured.

    A window that is not larger than most_yx comes as it is.

    Raises: InputError for bands or a window that are not there.
    """
    chosen, (y0, x0, height, width) = stored.region(bands, window)
    shape_yx = min(height, max(1, most_yx[0])), min(width, max(1, most_yx[1]))
    if shape_yx == (height, width):
        return np.asarray(stored.values(chosen, (y0, x0, height, width)), np.float32)
    coarse = getattr(stored.pixels, "coarse", None)
    if coarse is None:
        return _averaged(stored, chosen, (y0, x0, height, width), shape_yx)
    raw = coarse(chosen, slice(y0, y0 + height), slice(x0, x0 + width), shape_yx)
    values: NDArray[np.float32] = np.asarray(stored.decoded(raw, chosen), np.float32)
    if stored.valid is not None:
        kept = stored.valid.coarse([0], slice(y0, y0 + height), slice(x0, x0 + width), shape_yx)
        values = np.where(kept, values, np.float32(np.nan))
    return values


def coarse_cube(stored: Stored, most_px: int) -> xr.DataArray:
    """The whole image with at most so many pixels a side, all of a size, on no map."""
    bands, height, width = stored.pixels.shape
    step = max(1.0, max(height, width) / most_px)
    values = read_coarse(stored, range(bands), None, (round(height / step), round(width / step)))
    return make_cube(values, wavelengths_nm=stored.wavelengths_nm, fwhm_nm=stored.fwhm_nm)


def _averaged(stored: Stored, bands: list[int], window: Window, shape_yx: tuple[int, int]) -> NDArray[np.float32]:
    """Means over blocks of the window's pixels, those missing left out."""
    y0, x0, height, width = window
    rows, columns = (np.arange(n + 1) * side // n for n, side in zip(shape_yx, (height, width), strict=True))  # edges
    row_bytes = width * len(bands) * stored.pixels.dtype.itemsize
    if isinstance(stored.pixels, np.ndarray) and height * row_bytes > MOST_BYTES:  # the middle row of each block
        strips = [(n, np.array([row, row + 1])) for n, row in enumerate((rows[:-1] + rows[1:]) // 2)]
    else:
        step = max(1, STRIP_BYTES // (row_bytes * int(np.diff(rows).max())))
        strips = [(n, rows[n : n + step + 1]) for n in range(0, len(rows) - 1, step)]
    found = np.empty((len(bands), *shape_yx), np.float32)
    for first, edges in strips:
        values = stored.values(bands, (y0 + edges[0], x0, edges[-1] - edges[0], width))
        there = np.isfinite(values)
        sums, counts = (
            np.add.reduceat(np.add.reduceat(part, edges[:-1] - edges[0], axis=1), columns[:-1], axis=2)
            for part in (np.where(there, values, 0).astype(np.float64), there.astype(np.int64))
        )
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        found[:, first : first + len(edges) - 1] = means.astype(np.float32)
    return found
