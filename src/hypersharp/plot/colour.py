"""Cubes as colours on a screen: which bands make red, green and blue, and which values are black and white.

True colour where wavelengths tell; false colour as photo-interpreters use it, near infrared shown as red (Colwell
1956, on colour-infrared film); principal components where neither can be had.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable, wavelengths_nm

Image = NDArray[np.float32]
FloatArray = NDArray[np.float64]
Limits = tuple[FloatArray, FloatArray]  # of each channel, or one number for all

RGB_CENTRES_NM = (620.0, 550.0, 460.0)  # where a camera's red, green and blue are most sensitive
INFRARED_CENTRES_NM = (850.0, 650.0, 550.0)  # leaves are red, water is black
INFRARED_FROM_NM = 780.0
RGB_SIGMA_NM = 25.0
STRETCH_QUANTILES = (0.01, 0.995)
DISPLAY_GAMMA = 1 / 2.2
MOST_PIXELS = 2**16  # that principal components are found from


@dataclass(frozen=True, eq=False)
class Mix:
    """Three weighted sums of a cube's bands, weights (3, L), shown as red, green and blue with an exponent."""

    weights: Image
    title: str
    gamma: float = DISPLAY_GAMMA


def rgb_weights(
    wavelengths: FloatArray | None, bands: int, centres_nm: tuple[float, float, float] = RGB_CENTRES_NM
) -> Image:
    """(3, L) weights of red, green and blue, rows sum to 1; by thirds of the axis where wavelengths are unknown.

    >>> rgb_weights(np.arange(400.0, 701.0, 10), 31).argmax(1).tolist()
    [22, 15, 6]
    """
    if wavelengths is None:
        weights = np.eye(bands)[[bands - 1, bands // 2, 0]]
    else:
        distance = (wavelengths - np.array(centres_nm)[:, None]) / RGB_SIGMA_NM
        nearest = np.abs(distance).min(1, keepdims=True)  # outside the visible: the nearest band
        distance -= nearest * np.sign(distance)
        weights = np.exp(-0.5 * distance**2)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def true_mix(nm: FloatArray | None, bands: int) -> Mix:
    """True colour, nm (L,); last, middle and first band where wavelengths are unknown."""
    if bands == 1:
        return Mix(rgb_weights(None, 1), "its one band")
    if nm is None:
        return Mix(rgb_weights(None, bands), f"bands {bands}, {bands // 2 + 1}, 1 (no wavelengths known)")
    return Mix(rgb_weights(nm, bands), "{:.0f}, {:.0f}, {:.0f} nm".format(*shown_nm(nm, RGB_CENTRES_NM)))


def infrared_mix(nm: FloatArray | None) -> Mix | None:
    """Near infrared, red and green as red, green and blue; None for bands that see no near infrared.

    >>> infrared_mix(np.arange(400.0, 701.0, 10)) is None
    True
    >>> infrared_mix(np.array([550.0, 660, 865])).title
    '865, 660, 550 nm'
    """
    if nm is None or nm.max() < INFRARED_FROM_NM or nm.min() > INFRARED_CENTRES_NM[1]:
        return None
    weights = rgb_weights(nm, len(nm), INFRARED_CENTRES_NM)
    return Mix(weights, "{:.0f}, {:.0f}, {:.0f} nm".format(*shown_nm(nm, INFRARED_CENTRES_NM)))


def shown_nm(nm: FloatArray, centres_nm: tuple[float, float, float]) -> list[float]:
    """The bands nearest to some centres, nm."""
    return [float(nm[np.abs(nm - centre).argmin()]) for centre in centres_nm]


def component_mix(cube: xr.DataArray) -> Mix | None:
    """The first three principal components of a cube's usable bands; None for fewer than three."""
    values = only_usable(cube, "image").values.reshape(-1, cube.shape[1] * cube.shape[2])
    values = values[:, np.isfinite(values).all(0)]
    values = values[:, :: max(1, values.shape[1] // MOST_PIXELS)].astype(np.float64)
    if min(values.shape) < 3:
        return None
    vectors = np.linalg.eigh(np.cov(values))[1][:, :-4:-1].T
    vectors *= np.sign(vectors[np.arange(3), np.abs(vectors).argmax(1)])[:, None]
    return Mix(vectors.astype(np.float32), "principal components 1, 2, 3", 1.0)


def composite(cube: xr.DataArray, mix: Mix, limits: Limits | None = None) -> Image:
    """(H, W, 3) in 0..1 for a screen, NaN where missing; `limits` are shown as black and white, each channel's if None.

    The mix has a weight for each usable band of the cube.
    """
    mixed = mixture(cube, mix)
    low, high = limits or quantiles(mixed, True)
    return np.asarray(np.clip((mixed - low) / np.maximum(high - low, 1e-12), 0, 1) ** mix.gamma, np.float32)


def composite_limits(cube: xr.DataArray, mix: Mix) -> Limits:
    """Black and white of each channel, by which other cubes of the same unit can be shown too."""
    return quantiles(mixture(cube, mix), True)


def mixture(cube: xr.DataArray, mix: Mix) -> Image:
    """(H, W, 3): the mix of the cube's usable bands, in its unit; NaN where one is missing."""
    values = np.asarray(only_usable(cube, "image").values, np.float32)
    mixed: Image = np.einsum("cl,lyx->yxc", mix.weights, values)
    return mixed


def quantiles(mixed: Image, each: bool) -> Limits:
    """What to show as black and white, of each channel or of all together; missing pixels do not count."""
    low, high = np.nanquantile(mixed, STRETCH_QUANTILES, axis=(0, 1) if each else None)
    return low, high


def true_colour(cube: xr.DataArray, limits: Limits | None = None) -> Image:
    """(H, W, 3) in 0..1 for a screen; `limits` are the values shown as black and white, by quantile if None."""
    low, high = limits or colour_limits(cube)
    shares = np.clip((mix_rgb(cube) - low) / np.maximum(high - low, 1e-12), 0, 1)
    return np.asarray(shares**DISPLAY_GAMMA, np.float32)


def colour_limits(cube: xr.DataArray, balanced: bool = False) -> Limits:
    """Black and white of a cube's true colour, so that several pictures can share them.

    `balanced` finds them for red, green and blue apart, which takes the light's own colour out.
    """
    return quantiles(mix_rgb(cube), balanced)


def mix_rgb(cube: xr.DataArray) -> Image:
    """(H, W, 3) red, green and blue in the cube's unit, missing pixels 0."""
    values = np.nan_to_num(np.asarray(cube.values, dtype=np.float32))
    rgb: Image = np.einsum("cl,lyx->yxc", rgb_weights(wavelengths_nm(cube), len(values)), values)
    return rgb
