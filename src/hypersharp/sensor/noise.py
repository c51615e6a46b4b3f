"""How much noise a pair carries, and its signal-to-noise ratios, for people to judge it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypersharp.numerics.noise import neighbour_noise, texture_noise
from hypersharp.sensor.tables import FloatArray

MOST_DB = 200.0


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard deviations of the noise of hs (L,) and ms (l,), in their unit, and signal-to-noise ratios in dB."""

    hs: FloatArray
    ms: FloatArray
    hs_snr_db: FloatArray
    ms_snr_db: FloatArray


def measure_noise(hs: Tensor, ms: Tensor, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None) -> Noise:
    """Noise of hs (L, h, w) and ms (l, H, W) over measured pixels.

    That of an ms is the less of what the other bands leave and what its texture shows, for both are too large: few
    bands do not explain each other, and texture is no noise.
    """
    hs, ms = hs.to("cpu", torch.float64), ms.to("cpu", torch.float64)
    hs_pixels = hs.flatten(1) if hs_valid is None else hs[:, hs_valid.cpu()]
    ms_pixels = ms.flatten(1) if ms_valid is None else ms[:, ms_valid.cpu()]
    ms_sd = texture_noise(ms, None if ms_valid is None else ms_valid.cpu())
    if len(ms) > 1:
        ms_sd = torch.minimum(ms_sd, neighbour_noise(ms_pixels).sqrt())
    hs_sd = neighbour_noise(hs_pixels).sqrt()
    return Noise(hs_sd.numpy(), ms_sd.numpy(), snr_db(hs_pixels, hs_sd), snr_db(ms_pixels, ms_sd))


def snr_db(pixels: Tensor, noise: Tensor) -> FloatArray:
    """10 log10(mean square / noise variance) of each band of pixels (L, N), 200 dB at most."""
    share = noise.square() / pixels.square().mean(1).clamp(min=1e-300)
    return np.asarray(-10 * share.clamp(min=10 ** (-MOST_DB / 10)).log10().numpy())
