"""The predicted error of a fused cube: `methods.trust` for cubes, calibrated on the pair or stored with weights."""

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.bench.judge import Fuse, check_estimate, like, masked, pair_sensor
from hypersharp.cube import only_usable, usable_bands, wavelengths_nm
from hypersharp.errors import CallError, InputError
from hypersharp.methods import find_method
from hypersharp.methods.base import (
    FuseOptions,
    Mode,
    Precision,
    Settings,
    from_tensor,
    measured,
    to_tensor,
    value_scale,
)
from hypersharp.methods.evidence import reduced_pairs
from hypersharp.methods.fuse import method_for, placed_as, settings_for
from hypersharp.methods.packaged import fitting_weights, named_weights
from hypersharp.methods.recipe import Recipe
from hypersharp.methods.scales import measured_pixels
from hypersharp.methods.scene import learn_run
from hypersharp.methods.trust import ErrorModel, calibrate, half_widths, one_level_finer, read_model
from hypersharp.methods.wald import ReducedPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

LEAST_PX = 4  # of hs, degraded once more, along a side
AGAIN_S = 15.0  # that `auto` may take to choose once more
Again = Callable[[ReducedPair], tuple[Tensor, Tensor | None]]  # an estimate, and where it counts
SAME_BLUR = 0.02  # relative difference of hs and coarse ms under a stored sensor, above which it is another's


def predict_error(
    sharp: xr.DataArray,
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    method: str | None = None,
    weights: str | Path | None = None,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    consistent: bool | None = None,
    mode: Mode = "whole",
    tile_px: int = 128,
    device: str = "auto",
    precision: Precision = "auto",
    coverage: float = 0.9,
    fuse_again: Fuse | None = None,
) -> xr.DataArray:
    """Half-widths (L, H, W) around a fused cube, in its unit: sharp +- them holds the truth in a share `coverage`.

    The method is applied once more to the pair degraded by the sensor, where hs is the truth, and its errors there
    teach how error follows from local detail; packaged weights on pairs of their own sensor have learned it at
    full resolution from other scenes. The share is one over all values: of the hardest pixels less are covered.
    Missing pixels and bands stay missing; attrs say the coverage and where the calibration comes from.

    Args:
        sharp: what fuse(hs, ms) gave, with the same options from method to precision.
        method: by default the one that sharp's attrs name, as fuse writes them.
        coverage: 0.5 to 0.99.
        fuse_again: any program's (hs, ms) -> sharp instead of `method`.

    Raises:
        InputError: images that do not belong together, or too small to be degraded once more.
        CallError: a coverage out of its range.
    """
    hs, ms = placed_as(sharp, hs, ms)
    check_estimate(sharp, hs, ms)
    method = method or method_of(sharp)
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    unit = value_scale(coarse.values)
    estimate = to_tensor(sharp.isel(band=np.flatnonzero(usable_bands(hs))), unit)
    pair = to_tensor(coarse, unit), to_tensor(fine, unit)
    changed = "consistency:" in str(sharp.attrs.get("hypersharp", ""))  # not so in the stored calibration
    given = psf is not None or srf is not None or changed or fuse_again is not None
    stored = None if given else stored_model(method, weights, coarse, fine)
    if stored:
        model, sensor, source = stored
    else:
        sensor = pair_sensor(hs, ms, psf=psf, srf=srf)
        check_large_enough(hs, sensor.ratio)
        if fuse_again:
            again: Again = partial(fused_again, fuse_again, coarse, fine, unit)
        else:
            options = FuseOptions(
                weights=weights, consistent=consistent, mode=mode, tile_px=tile_px, device=device,
                precision=precision, budget_s=AGAIN_S,
            )  # fmt: skip
            again = learned_again(method, coarse, fine, sensor, (psf, srf), unit, options)
        model = learn(again, coarse, fine, sensor, unit)
        source = "errors on the pair degraded once more"
    widths = half_widths(model, estimate, *pair, sensor, coverage=coverage)
    found = from_tensor(widths, hs.astype(np.float32), ms, unit)
    found.attrs |= {
        "long_name": f"half-width of the {coverage:.0%} interval around the sharpened image",
        "units": str(hs.attrs.get("units", "as the sharpened image")),
        "coverage": coverage,
        "calibration": source,
    }
    return found


def method_of(sharp: xr.DataArray) -> str:
    """The method in what fuse wrote into attrs.

    Raises: CallError where there is none.
    """
    found = re.match(r"method (\w+)", str(sharp.attrs.get("hypersharp", "")))
    if found is None:
        raise CallError("a result that does not say its method", "one of `fuse`", "name the method")
    return found[1]


