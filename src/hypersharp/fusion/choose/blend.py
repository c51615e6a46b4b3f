"""A blend of estimates: the weights, none negative and of sum one, that bring their mean nearest to the truth.

Stacked regression: Wolpert 1992, Neural Networks 5(2); with such weights Breiman 1996, Machine Learning 24(1). With
E (n, L, N) the errors of n estimates, G_b = E_b E_b' / N those of band b, S those of the spectra's angles,

    min_w  a mean_b log(w' G_b w) + (1 - a) log(w' S w),   w >= 0, sum w = 1,

which is the mean over bands of the PSNR and the SAM of the blend, a their shares (`trial.PSNR_SHARE`). A ridge, a
share of the best estimate's power, keeps estimates that err alike from taking turns, and draws the weights together.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from hypersharp.fusion.choose.trial import PSNR_SHARE

RIDGE = 0.2
LEAST_WEIGHT = 0.03  # what weighs less is not worth its time
TINY = 1e-12

Floats = NDArray[np.float64]


def blend_weights(estimates: Tensor, truth: Tensor) -> Floats:
    """(n,) for estimates (n, L, N) of spectra (L, N); weights below `LEAST_WEIGHT` are 0.

    >>> truth = torch.rand(3, 50, generator=torch.Generator().manual_seed(0)) + 1
    >>> blend_weights(torch.stack([truth + 0.1, truth - 0.1]), truth).round(3).tolist()
    [0.5, 0.5]
    """
    weights = best_weights(*error_powers(estimates, truth))
    weights[weights < LEAST_WEIGHT] = 0.0
    shares: Floats = weights / weights.sum()
    return shares


def error_powers(estimates: Tensor, truth: Tensor) -> tuple[Floats, Floats]:
    """G (L, n, n) and S (n, n): the products of errors in each band, and of those across the true spectra."""
    length = truth.norm(dim=0).clamp(min=TINY)
    direction, pixels = truth / length, truth.shape[1]
    errors = estimates - truth
    across = (errors - direction * (errors * direction).sum(1, keepdim=True)) / length
    of_bands = torch.einsum("ilp,jlp->lij", errors, errors) / pixels
    of_angles = torch.einsum("ilp,jlp->ij", across, across) / pixels
    return of_bands.double().cpu().numpy(), of_angles.double().cpu().numpy()


def best_weights(of_bands: Floats, of_angles: Floats) -> Floats:
    """The w of the head of this file, by sequential quadratic programming from equal weights."""
    count = len(of_angles)
    bands, angles = with_ridge(of_bands), with_ridge(of_angles)

    def cost(w: Floats) -> tuple[float, Floats]:
        band_slopes, angle_slopes = bands @ w, angles @ w
        band_powers, angle_power = band_slopes @ w, float(angle_slopes @ w)
        value = PSNR_SHARE * np.log(band_powers).mean() + (1 - PSNR_SHARE) * np.log(angle_power)
        slope = PSNR_SHARE * (band_slopes / band_powers[:, None]).mean(0)
        slope += (1 - PSNR_SHARE) * angle_slopes / angle_power
        return float(value), 2 * slope

    found = minimize(
        cost,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
    )
    weights: Floats = np.clip(found.x, 0, None)
    weights /= weights.sum()
    return weights


def with_ridge(powers: Floats) -> Floats:
    """(..., n, n) plus a share of the least power of the n errors."""
    least = np.diagonal(powers, axis1=-2, axis2=-1).min(-1)[..., None, None]
    ridged: Floats = powers + (RIDGE * least + TINY) * np.eye(powers.shape[-1])
    return ridged
