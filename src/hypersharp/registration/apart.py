"""Whether the bands of an ms lie on each other, as those of several cameras often do not.

Bands of far wavelengths show other things, so each is compared with hs, seen through the response of that band alone.
What differs between bands may be a fault of hs, whose own bands may lie off each other; so bands are only said to lie
apart where, moved back, they also resemble each other more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from hypersharp.registration.displaced import LEAST_PIXELS, TINY, Fit, Image, Scene, linearised, phase_peak, targets_of
from hypersharp.registration.register import LARGEST_ERROR, LEAST_CORRELATION, SIGNIFICANCE, Registration, followed
from hypersharp.sensor.tables import FloatArray, Mask

LEAST_APART_PX, LEAST_APART = 0.1, 0.05  # fine pixels, hs pixels: less is not worth a resampling, or not told
SETTLED_PX = 0.005
ALIKE = 0.9  # correlation below which another start is tried
SMOOTH_PX = 1.0  # fine pixels: what noise and resampling change is blurred away before bands are compared
BLOCKS = 8  # along either side: bands are compared in each, for what is bright in one may be dark in another
LEAST_BLOCK_PX = 12


def bands_apart(hs: Image, ms: Image, start: Registration, hs_valid: Mask, ms_valid: Mask) -> FloatArray | None:
    """How far (down, right) ms bands lie off each other, (l, 2) in fine pixels; None where all lie together.

    Told from where half of them or more lie together; where so many do not, from their mean. A band that does not show
    what hs shows cannot tell, and is 0 as those are that lie together. Arguments as those of `register`; start: what it
    found.
    """
    whole = Scene(hs, ms, hs_valid, ms_valid)
    if whole.counted(np.array(start.shift_px_yx)[:, None], start.sigma_px).sum() < LEAST_PIXELS:
        return None
    fits = [settled(replace(whole, ms=band[None]), start) for band in ms]
    shifts = np.array([fit.coefficients[:, 0] for fit in fits])
    left_out = np.array([without_a_tile(fit) for fit in fits])
    told = np.array([fit.correlation >= LEAST_CORRELATION for fit in fits]) & (left_out.shape[1] > 1)
    if told.sum() < 2:
        return None
    near = np.linalg.norm(shifts[:, None] - shifts, axis=2) <= LEAST_APART_PX
    most = near[np.argmax((near & told[:, None] & told).sum(1))] & told
    most = most if 2 * most.sum() >= told.sum() else told
    off = np.where(told[:, None], shifts - shifts[most].mean(0), 0.0)
    spread = np.var(left_out - left_out[most].mean(0), axis=1) * (left_out.shape[1] - 1)
    errors = np.sqrt(spread.max(1))  # of the worse axis, what all bands share left out
    far = np.linalg.norm(off, axis=1)
    least = max(LEAST_APART_PX, LEAST_APART * whole.ratio)
    apart = (far > np.maximum(least, SIGNIFICANCE * errors)) & (errors <= LARGEST_ERROR * whole.ratio)
    off = np.where(apart[:, None], off, 0.0)
    if not apart.any() or unlikeness(ms, ms_valid, off) >= unlikeness(ms, ms_valid, np.zeros_like(off)):
        return None
    return off


def settled(scene: Scene, start: Registration) -> Fit:
    """The shift of a single band, response and displacement found in turn."""
    place = np.array(start.shift_px_yx)[:, None]
    targets = targets_of(scene, None, place, start.sigma_px)
    fit = followed(scene, None, linearised(scene, targets, place, start.sigma_px), SETTLED_PX)
    if fit.correlation < ALIKE:
        peak = replace(fit, coefficients=phase_peak(scene, targets, start.sigma_px))
        fit = max((fit, followed(scene, None, peak, SETTLED_PX)), key=lambda one: one.correlation)
    return fit


def without_a_tile(fit: Fit) -> FloatArray:
    """(tiles, 2): the shift of a single band that all tiles but one show."""
    normal, rhs = fit.normal[0], fit.rhs[0]
    rest = zip(normal.sum(0) - normal, rhs.sum(0) - rhs, strict=True)
    steps = [np.linalg.lstsq(*system, rcond=None)[0][:2] for system in rest]
    return np.asarray(fit.coefficients[:, 0] + np.array(steps), np.float64)


def unlikeness(ms: Image, valid: Mask, off: FloatArray) -> float:
    """What a band does not show of another, its gain its own in each block: the mean logarithm over blocks and pairs.

    off: (l, 2), where bands are taken to lie.
    """
    smooth = [gaussian_filter(band, SMOOTH_PX, mode="nearest") for band in ms]
    moved = [shift(band, -way, order=3, mode="nearest") for band, way in zip(smooth, off, strict=True)]
    rows, columns = (np.arange(side) * max(1, min(BLOCKS, side // LEAST_BLOCK_PX)) // side for side in valid.shape)
    left, (first, second) = [], np.triu_indices(len(ms), 1)
    for row in range(rows[-1] + 1):
        for column in range(columns[-1] + 1):
            inside = np.ix_(rows == row, columns == column)
            values = np.array([band[inside][valid[inside]] for band in moved], np.float64)
            if values.shape[1] < LEAST_BLOCK_PX**2 // 2:
                continue
            values -= values.mean(1, keepdims=True)
            products = values @ values.T
            power = np.maximum(np.diag(products), TINY**0.5)
            shared = products[first, second] ** 2 / (power[first] * power[second])
            left.append(np.log1p(-np.minimum(shared, 1 - 1e-9)).mean())
    return float(np.mean(left)) if left else 0.0
