"""What is read at the picked pixel and of the pictures: spectra with intervals, a table, profiles, histograms."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from bokeh.events import Tap
from bokeh.models import ColumnDataSource

from hypersharp.plot.colour import nearest_band
from hypersharp.plot.draw import OKABE_ITO, broken
from hypersharp.viewer.page import SPECTRA, Page, numbers
from hypersharp.viewer.pictures import CHANNEL_COLOURS, band_name, bands_shown
from hypersharp.viewer.scene import Coordinates, Floats, Layer, Patch, Scene
from hypersharp.viewer.stage import Stage

BINS = 80  # of a histogram
MARKED_BELOW = 20  # bands: each gets a dot
ROLE_STYLES = {
    "hs": (OKABE_ITO[1], "solid"),
    "ms": (OKABE_ITO[3], "dotted"),
    "result": (OKABE_ITO[2], "solid"),
    "truth": (OKABE_ITO[4], "dashed"),
    "image": (OKABE_ITO[5], "solid"),
}
MORE_COLOURS = (OKABE_ITO[5], OKABE_ITO[7], "#9c7fd6", "#8a8f99")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The values (L,) of a layer at a pixel, and the half-widths of their intervals where known."""

    layer: Layer
    pixel: tuple[int, int]  # row, column
    values: Floats
    half_widths: Floats | None = None


class Readings:
    """The right side of the page."""

    def __init__(self, page: Page, stage: Stage) -> None:
        self.page, self.stage = page, stage
        self.styles: dict[str, tuple[str, str]] = {}  # colour and dash of each image
        self.lines: dict[str, ColumnDataSource] = {}
        self.intervals: dict[str, ColumnDataSource] = {}
        self.add_lines(page.scene.layers)
        stage.shown, stage.refined = self.show_lines, self.show_profiles
        page.spectrum.on_event(Tap, self.on_tap)
        page.when(self.page.pick, "data", self.read)
        page.when(self.page.profile_along, "value", self.show_profiles)
        known = {layer.wavelengths_nm is not None for layer in page.scene.layers}
        if False in known:
            self.page.spectrum.xaxis[0].axis_label = "band, or wavelength (nm)" if True in known else "band"
        self.page.readout.text = '<span class="muted">Click into the image to read spectra there.</span>'

    def on_tap(self, event: Any) -> None:
        """Show the band that was clicked at."""
        if numbers([event.x]) and self.page.is_sound():
            self.stage.choose_band(nearest_band(self.stage.listed.axis, event.x))

    def add_lines(self, layers: Sequence[Layer]) -> None:
        """A line, and room for an interval, for each new image; of one role, the next colour for each."""
        plot = self.page.spectrum
        for layer in layers:
            if layer.role == "uncertainty":
                continue
            own, dash = ROLE_STYLES[layer.role]
            taken = {colour for colour, _ in self.styles.values()}
            colour = next((other for other in (own, *MORE_COLOURS) if other not in taken), own)
            self.styles[layer.name] = colour, dash
            line, band = ColumnDataSource({"x": [], "y": []}), ColumnDataSource({"xs": [], "ys": []})
            plot.patches("xs", "ys", source=band, fill_color=colour, fill_alpha=0.28, line_color=None)
            plot.line("x", "y", source=line, line_color=colour, line_width=1.7, line_dash=dash)
            if layer.bands < MARKED_BELOW:
                plot.scatter("x", "y", source=line, color=colour, size=6)
            self.lines[layer.name], self.intervals[layer.name] = line, band

    def read(self) -> None:
        data, scene = self.page.pick.data, self.page.scene
        if len(data["x"]):
            x, y = float(data["x"][0]), float(data["y"][0])
            self.page.work("pick", lambda: spectra_at(scene, x, y), self.show)

    def show(self, spectra: list[Spectrum]) -> None:
        found = {spectrum.layer.name: spectrum for spectrum in spectra}
        for name, line in self.lines.items():
            line.data, self.intervals[name].data = drawn(found.get(name))
        self.page.spectra.data = table_of(spectra)
        look = self.stage.look()  # the values in the bands that are shown
        heads = ["image", "row, column", *(band_name(look.reference, b) for b in bands_shown(look.reference, look))]
        rows = ["".join(f"<th>{name}</th>" for name in heads)]
        for spectrum in spectra:
            layer, half, (row, column) = spectrum.layer, spectrum.half_widths, spectrum.pixel
            name, (colour, dash) = escape(layer.name), self.styles[layer.name]
            swatch = f'<span class="swatch" style="border-top: 3px {dash} {colour}"></span>'
            cells = [f'{swatch}<span title="{name}">{name}</span>', f"{row}, {column}"]
            for band in bands_shown(layer, look):
                margin = "" if half is None else f"<small>± {short(half[band], 2)}</small>"
                cells.append(f'<span title="{band_name(layer, band)}">{short(spectrum.values[band])}{margin}</span>')
            rows.append("".join(f"<td>{cell}</td>" for cell in cells))
        table = f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
        self.page.readout.text = table if spectra else '<span class="muted">Outside of all images.</span>'
        self.show_profiles()

    def show_lines(self) -> None:
        """Histograms, profiles, and which bands are shown, after a picture has changed."""
        for source, picture in zip(self.page.histograms, self.stage.pictures, strict=True):
            source.data = columns([histogram(channel) for channel in picture.base.values] if picture else [])
        look = self.stage.look()
        shown = bands_shown(look.reference, look)
        for n, span in enumerate(self.page.shown_bands):
            span.visible = n < len(shown)
            if span.visible:
                span.location = float(look.reference.axis[shown[n]])
                span.line_color = CHANNEL_COLOURS[len(shown)][n]
        if len(self.page.spectra.data["band"]):
            self.read()
        self.show_profiles()

    def show_profiles(self) -> None:
        """The row or column of what is shown, through the picked point."""
        page, along_row = self.page, self.page.profile_along.value == "along the row"
        picked = page.pick.data
        for source, picture, patch in zip(page.profiles, self.stage.pictures, self.stage.details, strict=True):
            found = None
            for shown in (patch, picture.base) if picture and len(picked["x"]) else ():
                found = found or (shown and profile(shown, picked["x"][0], picked["y"][0], along_row))
            source.data = columns([(found[0], values) for values in found[1]] if found else [])
        unit = f" ({self.page.scene.unit})" if self.page.scene.unit else ""
        page.profile.xaxis[0].axis_label = ("x" if along_row else "y") + unit


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
    columns: dict[str, list[Any]] = {name: [] for name in SPECTRA}
    for spectrum in spectra:
        layer, bands, unknown = spectrum.layer, spectrum.layer.bands, np.full(spectrum.layer.bands, np.nan)
        nm, half = (unknown if known is None else known for known in (layer.wavelengths_nm, spectrum.half_widths))
        place = ([value] * bands for value in (layer.name, *spectrum.pixel))
        numbers = (range(1, bands + 1), nm.tolist(), spectrum.values.tolist(), half.tolist())
        for name, values in zip(SPECTRA, (*place, *numbers), strict=True):
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


