"""hs on the pixels of the ms: the block of ms pixels that a coarse pixel is, and how far off its middle hs has it.

The ms keeps its pixels. Where those of hs are upright and a whole number of them wide, hs keeps its own too, and what
is left of their places, georeference and displacement together, is the place of the PSF's centre (`offset_px_yx`).
Else, for another CRS, a rotation, a ratio that is not whole, an affine or local displacement, hs is resampled once
(`Warp`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.errors import InputError
from hypersharp.grid import (
    LEAST_RATIO,
    MOST_RATIO,
    Grid,
    Window,
    affine_of,
    coarse_transform,
    common_grid,
    window_transform,
)
from hypersharp.pair.resample import affine_type, project
from hypersharp.pair.warp import Warp
from hypersharp.registration.field import Field

if TYPE_CHECKING:
    from affine import Affine

HELD = 0.6  # of a coarse pixel that images of one extent may lie off each other and still share their blocks
DRIFT_PX = 0.05  # fine pixels that hs pixels may stray from whole blocks, over the whole image


@dataclass(frozen=True, eq=False)
class Lattice:
    """The blocks of ratio x ratio ms pixels that hs and ms have in common.

    `window`: (y0, x0, H, W) of the ms; `corner_yx`: the hs pixel whose block is the first (may lie outside hs);
    `offset_px_yx`: how far (down, right) off the middles of their blocks the centres of hs pixels lie, fine pixels.
    `nested`: whether the blocks are all of the ms, whatever hs covers of it.
    """

    window: Window
    ratio: int
    true_ratio: float
    corner_yx: tuple[int, int] = (0, 0)
    offset_px_yx: tuple[float, float] = (0.0, 0.0)
    nested: bool = True
    warp: Warp | None = None

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Blocks along y and x."""
        return self.window[2] // self.ratio, self.window[3] // self.ratio

    def grids(self, ms: Grid) -> tuple[Grid, Grid]:
        """Where its blocks and its ms pixels lie, of an ms on that grid."""
        fine = None if ms.transform is None else window_transform(ms.transform, self.window)
        coarse = fine and coarse_transform(fine, self.ratio)
        return Grid(self.shape_yx, coarse, ms.crs), Grid(self.window[2:], fine, ms.crs)

    def fine_window(self, window: Window) -> Window:
        """The window of the ms under one of blocks."""
        y, x, height, width = (side * self.ratio for side in window)
        return self.window[0] + y, self.window[1] + x, height, width

    def displaced(self, shift_px_yx: tuple[float, float], hs: Grid, ms: Grid) -> Lattice:
        """The same where the ms shows a block's hs pixel so far (down, right) off the block."""
        if self.warp:
            field = Field(np.array(shift_px_yx)[:, None], (0.0, 0.0), (1.0, 1.0))
            return replace(self, warp=replace(self.warp, field=field))
        (y, x), (down, right) = self.hs_corner_yx, shift_px_yx
        return blocks((y + down, x + right), self.ratio, hs, ms, nested=self.nested)

    def bent(self, field: Field, hs: Grid, ms: Grid) -> Lattice:
        """The same where that varies by place, in fine pixels of this lattice."""
        top, left = self.window[:2]
        (y0, x0), (y1, x1) = field.first_yx, field.last_yx
        field = Field(field.coefficients, (top + y0, left + x0), (top + y1, left + x1))
        if self.warp:
            return replace(self, warp=replace(self.warp, field=field))
        affine, (y, x) = affine_type(), self.hs_corner_yx
        coarse = Grid(hs.shape_yx, affine(self.ratio, 0, x, 0, self.ratio, y))
        warp = Warp(coarse, Grid(ms.shape_yx, affine.identity()), field)
        return replace(self, corner_yx=(0, 0), offset_px_yx=(0.0, 0.0), warp=warp)

    @property
    def hs_corner_yx(self) -> tuple[int, int]:
        """Where the corner of hs lies in the ms, pixels, if its pixels were the blocks."""
        (top, left, *_), (row, column) = self.window, self.corner_yx
        return top - self.ratio * row, left - self.ratio * column

    def described(self) -> dict[str, Any]:
        """As plain data, JSON-able."""
        return {
            "window": list(self.window),
            "ratio": self.ratio,
            "true_ratio": self.true_ratio,
            "corner_yx": list(self.corner_yx),
            "offset_px_yx": list(self.offset_px_yx),
            "nested": self.nested,
            "warp": self.warp and self.warp.described(),
        }

    @classmethod
    def from_dict(cls, known: dict[str, Any], hs: Grid, ms: Grid) -> Lattice:
        """The inverse of `described`, for images on the same grids."""
        y0, x0, height, width = known["window"]
        (row, column), (y, x) = known["corner_yx"], known["offset_px_yx"]
        warp = known["warp"] and Warp.from_dict(known["warp"], hs, ms)
        window = (y0, x0, height, width)
        return cls(window, known["ratio"], known["true_ratio"], (row, column), (y, x), known["nested"], warp)


