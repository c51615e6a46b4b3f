"""The sensor from the pair itself: response, blur, shift and gains that make hs and ms agree.

By default physical: nothing negative, see `physical`; HySure's estimate of free signs, see `ridge`, on request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.sensor.moments import TELL, Mask, Moments, Support, enough, find_support, gather, whole_patches
from hypersharp.sensor.noise import regression_noise
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.physical import FREE, GIVEN, Fit, Known, fit_sensor, system_conditions
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.ridge import Coverage, EstimateOptions, comparable, fit_kernel, fit_response
from hypersharp.sensor.shapes import blur_weights
from hypersharp.sensor.spectra import Spectra, restrict
from hypersharp.sensor.tables import FloatArray

__all__ = ["Estimate", "EstimateOptions", "Pair", "Spectra", "complete_sensor", "estimate_sensor", "spectral_gaps"]

GAP = 1.5  # times the median spacing: bands further apart are no neighbours
CONSTANT = 1e-6  # relative spread below which an image shows nothing


@dataclass(frozen=True, eq=False)
class Estimate:
    """A fitted sensor and how well it fits.

    `gain`: how much brighter hs is, seen through a response of sum one, than ms (HySure's: the sum of the kernel
    before it was scaled to one). `residual` is ||R hs - D B ms|| / ||R hs|| over measured pixels that the border
    does not touch: below 0.02 on simulated pairs, 0.03 to 0.1 on real ones. `shift_px_yx` is how far the
    coarse pixels' centre of mass lies from where the sizes say: what is left of misregistration, fine pixels.
    `gains` (l,) are the sums of the rows that fit; `offsets` (l,) the constants that would explain ms better, zeros
    where they do not clearly, no part of the sensor; `blur` and `responses` the families chosen; `equations` the
    coarse pixels used; `conditions` the condition numbers of the systems of the response and the blur.
    """

    sensor: Sensor
    gain: float
    residual: float
    shift_px_yx: tuple[float, float]
    gains: FloatArray
    offsets: FloatArray
    blur: str = GIVEN
    responses: tuple[str, ...] = ()
    equations: int = 0
    conditions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pair:
    """hs and ms in float64 on the CPU, and where they are measured."""

    hs: Tensor
    ms: Tensor
    ratio: int
    hs_valid: Mask
    ms_valid: Mask


def estimate_sensor(
    hs: Tensor,
    ms: Tensor,
    ratio: int,
    *,
    coverage: Coverage | None = None,
    gaps: Sequence[int] = (),
    options: EstimateOptions | None = None,
) -> Estimate:
    """Response, blur and phase of a pair hs (L, h, w), ms (l, H, W), values of about 0..1.

    coverage: for every ms band the indices of the hs bands it may see; by default all. gaps: bands i that
    have no neighbour i + 1, e.g. next to removed ones (`spectral_gaps`).

    Raises: InputError for sizes that do not match, or images that do not tell (flat, or too small).
    """
    return complete_sensor(hs, ms, ratio, psf=None, srf=None, coverage=coverage, gaps=gaps, options=options)


def complete_sensor(
    hs: Tensor,
    ms: Tensor,
    ratio: int,
    *,
    psf: PSF | None,
    srf: FloatArray | None,
    coverage: Coverage | None = None,
    gaps: Sequence[int] = (),
    options: EstimateOptions | None = None,
    hs_valid: Tensor | None = None,
    ms_valid: Tensor | None = None,
    spectra: Spectra | None = None,
) -> Estimate:
    """The sensor with what is known of it left as it is and the rest estimated; shapes as `estimate_sensor`.

    hs_valid (h, w), ms_valid (H, W): bool, False where a pixel is not measured; no equation that it touches is
    used. spectra: wavelengths, which restrict what an ms band may see and stand for its response.

    Raises: InputError as there, for a psf or srf that does not fit the pair, masks that leave nothing, and
    wavelengths that have nothing in common.
    """
    chosen = options or EstimateOptions()
    pair = check_pair(hs, ms, ratio, hs_valid, ms_valid)
    if srf is not None and srf.shape != (len(ms), len(hs)):
        raise InputError(f"a response of shape {srf.shape}", f"{(len(ms), len(hs))}", "give one row per ms band")
    seen, stated = restrict(check_coverage(coverage, hs, ms), len(hs), spectra or Spectra())
    if psf is not None and srf is not None:
        return explain(pair, Sensor(psf, srf, ratio), 1.0, None)
    check_texture(pair)
    if not chosen.is_physical:
        return by_ridge(pair, psf, srf, [np.flatnonzero(row).tolist() for row in seen], gaps, chosen)
    noise = regression_noise(pair.hs[:, torch.from_numpy(pair.hs_valid)].numpy())
    told = spectra or Spectra()
    centres = None if told.hs_nm is None or stated is not None else told.ms_nm
    known = Known(told.axis(len(hs)), seen, tuple(gaps), noise, stated, srf, centres)
    return physically(pair, psf, known, chosen.support_px)


def physically(pair: Pair, psf: PSF | None, known: Known, support_px: int | None) -> Estimate:
    """The fit of `physical`, its blur on fine pixels."""
    support, (train, held) = gather_pair(pair, psf, support_px)
    fit = fit_sensor(train, held, support, known)
    found = psf or as_psf(fit, support)
    sensor = Sensor(found, fit.rows if known.given is None else known.given, pair.ratio)
    conditions = system_conditions(train + held, fit)
    return replace(explain(pair, sensor, 1.0, fit), equations=train.count + held.count, conditions=conditions)


def gather_pair(pair: Pair, psf: PSF | None, support_px: int | None) -> tuple[Support, tuple[Moments, Moments]]:
    """Support and moments; a smaller support where the image is too small for the usual one."""
    sides = [support_px] if support_px or psf else [None, 2 * pair.ratio, pair.ratio]
    for side in sides:
        support = find_support(pair.ratio, side)
        if psf is None and min(pair.ms.shape[1:]) < support.side_px:
            continue
        usable = pair.hs_valid & whole_patches(pair.ms_valid, support, psf)
        if side == sides[-1] or enough(usable, support, psf):
            return support, gather(pair.hs.numpy(), pair.ms.numpy(), support, usable, psf)
    height, width = pair.ms.shape[1:]
    raise InputError(f"ms of {height} x {width} pixels", f"room for a blur of {sides[-1]} x {sides[-1]}", TELL)


def as_psf(fit: Fit, support: Support) -> PSF:
    return support.as_psf(blur_weights(fit.blur, support) if fit.blur else support.to_fine(fit.taps))


def by_ridge(
    pair: Pair,
    psf: PSF | None,
    srf: FloatArray | None,
    coverage: Coverage,
    gaps: Sequence[int],
    options: EstimateOptions,
) -> Estimate:
    """HySure's fit; a response that was estimated is divided by the gain of the kernel."""
    hs, ms, ratio = pair.hs, pair.ms, pair.ratio
    if srf is None:
        seen = comparable(hs, ms, ratio, psf, options)
        response = fit_response(*seen, coverage, gaps, options.lambda_r)
    else:
        response = torch.tensor(srf)
    gain, found = 1.0, psf
    if found is None:
        found, gain = fit_kernel(hs, ms, ratio, response, options)
    rows = (response / gain if srf is None else response).numpy()
    return replace(
        explain(pair, Sensor(found, rows, ratio), gain, None),
        blur="free signs" if psf is None else GIVEN,
        responses=("free signs" if srf is None else GIVEN,) * len(ms),
        equations=int(pair.hs_valid.sum()),
    )


