"""What the quick methods share: the pair in a spectral subspace, the way between its two grids, gains fitted on detail.

hs is kept as coefficients of the subspace that stands out of its noise (`numerics.signal`), which takes most of that
noise away and makes 200 bands as light as 20. Gains are fitted on detail and know the noise of ms
(`numerics.regression`).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hypersharp.numerics.interpolate import interpolate_bicubic
from hypersharp.numerics.linops import mirror, mix_bands, sylvester, unmirrored
from hypersharp.numerics.noise import unshared_noise
from hypersharp.numerics.regression import detail_gains
from hypersharp.numerics.signal import Subspace, signal_subspace
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.sensor.observe import Sensor, circular_blur, degraded
from hypersharp.sensor.psf import PSF

LEAST_CORRELATION = 0.5


@dataclass(frozen=True, eq=False)
class Scales:
    """The way from the fine grid to the coarse one, under the PSF, and back, by bicubic interpolation."""

    psf: PSF
    ratio: int

    def reduce(self, fine: Tensor) -> Tensor:
        """(n, H, W) -> (n, h, w)."""
        return degraded(fine, self.psf, self.ratio)

    def expand(self, coarse: Tensor) -> Tensor:
        """(n, h, w) -> (n, H, W)."""
        return interpolate_bicubic(coarse, self.ratio, self.psf.centre_yx())


@dataclass(frozen=True, eq=False)
class SubspacePair:
    """hs by its coefficients (p, h, w), ms (l, H, W), and what of the coarse grid counts: valid (h, w)."""

    subspace: Subspace
    coefficients: Tensor
    ms: Tensor
    valid: Tensor
    ms_valid: Tensor | None
    scales: Scales

    @cached_property
    def low(self) -> Tensor:
        """ms as the hs sensor's optics would show it, (l, h, w)."""
        return self.scales.reduce(self.ms)

    @cached_property
    def ms_noise(self) -> Tensor:
        """The standard deviation of the noise of each ms band, (l,)."""
        return unshared_noise(self.ms, self.ms_valid)

    def gains(self, source: Tensor) -> Tensor:
        """(p, l): how the detail of the coefficients follows that of `source` (l, h, w)."""
        return detail_gains(source, self.coefficients, self.valid, self.ms_noise)


def make_pair(pair: TensorPair, psf: PSF, options: Options) -> SubspacePair:
    """The pair on the chosen device, hs in the subspace that stands out of its noise."""
    device = choose_device(options.device)
    pixels = measured_pixels(pair.hs, pair.hs_valid)
    found = signal_subspace(pixels)
    subspace = replace(found, basis=found.basis.to(device), analysis=found.analysis.to(device))
    valid = pair.measured_under(Sensor(psf, np.eye(1), pair.ratio))
    ms, ms_valid = pair.ms.to(device), None if pair.ms_valid is None else pair.ms_valid.to(device)
    scales = Scales(psf, pair.ratio)
    return SubspacePair(subspace, subspace.coefficients(pair.hs), ms, valid.to(device), ms_valid, scales)


@dataclass(frozen=True, eq=False)
class Match:
    """The line y = contrast x + level, each (l, 1), from what the hs sees of every ms band to the ms."""

    contrast: Tensor
    level: Tensor

    def __call__(self, ms: Tensor) -> Tensor:
        """ms (l, H, W) at the level and contrast of hs."""
        return (ms - self.level[..., None].to(ms)) / self.contrast[..., None].to(ms)


def match(pair: SubspacePair, seen: Tensor) -> Match:
    """What brings every ms band to the level and contrast of `seen` (l, h, w), hs through the response.

    Fitted on valid coarse pixels. A band that does not follow hs (a correlation below one half) keeps its contrast.
    """
    x, y = seen[:, pair.valid].to(torch.float64), pair.low[:, pair.valid].to(torch.float64)
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    covariance, power = (x * y).sum(1, keepdim=True), x.square().sum(1, keepdim=True)
    follows = covariance > LEAST_CORRELATION * power.sqrt() * y.norm(dim=1, keepdim=True)
    contrast = torch.where(follows, covariance / power, torch.ones_like(power))
    return Match(contrast, y_mean - contrast * x_mean)


def seen_alike(
    pair: TensorPair, sensor: Sensor, options: Options, most: int | None = None
) -> tuple[SubspacePair, Tensor, Match]:
    """The pair with the first `most` coefficients of hs, R E (l, p), and what brings ms to the level of hs."""
    found = make_pair(pair, sensor.psf, options)
    found = replace(found, subspace=found.subspace.first(most), coefficients=found.coefficients[:most])
    seen = torch.tensor(sensor.srf).to(found.coefficients) @ found.subspace.basis
    return found, seen, match(found, mix_bands(seen, found.coefficients))


@dataclass(frozen=True, eq=False)
class Agreement:
    """R E (l, p) and the way between the grids: what brings coefficients (p, H, W) to agree with hs and ms.

    Both steps are closed forms for a circular blur; under another boundary rule a mirrored margin keeps the far side of
    the image away from the border.
    """

    seen: Tensor
    scales: Scales

    def with_hs(self, prior: Tensor, coefficients: Tensor, *, weight: float) -> Tensor:
        """argmin_X ||coefficients - X B||^2 + weight ||X - prior||^2 = prior + B'(B B' + weight)^-1 (.. - prior B)."""
        fine, coarse = self.widened(prior, coefficients)
        observe = circular_blur(self.scales.psf, self.scales.ratio, fine)
        gap = torch.fft.rfft2(coarse - observe.forward(fine)) / (observe.coarse_power() + weight)
        change = observe.adjoint(torch.fft.irfft2(gap, s=coarse.shape[1:]))
        return prior + self.inside(change)

    def __call__(self, prior: Tensor, coefficients: Tensor, ms: Tensor, *, weight: float | Tensor) -> Tensor:
        """argmin_X ||coefficients - X B||^2 + ||ms - R E X||^2 + weight ||X - prior||^2; weight may be a (p, p)."""
        gram = self.seen.mT @ self.seen
        gram += weight if isinstance(weight, Tensor) else weight * torch.eye(len(gram)).to(gram)
        fine, coarse = self.widened(prior, coefficients)
        change = self.change(fine, coarse, self.widened(ms, coefficients)[0], gram, self.seen.mT)
        return prior + self.inside(change)

    def change(self, prior: Tensor, coefficients: Tensor, ms: Tensor, gram: Tensor, pull: Tensor) -> Tensor:
        """X with gram X + B B' X = (coefficients - prior B) B' + pull (ms - R E prior), all of them widened."""
        observe = circular_blur(self.scales.psf, self.scales.ratio, prior)
        rhs = observe.adjoint(coefficients - observe.forward(prior))
        rhs += mix_bands(pull, ms - mix_bands(self.seen, prior))
        return sylvester(gram, rhs, observe)

    def widened(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        margin = self.scales.psf.mirrored_px
        return mirror(fine, margin * self.scales.ratio), mirror(coarse, margin)

    def inside(self, fine: Tensor) -> Tensor:
        return unmirrored(fine, self.scales.psf.mirrored_px * self.scales.ratio)
