"""Spectra, profiles and histograms: numbers for lines, from layers and from the patches that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypersharp.viewer.scene import Floats, Layer, Patch, Scene

BINS = 80
GAP = 4.0  # a step between bands so many times the median breaks the line


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The values (L,) of a layer at a pixel, and the half-widths of their intervals where known."""

    layer: Layer
    pixel: tuple[int, int]  # row, column
    values: Floats
    half_widths: Floats | None = None

    @property
    def where(self) -> NDArray[np.float64]:
        """Wavelengths in nm, or band numbers from 1."""
        nm = self.layer.wavelengths_nm
        return np.arange(1.0, self.layer.bands + 1) if nm is None else nm


def spectra_at(scene: Scene, x: float, y: float) -> list[Spectrum]:
    """The spectra of all images under a point of the ground.

    Raises: InputError where a file cannot be read any more.
    """
    found = []
    for layer in scene.layers:
        pixel = layer.pixel_at(x, y)
        if layer.role == "trust" or pixel is None:
            continue
        trust = scene.trust_of(layer)
        there = trust.pixel_at(x, y) if trust and trust.bands == layer.bands else None
        half = trust.spectrum(there) if trust and there else None
        found.append(Spectrum(layer, pixel, layer.spectrum(pixel), half))
    return found


def broken_at_gaps(where: NDArray[np.float64], *lines: Floats) -> tuple[NDArray[np.float64], ...]:
    """Positions and lines in ascending order, a NaN where bands are missing between two.

    >>> [line.tolist() for line in broken_at_gaps(np.array([1.0, 2, 3, 9]), np.array([5.0, 6, 7, 8]))]
    [[1.0, 2.0, 3.0, 6.0, 9.0], [5.0, 6.0, 7.0, nan, 8.0]]
    """
    order = np.argsort(where, kind="stable")
    where = where[order]
    steps = np.diff(where)
    gaps = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) > 2 else np.array([], int)
    middles = (where[gaps - 1] + where[gaps]) / 2
    whole = [np.insert(np.asarray(line, float)[order], gaps, np.nan) for line in lines]
    return np.insert(where, gaps, middles), *whole


def table_of(spectra: list[Spectrum]) -> dict[str, list[Any]]:
    """All values as columns: image, row, column, band (from 1), nm, value, half_width."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("image", "row", "column", "band", "nm", "value", "half_width")
    }
    for spectrum in spectra:
        bands, nm = spectrum.layer.bands, spectrum.layer.wavelengths_nm
        columns["image"] += [spectrum.layer.name] * bands
        columns["row"] += [spectrum.pixel[0]] * bands
        columns["column"] += [spectrum.pixel[1]] * bands
        columns["band"] += range(1, bands + 1)
        columns["nm"] += [float("nan")] * bands if nm is None else nm.tolist()
        columns["value"] += spectrum.values.tolist()
        half = spectrum.half_widths
        columns["half_width"] += [float("nan")] * bands if half is None else half.tolist()
    return columns


def profile(patch: Patch, x: float, y: float, along_row: bool) -> tuple[NDArray[np.float64], Floats] | None:
    """Ground coordinates and values (channel, n) of a patch's row or column through a point; None beside it."""
    left, low, right, high = patch.box
    rows, columns = patch.values.shape[1:]
    row, column = int((high - y) / (high - low) * rows), int((x - left) / (right - left) * columns)
    if not (left <= x < right and low < y <= high):
        return None
    if along_row:
        return left + (np.arange(columns) + 0.5) * (right - left) / columns, patch.values[:, row]
    return high - (np.arange(rows) + 0.5) * (high - low) / rows, patch.values[:, :, column]


def histogram(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Outline (x, y) of the shares of pixels, %, in BINS bins between the 0.1 and 99.9 % quantiles."""
    there = values[np.isfinite(values)]
    if there.size == 0:
        return None
    low, high = np.quantile(there, (0.001, 0.999))
    counts, edges = np.histogram(there, BINS, (low, high if high > low else low + 1))
    shares = 100 * counts / there.size
    return np.repeat(edges, 2), np.concatenate([[0], np.repeat(shares, 2), [0]])
