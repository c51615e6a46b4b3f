"""GSA: component substitution with adaptive intensities, for any number of ms bands.

Source: Aiazzi, Baronti, Selva 2007 (IEEE TGRS 45(10)), equations 7 to 10 for one sharp band; from them

    I = W A + c   the regression of the ms seen coarsely, D B ms, on hs = E A: an intensity for each ms band
    Z = E up(A) + E G (ms - up(I)),   G = cov(A, I) cov(I)^-1

which for l = 1 is the paper's method. With several ms bands the usual extension gives each hs band the one ms band
that correlates best; here all intensities are regressed on at once, which the same formula says with matrices and
which is worth 2 to 3 dB on Jasper Ridge. The moments are those of detail and know the noise of ms: see `scales`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import SubspacePair, make_pair, solve_ridge
from hypersharp.methods.glp import Injection
from hypersharp.numerics.linops import mix_bands
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

MOST_DIMENSIONS = 30
PIXELS_PER_DIMENSION = 8  # below this an intensity would copy the ms, noise and all


@dataclass(frozen=True, eq=False)
class Intensities:
    """W (l, r) and c (l,), float64, of the strongest r coefficients of hs."""

    weights: Tensor
    constant: Tensor

    def __call__(self, coefficients: Tensor) -> Tensor:
        """I (l, h, w) of A (p, h, w)."""
        strongest = coefficients[: self.weights.shape[1]].to(self.weights)
        return (mix_bands(self.weights, strongest) + self.constant[:, None, None]).to(coefficients)


@dataclass(frozen=True, eq=False)
class Substitution(Apply):
    """What GSA does at every place."""

    injection: Injection
    intensities: Intensities

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        coefficients = self.injection.coefficients(pair.hs)
        sharp = self.injection.inject(coefficients, pair.ms.to(coefficients), self.intensities(coefficients))
        progress(1.0)
        return sharp


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """E, W, c and G from (L, h, w) and (l, H, W)."""
    found = make_pair(pair, sensor.psf, options)
    intensities = regress(found)
    gains = found.gains(intensities(found.coefficients))
    return Substitution(Injection(found.basis, gains, found.scales), intensities)


def regress(pair: SubspacePair) -> Intensities:
    """The regression, with a constant, of the coarse ms on the strongest coefficients of hs."""
    pixels = int(pair.valid.sum())
    rank = max(1, min(MOST_DIMENSIONS, pixels // PIXELS_PER_DIMENSION))
    strongest = pair.coefficients[:rank].to(torch.float64)
    x, y = strongest[:, pair.valid], pair.low[:, pair.valid].to(torch.float64)
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    weights = solve_ridge(x @ x.mT, x @ y.mT).mT
    return Intensities(weights, (y_mean - weights @ x_mean)[:, 0])
