"""The pixels whose spectra a page shows: those the user names, and some that differ as much as the scene lets them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable
from hypersharp.plot.draw import LETTERS
from hypersharp.plot.places import Pixel, Place, find_pixel

CHOSEN = 4
PURE = 0.5  # the share of coarse pixels, the most like their neighbours, that are chosen from
DARK = 0.3  # of the median length of a spectrum: darker ones are mostly noise
FARTHEST = 0.98  # quantile of the angles: the very farthest is often a fault


@dataclass(frozen=True)
class Point:
    """A pixel (y, x) of the result, under a letter; `given` by the user or chosen."""

    label: str
    pixel_yx: Pixel
    given: bool


def choose_points(places: Sequence[Place], sharp: xr.DataArray, hs: xr.DataArray) -> list[Point]:
    """The user's points first, then `CHOSEN` or one less, for an even number, whose spectra differ most in angle.

    Raises: InputError for a place outside the result.
    """
    given = list(dict.fromkeys(find_pixel(place, sharp) for place in places))
    diverse = diverse_pixels(sharp, hs, CHOSEN + len(given))
    chosen = [pixel for pixel in diverse if pixel not in given][: CHOSEN - len(given) % 2]
    pixels = [(pixel, True) for pixel in given] + [(pixel, False) for pixel in chosen]
    turns = (divmod(n, len(LETTERS)) for n in range(len(pixels)))  # A to Z, A2 to Z2, ...
    labels = [f"{LETTERS[n]}{turn + 1 if turn else ''}" for turn, n in turns]
    return [Point(label, *place) for label, place in zip(labels, pixels, strict=True)]


def diverse_pixels(sharp: xr.DataArray, hs: xr.DataArray, count: int) -> list[Pixel]:
    """Pixels of the result in the middle of coarse pixels of hs whose spectra lie far from each other in angle.

    Each is the farthest, but for outliers, from those chosen before it (Gonzalez 1985, Theoretical Computer Science
    38); only coarse pixels that are much like their neighbours, bright enough, and there in the result take part.
    """
    steps = sharp.shape[1] / hs.shape[1], sharp.shape[2] / hs.shape[2]
    spectra, candidates = candidates_of(hs)
    pixels = [(int((y + 0.5) * steps[0]), int((x + 0.5) * steps[1])) for y, x in candidates]
    there = np.isfinite(only_usable(sharp, "result").values).all(0)
    kept = [n for n, pixel in enumerate(pixels) if there[pixel]]
    if not kept:
        return []
    spectra, mean = spectra[kept], spectra[kept].mean(0)
    nearest, chosen = angles(spectra, mean / np.linalg.norm(mean)), list[int]()
    while len(chosen) < min(count, len(kept)):
        chosen.append(int(np.abs(nearest - np.quantile(nearest, FARTHEST)).argmin()))
        away = angles(spectra, spectra[chosen[-1]])
        nearest = away if len(chosen) == 1 else np.minimum(nearest, away)
    return list(dict.fromkeys(pixels[kept[n]] for n in chosen))


def candidates_of(hs: xr.DataArray) -> tuple[NDArray[np.float64], list[Pixel]]:
    """Spectra (n, L) of length 1, and pixels (y, x) of hs, that are whole, bright, and like their neighbours."""
    values = only_usable(hs, "hs").values.astype(np.float64)
    length = np.linalg.norm(values, axis=0)
    whole = np.isfinite(length) & (length > DARK * np.nanmedian(length)) & (length > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(whole, values / length, 0.0)
    around = sum(np.roll(unit, shift, axis) for axis in (1, 2) for shift in (-1, 1))
    likeness = (unit * around).sum(0)
    inner = np.zeros_like(whole)
    inner[1:-1, 1:-1] = True
    good = whole & inner if (whole & inner).any() else whole
    if not good.any():
        return np.empty((0, len(values))), []
    good &= likeness >= np.quantile(likeness[good], 1 - PURE)
    rows, columns = np.nonzero(good)
    return unit[:, rows, columns].T, [(int(y), int(x)) for y, x in zip(rows, columns, strict=True)]


def angles(spectra: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between spectra (n, L) of length 1 and another, radians."""
    return np.arccos(np.clip(spectra @ other, -1, 1))
