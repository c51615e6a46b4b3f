"""Two images on nested grids, read a window at a time: where hs and ms lie on each other, found once.

Geometry decides where the georeferences do not nest (`align`); where they do, or there are none, the middle of the
scene shows whether the ms is shifted. A window is then resampled, or shifted, from as much around it as that takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.cube import check_axes, check_cube, fwhm_nm, good_bands, grid_of, make_cube, shape_text, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.grid import (
    LEAST_RATIO,
    MOST_RATIO,
    Grid,
    Window,
    affine_of,
    fits_exactly,
    middle,
    whole_ratio,
    window_transform,
)
from hypersharp.io.image import CubeImage, Image
from hypersharp.pair.align import LARGEST_SIDE, Alignment, Coregister, find_shift, plan_alignment, shift_message
from hypersharp.pair.resample import affine_type, shifted
from hypersharp.pair.units import check_units
from hypersharp.sensor.srf import check_common_wavelengths

if TYPE_CHECKING:
    import xarray as xr

SPLINE_PX = 24  # around a window that is shifted: what a cubic spline takes from beyond is below 1e-9


@dataclass(frozen=True, eq=False)
class Placement:
    """hs and ms as a pair of `shape_yx` coarse pixels, the fine ones on the grid `fine`.

    `corner_yx`: the pair's first coarse pixel in the image of hs. `alignment` where the grids do not nest, else
    `shift_px_yx`, how far (fine pixels) off the ms lies, None where it stays. `notes`: what was done, a line each.
    """

    hs: Image | CubeImage
    ms: Image | CubeImage
    shape_yx: tuple[int, int]
    ratio: int
    fine: Grid
    corner_yx: tuple[int, int] = (0, 0)
    alignment: Alignment | None = None
    shift_px_yx: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def everything(self) -> Window:
        """The window of the whole pair, in coarse pixels."""
        return 0, 0, *self.shape_yx

    def read(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        """hs and ms of a window (y0, x0, height, width) in coarse pixels of the pair."""
        y, x, height, width = window
        whole = (y + self.corner_yx[0], x + self.corner_yx[1], height, width)
        fine = (y * self.ratio, x * self.ratio, height * self.ratio, width * self.ratio)
        if self.alignment:
            return self.hs.cube(whole), self._resampled(self.alignment, fine)
        return self.hs.cube(whole), self._shifted(fine, self.shift_px_yx) if self.shift_px_yx else self.ms.cube(fine)

    def described(self) -> dict[str, Any]:
        """What `place` takes to place the same images again, JSON-able."""
        return {
            "ratio": self.ratio,
            "shift_px_yx": self.shift_px_yx and list(self.shift_px_yx),
            "to_ms": self.alignment and list(self.alignment.to_ms)[:6],
        }

    def _resampled(self, alignment: Alignment, window: Window) -> xr.DataArray:
        """The ms resampled to the fine pixels of a window; missing where it shows nothing."""
        box = alignment.reads(window)
        if 0 in box[2:]:
            outline = self.ms.outline()
            missing = np.full((outline.shape[0], *window[2:]), np.nan, np.float32)
            return make_cube(missing, wavelengths_nm=wavelengths_nm(outline), fwhm_nm=fwhm_nm(outline))
        place = window_transform(affine_of(alignment.source), box)
        return alignment.resampled(self.ms.cube(box), Grid(box[2:], place, alignment.source.crs), window)

    def _shifted(self, window: Window, shift_px_yx: tuple[float, float]) -> xr.DataArray:
        """The fine pixels of a window, shifted onto hs."""
        y, x, rows, columns = window
        height, width = self.fine.shape_yx
        top, left = max(0, y - SPLINE_PX), max(0, x - SPLINE_PX)
        bottom, right = min(height, y + rows + SPLINE_PX), min(width, x + columns + SPLINE_PX)
        moved = shifted(self.ms.cube((top, left, bottom - top, right - left)), shift_px_yx)
        return moved[:, y - top : y - top + rows, x - left : x - left + columns]


def place(
    hs: Image | CubeImage,
    ms: Image | CubeImage,
    *,
    ratio: int | None = None,
    coregister: bool = True,
    known: dict[str, Any] | None = None,
) -> Placement:
    """hs and ms on nested grids; the ms co-registered where the images show that it lies off.

    Args:
        ratio: fine pixels per coarse one; by default from the sizes or georeferences, which it must agree with.
        coregister: whether a displacement is looked for.
        known: what `Placement.described` gave of the same images, instead of looking.

    Raises: InputError for images that cannot be read or used, swapped ones, sizes of no whole, another or an unheard-of
        ratio, no common ground or wavelengths.
    """
    hs, ms = hs.resolved(), ms.resolved()
    outlines = hs.outline(), ms.outline()
    for name, image, outline in zip(("hs", "ms"), (hs, ms), outlines, strict=True):
        check_axes(outline, name)
        image.check()
        flags = good_bands(outline)
        if isinstance(image, CubeImage) and (flags is None or flags.any()):
            check_cube(outline if flags is None else outline.isel(band=np.flatnonzero(flags)), name)
    check_units(*outlines)
    check_bands(*outlines)
    coarse, fine = (grid_of(outline) for outline in outlines)
    wanted = ratio if known is None else known["ratio"]
    placed = all(grid.crs is not None and grid.transform is not None for grid in (coarse, fine))
    if placed and not fits_exactly(coarse, fine):
        to_ms = None if known is None or known["to_ms"] is None else affine_type()(*known["to_ms"])

        def read(window: Window, fine_window: Window) -> tuple[xr.DataArray, xr.DataArray]:
            return hs.cube(window), ms.cube(fine_window)

        model: Coregister = "shift" if coregister else "none"
        found = plan_alignment(coarse, fine, read, ratio=wanted, coregister=model, known=to_ms)
        y, x, *shape = found.grid.window
        size = (shape[0], shape[1])
        return Placement(hs, ms, size, found.grid.ratio, found.grid.ms, (y, x), found, notes=found.notes)
    nested = Placement(hs, ms, coarse.shape_yx, checked_ratio(coarse, fine, wanted), fine)
    if known is not None:
        shift = known["shift_px_yx"]
        return replace(nested, shift_px_yx=None if shift is None else (shift[0], shift[1]))
    registration = find_shift(*nested.read(middle(nested.shape_yx, LARGEST_SIDE))) if coregister else None
    if registration is None:
        return nested
    return replace(nested, shift_px_yx=registration.shift_px_yx, notes=(shift_message(registration, fine),))


def check_bands(hs: xr.DataArray, ms: xr.DataArray) -> None:
    """Raise InputError for swapped images, and for wavelengths that do not meet."""
    if ms.shape[0] > hs.shape[0]:
        swapped = hs[0].size > ms[0].size
        raise InputError(
            f"hs of {shape_text(hs)} and ms of {shape_text(ms)} (bands x rows x columns)",
            "an hs with more bands and fewer pixels than the ms",
            "swap the two, hs comes first" if swapped else "give the hyperspectral image first",
        )
    check_common_wavelengths(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))


def checked_ratio(hs: Grid, ms: Grid, wanted: int | None) -> int:
    """The pair's whole ratio. Raises: InputError for one that is none, unheard of, or not the wanted one."""
    found = whole_ratio(hs, ms)
    if not LEAST_RATIO <= found <= MOST_RATIO:
        advice = "take a finer ms" if found < LEAST_RATIO else "average ms over blocks of pixels first"
        raise InputError(f"{found} fine pixels per coarse pixel", f"{math.ceil(LEAST_RATIO)} to {MOST_RATIO}", advice)
    if wanted not in (None, found):
        raise InputError(f"sizes of ratio {found}", f"the given ratio {wanted}", "leave --ratio out or check the files")
    return found
