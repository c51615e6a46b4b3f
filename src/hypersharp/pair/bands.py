"""An ms whose bands lie off each other, as those of several cameras often do: they are moved onto each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hypersharp.grid import Window, middle
from hypersharp.io.image import CubeImage, CubeParts, DerivedImage, Image
from hypersharp.pair.resample import shifted
from hypersharp.pair.tensors import usable_values
from hypersharp.pair.tiling import grown
from hypersharp.registration.apart import bands_apart

if TYPE_CHECKING:
    from hypersharp.pair.placement import Placement
    from hypersharp.registration.register import Registration
    from hypersharp.sensor.tables import FloatArray

REACH_PX = 16  # around a window whose bands are moved: what a cubic spline takes from beyond is below 1e-8
LOOKED_AT_PX = 96  # coarse pixels along a side of what is compared
MOST_NAMED = 6


@dataclass(frozen=True, eq=False)
class MovedBands(DerivedImage, CubeParts):
    """An ms whose bands are moved as it is read, those that move resampled once.

    `given`: the ms as it came; `parts`: its pixels, where those come one by one. `off_px_yx` (l, 2): how far down and
    right each band lay, 0 for those that stay as they are.
    """

    off_px_yx: FloatArray = field(kw_only=True)
    leaves_out: bool = False

    @classmethod
    def of(cls, given: Image | CubeImage, off_px_yx: FloatArray) -> MovedBands:
        beyond = bool((np.abs(off_px_yx) > 0.5).any())  # what such a band shows along a border is not in the image
        leaves_out = given.leaves_out or beyond
        return cls(given.outline(), given.path, given=given, off_px_yx=off_px_yx, leaves_out=leaves_out)

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
            for axis, off in enumerate(self.off_px_yx[band]):
                came_from = np.arange(window[axis], window[axis] + window[2 + axis]) + off
                beyond = (came_from < -0.5) | (came_from > sides[axis] - 0.5)
                np.moveaxis(values[band], axis, 0)[beyond] = np.nan
        return whole.copy(data=values)

    def loaded(self) -> CubeImage:
        return replace(self, given=self.given.loaded())

    def note(self) -> str:
        """What was done."""
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
    y, x, height, width = window
    inner_y, inner_x, *size = middle((height, width), LOOKED_AT_PX)
    hs, ms = placed.read((y + inner_y, x + inner_x, size[0], size[1]))
    (hs_bands, coarse, hs_valid), (ms_bands, fine, ms_valid) = usable_values(hs), usable_values(ms)
    if not len(hs_bands) or len(ms_bands) < 2:
        return None
    apart = bands_apart(coarse, fine, found, hs_valid, ms_valid)
    if apart is None:
        return None
    off = np.zeros((len(ms), 2))
    off[ms_bands] = apart.round(3)
    return MovedBands.of(placed.ms, off)
