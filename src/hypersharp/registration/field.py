"""A displacement as a function of place: a shift, an affine map, or a smooth field of cubic B-splines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypersharp.sensor.tables import FloatArray

SHIFT, AFFINE = 1, 3  # terms along either axis; a field of n x n splines has n^2, n at least `LEAST_SPLINES`
LEAST_SPLINES = 4
INVERSIONS = 8  # rounds of p <- q - d(p): each leaves a share of the error that is the field's slope


@dataclass(frozen=True, eq=False)
class Field:
    """d(p) = coefficients @ basis(p), (down, right), of a place p = (y, x), all in fine pixels of the pair.

    `coefficients` (2, K); the basis runs from -1 to 1 between `first_yx` and `last_yx`, and is held beyond.
    """

    coefficients: FloatArray
    first_yx: tuple[float, float]
    last_yx: tuple[float, float]

    def __call__(self, places: FloatArray) -> FloatArray:
        """The displacement (2, n) of places (2, n)."""
        first, last = (np.array(corner)[:, None] for corner in (self.first_yx, self.last_yx))
        unit = 2 * (places - first) / np.maximum(last - first, 1e-9) - 1
        return np.asarray(self.coefficients @ basis(self.coefficients.shape[1], unit[0], unit[1]))

    def undone(self, places: FloatArray) -> FloatArray:
        """The p (2, n) for which p + d(p) are these places."""
        found = places
        for _ in range(INVERSIONS):
            found = places - self(found)
        return found

    def described(self) -> dict[str, Any]:
        """As plain data, JSON-able."""
        corners = {"first_yx": list(self.first_yx), "last_yx": list(self.last_yx)}
        return {"coefficients": self.coefficients.tolist(), **corners}

    @classmethod
    def from_dict(cls, known: dict[str, Any]) -> Field:
        """The inverse of `described`."""
        (y0, x0), (y1, x1) = known["first_yx"], known["last_yx"]
        return cls(np.array(known["coefficients"]), (y0, x0), (y1, x1))


def recorded_field(placement: Mapping[str, Any]) -> tuple[Field, tuple[int, int]] | None:
    """The displacement that a recorded placement has, and the ms pixel (y, x) that its first is; None for a shift."""
    known = (placement.get("warp") or {}).get("field")
    if known is None or (placement.get("evidence") or {}).get("model") not in ("affine", "local"):
        return None
    y, x = placement["window"][:2]
    return Field.from_dict(known), (y, x)


def displacement_words(evidence: Mapping[str, Any]) -> str:
    """What speaks for a displacement, formatted for display."""
    kept, asked = evidence["tie_points"]
    return (
        f"up to {evidence['largest_px']:.2f} fine pixels; HS and MS correlate by {evidence['correlation_before']:.3f} "
        f"before, {evidence['correlation_after']:.3f} after; {kept} of {asked} tie points agree, "
        f"{evidence['residual_px']:.2f} fine pixels (RMS) left between them"
    )


def basis(terms: int, y: FloatArray, x: FloatArray) -> FloatArray:
    """(terms, n): 1; 1, y, x; or the products of sqrt(terms) splines along either axis, for y and x of -1 to 1."""
    if terms <= AFFINE:
        return np.stack([np.ones(y.shape), y, x])[:terms]
    along_y, along_x = (splines(isqrt(terms), places) for places in (y, x))
    return np.asarray((along_y[:, None] * along_x).reshape(terms, -1))


def splines(count: int, places: FloatArray) -> FloatArray:
    """(count, n): uniform cubic B-splines, of sum one for places of -1 to 1; those outside are drawn to the border."""
    position = (np.clip(places, -1, 1) + 1) / 2 * (count - 3)  # in intervals
    distance = np.abs(position - (np.arange(count)[:, None] - 1))
    inner, outer = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    return np.asarray(np.where(distance < 1, inner, outer))


def bending(count: int) -> FloatArray:
    """(count^2, count^2): of the splines' coefficients, near the field's squared second derivatives."""
    second = np.diff(np.eye(count), 2, axis=0)
    first = np.diff(np.eye(count), 1, axis=0)
    one = np.eye(count)
    along, across = second.T @ second, first.T @ first
    return np.asarray(np.kron(along, one) + np.kron(one, along) + 2 * np.kron(across, across))


def as_splines(coefficients: NDArray[np.float64], count: int) -> FloatArray:
    """The same shift or affine map (2, 1 or 3) as coefficients of count x count splines (2, count^2)."""
    places = 2 * (np.arange(count) - 1) / (count - 3) - 1  # where a spline's coefficient counts for a straight line
    y, x = (axis.ravel() for axis in np.meshgrid(places, places, indexing="ij"))
    return np.asarray(coefficients @ np.stack([np.ones(y.shape), y, x])[: coefficients.shape[1]])
