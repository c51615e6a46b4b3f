"""Images whose bands lie off each other: they are moved onto each other.

Those of an ms, as of several cameras, often do; those of an hs where it took two spectrometers, or one with a keystone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import xarray as xr

from hypersharp.describe import named_bands
from hypersharp.grid import Window, middle
from hypersharp.io.image import CubeImage, CubeParts, DerivedImage, Image
from hypersharp.pair.resample import shifted
from hypersharp.pair.tensors import usable_values
from hypersharp.pair.tiling import grown
from hypersharp.registration.apart import bands_apart
from hypersharp.registration.hs_apart import LEAST_BANDS, hs_bands_apart

if TYPE_CHECKING:
    from hypersharp.pair.placement import Placement
    from hypersharp.registration.register import Registration
    from hypersharp.sensor.tables import FloatArray

P = TypeVar("P", bound="Placement")
REACH_PX = 16  # around a window whose bands are moved: what a cubic spline takes from beyond is below 1e-8
LOOKED_AT_PX = 96  # coarse pixels along a side of what is compared
MOST_NAMED = 6
MOVED = "moved there, resampled once; --coregister none leaves them"
LEFT = "left so; fuse moves them, unless --frame hs"


@dataclass(frozen=True, eq=False)
class MovedBands(DerivedImage, CubeParts):
    """An image whose bands are moved as it is read, those that move resampled once.

    `given`: the image as it came; `parts`: its pixels, where those come one by one. `off_px_yx` (n, 2): how far down
    and right each band lay, 0 for those that stay as they are. `beyond`: whether what lies beyond its border is
    missing, or as at the border.
    """

    off_px_yx: FloatArray = field(kw_only=True)
    beyond: bool = field(default=True, kw_only=True)
    leaves_out: bool = False

    @classmethod
    def of(cls, given: Image | CubeImage, off_px_yx: FloatArray) -> MovedBands:
        """An ms. What a band shows along a border that was more than half a pixel off is not in the image."""
        leaves_out = given.leaves_out or bool((np.abs(off_px_yx) > 0.5).any())
        return cls(given.outline(), given.path, given=given, off_px_yx=off_px_yx, leaves_out=leaves_out)

    @classmethod
    def of_hs(cls, given: Image | CubeImage, off_px_yx: FloatArray) -> MovedBands:
        """An hs, of whose large pixels no border is given up for some bands: there they stay as wrong as they were."""
        moved = cls(given.outline(), given.path, given=given, off_px_yx=off_px_yx, leaves_out=given.leaves_out)
        return replace(moved, beyond=False)

    def cube(self, window: Window | None = None) -> xr.DataArray:
        """The window, or all; gaps move with the bands, and what lies beyond the image is missing."""
        given: Image | CubeImage = self.given
        if self.parts and isinstance(given, CubeParts):
            given = replace(given, parts=self.parts)
        _, *sides = self.values.shape
        window = window or (0, 0, sides[0], sides[1])
        reach = REACH_PX + ceil(np.abs(self.off_px_yx).max())
        top, left, _, _ = box = grown(window, reach, sides)
        around = given.cube(box)
        y, x = window[0] - top, window[1] - left
        whole = around[:, y : y + window[2], x : x + window[3]]
        values = whole.values.astype(np.result_type(whole.dtype, np.float32) if self.leaves_out else whole.dtype)
        for band in np.flatnonzero(self.off_px_yx.any(1)):
            moved = shifted(around[band : band + 1], self.off_px_yx[band]).values[0]
            values[band] = moved[y : y + window[2], x : x + window[3]]
            for axis, off in enumerate(self.off_px_yx[band] if self.beyond else ()):
                came_from = np.arange(window[axis], window[axis] + window[2 + axis]) + off
                beyond = (came_from < -0.5) | (came_from > sides[axis] - 0.5)
                np.moveaxis(values[band], axis, 0)[beyond] = np.nan
        return whole.copy(data=values)

    def loaded(self) -> CubeImage:
        return replace(self, given=self.given.loaded())

    def note(self) -> str:
        """What was done to an ms."""
        apart = np.linalg.norm(self.off_px_yx[:, None] - self.off_px_yx, axis=2).max()
        moved = np.flatnonzero(self.off_px_yx.any(1))
        named = [f"{band + 1} ({y:+.2f}, {x:+.2f})" for band, (y, x) in zip(moved, self.off_px_yx[moved], strict=True)]
        listed = ", ".join(named[:MOST_NAMED]) + (f" and {len(named) - MOST_NAMED} more" * (len(named) > MOST_NAMED))
        return (
            f"ms bands lay up to {apart:.2g} fine pixels off each other: "
            f"band{'s' * (len(named) > 1)} {listed} (down, right) moved, resampled once"
        )


def with_bands_together(placed: Placement, found: Registration, window: Window) -> MovedBands | None:
    """The ms of a pair with its bands on each other, None where they are so, or nothing shows that they are not.

    found: how hs and ms lie, of a window in coarse pixels.
    """
    if not found.correlation > 0 or placed.ms.outline().shape[0] < 2:
        return None
    off = bands_off("ms", *placed.read(looked_at(window)), found)
    return None if off is None else MovedBands.of(placed.ms, off)


def looked_at(window: Window) -> Window:
    """The middle of a window, where bands are compared."""
    y, x, *sides = window
    inner_y, inner_x, height, width = middle((sides[0], sides[1]), LOOKED_AT_PX)
    return y + inner_y, x + inner_x, height, width


def with_hs_bands_together(placed: P, found: Registration, window: Window) -> P | None:
    """The pair with the bands of hs on each other, as a note says; None where they are so, or that is not clear.

    Where hs keeps its pixels there is the note alone. found: how both lie, of a window in coarse pixels.
    """
    if len(placed.hs.outline()) < LEAST_BANDS:
        return None
    off = bands_off("hs", *placed.read(looked_at(window)), found)
    if off is None:
        return None
    note, moves = hs_off_note(placed.hs.outline(), off), placed.moves_hs
    hs = MovedBands.of_hs(placed.hs, off) if moves else placed.hs
    return replace(placed, hs=hs, notes=(*placed.notes, f"{note}: {MOVED if moves else LEFT}"))


def bands_off(of: Literal["hs", "ms"], hs: xr.DataArray, ms: xr.DataArray, found: Registration) -> FloatArray | None:
    """How far (down, right) bands of one image of a pair that nests lie off its others, (n, 2) in its pixels.

    None where they lie together, or that is not clear. found: how both lie.
    """
    (hs_bands, coarse, hs_valid), (ms_bands, fine, ms_valid) = usable_values(hs), usable_values(ms)
    if not (found.correlation > 0 and len(hs_bands) and len(ms_bands)):
        return None
    compare, bands, count = (hs_bands_apart, hs_bands, len(hs)) if of == "hs" else (bands_apart, ms_bands, len(ms))
    apart = compare(coarse, fine, found, hs_valid, ms_valid)
    if apart is None:
        return None
    off = np.zeros((count, 2))
    off[bands] = apart.round(3)
    return off


def hs_off(hs: xr.DataArray, ms: xr.DataArray, found: Registration) -> FloatArray | None:
    """`bands_off` of hs, by the middle of the pair."""
    ratio = ms.shape[1] // hs.shape[1]
    y, x, height, width = middle(hs.shape[1:], LOOKED_AT_PX)
    fine = ms[:, ratio * y : ratio * (y + height), ratio * x : ratio * (x + width)]
    return bands_off("hs", hs[:, y : y + height, x : x + width], fine, found)


def hs_off_note(hs: xr.DataArray, off: FloatArray) -> str:
    """Which bands of hs lie off the others, and how far, formatted for display."""
    bands = np.flatnonzero(off.any(1))
    first, last = (f"({y:+.2f}, {x:+.2f})" for y, x in off[bands[[0, -1]]])
    return (
        f"{named_bands(hs, bands.tolist(), 'hs')} lay up to {np.linalg.norm(off, axis=1).max():.2g} hs pixels off the "
        f"others, {first} (down, right) the first of them, {last} the last, as two spectrometers or a keystone do"
    )
