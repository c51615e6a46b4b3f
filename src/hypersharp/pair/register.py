"""Sub-pixel co-registration of a pair from its images: where the ms shows what hs shows.

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
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter
from scipy.optimize import nnls

from hypersharp.errors import InputError, check_name
from hypersharp.sensor.tables import FloatArray, Mask

Model = Literal["shift", "affine"]
Image = NDArray[np.floating]

START_SIGMA = 0.5  # of a coarse pixel: MTF 0.3 at its Nyquist frequency
SIGMA_LIMITS = 0.15, 1.5  # of a coarse pixel
COVERED = 0.99  # share of a coarse pixel's blur that must fall on measured fine pixels
ROUNDS, STEPS, SETTLED_PX = 20, 20, 1e-3
TILES = 4  # along either side, for the jackknife
REGRESSION_PIXELS = 20_000
LEAST_PIXELS = 64  # coarse pixels that both images show
LEAST_CORRELATION = 0.6
LARGEST_ERROR = 0.15  # of a coarse pixel
SIGNIFICANCE = 3.0  # standard errors
LEAST_SHIFT_PX = 0.05  # less is not worth a resampling
LARGEST_SHIFT = 0.25  # of the image's shorter side
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Registration:
    """What the images say of the ms's place: ms(p + d(p)) shows hs(p), p = (y, x) in fine pixels.

    `coefficients` (2, K): d = coefficients @ (1, y', x'), K = 1 for a shift, 3 for an affine map; y' and x' go
    from -1 to 1 between the centres of the outermost coarse pixels. `error_px`: standard error of the shift, the
    worse axis, fine pixels. `correlation`: of hs and ms under response and blur, median over bands, after and
    before. `sigma_px`: width of the Gaussian PSF found. `reason`: why the ms is better not moved, None where it is.
    """

    coefficients: FloatArray
    error_px: float
    correlation: float
    correlation_before: float
    sigma_px: float
    reason: str | None = None

    @property
    def moved(self) -> bool:
        """Whether the evidence suffices to move the ms."""
        return self.reason is None

    @property
    def shift_px_yx(self) -> tuple[float, float]:
        """How far down and right of hs the ms lies at the image's centre, fine pixels."""
        y, x = self.coefficients[:, 0]
        return float(y), float(x)

    @property
    def largest_px(self) -> float:
        """The displacement at the corner where it is largest, fine pixels."""
        corners = np.array([(1, y, x) for y in (-1, 1) for x in (-1, 1)])[:, : self.coefficients.shape[1]]
        return float(np.hypot(*(self.coefficients @ corners.T)).max())


@dataclass(frozen=True, eq=False)
class _Fit:
    """A displacement and PSF width; over each band and tile, the normal equations of the next step from there."""

    coefficients: FloatArray
    sigma_px: float
    normal: FloatArray  # (l, tiles, P, P)
    rhs: FloatArray  # (l, tiles, P)
    correlation: float


