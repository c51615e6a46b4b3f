"""What is read at the picked pixel and of the pictures: spectra with intervals, a table, profiles, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.events import Tap
from bokeh.models import ColumnDataSource
from numpy.typing import NDArray

from hypersharp.plot.draw import OKABE_ITO
from hypersharp.viewer.lines import Spectrum, broken_at_gaps, histogram, profile, spectra_at, table_of
from hypersharp.viewer.pictures import band_name, bands_shown
from hypersharp.viewer.scene import Layer

if TYPE_CHECKING:
    from hypersharp.viewer.session import Session

Floats = NDArray[np.float64]
MARKED_BELOW = 20  # bands: each gets a dot
ROLE_STYLES = {
    "hs": (OKABE_ITO[1], "solid"),
    "ms": (OKABE_ITO[3], "dotted"),
    "result": (OKABE_ITO[2], "solid"),
    "truth": (OKABE_ITO[4], "dashed"),
    "image": (OKABE_ITO[5], "solid"),
}
MORE_COLOURS = (OKABE_ITO[5], OKABE_ITO[7], "#9c7fd6", "#8a8f99")


class Readings:
    """The right side of the page."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.styles: dict[str, tuple[str, str]] = {}  # colour and dash of each image
        self.lines: dict[str, ColumnDataSource] = {}
        self.intervals: dict[str, ColumnDataSource] = {}
        self.add_lines(session.scene.layers)
        session.page.spectrum.on_event(Tap, lambda event: session.choose_band(event.x))
        known = {layer.wavelengths_nm is not None for layer in session.scene.layers}
        if False in known:
            label = "band, or wavelength (nm)" if True in known else "band"
            session.page.spectrum.xaxis[0].axis_label = label
        self._ask_for_a_click()

    def _ask_for_a_click(self) -> None:
        self.session.page.readout.text = '<span class="muted">Click into the image to read spectra there.</span>'

    def add_lines(self, layers: Sequence[Layer]) -> None:
        """A line, and room for an interval, for each new image."""
        plot = self.session.page.spectrum
        for layer in layers:
            if layer.role == "trust":
                continue
            colour, dash = self._style(layer)
            band, line = (ColumnDataSource({name: [] for name in names}) for names in (("xs", "ys"), ("x", "y")))
            plot.patches("xs", "ys", source=band, fill_color=colour, fill_alpha=0.28, line_color=None)
            plot.line("x", "y", source=line, line_color=colour, line_width=1.7, line_dash=dash)
            if layer.bands < MARKED_BELOW:
                plot.scatter("x", "y", source=line, color=colour, size=6)
            self.lines[layer.name], self.intervals[layer.name] = line, band

    def _style(self, layer: Layer) -> tuple[str, str]:
        """Colour and dash of an image's line; of one role, the next colour for each."""
        colour, dash = ROLE_STYLES[layer.role]
        taken = {colour for colour, _ in self.styles.values()}
        free = [other for other in (colour, *MORE_COLOURS) if other not in taken]
        self.styles[layer.name] = (free or [colour])[0], dash
        return self.styles[layer.name]

    def read(self) -> None:
        """Read the spectra of the picked point."""
        data, scene = self.session.page.pick.data, self.session.scene
        if not len(data["x"]):
            return
        x, y = float(data["x"][0]), float(data["y"][0])
        self.session.work("pick", lambda: spectra_at(scene, x, y), self.show)

    def show(self, spectra: list[Spectrum]) -> None:
        """Draw what has been read."""
        page, found = self.session.page, {spectrum.layer.name: spectrum for spectrum in spectra}
        for name, line in self.lines.items():
            line.data, self.intervals[name].data = drawn(found.get(name))
        page.spectra.data = table_of(spectra)
        page.readout.text = self._table(spectra)
        self.show_profiles()

    def _table(self, spectra: list[Spectrum]) -> str:
        """The values in the bands that are shown, as HTML."""
        if not spectra:
            return '<span class="muted">Outside of all images.</span>'
        look, rows = self.session.look(), []
        for spectrum in spectra:
            layer, (row, column) = spectrum.layer, spectrum.pixel
            name = escape(layer.name)
            cells = [f'{swatch(*self.styles[layer.name])}<span title="{name}">{name}</span>', f"{row}, {column}"]
            for band in bands_shown(layer, look):
                half = spectrum.half_widths
                margin = "" if half is None else f"<small>± {short(half[band], 2)}</small>"
                cells.append(f'<span title="{band_name(layer, band)}">{short(spectrum.values[band])}{margin}</span>')
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        names = [
            "image",
            "row, column",
            *(f"{band_name(look.reference, b)}" for b in bands_shown(look.reference, look)),
        ]
        return f"<table><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>{''.join(rows)}</table>"

    def show_lines(self) -> None:
        """Histograms, profiles, and which bands are shown, after a picture has changed."""
        page = self.session.page
        for side, picture in enumerate(self.session.pictures):
            lines: dict[str, list[Any]] = {"xs": [], "ys": [], "colour": []}
            for channel, colour in zip(picture.base.values, picture.colours, strict=True) if picture else ():
                outline = histogram(channel)
                if outline:
                    add(lines, *outline, colour)
            page.histograms[side].data = lines
        look = self.session.look()
        shown = bands_shown(look.reference, look)
        nm = look.reference.wavelengths_nm
        for n, span in enumerate(page.shown_bands):
            span.visible = n < len(shown)
            if span.visible:
                span.location = float(shown[n] + 1 if nm is None else nm[shown[n]])
                span.line_color = ("#D55E00", "#009E73", "#56B4E9")[n] if len(shown) == 3 else "#E69F00"
        if len(page.pick.data["x"]) and len(page.spectra.data["band"]):
            self.read()
        self.show_profiles()

    def show_profiles(self) -> None:
        """The row or column of what is shown, through the picked point."""
        page, session = self.session.page, self.session
        picked = page.pick.data
        for side, picture in enumerate(session.pictures):
            lines: dict[str, list[Any]] = {"xs": [], "ys": [], "colour": []}
            found = None
            if picture and len(picked["x"]):
                x, y, along_row = picked["x"][0], picked["y"][0], page.profile_along.value == "along the row"
                patch = session.details[side]
                found = (profile(patch, x, y, along_row) if patch else None) or profile(picture.base, x, y, along_row)
            if picture and found:
                for values, colour in zip(found[1], picture.colours, strict=True):
                    add(lines, found[0], values, colour)
            page.profiles[side].data = lines
        axis = "x" if page.profile_along.value == "along the row" else "y"
        unit = f" ({session.scene.unit})" if session.scene.unit else ""
        page.profile.xaxis[0].axis_label = axis + unit


