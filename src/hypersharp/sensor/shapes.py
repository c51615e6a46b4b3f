"""Families of blurs and responses with few parameters: what optics, detectors and filters make.

A blur: a Gaussian (optics, motion), or the detector's box of one coarse pixel convolved with one, each with
its own widths along y and x and its own centre. A response: a Gaussian band, or a flat one with soft edges.
Both are fitted to moments alone (see `moments`), so that thousands of them can be tried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from hypersharp.sensor.moments import Support
from hypersharp.sensor.tables import FloatArray, Mask

LEAST_SIGMA_PX = 0.15
START_SIGMAS = (0.25, 0.45, 0.7)  # coarse pixels
WIDTHS = 2.0 ** np.arange(-1.0, 6.0)  # sigma of a response in band spacings, where the search starts
CENTRED_WIDTHS = 60  # sigmas that are tried of a response at a known centre
CENTRED_LEAST, CENTRED_MOST = 0.3, 0.1  # the narrowest in band spacings, the widest in wavelengths
SOFTNESS = (0.05, 0.2, 0.5)  # of a flat response's edges, in its widths


@dataclass(frozen=True)
class BlurShape:
    """Sigma along y and x and the centre's place off the coarse pixel's, all in fine pixels."""

    family: str
    sigma_yx_px: tuple[float, float]
    centre_yx_px: tuple[float, float]


def blur_weights(shape: BlurShape, support: Support) -> FloatArray:
    """(side, side) weights of the fine pixels in reading order, sum 1."""
    profiles, half = [], support.ratio / 2
    for centre, sigma in zip(shape.centre_yx_px, shape.sigma_yx_px, strict=True):
        offsets = support.offsets_px() - centre
        if shape.family == "gaussian":
            squares = (offsets / sigma) ** 2
            profiles.append(np.exp(-0.5 * squares + 0.5 * squares.min()))
        else:
            profiles.append(ndtr((offsets + half) / sigma) - ndtr((offsets - half) / sigma) + 1e-12)
    weights = np.outer(*profiles)
    return np.asarray(weights / weights.sum())


def fit_blur(family: str, gram: FloatArray, pull: FloatArray, support: Support, start: BlurShape | None) -> BlurShape:
    """The member of the family with the least taps' gram taps - 2 pull' taps; searched afresh without a start."""
    from scipy.optimize import minimize

    def cost(values: FloatArray) -> float:
        taps = support.to_cells(blur_weights(as_shape(family, values), support))
        return float(taps @ gram @ taps - 2 * pull @ taps)

    if start is None:
        reach = np.arange(-support.ratio, support.ratio + 1, max(1, support.ratio // 4))
        grid = [
            np.array([np.log(sigma * support.ratio)] * 2 + [y, x])
            for sigma in START_SIGMAS
            for y in reach
            for x in reach
        ]
        first = min(grid, key=cost)
    else:
        first = np.array([*np.log(start.sigma_yx_px), *start.centre_yx_px])
    scale = abs(cost(first)) or 1.0
    simplex = first + np.vstack([np.zeros(4), np.diag([0.15, 0.15, 0.3, 0.3])])
    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-9, "maxfev": 400}
    found = minimize(lambda values: cost(values) / scale, first, method="Nelder-Mead", options=options)
    return as_shape(family, found.x)


def as_shape(family: str, values: FloatArray) -> BlurShape:
    sigma_y, sigma_x = np.maximum(np.exp(np.minimum(values[:2], 10)), LEAST_SIGMA_PX)
    return BlurShape(family, (float(sigma_y), float(sigma_x)), (float(values[2]), float(values[3])))


@dataclass(frozen=True, eq=False)
class Axis:
    """Where the hs bands lie (nm, or their numbers) and each one's share of the axis."""

    places: FloatArray
    shares: FloatArray

    @cached_property
    def spacing(self) -> float:
        return float(np.median(self.shares))


def response_shapes(axis: Axis, values: FloatArray) -> FloatArray:
    """Rows (n, L), sum 1: values (n, 2) centre and log sigma of Gaussians, (n, 3) also log softness of flat bands."""
    distance = axis.places - values[:, :1]
    width = np.exp(np.minimum(values[:, 1:2], 20))
    if values.shape[1] == 2:
        exponent = -0.5 * (distance / width) ** 2
        rows = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    else:
        edge = width * np.exp(np.clip(values[:, 2:3], -4, 1))
        half = np.sqrt(3.0) * width  # a flat band of standard deviation `width`
        rows = ndtr((distance + half) / edge) - ndtr((distance - half) / edge) + 1e-12
    rows = rows * axis.shares
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def fit_response_shape(bands: FloatArray, pull: FloatArray, axis: Axis, allowed: Mask, flat: bool) -> FloatArray:
    """The row (L,), a gain times a member of the family, with the least row' bands row - 2 pull' row.

    A flat band is searched from the best Gaussian, that one from all places and widths.
    """

    def scores(values: FloatArray) -> FloatArray:
        rows = response_shapes(axis, values) * allowed
        power = np.maximum(np.einsum("nl,nl->n", rows @ bands, rows), 1e-300)
        return np.asarray(-(np.maximum(rows @ pull, 0) ** 2) / power)

    grid = np.array([(place, np.log(w * axis.spacing)) for place in axis.places[allowed] for w in WIDTHS])
    best = polished(scores, grid[int(scores(grid).argmin())], axis.spacing)
    if flat:
        soft = np.array([(*best, np.log(softness)) for softness in SOFTNESS])
        best = polished(scores, soft[int(scores(soft).argmin())], axis.spacing)
    row = response_shapes(axis, best[None])[0] * allowed
    return np.asarray(row * max(0.0, float(row @ pull)) / max(float(row @ bands @ row), 1e-300))


def fit_centred_shape(bands: FloatArray, pull: FloatArray, axis: Axis, centre: float) -> FloatArray:
    """The row (L,), a gain times a Gaussian at a known centre, with the least row' bands row - 2 pull' row."""
    least, most = CENTRED_LEAST * axis.spacing, max(CENTRED_MOST * centre, 2 * axis.spacing)
    sigmas = np.geomspace(least, most, CENTRED_WIDTHS)
    rows = response_shapes(axis, np.column_stack([np.full(len(sigmas), centre), np.log(sigmas)]))
    gains = np.maximum(rows @ pull, 0) / np.maximum(np.einsum("nl,nl->n", rows @ bands, rows), 1e-300)
    rows = rows * gains[:, None]
    return np.asarray(rows[int((rows @ pull).argmax())])


def polished(scores: Callable[[FloatArray], FloatArray], first: FloatArray, spacing: float) -> FloatArray:
    """The least score near `first` (2 or 3 values)."""
    from scipy.optimize import minimize

    scale = abs(float(scores(first[None])[0])) or 1.0
    steps = np.diag([spacing, 0.2, 0.5][: len(first)])
    options = {"initial_simplex": first + np.vstack([np.zeros(len(first)), steps]), "xatol": 1e-3, "fatol": 1e-9}
    found = minimize(lambda v: float(scores(v[None])[0]) / scale, first, method="Nelder-Mead", options=options)
    return np.asarray(found.x)
