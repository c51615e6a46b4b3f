"""The normal equations of a displacement: hs under a response against the blurred ms at displaced places.

The residual is that between hs, seen through a response matched to the ms, and the blurred ms sampled at the displaced
coarse pixel centres, a gain and an offset a band eliminated (Lucas and Kanade 1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from hypersharp.registration.field import AFFINE, SHIFT, basis
from hypersharp.sensor.tables import FloatArray, Mask

Image = NDArray[np.floating]

START_SIGMA = 0.5  # of a coarse pixel: MTF 0.3 at its Nyquist frequency
SIGMA_LIMITS = 0.15, 1.5  # of a coarse pixel
COVERED = 0.99  # share of a coarse pixel's blur that must fall on measured fine pixels
STEPS, SETTLED_PX = 20, 1e-3
TILES = 4  # along either side, for the jackknife
REGRESSION_PIXELS = 20_000
LEAST_PIXELS = 64  # coarse pixels that both images show
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Fit:
    """A displacement and PSF width; of each band (all in one, for a field) and tile the equations of the next step."""

    coefficients: FloatArray
    sigma_px: float
    normal: FloatArray  # (l, tiles, P, P)
    rhs: FloatArray  # (l, tiles, P)
    squares: FloatArray  # (l, tiles): of the residual
    correlation: float


@dataclass(frozen=True, eq=False)
class Scene:
    """The pair, which pixels count, how many terms the displacement has along either axis, how many tiles a side."""

    hs: Image
    ms: Image
    hs_valid: Mask
    ms_valid: Mask
    terms: int = SHIFT
    tiles_yx: tuple[int, int] = (TILES, TILES)

    @property
    def ratio(self) -> int:
        return int(self.ms.shape[1] // self.hs.shape[1])

    @cached_property
    def basis(self) -> FloatArray:
        """(K, h w): the terms at the coarse pixels."""
        y, x = np.meshgrid(*(np.linspace(-1.0, 1.0, side) for side in self.hs.shape[1:]), indexing="ij")
        return basis(self.terms, y.ravel(), x.ravel())

    @cached_property
    def centres(self) -> FloatArray:
        """(2, h w): the coarse pixels' centres, fine pixels."""
        places = np.indices(self.hs.shape[1:], np.float64).reshape(2, -1)
        return self.ratio * places + (self.ratio - 1) / 2

    @cached_property
    def tiles(self) -> NDArray[np.intp]:
        """(h w,): the tile that each coarse pixel lies in."""
        sides = zip(self.hs.shape[1:], self.tiles_yx, strict=True)
        rows, columns = (np.arange(side) * count // side for side, count in sides)
        return np.asarray(np.add.outer(self.tiles_yx[1] * rows, columns).ravel(), np.intp)

    @property
    def tile_count(self) -> int:
        return self.tiles_yx[0] * self.tiles_yx[1]

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


def targets_of(scene: Scene, srf: FloatArray | None, coefficients: FloatArray, sigma_px: float) -> FloatArray:
    """(l, h w): hs as the ms bands would see it.

    Where the response is not known, through the non-negative mix of hs bands nearest each ms band, both under a box
    blur, up to an offset.
    """
    if srf is None:
        from scipy.optimize import nnls

        kept = np.flatnonzero(scene.counted(coefficients, sigma_px))
        kept = kept[:: max(1, len(kept) // REGRESSION_PIXELS)]
        coarse = scene.coarse_ms(coefficients, sigma_px)
        smooth = (uniform_filter(image, (0, 3, 3), mode="nearest") for image in (scene.hs, coarse))
        hs, ms = (image.reshape(len(image), -1)[:, kept] for image in smooth)
        turned, triangle = np.linalg.qr((hs - hs.mean(1, keepdims=True)).T)  # as many equations as bands
        srf = np.array([nnls(triangle, turned.T @ (band - band.mean()))[0] for band in ms])
    return np.asarray(np.tensordot(srf, scene.hs, 1).reshape(len(scene.ms), -1))


def detail(image: Image, side_px: int) -> FloatArray:
    """What the mean around each pixel, of so many along a side, leaves of (n, y, x)."""
    whole = np.asarray(image, np.float64)
    return np.asarray(whole - uniform_filter(whole, (0, side_px, side_px), mode="nearest"))


def phase_peak(scene: Scene, targets: FloatArray, sigma_px: float) -> FloatArray:
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


def descended(scene: Scene, srf: FloatArray | None, start: Fit) -> Fit:
    """The response at a displacement, then by Gauss-Newton displacement and PSF variance for that response.

    A step moves by one coarse pixel at most.
    """
    targets = targets_of(scene, srf, start.coefficients, start.sigma_px)
    least, most = ((scene.ratio * limit) ** 2 for limit in SIGMA_LIMITS)
    fit = linearised(scene, targets, start.coefficients, start.sigma_px)
    for _ in range(STEPS):
        step = np.linalg.lstsq(fit.normal.sum((0, 1)), fit.rhs.sum((0, 1)), rcond=None)[0]  # 0 along what is not seen
        moved = np.clip(step[:-1], -scene.ratio, scene.ratio).reshape(2, -1)
        variance = min(max(fit.sigma_px**2 + float(step[-1]), least), most)
        fit = linearised(scene, targets, fit.coefficients + moved, variance**0.5)
        if np.abs(moved).max() < SETTLED_PX:
            break
    return fit


def linearised(scene: Scene, targets: FloatArray, coefficients: FloatArray, sigma_px: float) -> Fit:
    """The normal equations of every band at this displacement and PSF width."""
    kept = scene.counted(coefficients, sigma_px)
    if kept.sum() < LEAST_PIXELS // 2:  # led out of the image: no displacement, and nothing that speaks for one
        unknowns = 2 * scene.terms + 1
        nothing = np.zeros((len(scene.ms), scene.tile_count, unknowns, unknowns))
        return Fit(np.zeros((2, scene.terms)), sigma_px, nothing, nothing[..., 0], nothing[..., 0, 0], 0.0)
    tiles, terms = scene.tiles[kept], scene.basis[:, kept]
    systems, correlations = list[list[FloatArray]](), list[float]()
    for fine, target in zip(scene.ms, targets, strict=True):
        blurred = gaussian_filter(fine, sigma_px, mode="nearest")
        down, right = np.gradient(blurred)
        wider = (np.gradient(down, axis=0) + np.gradient(right, axis=1)) / 2  # half the Laplacian: by the variance
        seen, *slopes = (scene.sampled(look, coefficients)[kept] for look in (blurred, down, right, wider))
        *system, correlation = band_system(target[kept], seen, slopes, terms, tiles, scene.tile_count)
        correlations.append(correlation)
        if scene.terms > AFFINE and systems:  # a field's are large, and their sum is all that it needs
            systems[0] = [total + part for total, part in zip(systems[0], system, strict=True)]
        else:
            systems.append(system)
    normal, rhs, squares = (np.array(parts) for parts in zip(*systems, strict=True))
    return Fit(coefficients, sigma_px, normal, rhs, squares, float(np.median(correlations)))


def band_system(
    target: FloatArray,
    seen: FloatArray,
    slopes: list[FloatArray],
    basis: FloatArray,
    tiles: NDArray[np.intp],
    count: int,
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Normal equations (tiles, P, P), (tiles, P) and squares (tiles,) of target - gain seen - offset, both eliminated.

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
    parts = [(jacobian[:, tiles == tile], residual[tiles == tile]) for tile in range(count)]
    normal = np.array([weight * part @ part.T for part, _ in parts])
    rhs = np.array([weight * part @ rest for part, rest in parts])
    squares = np.array([weight * rest @ rest for _, rest in parts])
    return normal, rhs, squares, float(seen @ target) / max(power * wanted, TINY) ** 0.5
