"""Geometry of grids: ratios, windows, affines. Ints and affines only, no pixels.

An affine maps (x, y) pixel corners to map coordinates (GDAL's convention: (0, 0) is the outer
corner of the first pixel), so a coarse grid and the fine grid of the same extent share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypersharp.errors import InputError

if TYPE_CHECKING:
    from affine import Affine

Window = tuple[int, int, int, int]  # y0, x0, height, width


@dataclass(frozen=True)
class Grid:
    """The pixels of one image on the ground: shape (height, width), affine and CRS where known."""

    shape_yx: tuple[int, int]
    transform: Affine | None = None
    crs: object | None = None

    def __str__(self) -> str:
        return f"{self.shape_yx[0]} x {self.shape_yx[1]} pixels"

    def bounds(self) -> tuple[float, float, float, float] | None:
        """Map coordinates (x_min, y_min, x_max, y_max) of the outer edges, None without an affine."""
        if self.transform is None:
            return None
        height, width = self.shape_yx
        corners = [self.transform @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def check_window(window: Window, shape_yx: tuple[int, int]) -> Window:
    """Return the window if it is not empty and lies inside the image.

    >>> check_window((2, 0, 4, 3), (6, 3))
    (2, 0, 4, 3)

    Raises:
        InputError: the window is empty or reaches beyond the image.
    """
    y0, x0, height, width = window
    inside = y0 >= 0 and x0 >= 0 and y0 + height <= shape_yx[0] and x0 + width <= shape_yx[1]
    if not inside or height < 1 or width < 1:
        raise InputError(
            f"the window {window} on an image of {shape_yx[0]} x {shape_yx[1]} pixels",
            "(y0, x0, height, width) inside the image",
            "give a smaller window",
        )
    return y0, x0, height, width


def window_transform(transform: Affine, window: Window) -> Affine:
    """The affine of the pixels in a window."""
    return transform @ type(transform).translation(window[1], window[0])


def coarse_transform(fine: Affine, ratio: int) -> Affine:
    """The affine of the grid whose pixels are `ratio` times larger, same corner."""
    return fine @ type(fine).scale(ratio)


def fine_transform(coarse: Affine, ratio: int) -> Affine:
    """The affine of the grid whose pixels are `ratio` times smaller, same corner."""
    return coarse @ type(coarse).scale(1.0 / ratio)


def whole_ratio(hs: Grid, ms: Grid) -> int:
    """Fine pixels per coarse pixel along one side, the same whole number along both.

    Where both grids have an affine and a CRS, they must also lie on the same ground: one CRS, a
    common area, corners less than one coarse pixel apart.

    >>> whole_ratio(Grid((24, 30)), Grid((96, 120)))
    4

    Raises:
        InputError: hs is finer than ms, the sizes are no whole ratio, or the grids do not coincide.
    """
    _check_same_ground(hs, ms)
    (h, w), (height, width) = hs.shape_yx, ms.shape_yx
    found = f"hs of {hs} and ms of {ms}"
    if height <= h and width <= w and (h, w) != (height, width):
        raise InputError(
            found, "an ms with more pixels than hs", "give the coarse image first, the fine one second"
        )
    if height % h or width % w or height // h != width // w:
        raise InputError(
            f"{found}, {height / h:.3g} and {width / w:.3g} fine pixels per coarse pixel",
            "one whole ratio along both sides",
            "cut or resample both to the same extent first",
        )
    return height // h


def _check_same_ground(hs: Grid, ms: Grid) -> None:
    """Raise where affines and CRS say that two grids do not show the same place."""
    if hs.transform is None or ms.transform is None or hs.crs is None or ms.crs is None:
        return
    if hs.crs != ms.crs:
        raise InputError(
            f"hs in {_short(hs.crs)} and ms in {_short(ms.crs)}",
            "one CRS",
            "reproject one of them, e.g. with gdalwarp",
        )
    hs_box, ms_box = hs.bounds(), ms.bounds()
    assert hs_box is not None and ms_box is not None
    if not _overlap(hs_box, ms_box):
        raise InputError(
            f"hs at {_box(hs_box)} and ms at {_box(ms_box)} (x min, y min, x max, y max)",
            "images that show the same place",
            "check that the two files belong together",
        )
    _check_corners(hs, ms)


def _check_corners(hs: Grid, ms: Grid) -> None:
    """Raise where opposite corners of the two extents lie a coarse pixel or more apart."""
    assert hs.transform is not None and ms.transform is not None
    if hs.transform.is_degenerate:
        raise InputError("an hs whose affine has no area", "pixels with a size", "mend its georeference")
    to_hs_pixels = ~hs.transform
    height, width = ms.shape_yx
    first = to_hs_pixels @ (ms.transform @ (0, 0))
    last = to_hs_pixels @ (ms.transform @ (width, height))
    gaps = first[0], first[1], last[0] - hs.shape_yx[1], last[1] - hs.shape_yx[0]
    worst = max(abs(gap) for gap in gaps)
    if worst >= 1:
        raise InputError(
            f"hs of {hs} and ms of {ms} whose corners lie {worst:.3g} hs pixels apart",
            "the same extent to within one hs pixel",
            "cut both to their common area first",
        )


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (x_min, y_min, x_max, y_max) share an area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _box(box: tuple[float, float, float, float]) -> str:
    """A box as people read it."""
    return "(" + ", ".join(f"{value:.10g}" for value in box) + ")"


def _short(crs: object) -> str:
    """A CRS in few characters."""
    text = str(crs)
    return text if len(text) <= 60 else text[:57] + "..."
