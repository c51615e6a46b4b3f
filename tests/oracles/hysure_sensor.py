"""HySure's own estimate of the sensor, as its original program makes it: response and blur of free signs.

Source: HySure, Simoes et al. 2015 (IEEE TGRS 53(6)), section IV: both images are blurred by a box, so that the PSF
matters little, and R is fitted by ridge regression on differences of neighbouring bands; then B is fitted to R hs, hs
projected on its signal subspace, by ridge regression on differences of neighbouring taps. The fit sees B as a
correlation with patches of ms; the program uses those weights, unflipped, as a convolution kernel, which is right for
point-symmetric blurs only.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

BOX_PX = 4  # half width of the box on ms, at every ratio
SUPPORT_PX = 10
WEIGHT = 10.0  # of both smoothness terms, for values of about 0..1

Image = NDArray[np.float64]
Coverage = Sequence[Sequence[int]]


def estimate_as_hysure(
    hs: Image, ms: Image, ratio: int, coverage: Coverage, gaps: Sequence[int], dimensions: int
) -> Sensor:
    """hs (L, h, w), ms (l, H, W); coverage: the hs bands of each ms band; gaps: bands with no neighbour after them."""
    kept = (slice(None), slice(1, None, ratio), slice(1, None, ratio))
    seen = box_mean(ms, BOX_PX)[kept].reshape(len(ms), -1)
    pixels = box_mean(hs, int(np.floor(BOX_PX / ratio + 0.5))).reshape(len(hs), -1)
    response = np.zeros((len(ms), len(hs)))
    for row, target, bands in zip(response, seen, coverage, strict=True):
        chosen = pixels[list(bands)]
        smooth = WEIGHT * difference_gram(bands, gaps)
        row[list(bands)] = np.linalg.solve(chosen @ chosen.T + smooth, chosen @ target)
    axes = np.linalg.svd(hs.reshape(len(hs), -1), full_matrices=False)[0][:, :dimensions]
    taps = fit_taps(np.tensordot(response @ axes @ axes.T, hs, 1), ms, ratio)
    gain = taps.sum()
    return Sensor(PSF(np.pad(taps / gain, ((1, 0), (1, 0))), (1, 1)), response / gain, ratio)


def box_mean(image: Image, half: int) -> Image:
    """The circular mean over (2 half + 1)^2 pixels."""
    return np.asarray(uniform_filter(image, (0, 2 * half + 1, 2 * half + 1), mode="wrap"))


def difference_gram(bands: Sequence[int], gaps: Sequence[int] = ()) -> Image:
    """D'D of first differences between neighbours within `bands`; none across a gap."""
    gram = np.zeros((len(bands), len(bands)))
    for i, (band, following) in enumerate(pairwise(bands)):
        if following == band + 1 and band not in gaps:
            gram[i : i + 2, i : i + 2] += [[1, -1], [-1, 1]]
    return gram


def fit_taps(target: Image, ms: Image, ratio: int) -> Image:
    """b (10, 10): target(i) is about the sum of b times the patch of ms around ratio i + 1; none over the border."""
    before = (SUPPORT_PX - 1) // 2
    line, one = difference_gram(range(SUPPORT_PX)), np.eye(SUPPORT_PX)
    gram, rhs = WEIGHT * (np.kron(line, one) + np.kron(one, line)), np.zeros(SUPPORT_PX**2)
    windows = np.lib.stride_tricks.sliding_window_view(ms, (SUPPORT_PX, SUPPORT_PX), axis=(1, 2))
    for y, x in np.ndindex(*target.shape[1:]):
        top, left = ratio * y + 1 - before, ratio * x + 1 - before
        if min(top, left) >= 0 and top < windows.shape[1] and left < windows.shape[2]:
            patches = windows[:, top, left].reshape(len(ms), -1)
            gram += patches.T @ patches
            rhs += target[:, y, x] @ patches
    return np.asarray(np.linalg.solve(gram, rhs)).reshape(SUPPORT_PX, SUPPORT_PX)
