"""Quality without a truth, from what estimate, hs and ms say of each other: D_lambda, D_s, QNR, HQNR, residuals.

Z: estimate (L, H, W); Y: hs (L, h, w); M: ms (l, H, W); M_: ms on the grid of hs; Q: the universal image quality
index (Wang and Bovik 2002) of two bands, the mean over blocks that share no pixel.

D_lambda  mean over pairs of bands a != b of |Q(Z_a, Z_b) - Q(Y_a, Y_b)|       (Alparone et al. 2008, eq. 5, p = 1)
D_s       mean over bands b of |Q(Z_b, M_k) - Q(Y_b, M_k_)|                              (there, eq. 6, q = 1)
QNR       (1 - D_lambda) (1 - D_s)                                          (there, eq. 8, alpha = beta = 1)
D_lambda of Khan et al. 2009: 1 - mean over bands of Q(degraded Z_b, Y_b); a mean over bands instead of Q4
HQNR      (1 - D_lambda of Khan) (1 - D_s)                                            (Aiazzi et al. 2014)

Alparone et al.: Photogrammetric Engineering & Remote Sensing 74(2); Khan et al.: IEEE TGRS 47(11); Aiazzi et al.:
Proc. SPIE 9244. With several ms bands, k is the one of M_ that correlates best with Y_b, as hyper-sharpening
pairs them (Selva et al. 2015, IEEE JSTARS 8(6)). As in the first paper, a block covers the same ground on both
grids: about 32 fine pixels, but at least 8 coarse ones, along a side.

All take float64 arrays with NaN where a pixel is missing; a block counts where half of it, on both grids, is there.
What is not defined (no block counts, a single band) is NaN.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.quality.metrics import quality_index

FloatArray = NDArray[np.float64]

FINE_PX, LEAST_COARSE_PX = 32, 8


def d_lambda(estimate: FloatArray, hs: FloatArray) -> float:
    """Spectral distortion, 0..1 and more, of estimate (L, H, W) and hs (L, h, w).

    Sees colours that shifted, not a change that all bands share, nor tells it from what true detail adds: 0 is what
    the enlarged hs has; the truth itself has some.

    Raises: InputError for sizes of no whole ratio, or another number of bands.
    """
    total, blocks = np.zeros((len(hs), len(hs))), 0
    for fine, coarse in same_ground(estimate, hs):
        total += quality_matrix(fine, fine) - quality_matrix(coarse, coarse)
        blocks += 1
    pairs = blocks * len(hs) * (len(hs) - 1)  # a band with itself adds nothing to the sum
    return float(np.abs(total).sum() / pairs) if pairs else float("nan")


def d_s(estimate: FloatArray, hs: FloatArray, ms: FloatArray, coarse_ms: FloatArray) -> float:
    """Spatial distortion, 0..1 and more, of estimate (L, H, W), hs (L, h, w), ms (l, H, W) and coarse_ms (l, h, w).

    Sees detail that is missing or overdone, not whether detail is right where ms does not show it; the truth is not
    at 0, for relations do change with the pixel size.

    Raises: InputError as `d_lambda`.
    """
    bands, partner = len(hs), best_partner(hs, coarse_ms)
    total, blocks = np.zeros((bands, len(ms))), 0
    for fine, coarse in same_ground(np.concatenate([estimate, ms]), np.concatenate([hs, coarse_ms])):
        total += quality_matrix(fine[:bands], fine[bands:]) - quality_matrix(coarse[:bands], coarse[bands:])
        blocks += 1
    gaps = np.abs(total[np.arange(bands), partner])
    return float(gaps.mean() / blocks) if blocks else float("nan")


def d_lambda_khan(degraded: FloatArray, hs: FloatArray, *, ratio: int) -> float:
    """Spectral distortion, 0..2, of the degraded estimate and hs, both (L, h, w); `ratio` sizes blocks.

    Sees every error that the sensor would see, not what its blur hides: an estimate made consistent with hs is at 0
    whatever its detail.
    """
    side = block_side(ratio)
    found = [quality_matrix(a, b).diagonal() for a, b in common_blocks(degraded, hs, (side, side))]
    return float(1 - np.mean(found)) if found else float("nan")


def qnr(spectral: float, spatial: float) -> float:
    """Quality with no reference, at best 1, of a D_lambda and a D_s: QNR of Alparone's, HQNR of Khan's.

    >>> round(qnr(0.1, 0.2), 12)
    0.72
    """
    return (1 - spectral) * (1 - spatial)


def residuals(seen: FloatArray, given: FloatArray) -> FloatArray:
    """||given - seen|| / ||given|| of each band, (n, y, x) -> (n,), over the pixels that both have; NaN for zeros.

    For hs and the degraded estimate, or ms and the estimate's response: how far the estimate is from explaining what
    was measured, the sensor's error included; blind to errors that both degradations hide.
    """
    both = present(seen, given)
    gap, power = (given - seen)[:, both], given[:, both]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: FloatArray = np.linalg.norm(gap, axis=1) / np.linalg.norm(power, axis=1)
    return np.where(np.isfinite(shares), shares, np.nan)


def quality_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Q of every band of a (L, n) with every band of b (l, n): (L, l)."""
    mean_a, mean_b = a.mean(1), b.mean(1)
    centred_a, centred_b = a - mean_a[:, None], b - mean_b[:, None]
    spread = (centred_a**2).mean(1)[:, None] + (centred_b**2).mean(1)
    squares = (mean_a**2)[:, None] + mean_b**2
    return quality_index(centred_a @ centred_b.T / a.shape[1], spread, mean_a[:, None] * mean_b, squares)