@dataclass(frozen=True, eq=False)
class _Scene:
    """The pair, which pixels count, and how many terms (1 or 3) the displacement has along either axis."""

    hs: Image
    ms: Image
    hs_valid: Mask
    ms_valid: Mask
    terms: int

    @property
    def ratio(self) -> int:
        return int(self.ms.shape[1] // self.hs.shape[1])

    @cached_property
    def basis(self) -> FloatArray:
        """(K, h w): 1 and, for an affine map, y and x from -1 to 1."""
        y, x = np.meshgrid(*(np.linspace(-1.0, 1.0, side) for side in self.hs.shape[1:]), indexing="ij")
        return np.stack([np.ones(y.shape), y, x]).reshape(3, -1)[: self.terms]

    @cached_property
    def centres(self) -> FloatArray:
        """(2, h w): the coarse pixels' centres, fine pixels."""
        places = np.indices(self.hs.shape[1:], np.float64).reshape(2, -1)
        return self.ratio * places + (self.ratio - 1) / 2

    @cached_property
    def tiles(self) -> NDArray[np.intp]:
        """(h w,): the tile that each coarse pixel lies in."""
        rows, columns = (np.arange(side) * TILES // side for side in self.hs.shape[1:])
        return np.asarray(np.add.outer(TILES * rows, columns).ravel(), np.intp)

    def sampled(self, fine: Image, coefficients: FloatArray) -> FloatArray:
        """A fine image (H, W) at the displaced coarse pixel centres (h w,), 0 outside."""
        return np.asarray(map_coordinates(fine, self.centres + coefficients @ self.basis, order=1))

    def counted(self, coefficients: FloatArray, sigma_px: float) -> Mask:
        """(h w,): coarse pixels that are measured and whose blur, at any displacement, stays on measured fine pixels.

        Laxer than `Sensor.sees_only`, for beyond the border nothing is measured: that would cost two rings of pixels.
        """
        covered = gaussian_filter(self.ms_valid.astype(np.float32), sigma_px, mode="constant")
        return self.hs_valid.ravel() & (self.sampled(covered, coefficients) > COVERED)

    def coarse_ms(self, coefficients: FloatArray, sigma_px: float) -> FloatArray:
        """ms (l, h, w) as hs would see it."""
        blurred = (gaussian_filter(band, sigma_px, mode="nearest") for band in self.ms)
        return np.array([self.sampled(band, coefficients) for band in blurred]).reshape(-1, *self.hs.shape[1:])


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

    srf: (l, L) where known. model: one shift, or an affine map. *_valid: pixels that count (None: all).
    Displacements up to a quarter of the image are found. Without clear evidence the pair is left as it is, with the
    reason.

    Raises: InputError for sizes of no whole ratio, a response of another shape, an unknown model.
    """
    (bands, h, w), (ms_bands, height, width) = hs.shape, ms.shape
    if height % h or width % w or height // h != width // w:
        found = f"hs of {h} x {w} and ms of {height} x {width} pixels"
        raise InputError(found, "a whole ratio", "align the grids first")
    if srf is not None and srf.shape != (ms_bands, bands):
        raise InputError(f"a response of shape {srf.shape}", f"{(ms_bands, bands)}", "give one row per ms band")
    check_name("displacement", model, get_args(Model))
    measured = np.ones(hs.shape[1:], bool) if hs_valid is None else hs_valid
    whole = np.ones(ms.shape[1:], bool) if ms_valid is None else ms_valid
    scene = _Scene(hs, ms, measured, whole, 1 if model == "shift" else 3)
    still, sigma_px = np.zeros((2, scene.terms)), START_SIGMA * scene.ratio
    pixels = int(scene.counted(still, sigma_px).sum())
    if pixels < LEAST_PIXELS:
        reason = f"{pixels} hs pixels that both images show, too few"
        return Registration(still, np.inf, 0.0, 0.0, sigma_px, reason)
    fit, before = _settled(scene, srf)
    result = Registration(fit.coefficients, _error_px(fit), fit.correlation, before, fit.sigma_px)
    return replace(result, reason=_weakness(result, scene))


def _settled(scene: _Scene, srf: FloatArray | None) -> tuple[_Fit, float]:
    """The fit from the better start, none or the phase correlation, and the correlation before any.

    Response and displacement are found in turn until neither gives way to the other.
    """
    still, sigma_px = np.zeros((2, scene.terms)), START_SIGMA * scene.ratio
    targets = _targets(scene, srf, still, sigma_px)
    before = _linearised(scene, targets, still, sigma_px)
    peak = replace(before, coefficients=_phase_peak(scene, targets, sigma_px))
    fit = max((_descended(scene, srf, start) for start in (before, peak)), key=lambda fit: fit.correlation)
    for _ in range(ROUNDS):
        last, fit = fit, _descended(scene, srf, fit)
        stands_still = np.abs(fit.coefficients - last.coefficients).max() < SETTLED_PX
        if stands_still or fit.correlation < LEAST_CORRELATION / 2:
            break
    return fit, before.correlation


def _targets(scene: _Scene, srf: FloatArray | None, coefficients: FloatArray, sigma_px: float) -> FloatArray:
    """(l, h w): hs as the ms bands would see it.

    Where the response is not known, through the non-negative mix of hs bands nearest each ms band, both under a box
    blur, up to an offset.
    """
    if srf is None:
        kept = np.flatnonzero(scene.counted(coefficients, sigma_px))
        kept = kept[:: max(1, len(kept) // REGRESSION_PIXELS)]
        coarse = scene.coarse_ms(coefficients, sigma_px)
        smooth = (uniform_filter(image, (0, 3, 3), mode="nearest") for image in (scene.hs, coarse))
        hs, ms = (image.reshape(len(image), -1)[:, kept] for image in smooth)
        turned, triangle = np.linalg.qr((hs - hs.mean(1, keepdims=True)).T)  # as many equations as bands
        srf = np.array([nnls(triangle, turned.T @ (band - band.mean()))[0] for band in ms])
    return np.asarray(np.tensordot(srf, scene.hs, 1).reshape(len(scene.ms), -1))


def _phase_peak(scene: _Scene, targets: FloatArray, sigma_px: float) -> FloatArray:
    """Where the phase correlation, summed over bands, is largest, as a displacement by whole coarse pixels."""
    still, shape_yx = np.zeros((2, scene.terms)), scene.hs.shape[1:]
    kept = scene.counted(still, sigma_px).reshape(shape_yx)
    window = kept * np.outer(*(np.hanning(side + 2)[1:-1] for side in shape_yx))
    coarse = (targets.reshape(-1, *shape_yx), scene.coarse_ms(still, sigma_px))
    centred = (image - image[:, kept].mean(1)[:, None, None] for image in coarse)
    hs, ms = (np.fft.rfft2(image * window) for image in centred)
    cross = hs.conj() * ms
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), TINY), shape_yx).sum(0)
    place, sides = np.array(np.unravel_index(peaks.argmax(), shape_yx)), np.array(shape_yx)
    still[:, 0] = scene.ratio * ((place + sides // 2) % sides - sides // 2)
    return still


def _descended(scene: _Scene, srf: FloatArray | None, start: _Fit) -> _Fit:
    """The response at a displacement, then by Gauss-Newton displacement and PSF variance for that response.

    A step moves by one coarse pixel at most.
    """
    targets = _targets(scene, srf, start.coefficients, start.sigma_px)
    least, most = ((scene.ratio * limit) ** 2 for limit in SIGMA_LIMITS)
    fit = _linearised(scene, targets, start.coefficients, start.sigma_px)
    for _ in range(STEPS):
        step = np.linalg.lstsq(fit.normal.sum((0, 1)), fit.rhs.sum((0, 1)), rcond=None)[0]  # 0 along what is not seen
        moved = np.clip(step[:-1], -scene.ratio, scene.ratio).reshape(2, -1)
        variance = min(max(fit.sigma_px**2 + float(step[-1]), least), most)
        fit = _linearised(scene, targets, fit.coefficients + moved, variance**0.5)
        if np.abs(moved).max() < SETTLED_PX:
            break
    return fit


def _linearised(scene: _Scene, targets: FloatArray, coefficients: FloatArray, sigma_px: float) -> _Fit:
    """The normal equations of every band at this displacement and PSF width."""
    kept = scene.counted(coefficients, sigma_px)
    if kept.sum() < LEAST_PIXELS // 2:  # led out of the image: no displacement, and nothing that speaks for one
        unknowns = 2 * scene.terms + 1
        nothing = np.zeros((len(scene.ms), TILES**2, unknowns, unknowns))
        return _Fit(np.zeros((2, scene.terms)), sigma_px, nothing, nothing[..., 0], 0.0)
    tiles, basis = scene.tiles[kept], scene.basis[:, kept]
    systems = []
    for fine, target in zip(scene.ms, targets, strict=True):
        blurred = gaussian_filter(fine, sigma_px, mode="nearest")
        down, right = np.gradient(blurred)
        wider = (np.gradient(down, axis=0) + np.gradient(right, axis=1)) / 2  # half the Laplacian: by the variance
        seen, *slopes = (scene.sampled(look, coefficients)[kept] for look in (blurred, down, right, wider))
        systems.append(_band_system(target[kept], seen, slopes, basis, tiles))
    normal, rhs, correlations = zip(*systems, strict=True)
    return _Fit(coefficients, sigma_px, np.array(normal), np.array(rhs), float(np.median(correlations)))


def _band_system(
    target: FloatArray, seen: FloatArray, slopes: list[FloatArray], basis: FloatArray, tiles: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, float]:
    """Normal equations (tiles, P, P) and (tiles, P) of target - gain seen - offset, which are eliminated.

    Weighted by the inverse of the residual's mean square, so that a band that hs explains badly counts little.
    """
    down, right, wider = slopes
    target, seen = target - target.mean(), seen - seen.mean()
    power, wanted = max(float(seen @ seen), TINY), float(target @ target)
    gain = float(seen @ target) / power
    residual = target - gain * seen
    jacobian = gain * np.vstack([down * basis, right * basis, wider])
    jacobian -= jacobian.mean(1, keepdims=True)
    jacobian -= np.outer(jacobian @ seen / power, seen)
    weight = 1 / max(float(residual @ residual), 1e-6 * wanted, TINY)
    parts = [(jacobian[:, tiles == tile], residual[tiles == tile]) for tile in range(TILES**2)]
    normal = np.array([weight * part @ part.T for part, _ in parts])
    rhs = np.array([weight * part @ rest for part, rest in parts])
    return normal, rhs, float(seen @ target) / max(power * wanted, TINY) ** 0.5


def _error_px(fit: _Fit) -> float:
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


def _weakness(found: Registration, scene: _Scene) -> str | None:
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
