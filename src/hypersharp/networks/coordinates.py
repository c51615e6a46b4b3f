"""A pair's coordinates: the spectral subspace of hs, and the part of it that the ms predicts.

c = D^-1 E+ (y - mean), with the mean of hs and the axes E (L, p) that stand out of its noise most; the guide
g = W (x - mean) is the regression of c on the ms x reduced by the PSF, fitted on the detail of both, with the noise of
ms: W says how detail follows detail. The units D are what g leaves of each coordinate, so that what is to be
found is about 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.regression import detail_gains, detail_units
from hypersharp.numerics.signal import signal_subspace
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

DIMENSIONS = 16  # at most; the network takes them one by one
LEAST_SHARE = 1e-3  # of the coordinates' spread, the least unit
LEAST_UNIT = 1e-6


@dataclass(frozen=True, eq=False)
class Coordinates:
    """hs_mean (L), ms_mean (l), basis E D (L, p), analysis D^-1 E+ (p, L), guide W (p, l), beyond (L, L).

    `detail` (l, l) brings ms to units of its detail, noise and all: white, and about 1 a band. `beyond` projects on the
    dimensions that stand out of the noise but have no coordinate. `noise` (2, p): the standard deviations of the noise
    of hs in each coordinate, and of that of ms in the guide; `spread` (p): those of the guide.
    """

    hs_mean: Tensor
    ms_mean: Tensor
    basis: Tensor
    analysis: Tensor
    guide: Tensor
    detail: Tensor
    beyond: Tensor
    noise: Tensor
    spread: Tensor


def fit_coordinates(pair: TensorPair, sensor: Sensor) -> Coordinates:
    """Coordinates of a pair, as many as stand out of the noise, DIMENSIONS at most; of what is measured alone.

    The means are of where both are measured: of two areas they would not belong together.
    """
    hs, ms = pair.hs, pair.ms
    counted, pixels = pair.measured_under(sensor).to(hs.device), measured_pixels(hs, pair.hs_valid)
    seen = sensor.hs(ms)
    hs_mean, ms_mean = (image[:, counted].mean(1) for image in (hs, seen))
    y, x = hs - hs_mean[:, None, None], seen - ms_mean[:, None, None]
    signal = signal_subspace(pixels - hs_mean[:, None])
    axes, others = signal.basis.tensor_split([DIMENSIONS], 1)
    of_axes, of_others = signal.analysis.tensor_split([DIMENSIONS])
    c = mix_bands(of_axes, y)
    guide = detail_gains(x, c, counted, pair.ms_noise)
    detail = detail_units(x, counted, pair.ms_noise)
    untold = (c - mix_bands(guide, x))[:, counted].square().mean(1).sqrt()
    unit = untold.clamp(min=LEAST_SHARE * float(c.square().mean().sqrt()) + LEAST_UNIT)
    basis, analysis, gains = axes * unit, of_axes / unit[:, None], guide / unit[:, None]
    noise = torch.stack([signal.noise / unit.square(), gains.square() @ pair.ms_noise.square()]).sqrt()
    of_ms = torch.cov(measured_pixels(ms, pair.ms_valid)).view(len(ms), len(ms))
    spread = (gains @ of_ms * gains).sum(1).clamp(min=0).sqrt()
    return Coordinates(hs_mean, ms_mean, basis, analysis, gains, detail, others @ of_others, noise, spread)


def reach_px(psf: PSF, ratio: int) -> int:
    """How many fine pixels the blur reaches over its coarse pixel, on the side where it reaches furthest."""
    middles = ((start + size // 2, size) for start, size in zip(psf.start_yx, psf.kernel.shape, strict=True))
    return int(max(0, *(max(size - 1 - middle, middle - ratio + 1) for middle, size in middles)))


def psf_window(psf: PSF, ratio: int) -> Tensor:
    """The weights (k, k) around a coarse pixel, k just large enough to hold the blur and its coarse pixel."""
    return torch.tensor(psf.window(ratio, ratio + 2 * reach_px(psf, ratio))).float()
