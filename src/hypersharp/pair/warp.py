"""hs resampled once, onto blocks of ms pixels: cubic splines of what the ms does not show of it, and what it does show.

A coarse image is aliased, and interpolating it loses what a finer one knows. So with L the ms as hs sees it at its own
pixels, L' the same at the blocks, and G the gains that make L follow the detail of hs,

    hs' = S (hs - G L) + G L',

S the splines: only what the ms does not explain is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from hypersharp.grid import Grid, Window, affine_of, pixels_in
from hypersharp.numerics.gappy import gappy_bands
from hypersharp.pair.resample import affine_type, project
from hypersharp.pair.tensors import fill_bands
from hypersharp.registration.displaced import detail
from hypersharp.registration.field import Field
from hypersharp.sensor.tables import FloatArray

if TYPE_CHECKING:
    from hypersharp.io.image import CubeImage, Image

SPLINE_PX = 16  # coarse pixels around what is read: beyond, a cubic spline is below 1e-8
BLUR_SIGMAS = 4.0
DETAIL_PX = 3  # coarse pixels along a side of the mean that detail is what is left of


@dataclass(frozen=True, eq=False)
class Warp:
    """From places in the ms to places in hs: the displacement undone, then by the two grids.

    `gains`: G (L, l), by which the ms tells what hs has between its pixels, under a Gaussian blur of `sigma_px` fine
    pixels.
    """

    hs: Grid
    ms: Grid
    field: Field | None = None
    gains: FloatArray | None = None
    sigma_px: float | None = None

    def in_hs(self, places: FloatArray) -> FloatArray:
        """Where hs shows what the ms has at (2, n) (y, x), both as indices of pixels."""
        return self._mapped(self.ms, self.hs, places if self.field is None else self.field.undone(places))

    def in_ms(self, places: FloatArray) -> FloatArray:
        """The inverse of `in_hs`."""
        nominal = self._mapped(self.hs, self.ms, places)
        return nominal if self.field is None else nominal + self.field(nominal)

    def _mapped(self, source: Grid, target: Grid, places: FloatArray) -> FloatArray:
        y, x = places + 0.5
        return np.stack(pixels_in(source, target, (x, y), project)[::-1]) - 0.5

    def resampled(self, hs: Image | CubeImage, ms: Image | CubeImage, fine: Window, ratio: int) -> NDArray[np.float32]:
        """hs (L, h, w) at the blocks of a window of the ms, float32; NaN where it shows nothing."""
        shape_yx = fine[2] // ratio, fine[3] // ratio
        blocks = block_centres(fine, ratio)
        places = self.in_hs(blocks)
        bands, *hs_yx = hs.outline().shape
        window = around(places, hs_yx, SPLINE_PX)
        if 0 in window[2:]:
            return np.full((bands, *shape_yx), np.nan, np.float32)
        values = np.asarray(hs.cube(window).values, np.float32)
        missing, values = np.isnan(values), fill_bands(values)
        own = places - np.array(window[:2])[:, None]
        added = None
        if self.gains is not None:
            seen_here, seen_there = self.seen(ms, window, blocks)
            values = values - np.tensordot(self.gains, seen_here, 1).astype(np.float32)
            added = self.gains @ seen_there
        found = np.stack([map_coordinates(band, own, order=3, mode="mirror") for band in values])
        found = found if added is None else found + added
        y, x = own
        outside = (np.minimum(y, x) < -0.5) | (y > window[2] - 0.5) | (x > window[3] - 0.5) | ~np.isfinite(own).all(0)
        row, column = (
            np.clip(np.rint(np.nan_to_num(axis)), 0, side - 1).astype(int)
            for axis, side in zip(own, window[2:], strict=True)
        )
        found = np.where(outside | missing[:, row, column], np.nan, found)
        return found.astype(np.float32).reshape(bands, *shape_yx)

    def seen(self, ms: Image | CubeImage, window: Window, blocks: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The blurred ms (l, a, b) at the hs pixels of a window, and (l, n) at places in it."""
        sigma = self.sigma_px or 0.0
        height, width = window[2:]
        rows, columns = np.indices((height, width)).reshape(2, -1)
        here = self.in_ms(np.stack([rows + window[0], columns + window[1]]).astype(float))
        reach = ceil(BLUR_SIGMAS * sigma) + 1
        box = around(np.concatenate([here, blocks], 1), ms.outline().shape[1:], reach)
        values = fill_bands(np.asarray(ms.cube(box).values, np.float32))
        corner = np.array(box[:2])[:, None]
        blurred = [gaussian_filter(band, sigma, mode="nearest", truncate=BLUR_SIGMAS) for band in values]
        at_pixels, at_blocks = (
            np.stack([map_coordinates(band, places - corner, order=1, mode="nearest") for band in blurred])
            for places in (here, blocks)
        )
        return at_pixels.reshape(-1, height, width), at_blocks

    def guided(self, hs: Image | CubeImage, ms: Image | CubeImage, fine: Window, ratio: int, sigma_px: float) -> Warp:
        """The same with the gains that a window of the ms and the hs under it show."""
        blocks = block_centres(fine, ratio)
        window = around(self.in_hs(blocks), hs.outline().shape[1:], 0)
        values = np.asarray(hs.cube(window).values, np.float32)
        kept = ~np.isnan(values[~gappy_bands(values)]).any(0).ravel()
        blurred = replace(self, sigma_px=sigma_px)
        seen, _ = blurred.seen(ms, window, blocks)
        y, x = (detail(image, DETAIL_PX).reshape(len(image), -1)[:, kept] for image in (fill_bands(values), seen))
        gains = np.linalg.lstsq(x @ x.T, x @ y.T, rcond=1e-6)[0].T
        return replace(blurred, gains=np.asarray(gains, np.float64))

    def described(self) -> dict[str, Any]:
        """As plain data, JSON-able; the grids where they are not the images' own."""
        own = self.hs.crs is None and self.ms.transform == affine_type().identity()
        return {
            "to_ms": list(affine_of(self.hs))[:6] if own else None,
            "field": self.field and self.field.described(),
            "gains": None if self.gains is None else self.gains.tolist(),
            "sigma_px": self.sigma_px,
        }

    @classmethod
    def from_dict(cls, known: dict[str, Any], hs: Grid, ms: Grid) -> Warp:
        """The inverse of `described`."""
        if known["to_ms"] is not None:
            affine = affine_type()
            hs, ms = Grid(hs.shape_yx, affine(*known["to_ms"])), Grid(ms.shape_yx, affine.identity())
        field = known["field"] and Field.from_dict(known["field"])
        gains = None if known["gains"] is None else np.array(known["gains"])
        return cls(hs, ms, field, gains, known["sigma_px"])


def block_centres(fine: Window, ratio: int) -> FloatArray:
    """(2, n): the centres (y, x) of the blocks in a window of the ms, as indices of its pixels."""
    y0, x0, height, width = fine
    rows, columns = (
        np.arange(start + (ratio - 1) / 2, start + size, ratio) for start, size in ((y0, height), (x0, width))
    )
    return np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)


def around(places: FloatArray, shape_yx: Sequence[int], margin_px: int) -> Window:
    """The window that holds places (2, n) and a margin inside an image of that shape; empty where none of them is."""
    box = []
    for along, size in zip(places, shape_yx, strict=True):
        there = along[np.isfinite(along)]
        if not there.size or there.max() < -0.5 or there.min() > size - 0.5:
            return 0, 0, 0, 0
        first = max(0, floor(there.min()) - margin_px)
        box.append((first, min(size, ceil(there.max()) + 1 + margin_px) - first))
    (y, height), (x, width) = box
    return y, x, height, width
