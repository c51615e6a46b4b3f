"""Whether the bands of an hs lie on each other, as those of two spectrometers, or of one with a keystone, may not.

Each band is followed by the ms where it shows what that shows: of displacements on a grid, the one where the blurred ms
explains most of the band's detail, a parabola through the shares left there telling it to a hundredth of a pixel. So a
drift over the bands is told as well as a step, and neighbours need not resemble each other. Bands of far wavelengths
may show other things; so they are only said to lie apart where, moved back, they resemble each other more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from hypersharp.registration.apart import unlikeness
from hypersharp.registration.displaced import COVERED, LEAST_PIXELS, TINY, Image, Scene, detail
from hypersharp.registration.register import LARGEST_ERROR, LEAST_CORRELATION, SIGNIFICANCE, Registration
from hypersharp.sensor.tables import FloatArray, Mask

STEP, REACH = 0.5, 4  # hs pixels between displacements that are tried, and how many of them to either side
LEAST_APART = 0.3  # hs pixels: bands that were recorded as they should be lie up to 0.27 off
TOGETHER = 0.15  # hs pixels within which bands lie together
LEAST_SHARE = 0.1  # of the bands
NEIGHBOURS = 5  # bands, whose median displacement each one is taken to have
LEAST_BANDS, MOST_COMPARED = 8, 16
WINDOW_PX = 5  # hs pixels along a side of the mean that detail is what is left of
RIDGE = 1e-9


def hs_bands_apart(hs: Image, ms: Image, start: Registration, hs_valid: Mask, ms_valid: Mask) -> FloatArray | None:
    """How far (down, right) hs bands lie off most others, (L, 2) in hs pixels; None where all lie together.

    Where less than half of them lie together, from the middle of all. Bands that cannot tell are taken to lie as those
    beside them. Arguments as those of `register`; start: what it found.
    """
    if len(hs) < LEAST_BANDS:
        return None
    looks = displacements(Scene(hs, ms, hs_valid, ms_valid), start)
    if looks is None:
        return None
    shifts, errors, told = looks
    bands = np.flatnonzero(told)
    if len(bands) < LEAST_BANDS:
        return None
    smooth = median_filter(shifts[bands], (NEIGHBOURS, 1), mode="nearest")
    near = np.linalg.norm(smooth[:, None] - smooth, axis=2) <= TOGETHER
    most = near[near.sum(1).argmax()]
    most = most if 2 * most.sum() >= len(bands) else np.ones_like(most)
    off = smooth - np.median(smooth[most], axis=0)
    far = np.linalg.norm(off, axis=1)
    apart = (far > LEAST_APART) & (far > SIGNIFICANCE * errors[bands])
    if apart.mean() < LEAST_SHARE:
        return None
    off[far <= TOGETHER] = 0
    nearest = np.abs(np.arange(len(hs))[:, None] - bands).argmin(1)
    some = bands[np.unique(np.linspace(0, len(bands) - 1, MOST_COMPARED).round().astype(int))]
    everywhere = off[nearest]
    moved, still = (unlikeness(hs[some], hs_valid, way) for way in (everywhere[some], np.zeros((len(some), 2))))
    return everywhere if moved < still else None


def displacements(scene: Scene, start: Registration) -> tuple[FloatArray, FloatArray, Mask] | None:
    """How far (down, right) off where the pair lies each hs band does, (L, 2) in hs pixels; errors (L,); which tell.

    None where too few pixels show it.
    """
    steps = range(-REACH, REACH + 1)
    places = {(i, j): at(scene, start, i, j) for i in steps for j in steps}
    covered = gaussian_filter(scene.ms_valid.astype(np.float32), start.sigma_px, mode="constant")
    corners = (places[i, j] for i in (-REACH, REACH) for j in (-REACH, REACH))
    kept = scene.hs_valid.ravel() & np.all([scene.sampled(covered, corner) > COVERED for corner in corners], axis=0)
    if kept.sum() < LEAST_PIXELS:
        return None
    pixels = np.flatnonzero(kept)[np.argsort(scene.tiles[kept], kind="stable")]
    tiles = np.split(np.arange(len(pixels)), np.cumsum(np.bincount(scene.tiles[kept], minlength=scene.tile_count))[:-1])
    wanted = detail(scene.hs, WINDOW_PX).reshape(len(scene.hs), -1)[:, pixels]
    blurred = [gaussian_filter(band.astype(np.float32), start.sigma_px, mode="nearest") for band in scene.ms]
    left = np.empty((len(steps), len(steps), len(scene.hs), scene.tile_count + 1))
    for (i, j), place in places.items():
        seen = np.array([scene.sampled(band, place) for band in blurred]).reshape(-1, *scene.hs.shape[1:])
        known = detail(seen, WINDOW_PX).reshape(len(seen), -1)[:, pixels]
        left[i + REACH, j + REACH] = unexplained(known, wanted, tiles)
    return lowest(left)


def at(scene: Scene, start: Registration, down: int, right: int) -> FloatArray:
    """The displacement of the ms, (2, 1) in fine pixels, that shows a band so many steps further down and right."""
    y, x = start.shift_px_yx
    step = STEP * scene.ratio
    return np.array([[y - step * down], [x - step * right]])


def unexplained(known: FloatArray, wanted: FloatArray, tiles: list[NDArray[np.intp]]) -> FloatArray:
    """(L, 1 + tiles): the share of `wanted` (L, n) that a regression on `known` (l, n) leaves, then without a tile."""
    parts = [(known[:, tile], wanted[:, tile]) for tile in tiles]
    grams = np.array([x @ x.T for x, _ in parts])
    rights = np.array([x @ y.T for x, y in parts])
    powers = np.array([np.square(y).sum(1) for _, y in parts])
    gram, right, power = (np.concatenate([all_.sum(0)[None], all_.sum(0) - all_]) for all_ in (grams, rights, powers))
    ridge = RIDGE * np.trace(gram, axis1=1, axis2=2) + TINY**0.5
    gains = np.linalg.solve(gram + ridge[:, None, None] * np.eye(len(known)), right)
    return np.asarray((1 - (gains * right).sum(1) / np.maximum(power, TINY**0.5)).T)


def lowest(left: FloatArray) -> tuple[FloatArray, FloatArray, Mask]:
    """Where (L, 2), in hs pixels, the share left (steps, steps, L, 1 + tiles) is least; the jackknife's errors (L,).

    And which bands tell: of those that the ms explains, the parts of the image agree, well inside what was tried.
    """
    side, bands = len(left), np.arange(left.shape[2])
    y, x = np.divmod(left[..., 0].reshape(side * side, -1).argmin(0), side)
    inside = (np.minimum(y, x) > 0) & (np.maximum(y, x) < side - 1)
    y, x = y.clip(1, side - 2), x.clip(1, side - 2)
    middle = left[y, x, bands]
    found = STEP * np.stack(
        [
            y[:, None] - REACH + vertex(left[y - 1, x, bands], middle, left[y + 1, x, bands]),
            x[:, None] - REACH + vertex(left[y, x - 1, bands], middle, left[y, x + 1, bands]),
        ],
        axis=2,
    )  # (L, 1 + tiles, 2)
    errors = np.sqrt((found[:, 1:].var(1) * (left.shape[3] - 2)).max(1))
    told = inside & (middle[:, 0] <= 1 - LEAST_CORRELATION**2) & (errors <= LARGEST_ERROR)
    return found[:, 0], errors, told


def vertex(before: FloatArray, middle: FloatArray, after: FloatArray) -> FloatArray:
    """Where a parabola through three values, one step apart, is least, in steps from the middle; at most one."""
    bend = before - 2 * middle + after
    return np.clip(np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend > 0), -1, 1)
