"""SFIM-HS: every hs band is modulated by a synthetic sharp band over its own low-pass.

Sources: SFIM: Liu 2000 (Int. J. Remote Sensing 21(18)); the synthetic band by regression on all ms bands
(hypersharpening): Selva et al. 2015 (IEEE JSTARS 8(6)); gains fitted on detail, with a constant that keeps the mean:
Vivone, Restaino, Chanussot 2018 (IEEE TGRS 56(2)).

    Z_b + e_b = (up(hs_b) + e_b) (P_b + e_b) / (up(D B P_b) + e_b),   P = E G ms + c,   hs = E A

D B is the PSF and the decimation, given or estimated from the pair; G as in GLP-HS (`numerics.regression`). The
classical ratio has e = 0 and bursts at dark pixels (water), where the interpolation of both can come near zero; e_b, a
share of the band's mean, is what keeps it finite, and makes the modulation a little additive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Scales, make_pair
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.loops import slices
from hypersharp.numerics.signal import Subspace
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

OFFSET = 0.3  # e_b, of the band's mean
LEAST = 0.1  # of the band's mean: no denominator is smaller
BLOCK_VALUES = 2**24  # of a block of bands


@dataclass(frozen=True, eq=False)
class Modulation(Apply):
    """E (L, p), G (p, l), c (p,), the mean size of every band's values (L,), and the way between the grids."""

    subspace: Subspace
    gains: Tensor
    constant: Tensor
    means: Tensor
    scales: Scales

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        ms, constant = pair.ms.to(self.gains), self.constant[:, None, None]
        synthetic = mix_bands(self.gains, ms) + constant
        synthetic_low = self.scales.expand(mix_bands(self.gains, self.scales.reduce(ms))) + constant
        smooth = self.scales.expand(self.subspace.coefficients(pair.hs))
        sharp = ms.new_empty(len(pair.hs), *ms.shape[1:])
        for bands in slices(len(pair.hs), BLOCK_VALUES // ms[0].numel()):
            rows, mean = self.subspace.basis[bands], self.means[bands, None, None]
            offset = OFFSET * mean
            ratio = mix_bands(rows, synthetic).add_(offset).clamp_(min=0)
            least = LEAST * mean + torch.finfo(mean.dtype).tiny
            ratio /= torch.maximum(mix_bands(rows, synthetic_low).add_(offset), least)
            sharp[bands] = mix_bands(rows, smooth).add_(offset).mul_(ratio).sub_(offset)
            progress(bands.stop / len(pair.hs))
        return sharp


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """E, G, c and the means from (L, h, w) and (l, H, W)."""
    found = make_pair(pair, sensor.psf, options)
    gains, level = found.gains(found.low), found.coefficients[:, found.valid].mean(1)
    constant = level - gains @ found.low[:, found.valid].mean(1)
    spectra = found.subspace.basis @ found.coefficients[:, found.valid]
    sizes = spectra.abs().mean(1)  # the mean, unless some are negative
    return Modulation(found.subspace, gains, constant, sizes, found.scales)