def best_partner(hs: FloatArray, coarse_ms: FloatArray) -> NDArray[np.intp]:
    """For each band of hs the ms band that correlates best with it, (L,)."""
    both = present(hs, coarse_ms)
    values = np.concatenate([hs, coarse_ms])[:, both]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(values), nan=-1.0)
    best: NDArray[np.intp] = correlation[: len(hs), len(hs) :].argmax(axis=1)
    return best


def block_side(ratio: int) -> int:
    """Coarse pixels along the side of a block.

    >>> block_side(2), block_side(4), block_side(12)
    (16, 8, 8)
    """
    return max(LEAST_COARSE_PX, round(FINE_PX / ratio))


def same_ground(fine: FloatArray, coarse: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The measured pixels (bands, n) of fine and of coarse, block by block of the same ground."""
    ratio = fine.shape[1] // max(1, coarse.shape[1])
    if len(fine) != len(coarse) or fine.shape[1:] != tuple(ratio * size for size in coarse.shape[1:]):
        found = f"images of {fine.shape} and {coarse.shape}"
        raise InputError(found, "as many bands, sizes of a whole ratio", "crop them")
    side = block_side(ratio)
    return common_blocks(fine, coarse, (ratio * side, side))


def common_blocks(
    first: FloatArray, second: FloatArray, sides: tuple[int, int]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Blocks of `sides` pixels in two images: their measured pixels, where at least half of both are."""
    rows, columns = (-(-size // sides[1]) for size in second.shape[1:])
    places = [present(first), present(second)]
    if first.shape[1:] == second.shape[1:]:
        places = [places[0] & places[1]] * 2
    for row in range(rows):
        for column in range(columns):
            windows = [tuple(slice(at * side, (at + 1) * side) for at in (row, column)) for side in sides]
            there = [place[window] for place, window in zip(places, windows, strict=True)]
            if all(2 * t.sum() >= side**2 for t, side in zip(there, sides, strict=True)):
                yield first[:, *windows[0]][:, there[0]], second[:, *windows[1]][:, there[1]]


def present(*images: FloatArray) -> NDArray[np.bool_]:
    """(y, x): where no band of any image is missing."""
    there: NDArray[np.bool_] = ~np.logical_or.reduce([np.isnan(image).any(axis=0) for image in images])
    return there