def stored_model(
    method: str, weights: str | Path | None, hs: xr.DataArray, ms: xr.DataArray
) -> tuple[ErrorModel, Sensor, str] | None:
    """What is packaged with the weights that fit, if the pair is one of the sensor it was calibrated for."""
    if "weights" not in find_method(method).needs:
        return None
    ratio = ms.shape[1] // hs.shape[1]
    shape = {"bands": hs.shape[0], "ms_bands": ms.shape[0], "ratio": ratio}
    chosen = named_weights(weights) if weights else fitting_weights(method, shape, wavelengths_nm(hs))
    found = read_model(chosen.path)
    if found is None:
        return None
    model, psf = found
    estimated = pair_sensor(hs, ms, psf=psf)
    seen, blurred = to_tensor(hs, 1.0), Sensor(psf, np.eye(len(ms)), ratio).hs(to_tensor(ms, 1.0))
    left = estimated.ms(seen) - blurred
    if float(left.norm() / blurred.norm()) > SAME_BLUR:
        return None
    return model, estimated, f"other scenes of the sensor of {chosen.name}"


def check_large_enough(hs: xr.DataArray, ratio: int) -> None:
    """Raise an InputError for an hs too small to learn from when it is degraded once more."""
    if min(hs.shape[1:]) < LEAST_PX * ratio:
        raise InputError(
            f"hs of {hs.shape[1]} x {hs.shape[2]} pixels at ratio {ratio}",
            f"at least {LEAST_PX * ratio} along each side, to learn errors from the pair degraded once more",
            "take a larger part of the scene, or leave the predicted error out",
        )


def fused_again(
    fuse: Fuse, hs: xr.DataArray, ms: xr.DataArray, unit: float, pair: ReducedPair
) -> tuple[Tensor, Tensor | None]:
    """What any program makes of a reduced pair of (hs, ms), and where it and its truth count (None: everywhere)."""
    parts = ((pair.hs, pair.hs_valid, hs), (pair.ms, pair.ms_valid, ms))
    small = [like(masked(image, valid).astype(np.float32) * np.float32(unit), cube) for image, valid, cube in parts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the pair is warned of has been said
        sharp = fuse(*small)
    return to_tensor(sharp, unit), in_all(measured(sharp), pair.truth_valid)


def learned_again(
    method: str,
    hs: xr.DataArray,
    ms: xr.DataArray,
    sensor: Sensor,
    given: tuple[str | Path | PSF | None, str | Path | NDArray[np.float64] | None],
    unit: float,
    options: FuseOptions,
) -> Again:
    """The method as the usable pair teaches it, for a degraded one has few pixels, with the sensor of the pair.

    A network keeps its own sensor, or what was given.
    """
    chosen = find_method(method_for(method, options.weights))
    psf, srf = given if set(chosen.needs) == {"weights"} else (sensor.psf, sensor.srf)
    settings = settings_for(chosen, hs, ms, options, psf=psf, srf=srf, ratio=sensor.ratio)
    return partial(applied_again, learn_run(chosen, to_tensor(hs, unit), to_tensor(ms, unit), settings), settings)


def applied_again(recipe: Recipe, settings: Settings, pair: ReducedPair) -> tuple[Tensor, Tensor | None]:
    """What a recipe makes of a reduced pair, and where all three images were measured (None: everywhere)."""
    there = replace(settings, hs_valid=pair.hs_valid, ms_valid=pair.ms_valid, notes=[])
    coarse = None if pair.hs_valid is None else grown(pair.hs_valid, settings.ratio)
    return recipe(pair.hs, pair.ms, there).float().cpu(), in_all(coarse, pair.ms_valid, pair.truth_valid)


def grown(valid: Tensor, ratio: int) -> Tensor:
    """(h, w) -> (ratio h, ratio w)."""
    return valid.repeat_interleave(ratio, 0).repeat_interleave(ratio, 1)


def in_all(*valid: Tensor | None) -> Tensor | None:
    """Where all masks that there are hold; None: everywhere."""
    known = [mask for mask in valid if mask is not None]
    return torch.stack(known).all(0) if known else None


def learn(again: Again, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor, unit: float) -> ErrorModel:
    """The model of the usable pair from what `again` makes of it degraded once more."""
    pairs = reduced_pairs(
        to_tensor(hs, unit), to_tensor(ms, unit), sensor, hs_valid=measured(hs), ms_valid=measured(ms)
    )
    estimates, valid = zip(*(again(pair) for pair in pairs), strict=True)
    errors = [
        measured_pixels(estimate - pair.truth, seen)
        for estimate, pair, seen in zip(estimates, pairs, valid, strict=True)
    ]
    model = calibrate(estimates, pairs, sensor, valid)
    return one_level_finer(model, pairs[0], torch.cat(errors, 1), sensor)
