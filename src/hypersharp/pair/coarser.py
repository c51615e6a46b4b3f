"""Bands of an ms that were brought onto its grid from coarser pixels, such as those of 20 m of Sentinel-2.

Repeated pixels show it at once. Interpolation leaves next to nothing of the finest octave that such a grid can hold:
1/30 (linear) or 1/250 (cubic) of the power of the octave before, where bands that were measured on the grid have 1/15
(a soft picture) to 1 (noise).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from hypersharp.describe import named_bands
from hypersharp.grid import middle
from hypersharp.io.image import CubeImage, Image

FACTORS = (2, 3, 6)  # 20 m and 60 m beside 10 m, 60 m beside 20 m
LOOKED_AT_PX = 96  # along a side, of the middle: the least that is at hand of a lazy image
LEAST_PX = 48
MOST_LEFT = 0.04  # of the power of the octave before
CLEARLY = 0.4  # of what the other bands have
REPEATS = 0.98  # of a line's pixels that are those of the line before
EDGE_PX = 4.0  # over which gaps and the border are faded out


def coarser_bands(ms: NDArray[np.floating]) -> dict[int, int]:
    """The bands of ms (l, H, W) that show no detail of their own, and of how many pixels a side theirs are.

    Told from the other bands: none, where all are alike, or where too little is seen. NaN is nodata.
    """
    if min(ms.shape[1:]) < LEAST_PX or len(ms) < 2:
        return {}
    finest = np.array([finest_octaves(band) for band in faded(ms)])
    found = {band: factor for band, factor in enumerate(map(repeats, ms)) if factor > 1}
    for factor, left in zip(FACTORS, finest.T, strict=True):
        low = (left < MOST_LEFT) & [band not in found or found[band] < factor for band in range(len(ms))]
        others = left[~low & [band not in found for band in range(len(ms))]]
        limit = CLEARLY * np.median(others) if others.size else 0.0
        found |= dict.fromkeys(np.flatnonzero(low & (left < limit)).tolist(), factor)
    return dict(sorted(found.items())) if len(found) < len(ms) else {}


def faded(ms: NDArray[np.floating]) -> NDArray[np.float64]:
    """The bands about their means, gaps and the border faded out."""
    missing = np.isnan(ms).any(0)
    inside = binary_erosion(np.pad(~missing, 1), iterations=round(3 * EDGE_PX))[1:-1, 1:-1]
    weight = gaussian_filter(inside.astype(np.float64), EDGE_PX, mode="constant")
    whole = np.where(missing, 0.0, ms)
    means = (whole * weight).sum((1, 2), keepdims=True) / max(float(weight.sum()), 1e-9)
    return np.asarray((whole - means) * weight)


def finest_octaves(band: NDArray[np.float64]) -> list[float]:
    """For each factor, what is beyond the reach of pixels so many times as wide, as a share of what they show best."""
    power = np.abs(np.fft.rfft2(band)) ** 2
    y, x = np.fft.fftfreq(band.shape[0])[:, None], np.fft.rfftfreq(band.shape[1])
    frequency = np.maximum(np.abs(y), x)
    shares = []
    for factor in FACTORS:
        held = power[(frequency > 0.24 / factor) & (frequency < 0.44 / factor)].sum()
        shares.append(float(power[frequency > 0.6 / factor].sum() / held) if held > 0 else np.inf)
    return shares


def repeats(band: NDArray[np.floating]) -> int:
    """How many times each pixel stands along either axis, 1 where not along both."""
    factors = []
    for lines in (band, band.T):
        alike = (lines[1:] == lines[:-1]).mean(1) >= REPEATS
        factors.append(round(1 / max(1 - float(alike.mean()), 1 / (2 * max(FACTORS)))))
    return min(factors) if max(factors) <= max(FACTORS) + 1 else 1


def coarser_warnings(image: Image | CubeImage, kept: NDArray[np.intp]) -> Iterator[str]:
    """What people should know of bands that are coarser than the others of an ms, of those kept."""
    ms = image.cube(middle(image.outline().shape[1:], LOOKED_AT_PX))
    found = coarser_bands(np.asarray(ms.values[kept], np.float64))
    for factor in sorted(set(found.values())):
        bands = [int(kept[band]) for band, own in found.items() if own == factor]
        show = "shows" if len(bands) == 1 else "show"
        yield (
            f"{named_bands(ms, bands, 'ms')}: {show} no detail finer than {factor} ms pixels, unlike the others; "
            "the result is as soft where it follows them: it is mostly better without"
        )
