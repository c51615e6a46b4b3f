"""Prediction intervals: for each value the half-width of an interval that holds the truth so often.

Locally weighted split conformal prediction (Vovk, Gammerman, Shafer 2005, "Algorithmic learning in a random
world"; Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, JASA 113(523), section 5.2). Where a truth exists, the
mean absolute error of band b at pixel x is modelled as

    s = c_b * sum_k a_k f_k(x, b),   a, c >= 0

for the FEATURES f. The fit minimises mean(log s + |e|/s), the likelihood of Laplace errors, by the multiplicative
updates of Fevotte, Bertin, Durrieu 2009 (Neural Computation 21(3), eq. 4 with square root, monotone by Fevotte 2011).
On values that the fit has not seen the scores |e| / w, with w = S (s / S)^TEMPER and S the image's mean s, give their
quantile q at the coverage asked for; q w is the half-width. TEMPER below 1 narrows the mean interval at the same
coverage: errors are less uneven than s.

At the finer level the truth is noisier by what the pixels of hs average away: z n_b sqrt(1 / ||psf||^2 - 1) is added
in quadrature, n_b the noise of hs in band b and z the normal quantile; the conformal guarantee ends at the coarser
level. What was tried besides, and how narrow an interval can be: docs/benchmarks.md.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hypersharp.errors import CallError, InputError
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.numerics.loops import slices
from hypersharp.numerics.noise import neighbour_residuals, normal_deviation, texture_noise
from hypersharp.numerics.regression import window_mean
from hypersharp.pair.reduced import ReducedPair, checkerboard
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

STORED = ".trust.json"  # next to a weights file, with its name
FEATURES = ("constant", "misfit", "photons", "finest", "missing")
CONSTANT, PHOTONS = 1e-3, 0.1  # so that the features are of one order for values of 0..1
TEMPER = 0.6
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)  # coverages whose quantiles are kept
SAMPLED = 40_000  # values of an image that a fit looks at
UPDATES = 100
LEAST_ERROR = 1e-6
BANDS_AT_ONCE = 8
BAND_PRIOR = 20  # values' worth of belief that a band errs like the others


@dataclass(frozen=True, eq=False)
class Sample:
    """Some values of an image: features (K, n), absolute errors (n,), their bands (n,)."""

    features: NDArray[np.float64]
    errors: NDArray[np.float64]
    bands: NDArray[np.int64]


@dataclass(frozen=True)
class ErrorModel:
    """The fitted a_k of FEATURES and c_b, the scores' quantiles at LEVELS, and each band's noise beyond, if any."""

    weights: tuple[float, ...]
    bands: tuple[float, ...]
    quantiles: tuple[float, ...]
    noise: tuple[float, ...] = ()

    def quantile(self, coverage: float) -> float:
        """q at a coverage of 0.5 to 0.99; between LEVELS linear in log(1 - coverage), as for Laplace errors.

        Raises: CallError for a coverage out of that range.
        """
        if not LEVELS[0] <= coverage <= LEVELS[-1]:
            raise CallError(f"a coverage of {coverage:g}", f"{LEVELS[0]} to {LEVELS[-1]}", "ask for 0.9")
        return float(np.interp(-np.log1p(-coverage), -np.log1p(-np.array(LEVELS)), self.quantiles))


def half_widths(
    model: ErrorModel,
    estimate: Tensor,
    hs: Tensor,
    ms: Tensor,
    sensor: Sensor,
    *,
    coverage: float = 0.9,
    mean: float | None = None,
) -> Tensor:
    """(L, H, W), in the unit of the estimate: estimate +- it holds the truth in a share `coverage` of values.

    mean: S, by default that of this estimate; of the whole scene where this is a part of it.

    Raises: CallError for a coverage that cannot be had, InputError for another number of bands than the model's.
    """
    if len(model.bands) != len(estimate):
        raise InputError(f"{len(estimate)} bands", f"{len(model.bands)}, as calibrated", "calibrate on this pair")
    widths = modelled_errors(model, estimate, hs, ms, sensor)
    scene = float(widths.mean()) if mean is None else mean
    widths.div_(scene).pow_(TEMPER).mul_(model.quantile(coverage) * scene)
    if model.noise:
        within = NormalDist().inv_cdf((1 + coverage) / 2)
        torch.hypot(widths, within * torch.tensor(model.noise).to(widths)[:, None, None], out=widths)
    return widths


def modelled_errors(model: ErrorModel, estimate: Tensor, hs: Tensor, ms: Tensor, sensor: Sensor) -> Tensor:
    """s (L, H, W)."""
    scale = torch.zeros_like(estimate)
    left, missing = misfit(estimate, hs, sensor), missing_detail(ms, sensor)
    for bands in slices(len(estimate), BANDS_AT_ONCE):
        found = band_features(estimate[bands], left[bands], missing, sensor.ratio)
        for weight, feature in zip(model.weights, found, strict=True):
            scale[bands] += weight * feature
    return scale.mul_(torch.tensor(model.bands).to(scale)[:, None, None])


def band_features(estimate: Tensor, left: Tensor, missing: Tensor, ratio: int) -> Iterator[Tensor]:
    """Each of FEATURES of some bands in turn, (n, H, W) or what broadcasts to it, none negative.

    left (n, h, w): their `misfit`; missing: `missing_detail`.
    """
    yield estimate.new_full((1, 1, 1), CONSTANT)
    yield upsample_bicubic(left[None], ratio)[0].clamp_min(0)
    yield PHOTONS * estimate.clamp_min(0).sqrt()
    yield (estimate - window_mean(estimate, 3)).abs()
    yield missing


def misfit(estimate: Tensor, hs: Tensor, sensor: Sensor) -> Tensor:
    """(L, h, w): what the degraded result leaves of hs, the mean over 3 x 3 pixels and 5 bands."""
    seen = torch.cat([sensor.hs(estimate[bands]) for bands in slices(len(estimate), BANDS_AT_ONCE)])
    left = F.pad((hs - seen).abs()[None, None], (1, 1, 1, 1, 2, 2), mode="replicate")
    return F.avg_pool3d(left, (5, 3, 3), 1)[0, 0]


def missing_detail(ms: Tensor, sensor: Sensor) -> Tensor:
    """(1, H, W): the detail of ms that no coarse pixel shows."""
    missing = ms - upsample_bicubic(sensor.hs(ms)[None], sensor.ratio)[0]
    return window_mean(missing.square().mean(0, keepdim=True), sensor.ratio // 2 * 2 + 1).sqrt()


def draw_sample(
    estimate: Tensor, truth: Tensor, pair: tuple[Tensor, Tensor], sensor: Sensor, chosen: Tensor | None = None
) -> Sample:
    """At most SAMPLED values of an estimate (L, H, W) of the pair (hs, ms), of pixels `chosen` (H, W), by chance.

    Raises: InputError where no pixel is chosen.
    """
    pixels = torch.arange(estimate[0].numel()) if chosen is None else chosen.flatten().nonzero()[:, 0]
    if not len(pixels):
        raise InputError("no measured pixel to learn errors from", "some", "mask less")
    generator = torch.Generator().manual_seed(0)
    count = len(pixels) * len(estimate)
    drawn = torch.randint(count, (min(count, SAMPLED),), generator=generator)
    bands, where = drawn // len(pixels), pixels[drawn % len(pixels)]

    def values(image: Tensor) -> NDArray[np.float64]:
        return image.expand_as(estimate).flatten(1)[bands, where].double().numpy()

    hs, ms = pair
    found = band_features(estimate, misfit(estimate, hs, sensor), missing_detail(ms, sensor), sensor.ratio)
    table = np.stack([values(feature) for feature in found])
    return Sample(table, np.abs(values(estimate - truth)), bands.numpy())


def as_model(a: NDArray[np.float64], c: NDArray[np.float64], scores: NDArray[np.float64]) -> ErrorModel:
    """The model of a and c, with the quantiles of the scores."""
    return ErrorModel(tuple(a.tolist()), tuple(c.tolist()), tuple(conformal_quantile(scores, p) for p in LEVELS))


def fit_scale(samples: Sequence[Sample], bands: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """a (K,) and c (bands,) that minimise mean(log s + |e| / s); a feature that is 0 everywhere gets 0."""
    f = np.hstack([sample.features for sample in samples])
    e = np.concatenate([sample.errors for sample in samples]) + LEAST_ERROR
    b = np.concatenate([sample.bands for sample in samples])
    means = f.mean(1)
    a = np.where(means > 0, e.mean() / np.where(means > 0, means, 1) / len(f), 0)
    c, counts = np.ones(bands), np.bincount(b, minlength=bands)
    for _ in range(UPDATES):
        relative = e / (a @ f)
        c = (np.bincount(b, relative, minlength=bands) + BAND_PRIOR * relative.mean()) / (counts + BAND_PRIOR)
        s = c[b] * (a @ f)
        gain, cost = f @ (c[b] * e / s**2), f @ (c[b] / s)
        a = a * np.sqrt(gain / np.where(cost > 0, cost, 1))
    return a, c


def scores_of(sample: Sample, a: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """|e| / w of one image."""
    scale = c[sample.bands] * (a @ sample.features)
    return np.asarray(sample.errors / (scale.mean() * (scale / scale.mean()) ** TEMPER))


def conformal_quantile(scores: NDArray[np.float64], coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores: a new one is below it with that probability at least.

    >>> conformal_quantile(np.arange(1.0, 20), 0.9)
    18.0
    """
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * coverage)))
    return float(np.partition(scores, rank - 1)[rank - 1])


