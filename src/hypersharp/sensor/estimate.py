"""The sensor from the pair itself: response, blur, shift and gains that make hs and ms agree; nothing negative."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.noise import neighbour_noise
from hypersharp.sensor.moments import (
    OTHERWISE,
    WANTED_EQUATIONS,
    Moments,
    Support,
    find_support,
    gather,
    inside_mask,
    wide_support,
)
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.physical import FREE, GIVEN, Fit, Known, fit_sensor
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.shapes import blur_weights
from hypersharp.sensor.spectra import Spectra, restrict
from hypersharp.sensor.srf import check_response
from hypersharp.sensor.tables import FloatArray, Mask

ANOTHER_UNIT = 5.0  # times hs: an ms is brought to its level first
CONSTANT = 1e-6  # relative spread below which an image shows nothing


@dataclass(frozen=True, eq=False)
class Estimate:
    """A fitted sensor and how well it fits.

    Attributes:
        sensor: PSF, response (l, L) and ratio.
        gain: how much brighter hs is, seen through a response of sum one, than ms.
        residual: ||R hs - D B ms|| / ||R hs|| over valid pixels away from the border: below 0.02 on simulated pairs,
            0.03 to 0.1 on real ones.
        shift_px_yx: residual misregistration in fine pixels: where the coarse pixels' centre of mass lies.
        gains: sums of the rows before they were scaled to one (l,).
        offsets: constants that would explain ms better (l,), zero where they do not clearly; no part of the sensor.
        blur, responses: the families chosen.
        equations: number of coarse pixels used.
        conditions: condition numbers of the systems of response and blur.
        protocol: the name of the one whose sensor explains the pair as well, if any does.

    Source: the alternation of Simoes et al. 2015 (HySure), section V, on second moments, constrained to be physical.

    >>> from hypersharp.sensor.psf import box
    >>> one = np.ones(1)
    >>> Estimate(Sensor(box(2), np.ones((1, 1)), 2), 1.0, 0.01, (0.0, 0.0), one, 0 * one).residual
    0.01
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
    protocol: str | None = None


@dataclass(frozen=True, eq=False)
class Images:
    """hs and ms in float64 on the CPU, and where they are measured."""

    hs: Tensor
    ms: Tensor
    ratio: int
    hs_valid: Mask
    ms_valid: Mask


def complete_sensor(
    hs: Tensor,
    ms: Tensor,
    ratio: int,
    *,
    psf: PSF | None = None,
    srf: FloatArray | None = None,
    hs_valid: Tensor | None = None,
    ms_valid: Tensor | None = None,
    spectra: Spectra | None = None,
    wide: bool = False,
) -> Estimate:
    """The sensor of hs (L, h, w) and ms (l, H, W), values of about 0..1: what is given as it is, the rest estimated.

    hs_valid (h, w), ms_valid (H, W): bool, False where a pixel is not measured; its value has no influence. spectra:
    wavelengths, which restrict what an ms band may see, stand for its response, and show where hs bands are missing.
    wide: look for a blur beyond the usual three coarse pixels.

    Raises: InputError for sizes that do not match, a psf or srf that does not fit, masks that leave nothing,
        wavelengths that have nothing in common, or images that determine no sensor (flat, or too small).
    """
    pair, spectra = check_images(hs, ms, ratio, hs_valid, ms_valid), spectra or Spectra()
    if srf is not None:
        check_response(srf, len(ms), len(hs))
    seen, stated = restrict(len(ms), len(hs), spectra)
    if psf is not None and srf is not None:
        return explain(pair, Sensor(psf, srf, ratio), None)
    levels = [
        float(np.abs(image.numpy()[:, valid]).mean()) for image, valid in ((hs, pair.hs_valid), (ms, pair.ms_valid))
    ]
    if min(levels) > 0 and not 1 / ANOTHER_UNIT < levels[0] / levels[1] < ANOTHER_UNIT:
        factor, masks = levels[0] / levels[1], {"hs_valid": hs_valid, "ms_valid": ms_valid}
        rows, back = None if srf is None else srf * factor, 1 / factor
        found = complete_sensor(hs, ms * factor, ratio, psf=psf, srf=rows, spectra=spectra, wide=wide, **masks)
        sensor = replace(found.sensor, srf=found.sensor.srf * back)
        gains, offsets = found.gains * back, found.offsets * back
        return replace(found, sensor=sensor, gain=found.gain / back, gains=gains, offsets=offsets)
    for name, image, valid in (("hs", pair.hs, pair.hs_valid), ("ms", pair.ms, pair.ms_valid)):
        pixels = image.numpy()[:, valid]
        if not (np.ptp(pixels, axis=1) > CONSTANT * np.abs(pixels).max(axis=1)).any():
            raise InputError(f"{name} of constants", "an image with texture to estimate from", OTHERWISE)
    noise = neighbour_noise(pair.hs[:, torch.from_numpy(pair.hs_valid)]).numpy()
    centres = None if spectra.hs_nm is None or stated is not None else spectra.ms_nm
    known = Known(spectra.axis(len(hs)), seen, spectra.gaps, noise, stated, srf, centres)
    support, (train, held) = gather_pair(pair, psf, wide=wide)
    fit = fit_sensor(train, held, support, known)
    blur = psf or support.as_psf(blur_weights(fit.blur, support) if fit.blur else support.to_fine(fit.taps))
    sensor = Sensor(blur, fit.rows if srf is None else srf, ratio)
    everything = train + held
    systems = {"response": everything.bands[:-1, :-1], "blur": everything.cells.sum(0)}
    explained = bool(fit.rows.any())
    conditions = {name: float(np.linalg.cond(gram)) for name, gram in systems.items() if len(gram) > 1 and explained}
    return replace(explain(pair, sensor, fit), equations=everything.count, conditions=conditions)


