"""Sub-pixel co-registration of a pair from its images: where the ms shows what hs shows.

The displacement is one shift, an affine map or a smooth field, whichever predicts the parts of the image best that it
was not fitted to; a simpler one where the difference is no larger than its error.

hs is seen through a response matched to the ms (given, or non-negative regression on the ms brought to the
coarse grid, both under a box blur); the start is zero or the peak of the phase correlation of these bands
(Kuglin and Hines 1975), and Gauss-Newton then minimises, over displacement, width of a Gaussian PSF, and a gain
and offset a band, the residual between hs and the blurred ms sampled at the displaced coarse pixel centres
(Lucas and Kanade 1981). So no hs pixel is interpolated, aliasing of hs does no harm, and the width found keeps
a wrong guess of the blur from pulling at the displacement. The error is the delete-one jackknife's over tiles
of the image and over bands (Efron 1982), which is not fooled by neighbouring residuals that resemble each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from hypersharp.errors import InputError, check_name
from hypersharp.registration.bent import bend
from hypersharp.registration.displaced import (
    LEAST_PIXELS,
    SETTLED_PX,
    START_SIGMA,
    Fit,
    Image,
    Scene,
    descended,
    linearised,
    phase_peak,
    targets_of,
)
from hypersharp.registration.field import AFFINE, SHIFT, Field, basis
from hypersharp.sensor.srf import check_response
from hypersharp.sensor.tables import FloatArray, Mask

Model = Literal["shift", "affine", "local"]

ROUNDS = 20
LEAST_CORRELATION = 0.6
LARGEST_ERROR = 0.15  # of a coarse pixel
SIGNIFICANCE = 3.0  # standard errors
LEAST_SHIFT_PX = 0.05  # less is not worth a resampling
LARGEST_SHIFT = 0.25  # of the image's shorter side


@dataclass(frozen=True, eq=False)
class Registration:
    """What the images say of the ms's place: ms(p + d(p)) shows hs(p), p = (y, x) in fine pixels.

    `coefficients` (2, K): d = coefficients @ basis, of 1 term (a shift), 3 (an affine map) or more (a smooth field, see
    `registration.field`); places go from -1 to 1 between the centres of the outermost coarse pixels. `error_px`: the
    standard error of the shift, the worse axis, fine pixels. `correlation`: of hs and ms under response and blur,
    median over bands, after and before. `sigma_px`: width of the Gaussian PSF found. `reason`: why the ms is better not
    moved, None where it is. `tie_points`: parts of the image that agree with the field, and how many were asked;
    `residual_px`: the root mean square of what their own displacements differ from it.
    """

    coefficients: FloatArray
    error_px: float
    correlation: float
    correlation_before: float
    sigma_px: float
    reason: str | None = None
    tie_points: tuple[int, int] = (0, 0)
    residual_px: float = 0.0

    @property
    def moved(self) -> bool:
        """Whether the evidence suffices to move the ms."""
        return self.reason is None

    @property
    def model(self) -> Model:
        """Which kind of displacement it is."""
        terms = self.coefficients.shape[1]
        return "shift" if terms == SHIFT else "affine" if terms == AFFINE else "local"

    @property
    def shift_px_yx(self) -> tuple[float, float]:
        """How far down and right of hs the ms lies at the image's centre, fine pixels."""
        y, x = self._at(np.zeros((2, 1)))[:, 0]
        return float(y), float(x)

    @property
    def largest_px(self) -> float:
        """The displacement where it is largest, fine pixels."""
        places = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))).reshape(2, -1)
        return float(np.hypot(*self._at(places)).max())

    def field(self, ratio: int, shape_yx: tuple[int, int], first_yx: tuple[int, int] = (0, 0)) -> Field:
        """The displacement by place, of a registered window of so many coarse pixels whose first one is `first_yx`."""
        corner = [ratio * first + (ratio - 1) / 2 for first in first_yx]
        far = [first + ratio * (side - 1) for first, side in zip(corner, shape_yx, strict=True)]
        return Field(self.coefficients, (corner[0], corner[1]), (far[0], far[1]))

    def evidence(self) -> dict[str, Any]:
        """What speaks for it, JSON-able."""
        return {
            "model": self.model,
            "shift_px_yx": list(self.shift_px_yx),
            "largest_px": self.largest_px,
            "error_px": self.error_px,
            "correlation_before": self.correlation_before,
            "correlation_after": self.correlation,
            "tie_points": list(self.tie_points),
            "residual_px": self.residual_px,
        }

    def _at(self, places: FloatArray) -> FloatArray:
        return np.asarray(self.coefficients @ basis(self.coefficients.shape[1], places[0], places[1]))


