"""Consistency: the least change to any method's result Z that makes it, degraded, give back hs within its noise.

Band by band, with A the sensor's blur and decimation with its own boundary rule and r = hs - A Z,

    X = argmin w ||X - Z||^2 + ||hs - A X||^2 = Z + A' (A A' + w)^-1 r

which is the mean of X given hs if Z errs by white noise of variance t^2, hs by s^2, and w = s^2 / t^2
(Wei, Dobigeon, Tourneret 2015, IEEE TIP 24(11), eq. 13, with Z as the prior's mean and no ms term). w comes from
the residual itself: its power at frequency f is then t^2 (p_f + w), p the spectrum of A A', and w maximises that
likelihood (the evidence: MacKay 1992, Neural Computation 4(3)) with s^2 no larger than what the other bands leave
unexplained of a band (HySime's noise, which real detail makes too large, never too small). A residual that looks
like noise is left alone.

The change is solved for on the coarse grid, where A A' + w is all but a circular convolution: conjugate gradients
with the circular inverse as preconditioner; with a circular blur and nothing missing the first step is exact.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.numerics.linops import Map
from hypersharp.numerics.loops import conjugate_gradients, slices
from hypersharp.numerics.noise import band_noise
from hypersharp.pair.reduced import trusted_pixels
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, circular_blur
from hypersharp.sensor.psf import PSF

LEAST, MOST = 0.01, 1000.0  # weights considered, times the largest eigenvalue of A A'
WEIGHTS = 26
BANDS_AT_ONCE = 8
TOLERANCE = 5e-4  # of the residual
MOST_STEPS = 30
MOST_NEIGHBOURS = 49  # coarse pixels that a blur joins one with: beyond, degrading is quicker than their sum


@dataclass(frozen=True, eq=False)
class ConsistencyFit:
    """How a scene's results are made consistent: under which blur, with which weight (L,) for each band.

    A weight is in units of A A', infinite where a band's residual is but noise. `before` and `after`:
    ||hs - A Z|| / ||hs|| over the pixels that count, of the pair it was found on.
    """

    psf: PSF
    weights: Tensor
    before: float
    after: float

    def __call__(self, estimate: Tensor, pair: TensorPair) -> Tensor:
        """The estimate (L, H, W) of a pair, or of a part of it, made consistent."""
        return make_consistent(estimate, pair, self.psf, self.weights.to(estimate))[0]

    def described(self) -> dict[str, float]:
        """As plain data, JSON-able."""
        changed = int(self.weights.isfinite().sum())
        return {"bands_changed": changed, "bands": len(self.weights), "before": self.before, "after": self.after}


def consistency_floats_per_px(bands: int) -> float:
    """How many float32 `project` holds per fine pixel at most: the estimate, the image, and a few bands at work."""
    return 3.0 * bands + 8.0 * min(bands, BANDS_AT_ONCE)


def make_consistent(
    estimate: Tensor, pair: TensorPair, psf: PSF, weights: Tensor | None = None
) -> tuple[Tensor, ConsistencyFit]:
    """The estimate (L, H, W) of a pair under a blur, see `project`; weights by default the likeliest."""
    hs = pair.hs.to(estimate)
    sensor = Sensor(psf, np.eye(len(hs)), pair.ratio)
    trusted = trusted_pixels(estimate, hs, sensor, hs_valid=pair.hs_valid, ms_valid=pair.ms_valid)
    return project(estimate, hs, sensor, valid=trusted, weights=weights)


def project(
    estimate: Tensor, hs: Tensor, sensor: Sensor, *, valid: Tensor | None = None, weights: Tensor | None = None
) -> tuple[Tensor, ConsistencyFit]:
    """Project an estimate onto those that reproduce hs, within its noise, when blurred and downsampled.

    Args:
        estimate: (L, H, W).
        hs: (L, h, w).
        sensor: its PSF and ratio.
        valid: (h, w), False where a coarse pixel does not count, by default all do; `trusted_pixels` makes it.
        weights: w of the equation, (L,); by default the likeliest.

    Returns:
        The image (L, H, W), and how far it differed from hs before and after, with which weights.

    Raises:
        InputError: sizes that are no multiple of the ratio.

    Source: Z = Z0 + A' (A A' + w)^-1 (Y - A Z0), Wei, Dobigeon, Tourneret 2015, eq. 13, without the ms term.

    >>> from hypersharp.sensor.psf import box
    >>> sensor = Sensor(box(2), np.ones((1, 3)), 2)
    >>> image, fit = project(torch.rand(3, 16, 16), torch.rand(3, 8, 8), sensor, weights=torch.full((3,), 1e-6))
    >>> image.shape, fit.after < 1e-3
    (torch.Size([3, 16, 16]), True)
    """
    counts = hs.new_ones(hs.shape[1:]) if valid is None else valid.to(hs)
    pieces = slices(len(hs), BANDS_AT_ONCE)
    residual = torch.cat([hs[some] - sensor.hs(estimate[some]) for some in pieces]).mul_(counts)
    power = circular_blur(sensor.psf, sensor.ratio, estimate).coarse_power().clamp(min=0)
    weights = likely_weights(residual, power, most_noise(hs, counts)) if weights is None else weights
    gram, left = gram_of(sensor, power, (hs.shape[1], hs.shape[2])), residual.clone()
    image = estimate.clone()
    bands = torch.nonzero(weights.isfinite()).flatten()
    for some in (bands[piece] for piece in slices(len(bands), BANDS_AT_ONCE)):
        solved = solve(residual[some], weights[some], gram, power, counts)
        image[some] += sensor.hs_adjoint(solved)
        left[some] -= gram(solved).mul_(counts)
    whole = (hs * counts).norm().clamp(min=torch.finfo(hs.dtype).tiny)
    return image, ConsistencyFit(sensor.psf, weights, float(residual.norm() / whole), float(left.norm() / whole))


def gram_of(sensor: Sensor, power: Tensor, shape_yx: tuple[int, int]) -> Map:
    """A A' on the coarse grid; for a circular blur a product with its spectrum `power` (h, w//2 + 1)."""
    if sensor.psf.boundary == "wrap":
        return lambda coarse: by_spectrum(coarse, power)
    sides = [2 * ((taps - 1) // sensor.ratio) + 1 for taps in sensor.psf.kernel.shape]
    if sides[0] * sides[1] > MOST_NEIGHBOURS:
        return lambda coarse: sensor.hs(sensor.hs_adjoint(coarse))
    (rows, columns), (height, width) = sides, shape_yx
    weights = neighbour_weights(sensor, (rows, columns), power.new_zeros(shape_yx))

    def sum_neighbours(coarse: Tensor) -> Tensor:
        padded = F.pad(coarse, (columns // 2, columns // 2, rows // 2, rows // 2))
        total = torch.zeros_like(coarse)
        for y, x in product(range(rows), range(columns)):
            total.addcmul_(weights[y, x], padded[:, y : y + height, x : x + width])
        return total

    return sum_neighbours


def neighbour_weights(sensor: Sensor, sides_yx: tuple[int, int], like: Tensor) -> Tensor:
    """(rows, columns, h, w): the weights of a coarse pixel's neighbours in A A'; beyond them the blur does not reach.

    Found by seeing combs, of which every pixel has one tooth as neighbour; so borders are exact under any rule.
    """
    rows, columns = sides_yx
    combs = like.new_zeros(rows, columns, *like.shape)
    for y, x in product(range(rows), range(columns)):
        combs[y, x, y::rows, x::columns] = 1
    seen = sensor.hs(sensor.hs_adjoint(combs.flatten(0, 1))).view_as(combs)
    (tooth_y, at_y), (tooth_x, at_x) = (
        ((at + torch.arange(side, device=like.device)[:, None] - side // 2) % side, at)
        for side, at in zip(sides_yx, (torch.arange(size, device=like.device) for size in like.shape), strict=True)
    )
    return seen[tooth_y[:, None, :, None], tooth_x[None, :, None, :], at_y[:, None], at_x]


def by_spectrum(coarse: Tensor, factor: Tensor) -> Tensor:
    """(..., h, w) convolved circularly by what has this half spectrum (..., h, w//2 + 1)."""
    image: Tensor = torch.fft.irfft2(torch.fft.rfft2(coarse) * factor, s=(coarse.shape[-2], coarse.shape[-1]))
    return image


def solve(residual: Tensor, weights: Tensor, gram: Map, power: Tensor, counts: Tensor) -> Tensor:
    """M (M A A' M + w)^-1 r of the bands' residuals r (n, h, w); M keeps the pixels that count."""
    w = weights[:, None, None]
    return counts * conjugate_gradients(
        lambda coarse: gram(coarse * counts).mul_(counts).add_(w * coarse),
        residual,
        precondition=lambda coarse: by_spectrum(coarse, 1 / (power + w)),
        iterations=MOST_STEPS,
        tolerance=TOLERANCE,
    )


def most_noise(hs: Tensor, counts: Tensor) -> Tensor:
    """(L,): HySime's noise variance of each band; infinite, no bound, where there are no more pixels than bands."""
    pixels = hs[:, counts > 0]
    return band_noise(pixels) if pixels.shape[1] > len(hs) else torch.full((len(hs),), torch.inf)


def likely_weights(residual: Tensor, power: Tensor, noise: Tensor) -> Tensor:
    """(L,): for each band of the residual (L, h, w) the w under which a power t^2 (p + w) is the likeliest.

    t^2 is the best for each w, and s^2 = w t^2 at most the band's `noise`. power: A A' on the half spectrum.
    Infinite where no change to the band is as likely, by the Bayesian information criterion (Schwarz 1978).
    """
    height, width = residual.shape[-2:]
    periodogram = torch.fft.rfft2(residual.double()).abs().square() / (height * width)
    share = torch.full_like(periodogram[0], 2 / (height * width))  # inner columns of a half spectrum stand for two
    share[:, 0] /= 2
    if width % 2 == 0:
        share[:, -1] /= 2
    grid = float(power.max()) * torch.logspace(np.log10(LEAST), np.log10(MOST), WEIGHTS, dtype=torch.float64)
    costs: list[Tensor] = []
    for w in grid.tolist():
        spread = power.double() + w
        variance = (share * periodogram / spread).sum((-2, -1)).clamp(min=torch.finfo(torch.float64).tiny)
        cost = variance.log() + (share * spread.log()).sum()
        too_noisy = w * variance > noise.to(variance) if costs else torch.zeros_like(cost, dtype=torch.bool)
        costs.append(cost.masked_fill(too_noisy, torch.inf))
    costs[-1] -= np.log(height * width) / (height * width)  # no change is one parameter less
    best = torch.stack(costs).argmin(0).cpu()
    weights = grid[best].to(residual)
    weights[(best == WEIGHTS - 1).to(residual.device) | (periodogram.sum((-2, -1)) == 0)] = torch.inf
    return weights
