"""How much white noise images carry, and how many dimensions stand out of it, read off the images themselves.

Two things tell noise from signal. Other bands explain a band's signal linearly, not its noise (Roger and Arnold 1996,
Int. J. Remote Sensing 17(10); HySime, Bioucas-Dias and Nascimento 2008, IEEE TGRS 46(8), equations 10 to 13 and 24 to
26). Differences of neighbouring pixels leave noise and little signal (Immerkaer 1996, CVIU 64(2), equation 3), and the
median of their absolute values overlooks edges (Donoho and Johnstone 1994). Every estimate is made of these steps:

    band_noise        the other bands                    variance; what HySime and all weights of bands go by
    neighbour_noise   the bands next to it               variance, where pixels are few; the share the fit takes added
    texture_noise     pixel differences, no other band   deviation; the only way with a single band, texture counts
    unshared_noise    pixel differences, then the bands  deviation of the ms, whose few bands alone explain too little

Pixels are the columns of (L, N), images are (n, y, x); sums run in float64.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.numerics.subspace import principal_axes, second_moment

# of each band's power, keep a regression solvable where bands, neighbours or textures repeat each other
RIDGE, NEIGHBOUR_RIDGE, TEXTURE_RIDGE = 1e-10, 1e-12, 1e-9
LEAST_SIZE = 1e-100  # of a band of zeros
LEAST_NOISE = 1e-20  # variance
NORMAL_PER_MEDIAN = 1.4826  # standard deviation per median absolute value of a normal variable
DIAGONAL, CURVATURE = (1.0, -1.0), (1.0, -2.0, 1.0)  # differences along an axis
PIXELS_A_BAND = 4  # at least, in a regression on neighbouring bands
MOST_PIXELS = 20_000  # the noise of neighbours is read off as many, evenly spread


def band_noise(pixels: Tensor, window: int | None = None) -> Tensor:
    """The noise variance (L,) of each band: what the others, or `window` bands with it, do not explain of it.

    (R^-1)_bb is the inverse of the residual power of band b on the others, R the sum of y y'. Corrected for the
    degrees of freedom the regression takes; needs more pixels than bands, else zeros (unknown).
    """
    bands, count = pixels.shape
    ridge, window = (NEIGHBOUR_RIDGE, window) if window else (RIDGE, bands)
    variance = pixels.new_zeros(bands, dtype=torch.float64)
    if count > window:
        for rows, own, inverse in regressions(pixels, window, ridge):
            variance[rows] = 1 / inverse.diagonal()[own] / (count - window + 1)
    return variance


def signal_rank(pixels: Tensor, *, most: int | None = None) -> int:
    """How many dimensions hold more signal than noise: HySime's minimum of projection error plus noise kept.

    Along eigenvector e of the signal's moment, keeping it costs 2 e'N e (noise) and saves e'R e (power).
    At least 1, at most min(L, N, most).
    """
    kept = signal_axes(pixels, band_noise(pixels)).shape[1]
    limit: int = min(kept, *pixels.shape, most or kept)
    return max(1, limit)


def signal_axes(pixels: Tensor, variance: Tensor) -> Tensor:
    """Orthonormal axes (L, p), in float64, along which pixels (L, N) hold more signal than noise of variance (L,)."""
    moment, noise = second_moment(pixels) / pixels.shape[1], variance.to(pixels.device, torch.float64)
    vectors = principal_axes(moment - noise.diag())
    power = ((moment @ vectors) * vectors).sum(0)
    return vectors[:, power > 2 * (noise @ vectors.square())]


def white_axes(pixels: Tensor, variance: Tensor) -> Tensor:
    """Orthonormal axes (L, p), in float64, that stand out of the noise of pixels (L, N) in units of it, p at least 1.

    There white noise alone shows powers of up to (1 + sqrt(L/N))^2 (Marchenko and Pastur 1967). Unlike the axes of
    HySime they are the same whatever the unit of each band is. A band of variance 0 takes no part.
    """
    bands, count = pixels.shape
    deviation = variance.to(pixels.device, torch.float64).sqrt()[:, None]
    moment = second_moment(torch.where(deviation > 0, pixels / deviation, 0.0)) / count
    vectors = principal_axes(moment)
    power = ((moment @ vectors) * vectors).sum(0)
    kept = int((power > (1 + math.sqrt(bands / count)) ** 2).sum())
    return vectors[:, : max(1, min(kept, count))]


def neighbour_noise(pixels: Tensor) -> Tensor:
    """The noise variance (L,) of bands of which as many neighbours are looked at as the pixels allow.

    Of w bands with p signal dimensions the regression itself adds the share p / w, which is taken off.
    """
    pixels = pixels[:, :: -(-pixels.shape[1] // MOST_PIXELS)]
    window, share = window_bands(pixels)
    return band_noise(pixels, window) * share if window else torch.zeros(len(pixels)).double()


def neighbour_residuals(pixels: Tensor) -> Tensor:
    """What a band's neighbours do not explain of it, (L, N), scaled to the variance of `neighbour_noise`."""
    (window, share), count = window_bands(pixels), pixels.shape[1]
    if not window:
        return torch.zeros_like(pixels)
    return residuals(pixels, window, NEIGHBOUR_RIDGE) * math.sqrt(count / (count - window + 1) * share)


