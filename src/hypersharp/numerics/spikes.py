"""Values of hs that stand out by far of all around them, where the ms shows nothing, and what is put in their place.

A glint that only hs saw, a number that stands for saturation, a bad element of a detector: one of them in a scene of
thousands spoils what is learned of all of it. They become the median around them, and what the ms shows there beyond
its own. What an instrument really saw reaches into the pixels beside it, and the ms shows it too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

IN_THE_MIDDLE = 0.01, 0.99  # quantiles of a band, between which its range lies
MOST_PIXELS = 20_000  # that quantiles are read off, evenly spread
LEAST_RANGE = 0.1  # of the median of all bands' ranges
STANDS_OUT = 2.0  # ranges off the median around it
SHOWN = 0.25  # of that, in the ms, for it to be no fault
LEAST_SHARE = 0.01  # of the strongest direction of ms: what it shows less of tells nothing
MOST = 0.05  # of the pixels; where more stand out, it is what the scene is like
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]

Image = NDArray[np.generic]  # (n, y, x), NaN for nodata
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Spikes:
    """The ranges of a scene's bands, lower and upper ends: of hs (2, L), and of ms on its grid (2, l).

    `gains` (L, l): how hs follows the ms there.
    """

    hs: Floats
    ms: Floats
    gains: Floats

    @classmethod
    def of(cls, hs: Image, ms: Image) -> Spikes:
        """hs (L, h, w), ms (l, H, W); nothing stands out where values far out are what the scene is like."""
        images = hs.reshape(len(hs), -1), block_means(ms, hs.shape[1]).reshape(len(ms), -1)
        measured = np.flatnonzero(np.isfinite(images[0]).all(0) & np.isfinite(images[1]).all(0))
        some = measured[:: max(1, -(-measured.size // MOST_PIXELS))]
        y, x = (image[:, some].astype(np.float64) for image in images)
        made = cls(band_ranges(y), band_ranges(x), np.zeros((len(y), len(x))))
        if made.beyond(hs).sum() > max(1, MOST * hs[0].size):
            return replace(made, hs=np.full_like(made.hs, np.inf) * [[-1], [1]])
        kept = ~made.beyond(y)
        if kept.sum() <= len(x):
            return made
        y, x = (image[:, kept] - image[:, kept].mean(1, keepdims=True) for image in (y, x))
        return replace(made, gains=np.linalg.lstsq(x.T, y.T, rcond=LEAST_SHARE)[0].T)

    def beyond(self, hs: Image) -> NDArray[np.bool_]:
        """Which pixels of hs (L, ..) have a value so far out that it may stand out: a median lies within the range."""
        low, high = self.hs.reshape(2, -1, *[1] * (hs.ndim - 1))
        reach = STANDS_OUT / 2 * (high - low)
        found: NDArray[np.bool_] = ((hs < low - reach) | (hs > high + reach)).any(0)
        return found

    def replaced(self, hs: Image, ms: Image) -> tuple[Image, int]:
        """hs (L, h, w) of a part of the scene without spikes, and in how many of its pixels there were some."""
        bands, y, x, usual = self.find(hs, ms)
        if not bands.size:
            return hs, 0
        values = hs.copy()
        kind: np.dtype[Any] = values.dtype
        if kind.kind in "iu":
            usual = np.clip(np.rint(usual), np.iinfo(kind).min, np.iinfo(kind).max)
        values[bands, y, x] = usual
        return values, len(np.unique(np.stack([y, x]), axis=1).T)

    def find(self, hs: Image, ms: Image) -> tuple[Places, Places, Places, Floats]:
        """Band, row and column of each spike, and what is usual there."""
        y, x = np.nonzero(self.beyond(hs))
        if not y.size:
            return y[:0], y[:0], y[:0], np.zeros(0)
        coarse = block_means(ms, hs.shape[1])
        (off, medians), (shown, around) = stands_out(hs, y, x, self.hs), stands_out(coarse, y, x, self.ms)
        bands, pixels = np.nonzero((off > STANDS_OUT) & (shown.max(0) < SHOWN * off))
        usual = medians + self.gains @ np.nan_to_num(coarse[:, y, x] - around)
        return bands, y[pixels], x[pixels], usual[bands, pixels]


def band_ranges(pixels: Floats) -> Floats:
    """(2, n): the ends of the range of each band of pixels (n, N)."""
    if not pixels.shape[1]:
        return np.full((2, len(pixels)), np.nan)
    ends = np.quantile(pixels, IN_THE_MIDDLE, axis=1)
    middle, half = ends.mean(0), (ends[1] - ends[0]) / 2
    half = np.maximum(half, LEAST_RANGE * np.median(half))
    return np.stack([middle - half, middle + half])


def stands_out(image: Image, y: Places, x: Places, ends: Floats) -> tuple[Floats, Floats]:
    """How many ranges k pixels of an image lie off the median of the eight around them; those medians, (n, k) each."""
    rows, columns = (
        (at[:, None] + step).clip(0, size - 1)
        for at, step, size in zip((y, x), np.array(AROUND).T, image.shape[1:], strict=True)
    )
    around = image[:, rows, columns].astype(np.float64)
    alone = np.isnan(around).all(2)
    around[alone] = 0
    medians = np.where(alone, np.nan, np.nanmedian(around, axis=2))
    width = (ends[1] - ends[0])[:, None]
    off = np.abs(image[:, y, x].astype(np.float64) - medians)
    return np.divide(off, width, out=np.zeros_like(off), where=width > 0), medians


def block_means(ms: Image, height: int) -> Floats:
    """ms (l, H, W) on a grid of so many rows of square blocks."""
    bands, rows, columns = ms.shape
    ratio = rows // height
    means: Floats = ms.reshape(bands, height, ratio, columns // ratio, ratio).mean((2, 4), dtype=np.float64)
    return means
