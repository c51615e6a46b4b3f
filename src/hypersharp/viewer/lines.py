"""Spectra, profiles and histograms: numbers for lines, from layers and from the patches that are shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hypersharp.viewer.scene import Coordinates, Floats, Layer, Patch, Scene

BINS = 80


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The values (L,) of a layer at a pixel, and the half-widths of their intervals where known."""

    layer: Layer
    pixel: tuple[int, int]  # row, column
    values: Floats
    half_widths: Floats | None = None


def spectra_at(scene: Scene, x: float, y: float) -> list[Spectrum]:
    """The spectra of all images under a point, with intervals. Raises: InputError where a file cannot be read."""
    found = []
    for layer in scene.layers:
        pixel = layer.pixel_at(x, y)
        if layer.role == "uncertainty" or pixel is None:
            continue
        intervals = (other for other in scene.with_role("uncertainty") if other.of == layer.path)
        half = next((other for other in intervals if other.bands == layer.bands), None)
        there = half.pixel_at(x, y) if half else None
        found.append(Spectrum(layer, pixel, layer.spectrum(pixel), half.spectrum(there) if half and there else None))
    return found


def table_of(spectra: list[Spectrum]) -> dict[str, list[Any]]:
    """One row a band of each spectrum; unknown is NaN."""
    names = ("image", "row", "column", "band", "nm", "value", "half_width")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for spectrum in spectra:
        layer, bands, unknown = spectrum.layer, spectrum.layer.bands, np.full(spectrum.layer.bands, np.nan)
        nm, half = (unknown if known is None else known for known in (layer.wavelengths_nm, spectrum.half_widths))
        place = ([value] * bands for value in (layer.name, *spectrum.pixel))
        numbers = (range(1, bands + 1), nm.tolist(), spectrum.values.tolist(), half.tolist())
        for name, values in zip(names, (*place, *numbers), strict=True):
            columns[name] += values
    return columns


def profile(patch: Patch, x: float, y: float, along_row: bool) -> tuple[Coordinates, Floats] | None:
    """Ground coordinates and values (channel, n) of a patch's row or column through a point; None beside it."""
    (column, row), (xs, ys) = patch.index(x, y), patch.centres()
    if not (0 <= column < len(xs) and 0 <= row < len(ys)):
        return None
    return (xs, patch.values[:, row]) if along_row else (ys, patch.values[:, :, column])


def histogram(values: Floats) -> tuple[Coordinates, Coordinates]:
    """Outline (x, y) of shares of pixels, %, in BINS bins between the 0.1 and 99.9 % quantiles; empty without any."""
    there = values[np.isfinite(values)]
    if there.size == 0:
        return np.empty(0), np.empty(0)
    low, high = np.quantile(there, (0.001, 0.999))
    counts, edges = np.histogram(there, BINS, (low, high if high > low else low + 1))
    shares = 100 * counts / there.size
    return np.repeat(edges, 2), np.concatenate([[0], np.repeat(shares, 2), [0]])
