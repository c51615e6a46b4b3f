"""Cubes as colours on a screen: which bands make red, green and blue, and which values are black and white.

True colour where wavelengths are known; false colour as photo-interpreters use it, near infrared shown as red (Colwell
1956, on colour-infrared film); principal components where neither can be had.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.errors import InputError, unknown_name

Image = NDArray[np.float32]
FloatArray = NDArray[np.float64]
Limits = tuple[FloatArray, FloatArray]  # black and white of each channel, or one number for all
Kind = Literal["true", "infrared", "components"]

RGB_CENTRES_NM = (620.0, 550.0, 460.0)  # where a camera's red, green and blue are most sensitive
INFRARED_CENTRES_NM = (850.0, 650.0, 550.0)  # leaves are red, water is black
INFRARED_FROM_NM = 780.0
RGB_SIGMA_NM = 25.0
STRETCH_QUANTILES = (0.01, 0.995)
DISPLAY_GAMMA = 1 / 2.2
MOST_PIXELS = 2**16  # that principal components are found from


@dataclass(frozen=True, eq=False)
class Mix:
    """Three weighted sums of a cube's usable bands, weights (3, L), shown as red, green and blue with an exponent."""

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


def nearest_band(nm: FloatArray, wanted_nm: float) -> int:
    """The band (from 0) whose centre lies nearest to a wavelength."""
    return int(np.nanargmin(np.abs(nm - wanted_nm)))


def true_mix(nm: FloatArray | None, bands: int) -> Mix:
    """True colour, nm (L,); last, middle and first band where wavelengths are unknown."""
    if bands == 1:
        return Mix(rgb_weights(None, 1), "its one band")
    if nm is None:
        return Mix(rgb_weights(None, bands), f"bands {bands}, {bands // 2 + 1}, 1 (no wavelengths known)")
    return _mix_around(nm, RGB_CENTRES_NM)


def infrared_mix(nm: FloatArray | None) -> Mix | None:
    """Near infrared, red and green as red, green and blue; None for bands that see no near infrared.

    >>> infrared_mix(np.arange(400.0, 701.0, 10)) is None
    True
    >>> infrared_mix(np.array([550.0, 660, 865])).title
    '865, 660, 550 nm'
    """
    if nm is None or nm.max() < INFRARED_FROM_NM or nm.min() > INFRARED_CENTRES_NM[1]:
        return None
    return _mix_around(nm, INFRARED_CENTRES_NM)


def _mix_around(nm: FloatArray, centres_nm: tuple[float, float, float]) -> Mix:
    names = (f"{nm[nearest_band(nm, centre)]:.0f}" for centre in centres_nm)
    return Mix(rgb_weights(nm, len(nm), centres_nm), f"{', '.join(names)} nm")


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


def mix_for(cube: xr.DataArray, kind: Kind = "true") -> Mix:
    """What of a cube is red, green and blue. Raises: InputError for an unknown kind, or bands that cannot show it."""
    usable = only_usable(cube, "image")
    nm = wavelengths_nm(usable)
    kinds: dict[str, Callable[[], Mix | None]] = {
        "true": lambda: true_mix(nm, len(usable)),
        "infrared": lambda: infrared_mix(nm),
        "components": lambda: component_mix(cube),
    }
    if kind not in kinds:
        raise unknown_name("kind of composite", kind, kinds)
    mix = kinds[kind]()
    if mix is None:
        expected = "wavelengths from green to near infrared" if kind == "infrared" else "three bands at least"
        raise InputError(f"{len(usable)} bands that cannot show it", expected, "choose another kind")
    return mix


def composite(cube: xr.DataArray, mix: Mix, limits: Limits | None = None) -> Image:
    """(H, W, 3) in 0..1 for a screen, NaN where missing; `limits` are shown as black and white, each channel's if None.

    The mix has a weight for each usable band of the cube.
    """
    mixed = mixture(cube, mix)
    low, high = limits or stretch(mixed)
    return np.asarray(np.clip((mixed - low) / np.maximum(high - low, 1e-12), 0, 1) ** mix.gamma, np.float32)


def mixture(cube: xr.DataArray, mix: Mix) -> Image:
    """(H, W, 3): the mix of the cube's bands, the usable ones if it has no weight for all; NaN where one is missing."""
    mixed = cube if len(cube) == mix.weights.shape[1] else only_usable(cube, "image")
    values = np.asarray(mixed.values, np.float32)
    return np.asarray(np.einsum("cl,lyx->yxc", mix.weights, values))


def stretch(mixed: Image) -> Limits:
    """Black and white of each channel, for other cubes of the same unit too; missing pixels do not count."""
    whole = mixed[~np.isnan(mixed).any(2)]
    low, high = np.quantile(whole if len(whole) else np.zeros((1, mixed.shape[2])), STRETCH_QUANTILES, axis=0)
    return low, high
