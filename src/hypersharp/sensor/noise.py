"""How much noise the images carry, read off themselves.

HySime's regression of every band on the others (Bioucas-Dias and Nascimento 2008, IEEE TGRS 46(8), eqs. 10 to 13),
on its neighbours alone where pixels are few; bands of an ms of few are also measured by their diagonal differences
(median absolute deviation, Donoho and Johnstone 1994), and the smaller counts: texture makes both too large.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from hypersharp.numerics.subspace import signal_rank
from hypersharp.sensor.moments import Mask
from hypersharp.sensor.tables import FloatArray

PIXELS_A_BAND = 4  # at least, in a regression
MOST_PIXELS = 20_000  # noise is read off as many, evenly spread
MAD = 0.6745  # median absolute deviation of a normal distribution of sigma 1
RIDGE = 1e-12
MOST_DB = 200.0


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard deviations of the noise of hs (L,) and ms (l,), in their unit, and signal-to-noise ratios in dB."""

    hs: FloatArray
    ms: FloatArray
    hs_snr_db: FloatArray
    ms_snr_db: FloatArray


def measure_noise(hs: FloatArray, ms: FloatArray, hs_valid: Mask, ms_valid: Mask) -> Noise:
    """Noise of hs (L, h, w) and ms (l, H, W) over measured pixels."""
    hs_pixels, ms_pixels = hs[:, hs_valid], ms[:, ms_valid]
    hs_sd = np.sqrt(regression_noise(hs_pixels))
    ms_sd = np.array([difference_noise(band, ms_valid) for band in ms])
    if len(ms) > 1:
        ms_sd = np.minimum(ms_sd, np.sqrt(regression_noise(ms_pixels)))
    return Noise(hs_sd, ms_sd, snr_db(hs_pixels, hs_sd), snr_db(ms_pixels, ms_sd))


def regression_noise(pixels: FloatArray) -> FloatArray:
    """The variance (L,) of what a band's neighbours do not explain of it, of pixels (L, N).

    Of w bands with p signal dimensions the regression itself adds the share p / w, which is taken off.
    """
    pixels = pixels[:, :: -(-pixels.shape[1] // MOST_PIXELS)]
    variance, window = np.zeros(len(pixels)), window_bands(pixels)
    if window:
        for rows, told, inverse in regressions(pixels, window):
            variance[rows] = 1 / np.diag(inverse)[told]
        variance *= noise_share(pixels, window) / pixels.shape[1]
    return variance


def regression_residuals(pixels: FloatArray) -> FloatArray:
    """What a band's neighbours do not explain of it, (L, N), scaled to the variance of `regression_noise`."""
    left, window = np.zeros_like(pixels), window_bands(pixels)
    if window:
        for rows, told, inverse in regressions(pixels, window):
            around = slice(rows.stop - window, rows.stop)
            left[rows] = (inverse @ pixels[around])[told] / np.diag(inverse)[told, None]
        left *= np.sqrt(noise_share(pixels, window))
    return left


def noise_share(pixels: FloatArray, window: int) -> float:
    """The variance of the noise of pixels (L, N) by that of the residuals."""
    count, rank = pixels.shape[1], min(signal_rank(torch.from_numpy(pixels)), window - 1)
    return float(count / (count - window + 1) * (1 - rank / window))


def window_bands(pixels: FloatArray) -> int:
    """How many bands of (L, N) are regressed on each other, more where pixels are many; 0: they are too few."""
    bands, count = pixels.shape
    window = int(min(bands, max(2, count // PIXELS_A_BAND)))
    return window if count > window and bands > 1 else 0


def regressions(pixels: FloatArray, window: int) -> Iterator[tuple[slice, slice, FloatArray]]:
    """Bands of (L, N), where among the `window` bands that end with them they are, and the inverse moment of those."""
    moment, bands = pixels @ pixels.T, len(pixels)
    ridge = (RIDGE * float(np.trace(moment)) / bands + 1e-300) * np.eye(window)
    for first in range(bands - window + 1):
        inverse = np.asarray(np.linalg.inv(moment[first : first + window, first : first + window] + ridge))
        start = window // 2 if first else 0
        yield slice(first + start, first + window), slice(start, None), inverse


def difference_noise(band: FloatArray, valid: Mask) -> float:
    """The standard deviation of the noise of band (H, W): that of diagonal differences of 2 x 2 pixels, halved."""
    y, x = slice(None, -1), slice(1, None)
    gaps = band[y, y] - band[y, x] - band[x, y] + band[x, x]
    whole = valid[y, y] & valid[y, x] & valid[x, y] & valid[x, x]
    return float(np.median(np.abs(gaps[whole]))) / MAD / 2 if whole.any() else 0.0


def snr_db(pixels: FloatArray, noise: FloatArray) -> FloatArray:
    """10 log10(mean square / noise variance) of each band of pixels (L, N), 200 dB at most."""
    power = np.mean(pixels**2, axis=1)
    share = noise**2 / np.maximum(power, 1e-300)
    return np.asarray(-10 * np.log10(np.maximum(share, 10 ** (-MOST_DB / 10))))
