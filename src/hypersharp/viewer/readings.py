"""What is read at the picked pixel and of the pictures: spectra with intervals, a table, profiles, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bokeh.events import Tap
from bokeh.models import ColumnDataSource

from hypersharp.viewer.lines import Spectrum, broken_at_gaps, histogram, profile, spectra_at, table_of
from hypersharp.viewer.page import ROLE_COLOURS
from hypersharp.viewer.pictures import band_name, bands_shown
from hypersharp.viewer.scene import Layer

if TYPE_CHECKING:
    from hypersharp.viewer.session import Session

DASHES = {"hs": "solid", "ms": "dotted", "result": "solid", "truth": "dashed", "image": "solid"}


class Readings:
    """The right side of the page."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.lines: dict[str, ColumnDataSource] = {}
        self.intervals: dict[str, ColumnDataSource] = {}
        self.add_lines(session.scene.layers)
        session.page.spectrum.on_event(Tap, lambda event: session.choose_band(event.x))
        if any(layer.wavelengths_nm is None for layer in session.scene.layers):
            session.page.spectrum.xaxis[0].axis_label = "band, or wavelength (nm)"
        self._ask_for_a_click()

    def _ask_for_a_click(self) -> None:
        self.session.page.readout.text = (
            '<span class="muted">Click into the image to read spectra there.</span>'
        )

    def add_lines(self, layers: Sequence[Layer]) -> None:
        """A line, and room for an interval, for each new image."""
        plot = self.session.page.spectrum
        for layer in layers:
            if layer.role == "trust":
                continue
            colour, label = ROLE_COLOURS[layer.role], label_of(layer)
            band, line = (
                ColumnDataSource({name: [] for name in names}) for names in (("x", "low", "high"), ("x", "y"))
            )
            plot.varea("x", "low", "high", source=band, fill_color=colour, fill_alpha=0.28)
            plot.line("x", "y", source=line, line_color=colour, line_width=1.7, line_dash=DASHES[layer.role],
                      legend_label=label)  # fmt: skip
            if layer.bands < 20:
                plot.scatter("x", "y", source=line, color=colour, size=6, legend_label=label)
            self.lines[layer.name], self.intervals[layer.name] = line, band
        for legend in plot.legend:
            legend.label_text_font_size, legend.location, legend.click_policy = "10px", "top_right", "hide"
            legend.background_fill_alpha, legend.spacing, legend.glyph_height = 0.7, 0, 12

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
            cells = [escape(layer.name), f"{row}, {column}"]
            for band in bands_shown(layer, look):
                half = spectrum.half_widths
                margin = "" if half is None else f" ± {half[band]:.3g}"
                cells.append(
                    f'<span title="{band_name(layer, band)}">{spectrum.values[band]:.5g}{margin}</span>'
                )
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
                found = (profile(patch, x, y, along_row) if patch else None) or profile(
                    picture.base, x, y, along_row
                )
            if picture and found:
                for values, colour in zip(found[1], picture.colours, strict=True):
                    add(lines, found[0], values, colour)
            page.profiles[side].data = lines
        page.profile.xaxis[
            0
        ].axis_label = f"{'x' if page.profile_along.value == 'along the row' else 'y'} ({session.scene.unit})"


def label_of(layer: Layer) -> str:
    """The name in the legend, not too long, with its role."""
    name = layer.name if len(layer.name) <= 24 else layer.name[:14] + "…" + layer.name[-9:]
    return name if layer.role == "image" else f"{layer.role}: {name}"


def drawn(spectrum: Spectrum | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of a line and of its interval."""
    if spectrum is None:
        return {"x": [], "y": []}, {"x": [], "low": [], "high": []}
    half = spectrum.half_widths
    x, y, *margin = broken_at_gaps(spectrum.where, spectrum.values, *([] if half is None else [half]))
    interval: dict[str, Any] = {"x": [], "low": [], "high": []}
    if margin:
        interval = {"x": x, "low": y - margin[0], "high": y + margin[0]}
    return {"x": x, "y": y}, interval


def add(lines: dict[str, list[Any]], x: Any, y: Any, colour: str) -> None:
    """One more line."""
    lines["xs"].append(x)
    lines["ys"].append(y)
    lines["colour"].append(colour)
