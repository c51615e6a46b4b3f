"""How one image depends on another: around each pixel, by regressions in windows, and as its detail follows detail.

Detail is what a local mean leaves of an image (as in MTF-GLP-CBD: Aiazzi et al. 2006, PE&RS 72(5); Vivone, Restaino,
Chanussot 2018, IEEE TGRS 56(2)). Gains that are fitted on coarse pixels are for fine ones: their noise, which a coarse
pixel averages out, is added to the normal equations.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE_PX = 5  # of a window
RIDGE = 1e-6  # added to the guides' variances, whose values are about 0..1
RIDGE_SHARE = 1e-4  # of the guides' mean variance in the window, likewise
REPEATS = 1e-9  # of the mean power, keeps a regression solvable where bands repeat each other


def regress_locally(targets: Tensor, guides: Tensor, ridge: float | None = None) -> Tensor:
    """Slopes (B, n, l, h, w) of targets (B, n, h, w) on guides (B, l, h, w) in the window around each pixel.

    Edges are repeated. Least squares, regularised by `ridge`, a variance of the guides; by default a little, for guides
    that hardly vary, or vary alike.
    """
    count, both = guides.shape[1], torch.cat([guides, targets], 1)
    means = window_mean(both, SIDE_PX)
    # (B, l + n, h, w) each: a guide's covariances with all
    rows = [window_mean(both * guides[:, k : k + 1], SIDE_PX) - means * means[:, k : k + 1] for k in range(count)]
    variance = torch.stack([row[:, k] for k, row in enumerate(rows)], 1).mean(1, keepdim=True)  # (B, 1, h, w)
    added = RIDGE + RIDGE_SHARE * variance if ridge is None else ridge
    diagonal = torch.eye(count, both.shape[1]).to(both)[..., None, None]
    rows = [row + diagonal[k] * added for k, row in enumerate(rows)]
    for k in range(count):  # Gauss and Jordan; no pivots, for a covariance matrix needs none
        rows[k] = rows[k] / rows[k][:, k : k + 1]
        rows = [row if i == k else row - row[:, k : k + 1] * rows[k] for i, row in enumerate(rows)]
    return torch.stack([row[:, count:] for row in rows], 2)


def detail(image: Tensor, valid: Tensor) -> Tensor:
    """What the mean over the valid pixels around it leaves of each valid pixel, (n, h, w) -> (n, N), float64."""
    counts = valid.to(torch.float64)
    shares = window_mean(counts[None], SIDE_PX, "constant")
    local = window_mean(image.to(torch.float64) * counts, SIDE_PX, "constant") / shares.clamp(min=1 / SIDE_PX**2)
    return (image - local)[:, valid]


def detail_gains(source: Tensor, target: Tensor, valid: Tensor, noise: Tensor) -> Tensor:
    """G (p, l) of min_G E||detail(target) - G (detail(source) + noise)||^2, on valid coarse pixels.

    source (l, h, w), target (p, h, w), noise (l,): its standard deviation at fine pixels, more than source has.
    """
    x, y = detail(source, valid), detail(target, valid)
    return solve_ridge(detail_power(x, noise), x @ y.mT / x.shape[1], REPEATS).mT.to(target)


def detail_units(source: Tensor, valid: Tensor, noise: Tensor) -> Tensor:
    """U (l, l): U (detail(source) + noise) is white and 1 in every direction; arguments as for `detail_gains`."""
    values, axes = torch.linalg.eigh(detail_power(detail(source, valid), noise))
    least = REPEATS * values[-1] + torch.finfo(values.dtype).tiny
    units: Tensor = axes * values.clamp(min=least).rsqrt() @ axes.mT
    return units.to(source)


def detail_power(x: Tensor, noise: Tensor) -> Tensor:
    """(l, l): the second moments of detail x (l, N) with noise (l) of that standard deviation added."""
    return x @ x.mT / x.shape[1] + noise.to(x).square().diag()


def solve_ridge(gram: Tensor, rhs: Tensor, share: float) -> Tensor:
    """gram^-1 rhs with a share of gram's mean power added to its diagonal, so that it has an inverse whatever it is."""
    ridge = share * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
    solution: Tensor = torch.linalg.solve(gram + ridge * torch.eye(len(gram)).to(gram), rhs)
    return solution


def window_mean(image: Tensor, side_px: int, beyond: Literal["replicate", "constant"] = "replicate") -> Tensor:
    """The mean over the window around each pixel of (..., n, h, w); beyond the border its pixels again, or zeros."""
    return F.avg_pool2d(F.pad(image, (side_px // 2,) * 4, mode=beyond), side_px, 1)
