"""The prediction intervals of a fused cube, or of another program's: by a stored error model or one learned from it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.finish import as_cube, finished, missing_pixels
from hypersharp.fusion.learn import Fusion, learn_again, learn_pair
from hypersharp.io.given import as_cube as given_cube
from hypersharp.methods.table import AUTO, METHODS
from hypersharp.networks.packaged import misfit, named_weights, packaged_weights
from hypersharp.pair.options import Mode, Options, Precision
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.reduced import ReducedPair, reduced_pairs
from hypersharp.pair.sensor import GivenPSF, GivenSRF, PairSensor, estimate_sensor, given_sensor
from hypersharp.pair.tensors import TensorPair, measured, measured_pixels, to_tensor
from hypersharp.quality.judge import Fuse, check_estimate, in_all, like, masked
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF
from hypersharp.uncertainty.model import ErrorModel, calibrate, half_widths, one_level_finer, read_model

LEAST_PX = 4  # of hs at reduced resolution, along a side
SAME_BLUR = 0.02  # relative difference of hs and coarse ms under a stored sensor, above which it is another's
SAME = ("weights", "mode", "tile_px", "precision", "runtime", "ensemble")  # what a recorded result is predicted with
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

    def applied(reduced: ReducedPair) -> tuple[Tensor, Tensor | None]:
        """The result at reduced resolution, by what the pair itself taught, for a reduced one has few pixels."""
        seen, ratio = reduced.hs_valid, reduced.ratio
        coarse = None if seen is None else seen.repeat_interleave(ratio, 0).repeat_interleave(ratio, 1)
        sharp = fusion.sharpener(reduced, fusion.options).float().cpu()
        return sharp, in_all(coarse, reduced.ms_valid, reduced.truth_valid)

    return stored_intervals(fusion, pair) or learn_intervals(pair, fusion.sensor.on(pair).sensor, applied)


def stored_intervals(fusion: Fusion, pair: TensorPair) -> Intervals | None:
    """What is packaged with the weights that fit, if the pair is one of the sensor it was calibrated for."""
    name, *others = fusion.choice.shares
    given = fusion.sensor.given_psf is not None or fusion.sensor.given_srf is not None
    if others or not METHODS[name].is_network or fusion.choice.consistent or given:
        return None
    chosen = named_weights(fusion.options.weights or fusion.record.weights[0])
    stored = read_model(chosen.path)
    if stored is None:
        return None
    model, psf = stored
    sensor = estimate_sensor(pair, psf, None).sensor
    blurred = sensor.hs(pair.ms)
    if float((sensor.ms(pair.hs) - blurred).norm() / blurred.norm()) > SAME_BLUR:
        return None
    return Intervals(model, sensor, f"other scenes of the sensor of {chosen.name}")


def learn_intervals(pair: TensorPair, sensor: Sensor, refit: Refit) -> Intervals:
    """What errors at reduced resolution teach. Raises: InputError for an hs too small for that."""
    check_size(pair.hs.shape[1:], pair.ratio)
    reduced = reduced_pairs(pair, sensor)
    estimates, valid = zip(*(refit(one) for one in reduced), strict=True)
    tried = zip(estimates, reduced, valid, strict=True)
    errors = [measured_pixels(estimate - one.truth, seen) for estimate, one, seen in tried]
    model = one_level_finer(calibrate(estimates, reduced, sensor, valid), reduced[0], torch.cat(errors, 1), sensor)
    return Intervals(model, sensor, "errors on the pair at reduced resolution")


def check_size(shape_yx: Sequence[int], ratio: int) -> None:
    """Raise InputError for an hs too small for its reduced resolution."""
    if min(shape_yx) < LEAST_PX * ratio:
        found = f"hs of {shape_yx[0]} x {shape_yx[1]} pixels at ratio {ratio}"
        expected = f"at least {LEAST_PX * ratio} along each side, to learn errors at reduced resolution"
        raise InputError(found, expected, "take a larger part of the scene, or leave the uncertainty out")


def check_predictable(pair: Pair, method: str, options: Options, *given: GivenPSF | GivenSRF) -> None:
    """Raise now what `find_intervals` would raise of an hs too small, unless what is stored with weights may serve."""
    known = packaged_weights().values() if options.weights is None else [named_weights(options.weights)]
    shape = {"bands": len(pair.hs_bands), "ms_bands": len(pair.ms_bands), "ratio": pair.ratio}
    stored = {one.method for one in known if read_model(one.path) and not misfit(one.header, shape, pair.spectra.hs_nm)}
    sensor_is_given = any(one is not None for one in given)
    if options.consistent or sensor_is_given or not (stored if method == AUTO.name else stored & {method}):
        check_size(pair.shape_yx, pair.ratio)


def interval_floats_per_px(bands: int) -> float:
    """How many float32 predicting an error holds per fine pixel at most, hs, ms and result included (measured)."""
    return 2.4 * bands + 90


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
    mode: Mode | None = None,
    tile_px: int | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    coverage: float = 0.9,
    fuse_again: Fuse | None = None,
) -> xr.DataArray:
    """Half-widths of prediction intervals: sharp +- them holds the truth in a share `coverage` of all values.

    The method is applied, as the pair taught it, at reduced resolution, where hs is the reference; its errors there
    teach how error follows from local detail. Packaged weights on pairs of their own sensor have learned it at full
    resolution from other scenes. The share is one over all values: of the hardest pixels less are covered.

    Args:
        sharp: what `fuse` made (L, H, W), whole or in tiles; its record says how.
        hs: (L, h, w).
        ms: (l, H, W).
        method: for results without a record; by default the one of the record, with its placement, sensor and options.
        weights, psf, srf, consistent, mode, tile_px, device, precision: as `fuse` takes them (a response is (l, L));
            what is not given is as recorded.
        coverage: 0.5 to 0.99.
        fuse_again: any program's (hs, ms) -> sharp, instead of `method`.

    Returns:
        (L, H, W) in the unit of sharp; nodata stays nodata. attrs state coverage and calibration.

    Raises:
        InputError: images that do not belong together, or too small for reduced resolution.
        CallError: a coverage out of range, or a result without a record and no method named.

    Source: locally weighted split conformal prediction (Lei et al. 2018); see `hypersharp.uncertainty.model`.

    >>> import hypersharp as hsp
    >>> from hypersharp.cube import make_cube
    >>> random = np.random.default_rng(0)
    >>> hs, ms = make_cube(random.random((5, 32, 32))), make_cube(random.random((2, 64, 64)))
    >>> error = predict_error(hsp.fuse(hs, ms, method="bicubic"), hs, ms)
    >>> error.shape, error.attrs["coverage"]
    ((5, 64, 64), 0.9)
    """
    sharp, hs, ms = (given_cube(image, what) for image, what in ((sharp, "sharp"), (hs, "hs"), (ms, "ms")))
    record = None if method is not None or fuse_again is not None else Record.of(sharp)
    asked = {"weights": weights, "mode": mode, "tile_px": tile_px, "precision": precision, "consistent": consistent}
    used = {name: value for name, value in record.options.items() if name in SAME} if record else {}
    used |= {name: value for name, value in asked.items() if value is not None}
    options, pair = Options(device=device, **used), placed_as(sharp, hs, ms)
    if fuse_again is not None:
        whole = pair.whole()
        sensor, unit = PairSensor(whole, *given_sensor(pair, psf, srf)).sensor, np.float32(pair.unit)

        def fused_again(reduced: ReducedPair) -> tuple[Tensor, Tensor | None]:
            """What the program makes of a reduced pair, and where it and its truth count (None: everywhere)."""
            small_hs, small_ms = masked(reduced.hs, reduced.hs_valid), masked(reduced.ms, reduced.ms_valid)
            given = (small_hs, hs.isel(band=pair.hs_bands)), (small_ms, ms.isel(band=pair.ms_bands))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the pair was warned of already
                made = fuse_again(*(like(values.astype(np.float32) * unit, cube) for values, cube in given))
            return to_tensor(made, pair.unit), in_all(measured(made), reduced.truth_valid)

        return predict(sharp, pair, whole, learn_intervals(whole, sensor, fused_again), coverage)
    if method is not None:
        return predict_for(learn_pair(pair, method, options, psf=psf, srf=srf), sharp, coverage)
    assert record is not None
    return predict_for(learn_again(pair, record, options, psf=psf, srf=srf), sharp, coverage)


def predict_for(fusion: Fusion, sharp: xr.DataArray, coverage: float = 0.9) -> xr.DataArray:
    """The half-widths of what a fusion made, see `predict_error`."""
    whole = fusion.pair.whole()
    return predict(sharp, fusion.pair, whole, find_intervals(fusion, whole), coverage)


def predict(sharp: xr.DataArray, pair: Pair, whole: TensorPair, intervals: Intervals, coverage: float) -> xr.DataArray:
    """The half-widths around a result (L, H, W) of a pair; whole: all of it.

    Raises: InputError for a result of another shape.
    """
    hs = pair.placement.hs.outline()
    check_estimate(sharp, (hs.shape[0], *whole.ms.shape[1:]))
    widths = intervals(to_tensor(sharp.isel(band=pair.hs_bands), pair.unit), whole, coverage)
    found = as_cube(finished(widths, missing_pixels(whole), pair, np.dtype(np.float32)), pair.placement)
    return found.assign_attrs(intervals.attrs(coverage, hs.attrs.get("units")))