def texture_noise(image: Tensor, valid: Tensor | None = None) -> Tensor:
    """The standard deviation (n,) of the noise of each band (n, y, x), by diagonal differences of 2 x 2 pixels."""
    return normal_deviation(texture(image, DIAGONAL, valid))


def unshared_noise(image: Tensor, valid: Tensor | None = None) -> Tensor:
    """The standard deviation (n,) of the noise of an image (n, y, x), by what its bands' textures do not share.

    The texture is that of two second differences, which planes and most edges leave zero.
    """
    found = texture(image, CURVATURE, valid)
    return normal_deviation(residuals(found, len(found), TEXTURE_RIDGE) if found.shape[1] > len(found) else found)


def signal_to_noise_db(pixels: Tensor, variance: Tensor) -> float:
    """Of the middle one of the bands (L, N) with noise of that variance (L,), in dB."""
    power = pixels.to(torch.float64).square().mean(1)
    return 10 * float((power / variance.clamp(min=LEAST_NOISE)).log10().median())


def texture(image: Tensor, difference: tuple[float, ...], valid: Tensor | None) -> Tensor:
    """(n, N): a difference along both axes of (n, y, x), at unit gain of white noise, where all it sees is valid.

    Everywhere where that leaves nothing; zeros of an image that is smaller than the difference.
    """
    side, profile = len(difference), image.new_tensor(difference)
    if min(image.shape[1:]) < side:
        return image.new_zeros(len(image), 1)
    mask = torch.outer(profile, profile) / profile.square().sum()
    found = F.conv2d(image[:, None], mask[None, None])[:, 0]
    if valid is not None:
        whole = -F.max_pool2d(-valid[None, None].to(image), side, stride=1)[0, 0] > 0
        if whole.any():
            return found[:, whole]
    return found.flatten(1)


def normal_deviation(values: Tensor) -> Tensor:
    """(n, N) -> (n,): the standard deviation of normal values, from their median absolute value."""
    return values.abs().median(1).values.mul(NORMAL_PER_MEDIAN)


def residuals(pixels: Tensor, window: int, ridge: float) -> Tensor:
    """What the others of `window` neighbouring bands do not explain of each band, (L, N)."""
    left = torch.empty_like(pixels)
    for rows, own, inverse in regressions(pixels, window, ridge):
        weights = (inverse / inverse.diagonal()[:, None])[own].to(pixels)
        left[rows] = weights @ pixels[rows.stop - window : rows.stop]
    return left


def window_bands(pixels: Tensor) -> tuple[int, float]:
    """How many bands of (L, N) are regressed on each other, and the share of the noise in what that leaves.

    More bands where pixels are many; 0 where they are too few.
    """
    bands, count = pixels.shape
    window = min(bands, max(2, count // PIXELS_A_BAND))
    if count <= window or bands == 1:
        return 0, 0.0
    rank = white_axes(pixels, band_noise(pixels, window)).shape[1]
    return window, 1 - min(rank, window - 1) / window


def regressions(pixels: Tensor, window: int, ridge: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """Bands of (L, N), where among the `window` bands that end with them they are, and the inverse moment of those.

    Where the ridge is so low that rounding shows in the inverse of bands without noise, by NumPy on every device.
    """
    by_numpy = ridge < RIDGE
    if by_numpy:
        values = pixels.to("cpu", torch.float64).numpy()
        moment = torch.from_numpy(values @ values.T)
    else:
        moment = second_moment(pixels)
    # at unit power, so that what a band is measured in tells nothing
    size = moment.diagonal().sqrt().clamp(min=LEAST_SIZE)
    sizes = torch.outer(size, size)
    moment /= sizes
    moment.diagonal().add_(ridge)
    for first in range(len(pixels) - window + 1):
        end = first + window
        start = window // 2 if first else 0
        block = moment[first:end, first:end]
        inverse = torch.from_numpy(np.linalg.inv(block.numpy())) if by_numpy else torch.linalg.inv(block)
        inverse /= sizes[first:end, first:end]
        yield slice(first + start, end), slice(start, None), inverse.to(pixels.device)