def short(value: float, digits: int = 4) -> str:
    """A number in so many digits, or as many as it has before the point.

    >>> short(0.123456), short(16234.0), short(488.2, 2), short(float("nan"))
    ('0.1235', '16234', '488', 'nan')
    """
    return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"


def swatch(colour: str, dash: str) -> str:
    """A piece of an image's line, as HTML."""
    return f'<span class="swatch" style="border-top: 3px {dash} {colour}"></span>'


def drawn(spectrum: Spectrum | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a line and of its interval."""
    if spectrum is None:
        return {"x": [], "y": []}, {"xs": [], "ys": []}
    half = spectrum.half_widths
    x, y, *margin = broken_at_gaps(spectrum.where, spectrum.values, *([] if half is None else [half]))
    return {"x": x, "y": y}, areas(x, y - margin[0], y + margin[0]) if margin else {"xs": [], "ys": []}


def areas(x: Floats, low: Floats, high: Floats) -> dict[str, Any]:
    """Outlines between two lines, one for each stretch without NaN."""
    there = np.isfinite(low + high)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    runs = [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    return {
        "xs": [np.concatenate([x[run], x[run][::-1]]) for run in runs],
        "ys": [np.concatenate([low[run], high[run][::-1]]) for run in runs],
    }


def add(lines: dict[str, list[Any]], x: Any, y: Any, colour: str) -> None:
    """One more line."""
    lines["xs"].append(x)
    lines["ys"].append(y)
    lines["colour"].append(colour)
