"""Scores of an estimate in the user's own units: brings both cubes to shares of a peak, which the presets expect."""

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import make_cube, usable_bands
from hypersharp.errors import CallError, InputError
from hypersharp.numerics import unit
from hypersharp.quality.metrics import Scores, score

Values = xr.DataArray | NDArray[np.generic]


def score_cubes(
    estimate: Values, truth: Values, *, ratio: float, preset: str = "dian", peak: float | None = None
) -> Scores:
    """Score an estimate against the truth: PSNR, SSIM, SAM, ERGAS, RMSE, UIQI.

    Args:
        estimate, truth: (L, H, W) in one unit; bands that either calls bad or lacks are excluded and counted.
        ratio: fine pixels per coarse one; enters ERGAS only.
        preset: whose definitions, a name of `PRESETS`.
        peak: the value that counts as full scale; by default the largest of an integer type, 1 for floats up to
            about 1.5, else the truth's maximum.

    Returns:
        PSNR in dB, SAM in degrees, RMSE in the preset's unit.

    Raises:
        InputError: cubes of different shape, no band in common, or an unknown preset.
        CallError: a peak that is not positive.

    Source: equations and papers at the head of `hypersharp.quality.metrics`.

    >>> truth = np.linspace(0.1, 0.9, 2 * 32 * 32).reshape(2, 32, 32)
    >>> round(score_cubes(truth + 0.01, truth, ratio=4, preset="float").psnr_db, 3)
    40.0
    """
    if estimate.shape != truth.shape:
        found = f"an estimate of {estimate.shape} and a truth of {truth.shape}"
        raise InputError(found, "two cubes of one shape", "crop one of them")
    scale = unit.peak(np.asarray(truth)) if peak is None else peak
    if not scale > 0:
        raise CallError(f"a peak of {scale:g}", "a positive number", "give the value that counts as full scale")
    kept = both_usable(estimate, truth)
    scaled = (np.asarray(cube, dtype=np.float64)[kept] / scale for cube in (estimate, truth))
    return replace(score(*scaled, ratio=ratio, preset=preset), masked_bands=int((~kept).sum()))


def both_usable(estimate: Values, truth: Values) -> NDArray[np.bool_]:
    """True for each band that both cubes have. Raises: InputError where there is none."""
    kept: NDArray[np.bool_] = np.ones(len(truth), bool)
    for cube in (estimate, truth):
        kept &= usable_bands(cube if isinstance(cube, xr.DataArray) else make_cube(cube))
    if not kept.any():
        raise InputError("no band that both cubes have", "one at least", "check their bad-band lists")
    return kept
