"""The predicted error of a fused cube: `methods.trust_pair` for cubes, and for the results of other programs."""

import re
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.cube import only_usable, usable_bands
from hypersharp.errors import CallError
from hypersharp.fusion.fuse import find_method, method_for, settings_for
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.place import known_settings, placed_as
from hypersharp.pair.reduced import ReducedPair
from hypersharp.pair.settings import FuseOptions, Mode, Precision
from hypersharp.pair.tensors import from_tensor, measured, to_tensor
from hypersharp.quality.judge import Fuse, check_estimate, like, masked
from hypersharp.sensor.psf import PSF
from hypersharp.uncertainty.calibrate import Again, find_trust, in_all, learn_trust, taught_by

AGAIN_S = 15.0  # that `auto` may take to choose once more


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
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    unit = value_scale(coarse.values)
    estimate = to_tensor(sharp.isel(band=np.flatnonzero(usable_bands(hs))), unit)
    pair = to_tensor(coarse, unit), to_tensor(fine, unit)
    if fuse_again:
        again: Again = partial(fused_again, fuse_again, coarse, fine, unit)
        trust = learn_trust(*pair, known_settings(hs, ms, psf=psf, srf=srf, ratio=None), lambda _: again)
    else:
        chosen = find_method(method_for(method or method_of(sharp), weights))
        options = FuseOptions(
            weights=weights,
            consistent=consistent,
            mode=mode,
            tile_px=tile_px,
            device=device,
            precision=precision,
            budget_s=AGAIN_S,
        )
        settings = settings_for(chosen, hs, ms, options, psf=psf, srf=srf, ratio=None)
        changed = "consistency:" in str(sharp.attrs.get("hypersharp", ""))
        trust = find_trust(chosen, *pair, settings, partial(taught_by, chosen, *pair, settings), changed=changed)
    found = from_tensor(trust(estimate, *pair, coverage), hs.astype(np.float32), ms, unit)
    found.attrs |= trust.attrs(coverage, hs.attrs.get("units"))
    return found


def method_of(sharp: xr.DataArray) -> str:
    """The method in what fuse wrote into attrs.

    Raises: CallError where there is none.
    """
    found = re.match(r"method (\w+)", str(sharp.attrs.get("hypersharp", "")))
    if found is None:
        raise CallError("a result that does not say its method", "one of `fuse`", "name the method")
    return found[1]


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
