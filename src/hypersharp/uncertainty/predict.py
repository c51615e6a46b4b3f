"""The prediction intervals of a fused cube: `calibrate` for cubes, and for the results of other programs."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.fusion.finish import as_cube, finished, missing_pixels
from hypersharp.fusion.learn import Fusion, learn_again, learn_pair
from hypersharp.pair.options import Mode, Options, Precision
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.reduced import ReducedPair
from hypersharp.pair.sensor import PairSensor, given_sensor
from hypersharp.pair.tensors import TensorPair, measured, to_tensor
from hypersharp.quality.judge import check_estimate, like, masked
from hypersharp.sensor.psf import PSF
from hypersharp.uncertainty.calibrate import Intervals, find_intervals, in_all, learn_intervals

Fuse = Callable[[xr.DataArray, xr.DataArray], xr.DataArray]


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
    """Half-widths of prediction intervals: sharp +- them holds the truth in a share `coverage` of all values.

    The method is applied, as the pair taught it, at reduced resolution, where hs is the reference; its errors there
    teach how error follows from local detail. Packaged weights on pairs of their own sensor have learned it at full
    resolution from other scenes. The share is one over all values: of the hardest pixels less are covered.

    Args:
        sharp: what `fuse` made (L, H, W), whole or in tiles; its record says how.
        hs: (L, h, w).
        ms: (l, H, W).
        method: for results without a record; by default the one of the record, with its placement, sensor and options.
        weights, psf, srf, consistent, mode, tile_px, device, precision: as `fuse` takes them (a response is (l, L)).
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
    record = None if method is not None or fuse_again is not None else Record.of(sharp)
    given = Options(weights=weights, mode=mode, tile_px=tile_px, device=device, precision=precision)
    given = replace(given, consistent=consistent)
    pair = placed_as(sharp, hs, ms)
    if fuse_again is not None:
        whole = pair.whole()
        sensor = PairSensor(whole, *given_sensor(pair, psf, srf)).sensor
        intervals = learn_intervals(whole, sensor, partial(fused_again, fuse_again, hs, ms, pair))
        return predict(sharp, pair, whole, intervals, coverage)
    if record is None:
        assert method is not None
        fusion = learn_pair(pair, method, given, psf=psf, srf=srf)
    else:
        used = replace(given, **{name: value for name, value in record.options.items() if name in SAME})
        used = replace(used, weights=weights or record.options.get("weights"))
        fusion = learn_again(pair, record, used, psf=psf, srf=srf)
    return predict_for(fusion, sharp, coverage)


SAME = ("mode", "tile_px", "precision", "runtime")  # options that a recorded result is predicted with


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
    found = as_cube(finished(widths, missing_pixels(whole), pair, np.dtype(np.float32)), pair)
    return found.assign_attrs(intervals.attrs(coverage, hs.attrs.get("units")))


def fused_again(
    fuse: Fuse, hs: xr.DataArray, ms: xr.DataArray, pair: Pair, reduced: ReducedPair
) -> tuple[Tensor, Tensor | None]:
    """What any program makes of a reduced pair of (hs, ms), and where it and its truth count (None: everywhere)."""
    unit = np.float32(pair.unit)
    small_hs = like(masked(reduced.hs, reduced.hs_valid).astype(np.float32) * unit, hs.isel(band=pair.hs_bands))
    small_ms = like(masked(reduced.ms, reduced.ms_valid).astype(np.float32) * unit, ms.isel(band=pair.ms_bands))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the pair was warned of already
        sharp = fuse(small_hs, small_ms)
    return to_tensor(sharp, pair.unit), in_all(measured(sharp), reduced.truth_valid)
