"""Which value counts as 1: for methods, that work on values of about 0..1, and for scores, in shares of a peak."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SCALED_ALREADY = 0.1, 1.5  # truths of floats up to these are scored in shares of 1
SCALE_QUANTILE = 0.999


def value_scale(hs: NDArray[np.generic]) -> float:
    """What methods divide by: nearly the largest value, so that a few bright pixels do not darken the scene.

    Of values that are all negative, how far they lie below zero. A result is the same in any unit, but for its scale.

    >>> value_scale(np.full((1, 2, 2), 900, np.uint16)), value_scale(np.full((1, 2, 2), 0.25))
    (900.0, 0.25)
    """
    there = hs[np.isfinite(hs)]
    top = float(np.quantile(there, SCALE_QUANTILE))
    if top <= 0:
        top = float(np.quantile(np.abs(there.astype(np.float64)), SCALE_QUANTILE)) or 1.0
    return top


def is_scaled(top: float) -> bool:
    """Whether numbers up to this are taken as scaled to about 0..1 already."""
    return SCALED_ALREADY[0] <= top <= SCALED_ALREADY[1]


def peak(values: NDArray[np.generic]) -> float:
    """What scores divide by: the largest value an integer dtype holds; 1 for floats up to 0.1..1.5; else the maximum.

    >>> peak(np.zeros((1, 2, 2), np.uint16)), peak(np.full((1, 2, 2), 900.0))
    (65535.0, 900.0)
    """
    top = float(np.nanmax(values, initial=0.0))
    return full_scale(values, "dtype" if values.dtype.kind in "iu" or is_scaled(top) or top == 0 else "scene-max")


def full_scale(values: NDArray[np.generic], scaling: Literal["dtype", "scene-max"]) -> float:
    """What a protocol divides by: the largest value an integer dtype holds, 1 for floats; or the largest there is."""
    if scaling == "scene-max":
        return float(np.nanmax(values, initial=0.0))
    dtype: np.dtype[Any] = values.dtype
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