def short(value: float, digits: int = 4) -> str:
    """A number in so many digits, or as many as it has before the point.

    >>> short(0.123456), short(16234.0), short(488.2, 2), short(float("nan"))
    ('0.1235', '16234', '488', 'nan')
    """
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"


def drawn(spectrum: Spectrum | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a line and of the outlines of its interval, one for each stretch without a gap."""
    if spectrum is None:
        return {"x": [], "y": []}, {"xs": [], "ys": []}
    values, half = spectrum.values, np.nan if spectrum.half_widths is None else spectrum.half_widths
    x, y, low, high = broken(spectrum.layer.axis, values, values - half, values + half)
    edges = np.flatnonzero(np.diff(np.isfinite(low + high), prepend=False, append=False))
    runs = [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    outlines = {
        "xs": [np.concatenate([x[run], x[run][::-1]]) for run in runs],
        "ys": [np.concatenate([low[run], high[run][::-1]]) for run in runs],
    }
    return {"x": x, "y": y}, outlines


def columns(lines: Sequence[tuple[Any, Any]]) -> dict[str, list[Any]]:
    """Lines (x, y), one a channel, as the columns of a source."""
    colours = CHANNEL_COLOURS[len(lines)] if lines else ()
    return {"xs": [x for x, _ in lines], "ys": [y for _, y in lines], "colour": list(colours)}
