"""How far to trust what a method makes of a pair: an error model stored with weights, or learned from the pair itself.

What the pair taught the method is applied to it degraded once more, where hs is the truth (`methods.trust`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.learn import learn_run
from hypersharp.fusion.sharpener import Recipe
from hypersharp.methods.base import Method
from hypersharp.methods.detail import measured_pixels
from hypersharp.networks.packaged import fitting_weights, named_weights
from hypersharp.pair.reduced import ReducedPair, reduced_pairs
from hypersharp.pair.sensor import estimate_sensor_of
from hypersharp.pair.settings import Settings
from hypersharp.sensor.observe import Sensor
from hypersharp.uncertainty.model import ErrorModel, calibrate, half_widths, one_level_finer, read_model

LEAST_PX = 4  # of hs, degraded once more, along a side
SAME_BLUR = 0.02  # relative difference of hs and coarse ms under a stored sensor, above which it is another's
REACH = 5  # coarse pixels around a pixel that tell of its error
Again = Callable[[ReducedPair], tuple[Tensor, Tensor | None]]  # an estimate, and where it counts


@dataclass(frozen=True, eq=False)
class Trust:
    """An error model, the sensor it sees the pair with, and where its calibration comes from, as people read it.

    `mean`: that of the scene's modelled errors, where it is applied to parts of the scene.
    """

    model: ErrorModel
    sensor: Sensor
    source: str
    mean: float | None = None

    def __call__(self, estimate: Tensor, hs: Tensor, ms: Tensor, coverage: float = 0.9) -> Tensor:
        """Half-widths (L, H, W) around an estimate. Raises: as `half_widths`."""
        return half_widths(self.model, estimate, hs, ms, self.sensor, coverage=coverage, mean=self.mean)

    def attrs(self, coverage: float = 0.9, units: str | None = None) -> dict[str, str | float]:
        """What a cube of half-widths says of itself."""
        return {
            "long_name": f"half-width of the {coverage:.0%} interval around the sharpened image",
            "units": units or "as the sharpened image",
            "coverage": coverage,
            "calibration": self.source,
        }


def find_trust(
    method: Method, hs: Tensor, ms: Tensor, settings: Settings, again: Callable[[Sensor], Again], *, changed: bool
) -> Trust:
    """What is stored with the weights, where the pair is their sensor's; else what `again` teaches.

    hs (L, h, w), ms (l, H, W); changed: whether results are no longer those the stored model is for.

    Raises: InputError for an hs too small to be degraded once more.
    """
    told = settings.psf is not None or settings.srf is not None
    stored = None if told or changed else stored_trust(method, hs, ms, settings)
    return stored or learn_trust(hs, ms, settings, again)


def stored_trust(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Trust | None:
    """What is packaged with the weights that fit, if the pair is one of the sensor it was calibrated for."""
    if "weights" not in method.needs:
        return None
    shape = {"bands": len(hs), "ms_bands": len(ms), "ratio": settings.ratio}
    named = settings.weights
    chosen = named_weights(named) if named else fitting_weights(method.name, shape, settings.wavelengths_nm)
    found = read_model(chosen.path)
    if found is None:
        return None
    model, psf = found
    sensor = estimate_sensor_of(hs, ms, replace(settings, psf=psf)).sensor
    blurred = Sensor(psf, np.eye(len(ms)), settings.ratio).hs(ms)
    if float((sensor.ms(hs) - blurred).norm() / blurred.norm()) > SAME_BLUR:
        return None
    return Trust(model, sensor, f"other scenes of the sensor of {chosen.name}")


def learn_trust(hs: Tensor, ms: Tensor, settings: Settings, again: Callable[[Sensor], Again]) -> Trust:
    """What `again`, told the pair's sensor, teaches by its errors on the pair degraded once more.

    Raises: InputError for an hs too small for that.
    """
    check_large_enough((hs.shape[1], hs.shape[2]), settings.ratio)
    sensor = estimate_sensor_of(hs, ms, settings).sensor
    run = again(sensor)
    pairs = reduced_pairs(hs, ms, sensor, hs_valid=settings.hs_valid, ms_valid=settings.ms_valid)
    estimates, valid = zip(*(run(pair) for pair in pairs), strict=True)
    errors = [
        measured_pixels(estimate - pair.truth, seen)
        for estimate, pair, seen in zip(estimates, pairs, valid, strict=True)
    ]
    model = one_level_finer(calibrate(estimates, pairs, sensor, valid), pairs[0], torch.cat(errors, 1), sensor)
    return Trust(model, sensor, "errors on the pair degraded once more")


def trust_floats_per_px(bands: int) -> float:
    """How many float32 predicting an error holds per fine pixel at most, hs, ms and result included (measured)."""
    return 2.4 * bands + 90


def check_large_enough(shape_yx: tuple[int, int], ratio: int) -> None:
    """Raise an InputError for an hs too small to learn from when it is degraded once more."""
    if min(shape_yx) < LEAST_PX * ratio:
        raise InputError(
            f"hs of {shape_yx[0]} x {shape_yx[1]} pixels at ratio {ratio}",
            f"at least {LEAST_PX * ratio} along each side, to learn errors from the pair degraded once more",
            "take a larger part of the scene, or leave the predicted error out",
        )


def taught_by(method: Method, hs: Tensor, ms: Tensor, settings: Settings, sensor: Sensor) -> Again:
    """The method as the pair teaches it, for a degraded one has few pixels, with the sensor of the pair.

    A network keeps its own sensor, or what the user gave.
    """
    network = set(method.needs) == {"weights"}
    told = settings if network else replace(settings, psf=sensor.psf, srf=sensor.srf)
    return partial(applied_again, learn_run(method, hs, ms, told), told)


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