def register(
    hs: Image,
    ms: Image,
    *,
    srf: FloatArray | None = None,
    model: Model = "shift",
    hs_valid: Mask | None = None,
    ms_valid: Mask | None = None,
) -> Registration:
    """How far ms (l, H, W) lies off hs (L, h, w); finite, one extent nominally, H / h = W / w whole.

    srf: (l, L) where known. model: the richest displacement that may be found; a simpler one is where the images do not
    ask for more. *_valid: pixels that count (None: all).
    Displacements up to a quarter of the image are found. Without clear evidence the pair is left as it is, with the
    reason.

    Raises: InputError for sizes of no whole ratio, a response of another shape, an unknown model.
    """
    (bands, h, w), (ms_bands, height, width) = hs.shape, ms.shape
    if height % h or width % w or height // h != width // w:
        found = f"hs of {h} x {w} and ms of {height} x {width} pixels"
        raise InputError(found, "a whole ratio", "align the grids first")
    if srf is not None:
        check_response(srf, ms_bands, bands)
    check_name("displacement", model, get_args(Model))
    measured = np.ones(hs.shape[1:], bool) if hs_valid is None else hs_valid
    whole = np.ones(ms.shape[1:], bool) if ms_valid is None else ms_valid
    scene = Scene(hs, ms, measured, whole)
    still, sigma_px = np.zeros((2, scene.terms)), START_SIGMA * scene.ratio
    pixels = int(scene.counted(still, sigma_px).sum())
    if pixels < LEAST_PIXELS:
        return unregistered(scene.ratio, f"{pixels} hs pixels that both images show, too few")
    targets = targets_of(scene, srf, still, sigma_px)
    before = linearised(scene, targets, still, sigma_px)
    peak = replace(before, coefficients=phase_peak(scene, targets, sigma_px))
    better = max((descended(scene, srf, start) for start in (before, peak)), key=lambda fit: fit.correlation)
    fit = followed(scene, srf, better, SETTLED_PX)
    result = Registration(fit.coefficients, _error_px(fit), fit.correlation, before.correlation, fit.sigma_px)
    result = replace(result, reason=_weakness(result, scene))
    if model == "shift" or fit.correlation < LEAST_CORRELATION or not np.isfinite(result.error_px):
        return result
    bent = bend(scene, srf, fit, affine_only=model == "affine")
    return result if bent is None else replace(result, **bent, reason=None)


def unregistered(ratio: int, reason: str) -> Registration:
    """That of images of which too little is seen to say how they lie."""
    return Registration(np.zeros((2, SHIFT)), np.inf, 0.0, 0.0, START_SIGMA * ratio, reason)


def followed(scene: Scene, srf: FloatArray | None, fit: Fit, settled_px: float) -> Fit:
    """The fit that a start leads to: response and displacement found in turn, until neither gives way to the other."""
    for _ in range(ROUNDS):
        last, fit = fit, descended(scene, srf, fit)
        if np.abs(fit.coefficients - last.coefficients).max() < settled_px or fit.correlation < LEAST_CORRELATION / 2:
            break
    return fit


def _error_px(fit: Fit) -> float:
    """Standard error of the shift's worse axis: the larger of the jackknives over tiles and over bands."""
    terms = fit.coefficients.shape[1]
    errors = []
    for axis in (0, 1):
        normal, rhs = fit.normal.sum(axis), fit.rhs.sum(axis)  # (groups, P, P), (groups, P)
        groups = np.flatnonzero(normal.any((1, 2)))
        rest = ((normal.sum(0) - normal[i], rhs.sum(0) - rhs[i]) for i in groups)
        left_out = [np.linalg.lstsq(*system, rcond=None)[0] for system in rest]
        if len(groups) > 1:
            spread = np.var(left_out, axis=0) * (len(groups) - 1)
            errors.append(float(np.sqrt(spread[[0, terms]].max())))
    return max(errors, default=np.inf)


def _weakness(found: Registration, scene: Scene) -> str | None:
    """Why the evidence does not suffice to move the ms, None where it does."""
    far, coarse_error = found.largest_px, found.error_px / scene.ratio
    limit = LARGEST_SHIFT * scene.ratio * min(scene.hs.shape[1:])
    if not found.correlation > 0 or not np.isfinite(found.error_px):
        return "images without texture that both show"
    if found.correlation < LEAST_CORRELATION:
        return f"hs and ms correlate by {found.correlation:.2f} only, below {LEAST_CORRELATION:g}"
    if coarse_error > LARGEST_ERROR:
        return f"parts of the image, or bands, disagree by {coarse_error:.2g} hs pixels, above {LARGEST_ERROR:g}"
    if far > limit:
        return f"{far:.3g} fine pixels, more than {limit:.3g}, a quarter of the image"
    if far < max(SIGNIFICANCE * found.error_px, LEAST_SHIFT_PX):
        return f"{far:.2g} fine pixels, no more than the error or {LEAST_SHIFT_PX:g}"
    if found.correlation <= found.correlation_before:
        return "hs and ms agree best as they lie"
    return None
