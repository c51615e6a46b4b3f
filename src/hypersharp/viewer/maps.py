"""Maps of one number a pixel, over what a view shows: error and spectral angle against the truth, predicted error.

Bands are taken some at a time. Where the view holds more pixels than the screen, the maps are those of means over
blocks of pixels; `Patch.pixels_a_value` says how many.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hypersharp.grid import Box
from hypersharp.plot.errors import FloatArray, Parts, angle_of, rms_of
from hypersharp.viewer.scene import Floats, Layer, Patch, Scene

BANDS_AT_A_TIME = 16


@dataclass(frozen=True, eq=False)
class Map:
    """A number for each pixel of an image, made of some bands at a time of it and of its truth, if it has one."""

    make: Callable[[Parts], FloatArray]
    what: str  # its numbers are
    image: Layer
    truth: Layer | None = None


def mean_of(parts: Parts) -> FloatArray:
    """(H, W): the mean of the bands that a pixel has; the second of each part does not count."""
    total = count = np.float64(0)
    for values, _ in parts:
        total, count = total + np.nansum(values, 0, dtype=float), count + np.isfinite(values).sum(0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def map_names(scene: Scene) -> dict[str, Map]:
    """The maps that can be made of the open images, by title."""
    found: dict[str, Map] = {}
    for image in scene.with_role("result", "image"):
        for truth in scene.with_role("truth"):
            if image.bands == truth.bands:
                unit = "over all bands, in the unit of the image"
                found[f"RMS error of {image.name}"] = Map(rms_of, unit, image, truth)
                found[f"Spectral angle of {image.name}"] = Map(angle_of, "between the spectra, °", image, truth)
    for image in scene.with_role("uncertainty"):
        found[f"Predicted error, {image.name}"] = Map(mean_of, "half-width of the interval, mean over all bands", image)
    return found


def make_map(chosen: Map, view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
    """A map on the pixels of its image; None where the view shows none of it."""
    outline = chosen.image.patch([0], view, most_yx)
    if outline is None:
        return None
    values = chosen.make(_in_parts(chosen.image, chosen.truth, view, most_yx)).astype(np.float32)
    return Patch(values[np.newaxis], outline.box, outline.pixels_a_value)


def _in_parts(image: Layer, truth: Layer | None, view: Box | None, most_yx: tuple[int, int]) -> Parts:
    """Some bands at a time of an image and, on its pixels, of its truth."""
    for first in range(0, image.bands, BANDS_AT_A_TIME):
        bands = range(first, min(first + BANDS_AT_A_TIME, image.bands))
        ours = image.patch(bands, view, most_yx)
        assert ours is not None
        yield ours.values, ours.values if truth is None else _onto(truth.patch(bands, view, most_yx), ours)


def _onto(patch: Patch | None, grid: Patch) -> Floats:
    """The values of a patch nearest to the centres of another's pixels, NaN beside it."""
    if patch is None:
        return np.full_like(grid.values, np.nan)
    if patch.box == grid.box and patch.values.shape == grid.values.shape:
        return patch.values
    xs, ys = grid.centres()
    x, y = patch.index(xs, ys)
    height, width = patch.values.shape[1:]
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
    taken = patch.values[:, y.clip(0, height - 1)[:, None], x.clip(0, width - 1)[None]]
    return np.where(inside, taken, np.float32(np.nan))
