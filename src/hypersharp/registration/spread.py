"""The displacement over a scene too large to be registered whole: windows spread over it, each registered on its own.

A window says the shift of its middle, and how surely. A few of them tell whether one shift will do; where it does not,
many are asked, and an affine map or a smooth field goes through what they say, chosen as in `bent`: by windows it was
not fitted to. Windows that say something else than their neighbours (a cloud, a changed place) do not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from hypersharp.grid import Window
from hypersharp.registration.bent import (
    LARGEST_LEFT,
    LEAST_AGREEING,
    LEAST_BENT_PX,
    LEAST_TILES,
    MOST_SPLINES,
    OUTLIER,
    Tiles,
    as_affine,
    simplest,
    straight_models,
)
from hypersharp.registration.field import LEAST_SPLINES, basis
from hypersharp.registration.register import LARGEST_ERROR, LEAST_CORRELATION, Registration
from hypersharp.sensor.tables import FloatArray

SIDE_PX = 48  # coarse pixels along a window
FEW, MANY = 4, 8  # windows along the longer side: to ask whether a shift will do, and where it will not
SURE_PX = 0.05  # fine pixels that no window is surer than: its displacement is not quite one shift
ROUNDS = 4


def register_spread(
    middle: Registration,
    shape_yx: tuple[int, int],
    ratio: int,
    look: Callable[[Window], Registration],
    *,
    affine_only: bool = False,
) -> Registration:
    """What windows of a scene of so many coarse pixels show: an affine map or a field, or `middle`, which one does.

    look: the shift that the images show in a window (y0, x0, height, width) of coarse pixels.
    """
    few = np.array([found.shift_px_yx for found in map(look, spread(shape_yx, FEW)) if is_sure(found, ratio)])
    if not len(few) or np.median(np.linalg.norm(few - np.median(few, axis=0), axis=1)) <= LEAST_BENT_PX:
        return middle
    windows = spread(shape_yx, MANY)
    looks = [(window, found) for window in windows if is_sure(found := look(window), ratio)]
    if len(looks) < LEAST_TILES:
        return middle
    seen = [found for _, found in looks]
    places = np.array([(2 * y + height - 1, 2 * x + width - 1) for (y, x, height, width), _ in looks], float)
    unit = (places / np.maximum(np.array(shape_yx) - 1, 1) - 1).T
    count = max(LEAST_SPLINES, min(MOST_SPLINES, isqrt(len(windows)) + 1))
    splines = basis(count**2, *unit)
    shifts, errors = np.array([found.shift_px_yx for found in seen]), np.array([found.error_px for found in seen])
    models, kept = straight_models(count), np.ones(len(seen), bool)
    for _ in range(ROUNDS):
        tiles = as_tiles(splines[:, kept], shifts[kept], errors[kept])
        free = tiles.freest()
        left = np.linalg.norm(shifts - (tiles.solved(free).reshape(2, -1) @ splines).T, axis=1)
        last, kept = kept, left <= OUTLIER * max(float(np.median(left)), SURE_PX)
        if (kept == last).all():
            break
    if kept.sum() < max(LEAST_TILES, LEAST_AGREEING * len(seen)):
        return middle
    chosen = simplest(tiles, models if affine_only else [*models, free], splines)
    coefficients = tiles.solved(chosen)
    left_px = tiles.left_px(coefficients)
    if chosen is models[0] or left_px > LARGEST_LEFT * ratio:
        return middle
    bent = coefficients.reshape(2, -1)
    return replace(
        middle,
        coefficients=as_affine(bent) if chosen is models[1] else bent,
        correlation=float(np.median([found.correlation for found in seen])),
        correlation_before=float(np.median([found.correlation_before for found in seen])),
        reason=None,
        tie_points=(int(kept.sum()), len(windows)),
        residual_px=left_px,
    )


def is_sure(found: Registration, ratio: int) -> bool:
    """Whether a window counts."""
    return found.correlation >= LEAST_CORRELATION and found.error_px <= LARGEST_ERROR * ratio


def spread(shape_yx: tuple[int, int], most: int) -> list[Window]:
    """Windows at even distances, at most so many along the longer side, that do not overlap.

    >>> spread((48, 144), 4)
    [(0, 0, 48, 48), (0, 48, 48, 48), (0, 96, 48, 48)]
    """
    longest = max(shape_yx)
    sides = [min(SIDE_PX, side) for side in shape_yx]
    counts = [max(1, min(side // own, round(most * side / longest))) for side, own in zip(shape_yx, sides, strict=True)]
    starts = [
        np.linspace(0, side - own, count).astype(int).tolist() if count > 1 else [(side - own) // 2]
        for side, own, count in zip(shape_yx, sides, counts, strict=True)
    ]
    return [(y, x, sides[0], sides[1]) for y in starts[0] for x in starts[1]]


def as_tiles(splines: FloatArray, shifts: FloatArray, errors: NDArray[np.float64]) -> Tiles:
    """What windows say of the coefficients, splines (K, n) at their middles, of shifts (n, 2) with such errors."""
    weights = 1 / (errors**2 + SURE_PX**2)
    square = np.einsum("n,in,jn->nij", weights, splines, splines)
    normal = np.einsum("ab,nij->naibj", np.eye(2), square).reshape(len(shifts), 2 * len(splines), -1)
    rhs = np.einsum("n,na,in->nai", weights, shifts, splines).reshape(len(shifts), -1)
    return Tiles(normal, rhs, np.zeros(2 * len(splines)))
