"""Two image files as one pair on nested grids, read a window at a time.

What `methods.fuse.place` does to two images in memory is decided here once, from the grids and the pixels in the middle
of the scene; a window is then aligned, or moved, on its own, from as much around it as that takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.cube import check_axes, fwhm_nm, grid_of, make_cube, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.grid import Grid, Window, affine_of, fits_exactly, middle, whole_ratio, window_transform
from hypersharp.io.image import Image
from hypersharp.pair.align import LARGEST_SIDE, Alignment, find_shift, plan_alignment, said_of_shift, shifted
from hypersharp.pair.place import Move
from hypersharp.sensor.srf import check_common_wavelengths

if TYPE_CHECKING:
    import xarray as xr

SPLINE_PX = 24  # around a window that is moved: what a cubic spline takes from beyond is below 1e-9


@dataclass(frozen=True, eq=False)
class PairSource:
    """hs and ms files as a pair of `shape_yx` coarse pixels, the fine ones on the grid `fine`.

    `corner_yx`: the pair's first coarse pixel in the file of hs. `alignment` where the grids do not nest, else
    `shift_px_yx`, how far (fine pixels) off the ms lies, None where it stays.
    """

    hs: Image
    ms: Image
    shape_yx: tuple[int, int]
    ratio: int
    fine: Grid
    corner_yx: tuple[int, int] = (0, 0)
    alignment: Alignment | None = None
    shift_px_yx: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def read(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        """hs and ms of a window (y0, x0, height, width) in coarse pixels of the pair."""
        y, x, height, width = window
        coarse = self.hs.cube((y + self.corner_yx[0], x + self.corner_yx[1], height, width))
        fine = y * self.ratio, x * self.ratio, height * self.ratio, width * self.ratio
        if self.alignment:
            return coarse, self.read_aligned(self.alignment, fine)
        return coarse, self.read_moved(fine, self.shift_px_yx) if self.shift_px_yx else self.ms.cube(fine)

    def read_aligned(self, alignment: Alignment, window: Window) -> xr.DataArray:
        """The ms resampled to the fine pixels of a window; missing where it shows nothing."""
        box = alignment.reads(window)
        if 0 in box[2:]:
            return empty_like(self.ms.outline(), (window[2], window[3]))
        place = window_transform(affine_of(alignment.source), box)
        return alignment.resampled(self.ms.cube(box), Grid(box[2:], place, alignment.source.crs), window)

    def read_moved(self, window: Window, shift_px_yx: tuple[float, float]) -> xr.DataArray:
        """The fine pixels of a window, moved onto hs."""
        y, x, rows, columns = window
        height, width = self.fine.shape_yx
        top, left = max(0, y - SPLINE_PX), max(0, x - SPLINE_PX)
        bottom, right = min(height, y + rows + SPLINE_PX), min(width, x + columns + SPLINE_PX)
        moved = shifted(self.ms.cube((top, left, bottom - top, right - left)), shift_px_yx)
        return moved[:, y - top : y - top + rows, x - left : x - left + columns]


def empty_like(outline: xr.DataArray, shape_yx: tuple[int, int]) -> xr.DataArray:
    """A cube of these bands without one measured pixel."""
    missing = np.full((outline.shape[0], *shape_yx), np.nan, np.float32)
    return make_cube(missing, wavelengths_nm=wavelengths_nm(outline), fwhm_nm=fwhm_nm(outline))


def open_pair(
    hs: Image, ms: Image, *, ratio: int | None = None, move: Move = "shift", psf_told: bool = False
) -> PairSource:
    """The two files as `fuse` takes them: aligned where the georeferences do not nest, a proven shift undone.

    Raises: InputError for files that cannot be read or are no pair.
    """
    hs, ms = hs.resolved(), ms.resolved()
    coarse, fine = hs.outline(), ms.outline()
    for name, image, outline in (("hs", hs, coarse), ("ms", ms, fine)):
        check_axes(outline, name)
        image.check()
    check_common_wavelengths(wavelengths_nm(coarse), wavelengths_nm(fine), fwhm_nm(fine))
    grids = grid_of(coarse), grid_of(fine)
    georeferenced = all(grid.crs is not None and grid.transform is not None for grid in grids)
    if georeferenced and not fits_exactly(*grids):
        return aligned_source(hs, ms, ratio, move)
    found = whole_ratio(*grids)
    if ratio is not None and ratio != found:
        raise InputError(f"sizes of ratio {found}", f"the given ratio {ratio}", "leave --ratio out or check the files")
    nested = PairSource(hs, ms, grids[0].shape_yx, found, grids[1])
    return nested if move == "none" or psf_told else moved_source(nested)


def aligned_source(hs: Image, ms: Image, ratio: int | None, move: Move) -> PairSource:
    """The files with the ms brought onto an exact multiple of the hs grid."""

    def read(coarse: Window, fine: Window) -> tuple[xr.DataArray, xr.DataArray]:
        return hs.cube(coarse), ms.cube(fine)

    found = plan_alignment(hs.outline(), ms.outline(), ratio, read, move)
    grid = found.grid
    y0, x0, rows, columns = grid.window
    return PairSource(hs, ms, (rows, columns), grid.ratio, grid.ms, (y0, x0), alignment=found, notes=found.notes)


def moved_source(pair: PairSource) -> PairSource:
    """The pair with the ms moved where the pixels in the middle prove that it lies off."""
    found = find_shift(*pair.read(middle(pair.shape_yx, LARGEST_SIDE)))
    if found is None:
        return pair
    return replace(pair, shift_px_yx=found.shift_px_yx, notes=(said_of_shift(found, pair.fine),))
