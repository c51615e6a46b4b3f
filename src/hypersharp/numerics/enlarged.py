"""Lines that were made of fewer ones, by nearest-neighbour or linear interpolation, and those that they were made of.

The n lines of an image along an axis that was enlarged are mixtures of fewer, noise and all:

    lines = M native,  M[j, k] = h(a + b j - k),  b < 1,

h a box or a triangle. Which lines repeat shows a and b of the one; for the other they are those of which the left null
space of the lines themselves, N lines = 0, leaves least of M. The native lines are those of least squares.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

CLIFF = 100.0  # between the powers of the lines' Gram that are nothing and the others; 2 to 10 without enlargement
LEAST_LINES, LEAST_LOST, MOST_LOST = 2, 0.03, 0.8  # that are mixtures of the others, and their share of all
NOTHING = 1e-5  # of M's power, left by N: 1e-7 where values were rounded, 1e-3 for smooth scenes without noise
FIRST_PLACES, LAST_PLACES = 16, 48  # that are tried within one native line, and within four
STARTS = 4  # the best of these, from which the least is looked for
BORDER = 2  # native lines at either end, of which little may be seen, or that were repeated beyond their border
LEAST_SEEN = 0.5  # a native line that makes up less than that of all lines is left out

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Enlarged:
    """Line j shows the native place a + b j, between whole lines by linear interpolation or the nearest."""

    a: float
    b: float
    lines: int  # native ones, numbered from 0, the outer of which are repeated beyond
    nearest: bool

    def mixing(self, count: int) -> FloatArray:
        """M (count, k)."""
        places = np.clip(self.a + self.b * np.arange(count), 0, self.lines - 1)
        apart = np.abs(places[:, None] - np.arange(self.lines))
        nearest = apart == apart.min(1, keepdims=True)
        return np.where(nearest, 1.0, 0.0) if self.nearest else np.clip(1 - apart, 0, None)

    def undone(self, lines: NDArray[Any]) -> tuple[FloatArray, int]:
        """The native lines (k, ...) that lines (n, ...) are made of, and the number of the first."""
        mixing = self.mixing(len(lines))
        seen = np.flatnonzero(mixing.sum(0) >= LEAST_SEEN)
        found = np.linalg.lstsq(mixing, lines.reshape(len(lines), -1), rcond=1e-6)[0]
        return found[seen[0] : seen[-1] + 1].reshape(-1, *lines.shape[1:]), int(seen[0])


def enlargement(hs: NDArray[Any], axis: int) -> Enlarged | None:
    """How the lines of hs (L, h, w) across an axis were made of fewer, if they were."""
    known = null_space(hs, axis)
    if known is None:
        return None
    lines, vectors, least = known
    repeated = (lines[1:] == lines[:-1]).all(1)
    found = by_repeats(repeated) if repeated.sum() == len(vectors) else by_null_space(vectors)
    if found is None:
        return None
    left, _ = np.linalg.qr(found.mixing(len(lines)))
    unexplained = float(np.square(lines - left @ (left.T @ lines)).sum())
    return found if unexplained <= len(vectors) * least / CLIFF else None


def null_space(hs: NDArray[Any], axis: int) -> tuple[FloatArray, FloatArray, float] | None:
    """The lines (n, m) of hs (L, h, w) across an axis, N (lost, n), and the least power that N leaves out.

    None where there is no such N, or hs has gaps or holds nothing but zeros.
    """
    lines = np.moveaxis(hs, axis, 0).reshape(hs.shape[axis], -1).astype(np.float64)
    if not (np.isfinite(lines).all() and lines.any()):
        return None
    powers, vectors = np.linalg.eigh(lines @ lines.T)
    powers = np.maximum(powers, np.finfo(float).eps * powers[-1])
    rises = (powers[1:] / powers[:-1])[: int(MOST_LOST * len(lines))]
    lost = int(np.argmax(rises)) + 1
    if not rises.max(initial=0.0) >= CLIFF or lost < max(LEAST_LINES, LEAST_LOST * len(lines)):
        return None
    return lines, vectors[:, :lost].T, float(powers[lost])


def by_repeats(repeated: NDArray[np.bool_]) -> Enlarged | None:
    """That of lines of which some (n - 1,) are the one before: a + b j is nowhere further off them than need be."""
    number = np.concatenate([[0], np.cumsum(~repeated)])
    line, one, last = np.arange(len(number)), np.ones(len(number)), int(number[-1])
    above, below = number > 0, number < last  # the outer lines are repeated beyond
    most = np.concatenate([-number[above], number[below]])
    sides = np.concatenate([np.stack([-one, -line, -one], 1)[above], np.stack([one, line, -one], 1)[below]])
    a, b, apart = linprog([0, 0, 1], sides, most, bounds=[(None, None)] * 3).x
    return Enlarged(float(a), float(b), last + 1, True) if apart < 0.5 and 0 < b < 1 else None


def by_null_space(vectors: FloatArray) -> Enlarged | None:
    """That of which N (lost, n) leaves least, if next to nothing."""
    lost, count = vectors.shape

    def left(places: FloatArray) -> float:
        """Of M without its border, the first and last places being these."""
        found = between(places[0], places[1], count)
        if not (-0.5 < found.a < 1.5 and 0 < found.b < 1):
            return float(count)
        return float(np.square(vectors @ found.mixing(count)[:, BORDER:-BORDER]).sum())

    firsts = np.arange(FIRST_PLACES) / FIRST_PLACES
    lasts = count - lost + np.linspace(-3, 1, LAST_PLACES)
    tried = sorted((np.array(places) for places in product(firsts, lasts)), key=left)[:STARTS]
    steps = np.array([[0.0, 0.0], [1 / FIRST_PLACES, 0.0], [0.0, 4 / LAST_PLACES]])
    options = {"xatol": 1e-9, "fatol": 1e-18}
    found = [
        minimize(left, start, method="Nelder-Mead", options={**options, "initial_simplex": start + steps})
        for start in tried
    ]
    first, last = min(found, key=lambda one: float(one.fun)).x
    best = between(first, last, count)
    inner = best.mixing(count)[:, BORDER:-BORDER]
    return best if np.square(vectors @ inner).sum() < NOTHING * np.square(inner).sum() else None


def between(first: float, last: float, count: int) -> Enlarged:
    """Lines that were interpolated between native ones, the first and last of them at these places."""
    return Enlarged(float(first), float((last - first) / (count - 1)), int(last) + 2, False)