def explain(pair: Pair, sensor: Sensor, gain: float, fit: Fit | None) -> Estimate:
    """A sensor with what can be said of it."""
    gains = sensor.srf.sum(1) if fit is None else fit.rows.sum(1)
    offsets = np.zeros(len(gains)) if fit is None else fit.offsets
    return Estimate(
        sensor,
        gain if fit is None or not gains.any() else 1 / float(np.median(gains[gains > 0])),
        misfit(sensor, pair),
        shift_px_yx(sensor),
        gains,
        offsets,
        blur=GIVEN if fit is None else (fit.blur.family if fit.blur else (GIVEN if len(fit.taps) == 1 else FREE)),
        responses=(GIVEN,) * len(gains) if fit is None else fit.families,
    )


def spectral_gaps(wavelengths_nm: FloatArray | None) -> list[int]:
    """Bands i after which the spacing exceeds 1.5 times the median one; none where wavelengths are not known.

    >>> spectral_gaps(np.array([400.0, 410, 420, 500, 510]))
    [2]
    """
    if wavelengths_nm is None or len(wavelengths_nm) < 3:
        return []
    steps = np.abs(np.diff(wavelengths_nm))
    return [int(i) for i in np.flatnonzero(steps > GAP * np.median(steps))]


def misfit(sensor: Sensor, pair: Pair) -> float:
    """||R hs - D B ms|| / ||R hs|| over all bands together, see `gaps_and_seen`."""
    gaps, seen = gaps_and_seen(sensor, pair)
    return float(np.linalg.norm(gaps)) / max(float(np.linalg.norm(seen)), 1e-300)


