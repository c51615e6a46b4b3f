"""Colours for the screen from values: which bands make red, green and blue, black and white points, RGBA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hypersharp.plot.colour import INFRARED_CENTRES_NM, RGB_CENTRES_NM

Floats = NDArray[np.float32]
Limits = tuple[tuple[float, float], ...]  # the value shown black and the one shown white, a channel

COMPOSITES: dict[str, tuple[float, ...]] = {
    "True colour": RGB_CENTRES_NM,
    "Colour infrared": INFRARED_CENTRES_NM,
    "Short-wave infrared": (2200.0, 860.0, 650.0),
}
ENOUGH = 250_000  # values for a percentile
FAR_NM = 100.0  # no composite from a band that lies further off
MISSING = 0  # RGBA of a pixel without a value: nothing is drawn


@dataclass(frozen=True)
class Stretch:
    """Percentiles shown black and white, and the gamma between them (1 is linear, more is brighter)."""

    low: float = 1.0
    high: float = 99.0
    gamma: float = 1.4


def composite_bands(name: str, nm: NDArray[np.float64] | None, bands: int) -> tuple[int, ...] | None:
    """The bands (from 0) for red, green and blue; None where the image has none near enough.

    Without wavelengths true colour is last, middle, first, as they ascend.

    >>> composite_bands("True colour", np.array([460.0, 550, 620, 800]), 4)
    (2, 1, 0)
    """
    if nm is None:
        return (bands - 1, bands // 2, 0) if name == "True colour" else None
    chosen = tuple(nearest_band(nm, centre) for centre in COMPOSITES[name])
    near = all(abs(nm[band] - c) <= FAR_NM for band, c in zip(chosen, COMPOSITES[name], strict=True))
    return chosen if near else None


def nearest_band(nm: NDArray[np.float64], wanted_nm: float) -> int:
    """The band whose centre lies nearest."""
    return int(np.nanargmin(np.abs(nm - wanted_nm)))


def matching_band(
    band: int, nm: NDArray[np.float64] | None, bands: int, other_nm: NDArray[np.float64] | None, others: int
) -> int:
    """The band of another image for a band of this one: by wavelength, else by its share of the list.

    >>> matching_band(1, np.array([500.0, 600]), 2, np.array([400.0, 500, 590]), 3)
    2
    """
    if nm is not None and other_nm is not None:
        return nearest_band(other_nm, float(nm[band]))
    return round(band * (others - 1) / max(bands - 1, 1))


def limits(values: Floats, stretch: Stretch) -> Limits:
    """The percentiles of each channel of (channel, y, x)."""
    found = []
    for channel in values:
        there = channel[np.isfinite(channel)]
        there = there[:: max(1, there.size // ENOUGH)]
        low, high = np.percentile(there, (stretch.low, stretch.high)) if there.size else (0.0, 1.0)
        found.append((float(low), float(high) if high > low else float(low) + 1e-6 * max(1.0, abs(low))))
    return tuple(found)


def rgba(values: Floats, between: Limits, gamma: float, palette: Sequence[str]) -> NDArray[np.uint32]:
    """(y, x) pixels for a screen from three channels, or from one through a palette of `#rrggbb`."""
    shares = [_shares(channel, *ends, gamma) for channel, ends in zip(values, between, strict=True)]
    if len(shares) == 1:
        colours = palette_colours(palette)[np.rint(shares[0] * (len(palette) - 1)).astype(int)]
    else:
        colours = np.rint(255 * np.stack(shares, -1)).astype(np.uint8)
    opaque = np.where(np.isfinite(values).all(0), 255, MISSING).astype(np.uint8)
    found: NDArray[np.uint8] = np.dstack([colours, opaque])
    return np.ascontiguousarray(found).view("<u4")[..., 0]


def _shares(channel: Floats, low: float, high: float, gamma: float) -> Floats:
    """Values as shares 0..1 of full brightness, 0 where missing."""
    share = np.clip((np.nan_to_num(channel, nan=low) - low) / (high - low), 0, 1)
    return np.asarray(share ** (1 / gamma), np.float32)


def palette_colours(palette: Sequence[str]) -> NDArray[np.uint8]:
    """(n, 3) of `#rrggbb`."""
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in palette], np.uint8)
