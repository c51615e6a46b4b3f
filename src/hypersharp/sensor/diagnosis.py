"""What an estimated sensor rests on, for people to judge it: residuals, noise, which wavelengths are seen, warnings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypersharp.numerics.noise import neighbour_noise, texture_noise
from hypersharp.sensor.estimate import Estimate, Images, gaps_and_seen
from hypersharp.sensor.spectra import Spectra, nm_runs
from hypersharp.sensor.tables import FloatArray

SEEN = 0.05  # of a row's largest weight
POOR_RESIDUAL = 0.1
ODD_GAIN = 0.1
OFF_PX = 0.5  # coarse pixels
WEAK_SYSTEM = 1e9
FEW_EQUATIONS = 3  # times the unknowns of a free response
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


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """`residuals` (l,) are ||R hs - D B ms|| / ||R hs||, 0 of an ms band that sees nothing; `sees` the hs bands (from
    0) in which a row has more than 5 % of its largest weight; `unseen` the hs bands that no ms band sees, `left_out`
    the ms bands that see none.
    """

    residuals: FloatArray
    noise: Noise
    sees: tuple[tuple[int, ...], ...]
    unseen: tuple[int, ...]
    left_out: tuple[int, ...]
    warnings: tuple[str, ...]


def diagnose(estimate: Estimate, pair: Images, spectra: Spectra) -> Diagnosis:
    """Judge an estimate by its pair."""
    srf, ratio = estimate.sensor.srf, estimate.sensor.ratio
    seen = srf > SEEN * srf.max(axis=1, keepdims=True, initial=1e-300)
    unseen = tuple(int(i) for i in np.flatnonzero(~seen.any(0)))
    left_out = tuple(int(m) for m in np.flatnonzero(~srf.any(1)))
    residuals = residuals_of(estimate, pair)
    noise = measure_noise(pair.hs, pair.ms, *map(torch.from_numpy, (pair.hs_valid, pair.ms_valid)))
    sees = tuple(tuple(int(i) for i in np.flatnonzero(row)) for row in seen)
    warnings = []
    for m in left_out:
        place = "" if spectra.ms_nm is None else f" ({spectra.ms_nm[m]:.0f} nm)"
        warnings.append(f"ms band {m + 1}{place} sees none of the hs bands and is left out")
    if unseen:
        places = f"hs bands {runs(unseen)}" if spectra.hs_nm is None else nm_runs(unseen, spectra.hs_nm)
        warnings.append(f"no ms band sees {len(unseen)} hs bands ({places}): their detail is inferred, not measured")
    warnings += residual_warnings(residuals)
    for m, gain in enumerate(estimate.gains):
        if gain > 0 and abs(gain - 1) > ODD_GAIN:
            warnings.append(f"ms band {m + 1} is {gain:.2f} times as bright as hs seen through it")
    if estimate.offsets.any():
        listed = ", ".join(f"{offset:+.3g}" for offset in estimate.offsets)
        where = f"constants added to R hs ({listed} of full scale)"
        warnings.append(f"{where} would explain ms better: haze, or other corrections")
    if max(map(abs, estimate.shift_px_yx)) > OFF_PX * ratio:
        warnings.append("hs and ms lie more than half a coarse pixel apart: align them first")
    if "free" in estimate.responses and estimate.equations < FEW_EQUATIONS * srf.shape[1]:
        warnings.append(f"{estimate.equations} coarse pixels for {srf.shape[1]} hs bands: responses are rough")
    if estimate.conditions.get("blur", 0) > WEAK_SYSTEM:
        warnings.append("the ms shows too little fine texture to determine the blur well")
    return Diagnosis(residuals, noise, sees, unseen, left_out, tuple(warnings))


def residuals_of(estimate: Estimate, pair: Images) -> FloatArray:
    """(l,): by how much each ms band differs from hs under an estimate, relative; 0 of a band that sees nothing."""
    gaps, through = (np.linalg.norm(image, axis=1) for image in gaps_and_seen(estimate.sensor, pair))
    return np.where(through > 0, gaps / np.maximum(through, 1e-300), 0)


def residual_warnings(residuals: FloatArray) -> list[str]:
    """The ms bands that differ from hs by so much that something else than noise does it, in words.

    >>> residual_warnings(np.array([0.02, 0.3, 0.2]))
    ['ms bands 2-3 differ from hs by up to 30%: other light, other units, or clouds?']
    """
    poor = np.flatnonzero(residuals > POOR_RESIDUAL).tolist()
    if not poor:
        return []
    bands = f"bands {runs(poor)} differ" if len(poor) > 1 else f"band {poor[0] + 1} differs"
    most = f"{'up to ' * (len(poor) > 1)}{residuals[poor].max():.0%}"
    return [f"ms {bands} from hs by {most}: other light, other units, or clouds?"]


def runs(indices: Sequence[int]) -> str:
    """Band numbers from 1, neighbours drawn together.

    >>> runs([0, 1, 2, 5])
    '1-3, 6'
    """
    starts = [i for i in indices if i - 1 not in indices]
    ends = [i for i in indices if i + 1 not in indices]
    return ", ".join(f"{a + 1}-{b + 1}" if b > a else f"{a + 1}" for a, b in zip(starts, ends, strict=True))