def gather_pair(pair: Images, psf: PSF | None, *, wide: bool = False) -> tuple[Support, tuple[Moments, Moments]]:
    """Support and moments; a smaller support where the image is too small for the usual one, or a wide one."""
    sides = [None] if psf else [None, 2 * pair.ratio, pair.ratio]
    for side in sides:
        support = wide_support(pair.ratio) if wide and side is None else find_support(pair.ratio, side)
        if psf is None and min(pair.ms.shape[1:]) < support.side_px:
            continue
        reach = psf or support.as_psf(np.ones((support.side_px, support.side_px)))
        seen = Sensor(reach, np.eye(1), pair.ratio).sees_only(torch.from_numpy(pair.ms_valid)).numpy()
        usable = pair.hs_valid & seen & inside_mask(seen.shape, support, psf)
        if side == sides[-1] or usable.sum() >= WANTED_EQUATIONS:
            return support, gather(pair.hs.numpy(), pair.ms.numpy(), support, usable, psf)
    height, width = pair.ms.shape[1:]
    raise InputError(f"ms of {height} x {width} pixels", f"room for a blur of {sides[-1]} x {sides[-1]}", OTHERWISE)


def explain(pair: Images, sensor: Sensor, fit: Fit | None) -> Estimate:
    """A sensor with its diagnostics; `fit` where it was not given."""
    gaps, seen = gaps_and_seen(sensor, pair)
    gains = sensor.srf.sum(1) if fit is None else fit.rows.sum(1)
    blur = GIVEN
    if fit is not None and len(fit.taps) > 1:
        blur = fit.blur.family if fit.blur else FREE
    y, x = sensor.psf.centre_yx()
    return Estimate(
        sensor,
        1.0 if fit is None or not gains.any() else 1 / float(np.median(gains[gains > 0])),
        float(np.linalg.norm(gaps)) / max(float(np.linalg.norm(seen)), 1e-300),
        (y - (sensor.ratio - 1) / 2, x - (sensor.ratio - 1) / 2),
        gains,
        np.zeros(len(gains)) if fit is None else fit.offsets,
        blur=blur,
        responses=(GIVEN,) * len(gains) if fit is None else fit.families,
    )


def gaps_and_seen(sensor: Sensor, pair: Images) -> tuple[FloatArray, FloatArray]:
    """R hs - D B ms and R hs (l, pixels), of ms bands that see something and measured pixels.

    Pixels whose blur reaches over the border, or a gap, are left out where others remain.
    """
    seen = sensor.ms(pair.hs)
    gaps = torch.where(torch.from_numpy(sensor.srf.any(1))[:, None, None], seen - sensor.hs(pair.ms), 0.0)
    kept = pair.hs_valid & sensor.sees_only(torch.from_numpy(pair.ms_valid)).numpy()
    edge = -(-max(sensor.psf.kernel.shape) // (2 * sensor.ratio))
    inside = np.zeros_like(kept)
    inside[edge:-edge, edge:-edge] = True
    for choice in (kept & inside, kept, pair.hs_valid):
        if choice.any():
            return gaps.numpy()[:, choice], seen.numpy()[:, choice]
    return gaps.flatten(1).numpy(), seen.flatten(1).numpy()


def check_images(
    hs: Tensor, ms: Tensor, ratio: int, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None
) -> Images:
    """A pair in float64 on the CPU, where the small systems are solved."""
    expected = (hs.shape[1] * ratio, hs.shape[2] * ratio)
    if tuple(ms.shape[1:]) != expected:
        raise InputError(f"ms of {tuple(ms.shape[1:])} pixels", f"{expected}, ratio {ratio} times hs", "crop it")
    if not (hs.isfinite().all() and ms.isfinite().all()):
        raise InputError("values that are not finite", "finite ones", "fill the gaps first")
    (hs, hs_mask), (ms, ms_mask) = measured("hs", hs, hs_valid), measured("ms", ms, ms_valid)
    return Images(hs, ms, ratio, hs_mask, ms_mask)


def measured(name: str, image: Tensor, valid: Tensor | None) -> tuple[Tensor, Mask]:
    """An image on the CPU, the band mean where it was not measured, so that what stood there is gone; and the mask."""
    image = image.to("cpu", torch.float64)
    if valid is None:
        return image, np.ones(tuple(image.shape[1:]), bool)
    kept = valid.to("cpu", torch.bool)
    if kept.shape != image.shape[1:]:
        found = f"a mask of {tuple(kept.shape)} pixels for {name} of {tuple(image.shape[1:])}"
        raise InputError(found, "the same size", "give the mask of this image")
    if not kept.any():
        raise InputError(f"a mask that leaves nothing of {name}", "some measured pixels", "mask less")
    return torch.where(kept, image, image[:, kept].mean(1)[:, None, None]), kept.numpy()
