"""FUSE: the mean of the Gaussian posterior of the scene, in closed form.

Source: Wei, Dobigeon, Tourneret 2015 (IEEE TIP 24(11)), "Fast fusion of multi-band images based on solving a
Sylvester equation"; in the subspace of hs, Z = E U, its equations 12 and 15 to 18:

    min_U ||A - U B D||^2 / s^2 + ||ms - R E U||^2_N + ||U - up(A)||^2_S,   hs = E A,   ||X||^2_C = tr(X' C^-1 X)

Nothing is left to tune, every covariance is taken from the pair: s^2 is the noise of hs, white in that subspace, N that
of each ms band (its finest texture), S the covariance of A's detail, what a local mean leaves of it, less the noise. So
bands that no ms band sees follow those that one does as they do in the hs. (The paper takes S from a first estimate.)

The closed form is circular. Where the PSF's boundary is not, a mirrored margin keeps the far side of the image away
from the border, which is worth 1 to 2 dB on images of 100 pixels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Agreement, Match, SubspacePair, seen_alike
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.regression import detail
from hypersharp.numerics.signal import LEAST_NOISE, Subspace
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

MOST_DIMENSIONS = 30
LEAST_DETAIL = 1e-2  # of the noise variance: how sure the prior may be that there is no detail


@dataclass(frozen=True, eq=False)
class Posterior(Apply):
    """E (L, p), R E and the way between the grids, how ms comes to the level of hs.

    The covariances in float64: s^2, the diagonal of N (l,), and S (p, p).
    """

    subspace: Subspace
    agreement: Agreement
    match: Match
    ms_noise: Tensor
    prior: Tensor

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        coefficients = self.subspace.coefficients(pair.hs)
        sharp = mix_bands(self.subspace.basis, self.mean(coefficients, self.match(pair.ms.to(coefficients))))
        progress(1.0)
        return sharp

    def mean(self, coefficients: Tensor, ms: Tensor) -> Tensor:
        """U (p, H, W), by what it adds to up(A)."""
        response = self.agreement.seen.to(torch.float64)
        fine, coarse = self.agreement.widened(ms, coefficients)
        mean = self.agreement.scales.expand(coarse)
        hs_noise = self.subspace.noise
        pull = ((hs_noise / self.ms_noise)[:, None] * response).mT
        gram = pull @ response + hs_noise * torch.linalg.inv(self.prior)
        mean += self.agreement.change(mean, coarse, fine, ((gram + gram.mT) / 2).to(fine), pull.to(fine))
        return self.agreement.inside(mean)


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """All but the image from (L, h, w) and (l, H, W); estimates of psf and srf what the user did not give."""
    inside, seen, levels = seen_alike(pair, sensor.sensor, options, MOST_DIMENSIONS)
    found = covariances(replace(inside, ms=levels(inside.ms)))
    return Posterior(inside.subspace, Agreement(seen, inside.scales), levels, *found)


def covariances(pair: SubspacePair) -> tuple[Tensor, Tensor]:
    """The diagonal of N and S, from the pair itself."""
    hs_noise = pair.subspace.noise
    ms_power = pair.ms.square().mean((1, 2)).to(torch.float64)
    ms_noise = torch.maximum(pair.ms_noise.to(torch.float64).square(), LEAST_NOISE**2 * ms_power)
    texture = detail(pair.coefficients, pair.valid)
    covariance = texture @ texture.mT / texture.shape[1]
    powers, axes = torch.linalg.eigh(covariance)
    prior = axes * (powers - hs_noise).clamp(min=LEAST_DETAIL * hs_noise) @ axes.mT
    return ms_noise, prior
