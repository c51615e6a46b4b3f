"""The spectral subspace of hs that stands out of its noise.

It is found with every band in units of its own noise: the strongest axes are then those of the highest signal to noise
(Green et al. 1988, IEEE TGRS 26(1)), the noise is white in the coefficients, and what a band is measured in, radiance
or reflectance, tells nothing. With 35 and 25 dB a band that is worth 0.1 to 2 dB on Jasper Ridge, Berlin, Paris and
CAVE, against HySime on the bands as they are; as radiance 0.2 to 6 dB; without noise nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.noise import band_noise, neighbour_noise, white_axes

PIXELS_A_BAND = 2  # more, for the noise of a band to be told from all others
UNKNOWN_NOISE, LEAST_NOISE = 1e-2, 1e-3  # of a band's root mean square: where pixels are too few; else (60 dB)


@dataclass(frozen=True, eq=False)
class Subspace:
    """Spectra as basis E (L, p) @ coefficients, which are analysis (p, L) @ spectra; noise: s^2 of each, white."""

    basis: Tensor
    analysis: Tensor
    noise: float

    def coefficients(self, hs: Tensor) -> Tensor:
        """(p, h, w) of (L, h, w), where the subspace is."""
        return mix_bands(self.analysis, hs.to(self.analysis))

    def first(self, most: int | None) -> "Subspace":
        """That of the strongest axes."""
        return Subspace(self.basis[:, :most], self.analysis[:most], self.noise)


def signal_subspace(pixels: Tensor) -> Subspace:
    """What of (L, N) stands out of its noise, found with every band in units of that, which are 1 in the mean."""
    many = pixels.shape[1] > PIXELS_A_BAND * len(pixels)
    known = band_noise(pixels) if many else neighbour_noise(pixels)
    power = pixels.to(torch.float64).square().mean(1)
    variance = torch.maximum(known.to(power), (LEAST_NOISE if known.any() else UNKNOWN_NOISE) ** 2 * power)
    noise = float(variance[variance > 0].log().mean().exp()) if variance.any() else 1.0
    axes = white_axes(pixels, variance)
    unit = (variance / noise).sqrt()[:, None].to(axes)
    analysis = torch.where(unit > 0, axes / unit, 0.0).mT
    return Subspace((unit * axes).to(pixels), analysis.to(pixels), noise)
