"""A result judged without a truth: what `noreference` says of an estimate, and Wald's scores of the method.

Wald, Ranchin, Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63(6): hs and ms are brought to
reduced resolution by their own sensor, fused, and scored against the given hs (`pair.reduced`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import DIMS, fwhm_nm, make_cube, only_usable, usable_bands, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.estimate import estimate_pair
from hypersharp.pair.record import Record
from hypersharp.pair.reduced import degrade_pair, trusted_pixels
from hypersharp.pair.tensors import TensorPair, measured, to_tensor
from hypersharp.quality.metrics import Scores
from hypersharp.quality.noreference import d_lambda, d_lambda_khan, d_s, qnr, residuals
from hypersharp.quality.score import both_usable, score_cubes
from hypersharp.sensor.observe import Sensor

Fuse = Callable[[xr.DataArray, xr.DataArray], xr.DataArray]

MEANINGS = {
    "d_lambda": "bands relate to each other otherwise than in hs: colour shifts; blind to changes they share",
    "d_s": "bands relate to ms otherwise than hs to coarse ms: detail missing or overdone; the truth is not at 0",
    "qnr": "(1 - d_lambda)(1 - d_s), best 1: ranks results of one pair; says nothing across scenes",
    "d_lambda_khan": "the degraded result differs from hs: errors the sensor sees; blind to those its blur hides",
    "hqnr": "(1 - d_lambda_khan)(1 - d_s), best 1: as qnr, with the sensor's blur taken into account",
    "hs_residual": "||hs - degraded result|| / ||hs||: 0 is needed, not enough; holds the sensor's error too",
    "ms_residual": "||ms - result seen as ms|| / ||ms||: as above, for the response",
}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What can be said of an estimate without a truth; `MEANINGS` states what each value can and cannot show.

    Attributes:
        d_lambda, d_s: spectral and spatial distortion, best 0.
        qnr: (1 - d_lambda)(1 - d_s), best 1.
        d_lambda_khan: spectral distortion at the resolution of hs, best 0.
        hqnr: (1 - d_lambda_khan)(1 - d_s), best 1.
        hs_residual, ms_residual: relative difference to hs and ms under the sensor, per usable band, (L,) and (l,).
        wavelengths_nm: centres of the hs bands (L,), None where unknown.
        hs_left_out, ms_left_out: shares (0..1) of excluded pixels.

    >>> Judgement(0.1, 0.1, 0.81, 0.0, 0.9, np.zeros(2), np.zeros(1), None, 0.0, 0.0).as_dict()["hs_residual"]
    [0.0, 0.0]
    """

    d_lambda: float
    d_s: float
    qnr: float
    d_lambda_khan: float
    hqnr: float
    hs_residual: NDArray[np.float64]
    ms_residual: NDArray[np.float64]
    wavelengths_nm: NDArray[np.float64] | None
    hs_left_out: float
    ms_left_out: float

    def as_dict(self) -> dict[str, object]:
        """The values by name, arrays as lists."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def judge(estimate: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor | None = None) -> Judgement:
    """Judge an estimate without a truth: QNR, HQNR and the residuals of both degradations.

    Args:
        estimate: (L, H, W), made from the other two, in their unit.
        hs: (L, h, w).
        ms: (l, H, W).
        sensor: PSF and response; by default estimated from the pair.

    Returns:
        The scores; nodata pixels and bad bands of any of the three are excluded.

    Raises:
        InputError: shapes that do not belong together.

    Source: Alparone et al. 2008, eqs. 5, 6, 8 (QNR), Khan et al. 2009 (D_lambda of Khan), Aiazzi et al. 2014 (HQNR).

    >>> from hypersharp.simulation.protocols import find_protocol
    >>> from hypersharp.simulation.pair import simulate_pair
    >>> truth = make_cube(np.random.default_rng(0).random((31, 64, 64)) / 9 + 0.5)
    >>> sensor = find_protocol("dian-x4").sensor()
    >>> hs, ms, _ = simulate_pair(truth, sensor)
    >>> bool(judge(truth, hs, ms, sensor).hs_residual.max() < 1e-6)
    True
    """
    check_estimate(estimate, (hs.shape[0], *ms.shape[1:]))
    record = Record.find(estimate)
    sensor = sensor or (record.known_sensor() if record else None) or estimate_pair(hs, ms).sensor
    kept = both_usable(estimate, hs)
    response = sensor.srf[:, kept[usable_bands(hs)]]
    fused, coarse = (cube.isel(band=np.flatnonzero(kept)) for cube in (estimate, hs))
    fine, unit = only_usable(ms, "ms"), value_scale(coarse.values)
    valid = [measured(cube) for cube in (fused, coarse, fine)]
    z, y, m = (to_tensor(cube, unit).double() for cube in (fused, coarse, fine))
    seer = Sensor(sensor.psf, response, sensor.ratio)
    there = valid[0] if valid[2] is None else valid[2] if valid[0] is None else valid[0] & valid[2]
    trusted = trusted_pixels(z, y, seer, hs_valid=None, ms_valid=there)
    degraded = masked(seer.hs(z), trusted)
    coarse_ms = masked(Sensor(sensor.psf, np.eye(len(m)), sensor.ratio).hs(m), trusted)
    ours, given, fine_ms = (masked(*one) for one in zip((z, y, m), valid, strict=True))
    spectral, khan = d_lambda(ours, given), d_lambda_khan(degraded, given, ratio=sensor.ratio)
    spatial = d_s(ours, given, fine_ms, coarse_ms)
    return Judgement(
        spectral,
        spatial,
        qnr(spectral, spatial),
        khan,
        qnr(khan, spatial),
        residuals(degraded, given),
        residuals(masked(seer.ms(z), valid[0]), fine_ms),
        wavelengths_nm(coarse),
        *(0.0 if seen is None else float((~seen).float().mean()) for seen in (valid[1], there)),
    )


def check_estimate(estimate: xr.DataArray, expected: tuple[int, ...]) -> None:
    """Raise InputError unless the estimate has the bands of hs and the size of ms, (L, H, W)."""
    if estimate.dims != DIMS or estimate.shape != expected:
        found, wanted = (" x ".join(map(str, shape)) for shape in (estimate.shape, expected))
        wanted += " (bands of hs, rows and columns of ms)"
        raise InputError(f"an estimate of {found}", wanted, "give the hs and ms it was made from")


def median_and_worst(
    shares: NDArray[np.float64], wavelengths_nm: NDArray[np.float64] | None, *, gap: str = ", "
) -> str:
    """Relative errors of bands as text: the median, and the largest with its place.

    >>> median_and_worst(np.array([0.01, 0.02, 0.06]), None)
    '2.00%, at worst 6.00% (band 3)'
    """
    if not np.isfinite(shares).any():
        return "nan"
    worst = int(np.nanargmax(shares))
    place = f"band {worst + 1}" if wavelengths_nm is None else f"{wavelengths_nm[worst]:.0f} nm"
    return f"{np.nanmedian(shares):.2%}{gap}at worst {shares[worst]:.2%} ({place})"


def masked(image: torch.Tensor, valid: torch.Tensor | None) -> NDArray[np.float64]:
    """A float64 array with NaN where a pixel is not valid."""
    values: NDArray[np.float64] = image.numpy().copy()
    if valid is not None:
        values[:, ~valid.numpy()] = np.nan
    return values


def wald_scores(fuse: Fuse, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor, *, preset: str = "float") -> Scores:
    """Score a method at reduced resolution (Wald's protocol), where hs itself is the reference.

    It tells how a method does on this scene one level coarser. It does not tell of the fine level, where texture
    changes with the pixel size, nor of a sensor that was estimated wrongly: both levels use it.

    Args:
        fuse: a function of (hs, ms) that returns a cube.
        hs: (L, h, w).
        ms: (l, H, W) in the unit of hs.
        sensor: PSF and response of the pair.
        preset: whose definitions, a name of `PRESETS`.

    Returns:
        The scores of `fuse(reduced hs, reduced ms)` against hs.

    Raises:
        InputError: an hs too small to be reduced, or an unknown preset.

    Source: Wald, Ranchin, Mangolini 1997.

    >>> from hypersharp.simulation.protocols import find_protocol
    >>> from hypersharp.simulation.pair import simulate_pair
    >>> sensor = find_protocol("dian-x4").sensor()
    >>> hs, ms, _ = simulate_pair(make_cube(np.random.default_rng(0).random((31, 64, 64))), sensor)
    >>> wald_scores(lambda hs, ms: make_cube(hs.values.repeat(4, 1).repeat(4, 2)), hs, ms, sensor).psnr_db > 5
    True
    """
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    unit = value_scale(coarse.values)
    pair = TensorPair(to_tensor(coarse, unit), to_tensor(fine, unit), measured(coarse), measured(fine))
    reduced = degrade_pair(pair, sensor)
    parts = ((reduced.hs, reduced.hs_valid), (reduced.ms, reduced.ms_valid), (reduced.truth, reduced.truth_valid))
    small_hs, small_ms, truth = (masked(image, valid).astype(np.float32) * np.float32(unit) for image, valid in parts)
    sharp = fuse(like(small_hs, coarse), like(small_ms, fine))
    return score_cubes(sharp, like(truth, coarse), ratio=sensor.ratio, preset=preset, peak=unit)


def like(values: NDArray[np.float32], cube: xr.DataArray) -> xr.DataArray:
    """An image with the wavelengths and widths of a cube's bands, and no place on the map."""
    return make_cube(values, wavelengths_nm=wavelengths_nm(cube), fwhm_nm=fwhm_nm(cube))