def calibrate(
    estimates: Sequence[Tensor], pairs: Sequence[ReducedPair], sensor: Sensor, valid: Sequence[Tensor | None]
) -> ErrorModel:
    """The model of the coarser level from a method's estimates (L, h, w) of reduced pairs; valid (h, w): what counts.

    Either half of a checkerboard of tiles is scored by what the other teaches. Raises: InputError where one has
    no such pixel.
    """
    first, second = (list[Sample]() for _ in range(2))
    for estimate, pair, seen in zip(estimates, pairs, valid, strict=True):
        height, width = estimate.shape[1:]
        tiles = ~checkerboard((height, width), max(2, min(height, width) // 8))
        there = torch.ones_like(tiles) if seen is None else seen
        for half, chosen in ((first, tiles), (second, ~tiles)):
            half.append(draw_sample(estimate, pair.truth, (pair.hs, pair.ms), sensor, chosen & there))
    bands, scores = len(estimates[0]), []
    for fitted, held_out in ((first, second), (second, first)):
        scale = fit_scale(fitted, bands)
        scores += [scores_of(sample, *scale) for sample in held_out]
    return as_model(*fit_scale(first + second, bands), np.concatenate(scores))


def one_level_finer(model: ErrorModel, pair: ReducedPair, errors: Tensor, sensor: Sensor) -> ErrorModel:
    """The model of a coarser level as it holds at the pair's own, from a reduced pair and errors (L, n) there."""
    averaged = float(np.sqrt(max(0.0, 1 / np.square(sensor.psf.kernel).sum() - 1)))
    noise = averaged * noise_deviation(pair.truth, pair.truth_valid, errors, sensor)
    return replace(model, noise=tuple(noise.tolist()))


def noise_deviation(hs: Tensor, valid: Tensor | None, errors: Tensor, sensor: Sensor) -> NDArray[np.float64]:
    """(L,) of the noise of hs (L, h, w), measured where valid (h, w), if it is white at the finer level.

    No more than a method's errors (L, n) show, for none can foretell noise.
    """
    seen = torch.ones(hs.shape[1:], dtype=torch.bool) if valid is None else valid
    left = torch.zeros_like(hs, dtype=torch.float64)
    left[:, seen] = neighbour_residuals(hs[:, seen].double())
    kernel, ratio = sensor.psf.kernel / np.linalg.norm(sensor.psf.kernel), sensor.ratio
    y, x = (size - 1 for size in kernel.shape)
    once = torch.from_numpy(kernel)[None, None]
    shared = F.conv2d(once, once, padding=(y, x))[0, 0].numpy()
    both = np.pad(shared, ratio)[y : y + 2 * ratio + 1 : ratio, x : x + 2 * ratio + 1 : ratio]
    # the variance of diagonal differences of white noise as coarse pixels average it, by that of independent pixels
    power = float(np.sum(both * np.outer([-0.5, 1, -0.5], [-0.5, 1, -0.5])))
    white = texture_noise(left, seen) / power**0.5
    return torch.minimum(white, normal_deviation(errors.double())).numpy()


def read_model(weights: Path) -> tuple[ErrorModel, PSF] | None:
    """The model stored with a weights file, and the blur of the pairs it is for; None where it is of other weights.

    A JSON file of "model", "psf" and the "sha256" of the weights.
    """
    path = weights.with_suffix(STORED)
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["sha256"] != sha256(weights.read_bytes()).hexdigest():
        return None
    model = ErrorModel(**{name: tuple(values) for name, values in content["model"].items()})
    return model, PSF.from_dict(content["psf"])