def band_misfits(sensor: Sensor, pair: Pair) -> FloatArray:
    """||R hs - D B ms|| / ||R hs|| of each ms band (l,), 0 for one that sees nothing."""
    gaps, seen = gaps_and_seen(sensor, pair)
    power = np.linalg.norm(seen, axis=1)
    return np.where(power > 0, np.linalg.norm(gaps, axis=1) / np.maximum(power, 1e-300), 0)


def gaps_and_seen(sensor: Sensor, pair: Pair) -> tuple[FloatArray, FloatArray]:
    """R hs - D B ms and R hs (l, pixels), of ms bands that see something and measured pixels.

    Pixels whose blur reaches over the border, or a gap, are left out where others remain.
    """
    blurred = Sensor(sensor.psf, np.eye(len(pair.ms)), sensor.ratio).hs(pair.ms)
    seen = sensor.ms(pair.hs)
    gaps = torch.where(torch.from_numpy(sensor.srf.any(1))[:, None, None], seen - blurred, 0.0)
    kept = pair.hs_valid & whole_patches(pair.ms_valid, find_support(pair.ratio), sensor.psf)
    edge = -(-max(sensor.psf.kernel.shape) // (2 * sensor.ratio))
    inside = np.zeros_like(kept)
    inside[edge:-edge, edge:-edge] = True
    for choice in (kept & inside, kept, pair.hs_valid):
        if choice.any():
            return gaps.numpy()[:, choice], seen.numpy()[:, choice]
    return gaps.flatten(1).numpy(), seen.flatten(1).numpy()


def shift_px_yx(sensor: Sensor) -> tuple[float, float]:
    """From the centre that the sizes imply, (ratio - 1)/2, to the kernel's centre of mass."""
    y, x = sensor.psf.centre_yx()
    middle = (sensor.ratio - 1) / 2
    return y - middle, x - middle


def check_pair(
    hs: Tensor, ms: Tensor, ratio: int, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None
) -> Pair:
    """The pair in float64 on the CPU, where the small systems are solved."""
    expected = (hs.shape[1] * ratio, hs.shape[2] * ratio)
    if tuple(ms.shape[1:]) != expected:
        raise InputError(f"ms of {tuple(ms.shape[1:])} pixels", f"{expected}, ratio {ratio} times hs", "crop it")
    if not (hs.isfinite().all() and ms.isfinite().all()):
        raise InputError("values that are not finite", "finite ones", "fill the gaps first")
    masks = [check_mask(*named) for named in (("hs", hs, hs_valid), ("ms", ms, ms_valid))]
    return Pair(hs.to("cpu", torch.float64), ms.to("cpu", torch.float64), ratio, masks[0], masks[1])


def check_mask(name: str, image: Tensor, valid: Tensor | None) -> Mask:
    """(h, w) True where measured; InputError for another size, or where nothing is."""
    if valid is None:
        return np.ones(tuple(image.shape[1:]), bool)
    if valid.shape != image.shape[1:]:
        found = f"a mask of {tuple(valid.shape)} pixels for {name} of {tuple(image.shape[1:])}"
        raise InputError(found, "the same size", "give the mask of this image")
    if not valid.any():
        raise InputError(f"a mask that leaves nothing of {name}", "some measured pixels", "mask less")
    return valid.cpu().numpy().astype(bool)


def check_texture(pair: Pair) -> None:
    """InputError where an image is constant."""
    for name, image, valid in (("hs", pair.hs, pair.hs_valid), ("ms", pair.ms, pair.ms_valid)):
        pixels = image.numpy()[:, valid]
        if not (np.ptp(pixels, axis=1) > CONSTANT * np.abs(pixels).max(axis=1)).any():
            raise InputError(f"{name} of constants", "an image with texture to estimate from", TELL)


def check_coverage(coverage: Coverage | None, hs: Tensor, ms: Tensor) -> Coverage:
    if coverage is None:
        return [range(len(hs))] * len(ms)
    bands = [band for row in coverage for band in row]
    fits = len(coverage) == len(ms) and all(len(row) for row in coverage)
    if not fits or min(bands) < 0 or max(bands) >= len(hs):
        raise InputError(
            f"coverage of {len(coverage)} ms bands by hs bands {min(bands, default=0)} to {max(bands, default=0)}",
            f"{len(ms)} rows, none empty, of indices 0 to {len(hs) - 1}",
            "mend it",
        )
    return coverage
