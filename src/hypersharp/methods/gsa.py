"""GSA: component substitution with adaptive intensities, for any number of ms bands.

Source: Aiazzi, Baronti, Selva 2007 (IEEE TGRS 45(10)), equations 7 to 10 for one sharp band; from them

    I = W A + c   the regression of the ms seen coarsely, D B ms, on hs = E A: an intensity for each ms band
    Z = E up(A) + E G (ms - up(I)),   G = cov(A, I) cov(I)^-1

which for l = 1 is the paper's method. With several ms bands the usual extension gives each hs band the one ms band that
correlates best; here all intensities are regressed on at once, which is worth 2 to 3 dB on Jasper Ridge. The moments
are those of detail and know the noise of ms: see `numerics.regression`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import make_pair
from hypersharp.methods.glp import Injection
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.regression import REPEATS, solve_ridge
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

MOST_DIMENSIONS = 30
PIXELS_PER_DIMENSION = 8  # below this an intensity would copy the ms, noise and all


@dataclass(frozen=True, eq=False)
class Substitution(Apply):
    """E and G, and the intensities I = W A + c: W (l, r) of the strongest r coefficients of hs, c (l,), float64."""

    injection: Injection
    mixing: Tensor
    constant: Tensor

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        coefficients = self.injection.subspace.coefficients(pair.hs)
        source = intensities(coefficients, self.mixing, self.constant)
        sharp = self.injection.inject(coefficients, pair.ms.to(coefficients), source)
        progress(1.0)
        return sharp


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """E, W, c and G from (L, h, w) and (l, H, W)."""
    found = make_pair(pair, sensor.psf, options)
    rank = max(1, min(MOST_DIMENSIONS, int(found.valid.sum()) // PIXELS_PER_DIMENSION))
    x = found.coefficients[:rank].to(torch.float64)[:, found.valid]
    y = found.low[:, found.valid].to(torch.float64)
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    weights = solve_ridge(x @ x.mT, x @ y.mT, REPEATS).mT
    constant = (y_mean - weights @ x_mean)[:, 0]
    gains = found.gains(intensities(found.coefficients, weights, constant))
    return Substitution(Injection(found.subspace, gains, found.scales), weights, constant)


def intensities(coefficients: Tensor, weights: Tensor, constant: Tensor) -> Tensor:
    """I (l, h, w) of A (p, h, w)."""
    strongest = coefficients[: weights.shape[1]].to(weights)
    return (mix_bands(weights, strongest) + constant[:, None, None]).to(coefficients)
