"""Prediction intervals for a result: an error model stored with weights, or learned from the pair."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.learn import Fusion, Sharpener
from hypersharp.methods.detail import measured_pixels
from hypersharp.methods.table import METHODS
from hypersharp.networks.load import shape_of
from hypersharp.networks.packaged import fitting_weights, named_weights
from hypersharp.pair.options import Options
from hypersharp.pair.reduced import ReducedPair, reduced_pairs
from hypersharp.pair.sensor import estimate_sensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.uncertainty.model import ErrorModel, calibrate, half_widths, one_level_finer, read_model

LEAST_PX = 4  # of hs at reduced resolution, along a side
SAME_BLUR = 0.02  # relative difference of hs and coarse ms under a stored sensor, above which it is another's
REACH = 5  # coarse pixels around a pixel that its error is predicted from
Refit = Callable[[ReducedPair], tuple[Tensor, Tensor | None]]  # an estimate, and where it counts


@dataclass(frozen=True, eq=False)
class Intervals:
    """An error model, the sensor it sees the pair with, and where its calibration comes from, in words.

    `mean`: that of the scene's modelled errors, where it is applied to parts of the scene.
    """

    model: ErrorModel
    sensor: Sensor
    source: str
    mean: float | None = None

    def __call__(self, estimate: Tensor, pair: TensorPair, coverage: float = 0.9) -> Tensor:
        """Half-widths (L, H, W) around an estimate. Raises: as `half_widths`."""
        return half_widths(self.model, estimate, pair.hs, pair.ms, self.sensor, coverage=coverage, mean=self.mean)

    def attrs(self, coverage: float = 0.9, units: str | None = None) -> dict[str, str | float]:
        """The attributes of a cube of half-widths."""
        return {
            "long_name": f"half-width of the {coverage:.0%} interval around the sharpened image",
            "units": units or "as the sharpened image",
            "coverage": coverage,
            "calibration": self.source,
        }


def find_intervals(fusion: Fusion, pair: TensorPair) -> Intervals:
    """What is stored with a network's weights, where the pair is their sensor's; else what the pair itself teaches.

    pair: of the fusion, or a part of it.

    Raises: InputError for an hs too small for its reduced resolution.
    """
    apply = partial(applied, fusion.sharpener, fusion.options)
    return stored_intervals(fusion, pair) or learn_intervals(pair, fusion.sensor.on(pair).sensor, apply)


def stored_intervals(fusion: Fusion, pair: TensorPair) -> Intervals | None:
    """What is packaged with the weights that fit, if the pair is one of the sensor it was calibrated for."""
    name, *others = fusion.choice.shares
    given = fusion.sensor.given_psf is not None or fusion.sensor.given_srf is not None
    if others or not METHODS[name].is_network or fusion.choice.consistent or given:
        return None
    weights = fusion.options.weights
    try:
        chosen = named_weights(weights) if weights else fitting_weights(name, shape_of(pair), pair.spectra.hs_nm)
    except InputError:  # it ran weights for any sensor
        return None
    stored = read_model(chosen.path)
    if stored is None:
        return None
    model, psf = stored
    sensor = estimate_sensor(pair, psf, None).sensor
    blurred = Sensor(psf, np.eye(len(pair.ms)), pair.ratio).hs(pair.ms)
    if float((sensor.ms(pair.hs) - blurred).norm() / blurred.norm()) > SAME_BLUR:
        return None
    return Intervals(model, sensor, f"other scenes of the sensor of {chosen.name}")


def learn_intervals(pair: TensorPair, sensor: Sensor, refit: Refit) -> Intervals:
    """What errors at reduced resolution teach. Raises: InputError for an hs too small for that."""
    rows, columns = pair.hs.shape[1:]
    if min(rows, columns) < LEAST_PX * pair.ratio:
        found = f"hs of {rows} x {columns} pixels at ratio {pair.ratio}"
        expected = f"at least {LEAST_PX * pair.ratio} along each side, to learn errors at reduced resolution"
        raise InputError(found, expected, "take a larger part of the scene, or leave the uncertainty out")
    reduced = reduced_pairs(pair, sensor)
    estimates, valid = zip(*(refit(one) for one in reduced), strict=True)
    tried = zip(estimates, reduced, valid, strict=True)
    errors = [measured_pixels(estimate - one.truth, seen) for estimate, one, seen in tried]
    model = one_level_finer(calibrate(estimates, reduced, sensor, valid), reduced[0], torch.cat(errors, 1), sensor)
    return Intervals(model, sensor, "errors on the pair at reduced resolution")


def interval_floats_per_px(bands: int) -> float:
    """How many float32 predicting an error holds per fine pixel at most, hs, ms and result included (measured)."""
    return 2.4 * bands + 90


def applied(sharpener: Sharpener, options: Options, pair: ReducedPair) -> tuple[Tensor, Tensor | None]:
    """The result at reduced resolution, and where all three images were measured.

    By what was learned from the pair itself, for a reduced pair has few pixels.
    """
    ratio = pair.ratio
    coarse = None if pair.hs_valid is None else pair.hs_valid.repeat_interleave(ratio, 0).repeat_interleave(ratio, 1)
    return sharpener(pair, options).float().cpu(), in_all(coarse, pair.ms_valid, pair.truth_valid)


def in_all(*valid: Tensor | None) -> Tensor | None:
    """Where all masks that there are hold; None: everywhere."""
    known = [mask for mask in valid if mask is not None]
    return torch.stack(known).all(0) if known else None
