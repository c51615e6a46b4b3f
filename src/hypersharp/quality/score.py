"""Scores of an estimate in the user's own units: brings both cubes to shares of a peak, which the presets expect."""

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import SCALED_ALREADY, make_cube, usable_bands
from hypersharp.errors import CallError, InputError
from hypersharp.quality.metrics import Scores, score

Values = xr.DataArray | NDArray[np.generic]


def find_peak(truth: Values) -> float:
    """The value that counts as 1: the largest an integer dtype holds; 1 for floats up to about 1.5; else the maximum.

    >>> find_peak(np.zeros((1, 2, 2), np.uint16)), find_peak(np.full((1, 2, 2), 900.0))
    (65535.0, 900.0)
    """
    values = np.asarray(truth)
    if np.issubdtype(values.dtype, np.integer):
        return float(np.iinfo(values.dtype).max)
    top = float(np.nanmax(values, initial=0.0))
    return 1.0 if top <= SCALED_ALREADY else top


def score_cubes(
    estimate: Values, truth: Values, *, ratio: float, preset: str = "dian", peak: float | None = None
) -> Scores:
    """Score an estimate against the truth, both (L, H, W) in one unit of which `peak` is full scale.

    `peak` is found by `find_peak` where it is None. PSNR in dB, SAM in degrees;
    `ratio` (fine pixels per coarse one) enters ERGAS only. Bands that either cube calls bad, or that have no
    value in it, are left out and counted in `masked_bands`.

    Raises: InputError for two shapes or an unknown preset, CallError for a peak that is not positive.

    >>> truth = np.linspace(0.1, 0.9, 2 * 32 * 32).reshape(2, 32, 32)
    >>> round(score_cubes(truth + 0.01, truth, ratio=4, preset="float").psnr_db, 3)
    40.0
    """
    if estimate.shape != truth.shape:
        raise InputError(
            f"an estimate of {estimate.shape} and a truth of {truth.shape}",
            "two cubes of one shape",
            "crop one of them",
        )
    scale = find_peak(truth) if peak is None else peak
    if not scale > 0:
        raise CallError(f"a peak of {scale:g}", "a positive number", "give the value that counts as full scale")
    kept = both_usable(estimate, truth)
    scaled = (np.asarray(cube, dtype=np.float64)[kept] / scale for cube in (estimate, truth))
    return replace(score(*scaled, ratio=ratio, preset=preset), masked_bands=int((~kept).sum()))


def both_usable(estimate: Values, truth: Values) -> NDArray[np.bool_]:
    """True for each band that both cubes have.

    Raises: InputError where there is none.
    """
    kept: NDArray[np.bool_] = np.ones(len(truth), bool)
    for cube in (estimate, truth):
        kept &= usable_bands(cube if isinstance(cube, xr.DataArray) else make_cube(cube))
    if not kept.any():
        raise InputError("no band that both cubes have", "one at least", "check their bad-band lists")
    return kept
