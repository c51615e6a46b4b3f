"""SFIM-HS: every hs band is modulated by a synthetic sharp band over its own low-pass.

Sources: SFIM: Liu 2000 (Int. J. Remote Sensing 21(18)); the synthetic band by regression on all ms bands
(hypersharpening): Selva et al. 2015 (IEEE JSTARS 8(6)); gains fitted on detail, with a constant that keeps the mean:
Vivone, Restaino, Chanussot 2018 (IEEE TGRS 56(2)).

    Z_b + e_b = (up(hs_b) + e_b) (P_b + e_b) / (up(D B P_b) + e_b),   P = E G ms + c,   hs = E A

D B is the PSF and the decimation, given or estimated from the pair; G as in GLP-HS (see `scales`). The classical
ratio has e = 0 and bursts at dark pixels (water), where the interpolation of both can come near zero; e_b, a share
of the band's mean, is what keeps it finite, and makes the modulation a little additive.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply, Method
from hypersharp.methods.detail import Scales, make_pair
from hypersharp.numerics.linops import mix_bands
from hypersharp.pair.sensor import find_psf
from hypersharp.pair.settings import Settings

OFFSET = 0.3  # e_b, of the band's mean
LEAST = 0.1  # of the band's mean: no denominator is smaller
BLOCK_VALUES = 2**24  # of a block of bands


@dataclass(frozen=True, eq=False)
class Modulation:
    """E (L, p), G (p, l), c (p,), the mean of every band (L,), and the way between the grids."""

    basis: Tensor
    gains: Tensor
    constant: Tensor
    means: Tensor
    scales: Scales

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        ms, constant = ms.to(self.basis), self.constant[:, None, None]
        synthetic = mix_bands(self.gains, ms) + constant
        synthetic_low = self.scales.expand(mix_bands(self.gains, self.scales.reduce(ms))) + constant
        smooth = self.scales.expand(mix_bands(self.basis.mT, hs.to(self.basis)))
        sharp = ms.new_empty(len(hs), *ms.shape[1:])
        for bands in blocks(len(hs), ms[0].numel()):
            rows, mean = self.basis[bands], self.means[bands, None, None].abs()
            sharp[bands] = modulate(
                mix_bands(rows, smooth), mix_bands(rows, synthetic), mix_bands(rows, synthetic_low), mean
            )
            settings.report(bands.stop / len(hs))
        return sharp


def learn(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """E, G, c and the means from (L, h, w) and (l, H, W)."""
    pair = make_pair(hs, ms, settings, find_psf(hs, ms, settings))
    gains, level = pair.gains(pair.low), pair.coefficients[:, pair.valid].mean(1)
    constant = level - gains @ pair.low[:, pair.valid].mean(1)
    return Modulation(pair.basis, gains, constant, pair.basis @ level, pair.scales)


def modulate(smooth: Tensor, synthetic: Tensor, synthetic_low: Tensor, mean: Tensor) -> Tensor:
    """(smooth + e) (synthetic + e) / (synthetic_low + e) - e, e = OFFSET mean, in place; (n, H, W), mean (n, 1, 1)."""
    offset = OFFSET * mean
    ratio = synthetic.add_(offset).clamp_(min=0)
    ratio /= torch.maximum(synthetic_low.add_(offset), LEAST * mean + torch.finfo(mean.dtype).tiny)
    return smooth.add_(offset).mul_(ratio).sub_(offset)


def blocks(bands: int, pixels: int) -> Iterator[slice]:
    """Slices of as many bands as a block holds."""
    step = max(1, BLOCK_VALUES // pixels)
    return (slice(first, min(first + step, bands)) for first in range(0, bands, step))


SFIM = Method(
    name="sfim",
    title="Smoothing-filter-based intensity modulation (SFIM-HS)",
    paper="Liu 2000, Int. J. Remote Sensing 21(18); Selva et al. 2015, IEEE JSTARS 8(6)",
    needs=("psf",),
    halo_px=24,
    licence="Apache-2.0",
    learn=learn,
    floats_per_px=lambda bands, ms_bands: 4 * bands + ms_bands + 80,
)
