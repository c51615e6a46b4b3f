"""An hs that was enlarged is taken back to its native pixels, which lie on a grid of their own.

Nearest-neighbour or bilinear interpolation along rows or columns is undone (`numerics.enlarged`), noise and all, as a
change of the pixel size or of the corner leaves it. An hs that was rotated, or interpolated in another way, stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.cube import lonlat_of, with_bands_of
from hypersharp.errors import installed
from hypersharp.grid import Grid, middle
from hypersharp.io.image import CubeImage, CubeParts, DerivedImage, Image
from hypersharp.numerics.enlarged import enlargement, null_space
from hypersharp.pair.defects import LOOKED_AT_PX, some_bands
from hypersharp.pair.resample import affine_type

if TYPE_CHECKING:
    from affine import Affine

LEAST_LINES, MOST_LINES = 12, 1024  # along either side, of an hs that is taken back, all of it in memory


@dataclass(frozen=True, eq=False)
class NativeImage(DerivedImage):
    """An hs taken back to its native pixels.

    `to_given`: from their corners (x, y) to those of the pixels it came in. `note`: what was done.
    """

    to_given: Affine = field(kw_only=True)
    note: str = field(kw_only=True)

    def grid(self, given: Grid) -> Grid:
        """Where its pixels lie, if the given image has a place; the grid of that."""
        place = given.transform and given.transform @ self.to_given
        return Grid((self.values.shape[1], self.values.shape[2]), place, given.crs)


def native_image(hs: Image | CubeImage) -> NativeImage | None:
    """The hs before it was enlarged; None where it was not, has gaps, or is at hand in parts alone."""
    bands, *sides = hs.outline().shape
    in_parts = isinstance(hs, CubeParts) or lonlat_of(hs.outline()) is not None
    if in_parts or min(sides) < LEAST_LINES or max(sides) > MOST_LINES or not installed("affine"):
        return None
    looked_at = some_bands(bands)
    part = hs.cube(middle(sides, LOOKED_AT_PX)).values[looked_at]
    if not any(null_space(part, axis) for axis in (1, 2)):
        return None
    cube = hs.cube()
    found = [enlargement(cube.values[looked_at], axis) for axis in (1, 2)]
    if not any(found):
        return None
    values, affine = cube.values.astype(np.float64), affine_type()
    to_given = affine.identity()
    for axis, one in enumerate(found):
        if one is None:
            continue
        lines, first = one.undone(np.moveaxis(values, 1 + axis, 0))
        values, start = np.moveaxis(lines, 0, 1 + axis), 0.5 + (first - 0.5 - one.a) / one.b
        scale, move = ((1, 1 / one.b), (0, start)) if axis == 0 else ((1 / one.b, 1), (start, 0))
        to_given = to_given @ affine.translation(*move) @ affine.scale(*scale)
    if cube.dtype.kind in "iu":
        values = np.clip(values.round(), np.iinfo(cube.dtype).min, np.iinfo(cube.dtype).max)
    native = with_bands_of(cube, values.astype(cube.dtype), crs=None, transform=None).assign_attrs(cube.attrs)
    native.encoding |= cube.encoding
    how = "nearest-neighbour" if next(one for one in found if one).nearest else "bilinear"
    note = (
        f"hs was enlarged by {how} interpolation: taken back to its own pixels, "
        f"{to_given.a:.3f} x {to_given.e:.3f} as wide and high, {native.shape[2]} x {native.shape[1]} of them"
    )
    return NativeImage(native, hs.path, given=hs, to_given=to_given, note=note)
