"""Maps of one number a pixel, over what a view shows: error and spectral angle against the truth, predicted error.

Bands are taken some at a time. Where the view holds more pixels than the screen, the maps are those of means over
blocks of pixels; `Patch.pixels_a_value` says how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hypersharp.grid import Box
from hypersharp.viewer.scene import Floats, Layer, Patch, Scene

BANDS_AT_A_TIME = 16
Pairs = Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]
Map = Callable[[Pairs], NDArray[np.float64]]


def rms_error(pairs: Pairs) -> NDArray[np.float64]:
    """(y, x): root of the mean of (estimate - truth)^2 over the bands that both have."""
    total, bands = np.float64(0), np.float64(0)
    for estimate, truth in pairs:
        square = (estimate - truth) ** 2
        total, bands = total + np.nansum(square, 0), bands + np.isfinite(square).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total / bands))


def spectral_angle(pairs: Pairs) -> NDArray[np.float64]:
    """(y, x): the angle between two spectra in degrees, over the bands that both have; NaN where one is zero."""
    inner, left, right = np.float64(0), np.float64(0), np.float64(0)
    for estimate, truth in pairs:
        there = np.isfinite(estimate + truth)
        ours, theirs = np.where(there, estimate, 0), np.where(there, truth, 0)
        inner, left, right = (inner + (ours * theirs).sum(0), left + (ours**2).sum(0), right + (theirs**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = inner / np.sqrt(left * right)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


MAPS: dict[str, tuple[Map, str]] = {  # name -> (function, what its numbers are)
    "RMS error": (rms_error, "over all bands, in the unit of the image"),
    "Spectral angle": (spectral_angle, "between the spectra, °"),
}
TRUST = "half-width of the interval, mean over all bands"


def compare(make: Map, estimate: Layer, truth: Layer, view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
    """A map of two images with the same bands, on the pixels of the first."""
    outline = estimate.patch([0], view, most_yx)
    if outline is None:
        return None
    values = make(_in_parts(estimate, truth, view, most_yx)).astype(np.float32)
    return Patch(values[np.newaxis], outline.box, outline.pixels_a_value)


def _in_parts(estimate: Layer, truth: Layer, view: Box | None, most_yx: tuple[int, int]) -> Pairs:
    """Some bands of both at a time, the truth on the estimate's pixels."""
    for first in range(0, estimate.bands, BANDS_AT_A_TIME):
        bands = list(range(first, min(first + BANDS_AT_A_TIME, estimate.bands)))
        ours, theirs = estimate.patch(bands, view, most_yx), truth.patch(bands, view, most_yx)
        assert ours is not None
        yield ours.values.astype(float), _onto(theirs, ours).astype(float)


def _onto(patch: Patch | None, grid: Patch) -> Floats:
    """The values of a patch nearest to the centres of another's pixels, NaN beside it."""
    if patch is None:
        return np.full_like(grid.values, np.nan)
    if patch.box == grid.box and patch.values.shape == grid.values.shape:
        return patch.values
    rows, columns = grid.values.shape[1:]
    xs = grid.box[0] + (np.arange(columns) + 0.5) * (grid.box[2] - grid.box[0]) / columns
    ys = grid.box[3] - (np.arange(rows) + 0.5) * (grid.box[3] - grid.box[1]) / rows
    height, width = patch.values.shape[1:]
    x = np.floor((xs - patch.box[0]) / (patch.box[2] - patch.box[0]) * width).astype(int)
    y = np.floor((patch.box[3] - ys) / (patch.box[3] - patch.box[1]) * height).astype(int)
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
    taken = patch.values[:, y.clip(0, height - 1)[:, None], x.clip(0, width - 1)[None]]
    return np.where(inside, taken, np.float32(np.nan))


def mean_over_bands(layer: Layer, view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
    """The mean of the bands that a pixel has."""
    total = count = None
    patch = None
    for first in range(0, layer.bands, BANDS_AT_A_TIME):
        patch = layer.patch(range(first, min(first + BANDS_AT_A_TIME, layer.bands)), view, most_yx)
        if patch is None:
            return None
        there = np.isfinite(patch.values)
        sums, counts = np.where(there, patch.values, 0).sum(0, dtype=float), there.sum(0)
        total, count = (sums, counts) if total is None else (total + sums, count + counts)
    if patch is None or total is None or count is None:
        return None
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return Patch(means[np.newaxis], patch.box, patch.pixels_a_value)


def map_names(scene: Scene) -> dict[str, tuple[str, Layer, Layer | None]]:
    """The maps that can be made of the open images: title -> (kind, image, its truth)."""
    found: dict[str, tuple[str, Layer, Layer | None]] = {}
    for result in [*scene.with_role("result"), *scene.with_role("image")]:
        for truth in scene.with_role("truth"):
            if result.bands == truth.bands:
                found |= {f"{kind} of {result.name}": (kind, result, truth) for kind in MAPS}
    for trust in scene.with_role("trust"):
        found[f"Predicted error, {trust.name}"] = ("trust", trust, None)
    return found


def make_map(chosen: tuple[str, Layer, Layer | None], view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
    """One of `map_names`."""
    kind, image, truth = chosen
    if truth is None:
        return mean_over_bands(image, view, most_yx)
    return compare(MAPS[kind][0], image, truth, view, most_yx)
