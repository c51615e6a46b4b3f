"""How much noise a pair carries, and its signal-to-noise ratios, for people to judge it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.numerics.noise import neighbour_noise, texture_noise
from hypersharp.sensor.tables import FloatArray

MOST_DB = 200.0


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard deviations of the noise of hs (L,) and ms (l,), in their unit, and signal-to-noise ratios in dB.

    A ratio is that of mean square and noise variance, `MOST_DB` at most.
    """

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
    hs_sd, ratios_db = neighbour_noise(hs_pixels).sqrt(), []
    for pixels, sd in ((hs_pixels, hs_sd), (ms_pixels, ms_sd)):
        share = sd.square() / pixels.square().mean(1).clamp(min=1e-300)
        ratios_db.append(-10 * share.clamp(min=10 ** (-MOST_DB / 10)).log10().numpy())
    return Noise(hs_sd.numpy(), ms_sd.numpy(), *ratios_db)