def by_georeference(hs: Grid, ms: Grid, ratio: int | None) -> Lattice:
    """That of two images with a place on the ground.

    Raises: InputError as `common_grid`.
    """
    common = common_grid(hs, ms, ratio=ratio, keep="ms", project=project)
    whole = common.ratio
    start = first_pixel(hs, ms, whole) if hs.crs == ms.crs and hs.off is None else None
    if start is None:
        return Lattice(common.window, whole, common.true_ratio, nested=False, warp=Warp(hs, ms))
    return blocks(start, whole, hs, ms, nested=False)


def natively(
    lattice: Lattice, shape_yx: tuple[int, int], to_given: Affine, hs: Grid, ms: Grid, ratio: int | None
) -> tuple[Grid, Lattice]:
    """The grid of an hs of other pixels than those its lattice is of, and the lattice of these.

    `to_given`: from the corners (x, y) of its pixels to those of the ones on the grid `hs`.

    Raises: InputError as `common_grid`.
    """
    if not lattice.nested:
        own = Grid(shape_yx, affine_of(hs) @ to_given, hs.crs)
        return own, by_georeference(own, ms, ratio)
    affine, (y, x) = affine_type(), lattice.hs_corner_yx
    own = Grid(shape_yx, affine(lattice.ratio, 0, x, 0, lattice.ratio, y) @ to_given)
    pixels, true_ratio = Grid(ms.shape_yx, affine.identity()), sqrt(affine_of(own).determinant)
    ratios = range(ceil(LEAST_RATIO), MOST_RATIO + 1)
    nesting = [one for one in ratios if not (ms.shape_yx[0] % one or ms.shape_yx[1] % one)]
    whole = ratio or min(nesting, key=lambda one: abs(log(one / true_ratio)))
    start = first_pixel(own, pixels, whole)
    if start is not None:
        return own, blocks(start, whole, own, pixels, nested=True)
    return own, Lattice((0, 0, *ms.shape_yx), whole, true_ratio, warp=Warp(own, pixels))


def first_pixel(hs: Grid, ms: Grid, ratio: int) -> tuple[float, float] | None:
    """Where the corner of hs lies in the ms, pixels (y, x), if hs pixels are upright blocks of those; else None."""
    to_hs = ~affine_of(hs) @ affine_of(ms)
    height, width = ms.shape_yx
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
    starts = np.array([np.subtract((x, y), np.multiply(ratio, to_hs @ (x, y))) for x, y in corners])
    if np.ptp(starts, axis=0).max() > DRIFT_PX:
        return None
    x, y = starts.mean(0)
    return float(y), float(x)


def blocks(start_yx: tuple[float, float], ratio: int, hs: Grid, ms: Grid, *, nested: bool) -> Lattice:
    """The blocks of an hs whose first pixel begins at `start_yx` in the ms, fine pixels.

    nested: all of the ms, whatever hs covers of it; else the whole blocks that both cover.

    Raises: InputError where these are none.
    """
    window, corner, offset = [0, 0, *ms.shape_yx], [0, 0], [0.0, 0.0]
    for axis, start in enumerate(start_yx):
        step = ratio if nested else 1
        whole = 0 if nested and abs(start) <= HELD * ratio else step * floor(start / step + 0.5)
        offset[axis] = start - whole
        first = -whole // ratio if nested else max(0, ceil(-whole / ratio))
        corner[axis] = first
        if not nested:
            end = min(hs.shape_yx[axis], (ms.shape_yx[axis] - whole) // ratio)
            if end <= first:
                found = f"an hs that lies {start:.4g} fine pixels off its ms, so that they share no whole hs pixel"
                raise InputError(found, "two images of one place", "check that the files belong together")
            window[axis], window[2 + axis] = whole + ratio * first, ratio * (end - first)
    (y0, x0, height, width), (row, column), (down, right) = window, corner, offset
    return Lattice((y0, x0, height, width), ratio, float(ratio), (row, column), (down, right), nested)
