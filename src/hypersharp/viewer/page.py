"""What the browser shows: Bokeh figures and controls by name, and the page around them (page.html, .css, .js)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import BasicTickFormatter, ColumnDataSource, InlineStyleSheet, Range1d
from bokeh.models.annotations import Span
from bokeh.models.widgets import Button, Checkbox, Div, RangeSlider, Select, Slider, Spinner, TextInput
from bokeh.plotting import figure
from bokeh.resources import Resources
from bokeh.server.views.static_handler import StaticHandler
from jinja2 import Template

from hypersharp.plot.draw import OKABE_ITO
from hypersharp.viewer.composites import COMPOSITES, Stretch
from hypersharp.viewer.pictures import ONE, PALETTES, THREE

HERE = Path(__file__).parent
FIRST_ROW_NORTH: dict[str, Any] = {"origin": "top_left", "anchor": "bottom_left"}
ON_IMAGE = ":host { color: #f2f5f9; margin: 0; }"
ACCENT = OKABE_ITO[2]
THEMES = {"dark": {"text": "#c9d1de", "grid": "#313b4c"}, "light": {"text": "#333d4b", "grid": "#dfe4ea"}}


class Page:
    """All models of one browser page; what they do stands in `session`."""

    def __init__(self) -> None:
        self.sheet = InlineStyleSheet(css=(HERE / "controls.css").read_text(encoding="utf-8"))
        self.x, self.y = Range1d(start=0, end=1, name="x"), Range1d(start=0, end=1, name="y")
        self._make_sources()
        self._make_controls()
        self._make_fuse()
        self._make_files()
        self.figures = [self._image_figure(n) for n in (0, 1)]
        self._make_plots()

    def _make_sources(self) -> None:
        """The numbers that browser and server exchange."""
        self.signals = ColumnDataSource({"kind": [], "value": [], "number": []}, name="signals")
        self.view = ColumnDataSource({name: [] for name in ("x0", "y0", "x1", "y1", "width", "height")}, name="view")
        self.pick = ColumnDataSource({"x": [], "y": []}, name="pick")
        self.home = ColumnDataSource({}, name="home")
        self.grids = ColumnDataSource({}, name="grids")
        names = ("image", "row", "column", "band", "nm", "value", "half_width")
        self.spectra = ColumnDataSource({name: [] for name in names}, name="spectra")
        empty: dict[str, list[Any]] = {name: [] for name in ("image", "x", "y", "dw", "dh")}
        self.bases = [ColumnDataSource(empty) for _ in "ab"]
        self.details = [ColumnDataSource(empty) for _ in "ab"]

    def _make_controls(self) -> None:
        """Which images, in which colours."""
        self.layers = [self.select(f"Image {side}", f"layer_{side.lower()}") for side in "AB"]
        self.composite = self.select("Bands", "composite", [*COMPOSITES, THREE, ONE])
        self.bands = [self.select(title, f"band_{title[0].lower()}") for title in ("Red", "Green", "Blue")]
        self.palette = self.select("Colour map", "palette", list(PALETTES))
        stretch = Stretch()
        self.percentiles = RangeSlider(
            title="Black and white at percentiles",
            start=0,
            end=100,
            step=0.5,
            value=(stretch.low, stretch.high),
            name="percentiles",
            bar_color=ACCENT,
            **self.wide(),
        )
        self.gamma = Slider(
            title="Gamma",
            start=0.4,
            end=3.0,
            step=0.1,
            value=stretch.gamma,
            name="gamma",
            bar_color=ACCENT,
            **self.wide(),
        )
        self.same = Checkbox(label="B with the black and white of A", name="same", **self.wide())
        self.captions = [Div(name=f"caption_{side}", stylesheets=[self.sheet, ON_IMAGE]) for side in "ab"]
        self.notice = Div(name="notice", stylesheets=[self.sheet])

    def _make_fuse(self) -> None:
        """The form of a fusion."""
        self.fuse_hs, self.fuse_ms = self.select("hs, coarse", "fuse_hs"), self.select("ms, fine", "fuse_ms")
        self.fuse_method = self.select("Method", "fuse_method")
        self.fuse_budget = Spinner(
            title="Seconds that auto may take", low=5, high=3600, step=5, value=60, name="fuse_budget", **self.wide()
        )
        self.fuse_name = TextInput(title="Result", value="sharp.tif", name="fuse_name", **self.wide())
        self.fuse_trust = Checkbox(label="predict the error too", name="fuse_trust", **self.wide())
        self.fuse_run = Button(label="Fuse", button_type="primary", name="fuse_run", **self.wide())
        self.fuse_cancel = Button(label="Cancel", disabled=True, name="fuse_cancel", **self.wide())
        self.fuse_state = self.div("fuse_state")

    def _make_files(self) -> None:
        """The form that opens another image."""
        self.open_name = self.select("In the viewer's folders", "open_name")
        self.open_role = self.select("As", "open_role", ["image", "hs", "ms", "result", "truth", "trust"])
        self.open_run = Button(label="Open", name="open_run", **self.wide())
        self.files_list = self.div("files_list")

    def _image_figure(self, side: int) -> figure:
        """A figure that is all image: whole scene at low resolution, what the view shows of it above, the pick."""
        made = figure(
            x_range=self.x,
            y_range=self.y,
            tools="pan,wheel_zoom",
            active_scroll="wheel_zoom",
            toolbar_location=None,
            sizing_mode="stretch_both",
            min_border=0,
            outline_line_color=None,
            name=f"figure_{'ab'[side]}",
        )
        made.background_fill_color = made.border_fill_color = None
        made.axis.visible = False
        made.grid.visible = False
        for source in (self.bases[side], self.details[side]):
            made.image_rgba("image", "x", "y", "dw", "dh", source=source, **FIRST_ROW_NORTH)
        made.scatter("x", "y", source=self.pick, marker="cross", size=25, line_color="black", line_width=4)
        made.scatter("x", "y", source=self.pick, marker="cross", size=24, line_color="white", line_width=2)
        return made

    def _make_plots(self) -> None:
        """Spectrum, profile, histogram, and the table of values."""
        self.readout = self.div("readout")
        self.spectrum = self._plot("spectrum", "wavelength (nm)", "")
        self.shown_bands = [Span(dimension="height", line_width=1, line_dash="dotted") for _ in range(3)]
        for span in self.shown_bands:
            self.spectrum.add_layout(span)
        self.profile_along = self.select("", "profile_along", ["along the row", "along the column"])
        self.profile_along.width = 150
        self.profile_along.sizing_mode = None
        self.profile, self.histogram = (self._plot("profile", "", ""), self._plot("histogram", "value", "pixels (%)"))
        self.profiles, self.histograms = self._lines(self.profile), self._lines(self.histogram)

    def _plot(self, name: str, x: str, y: str) -> figure:
        """A small plot with its own pan and zoom."""
        made = figure(
            tools="xpan,xwheel_zoom,reset,hover",
            toolbar_location=None,
            sizing_mode="stretch_both",
            name=name,
            x_axis_label=x,
            y_axis_label=y,
            min_border_right=12,
            lod_threshold=None,
            tooltips=[("x", "$x{0.[0]}"), ("value", "$y{0.[000]}")],
        )
        made.axis.axis_label_text_font_style = "normal"
        made.axis.axis_label_text_font_size = made.axis.major_label_text_font_size = "11px"
        made.axis.minor_tick_line_color = None
        made.xaxis.formatter = BasicTickFormatter(use_scientific=False)
        made.background_fill_color = made.border_fill_color = made.outline_line_color = None
        return made

    @staticmethod
    def _lines(plot: figure) -> list[ColumnDataSource]:
        """Sources of lines of A (solid) and B (dashed)."""
        sources = [ColumnDataSource({"xs": [], "ys": [], "colour": []}) for _ in "ab"]
        for source, dash in zip(sources, ("solid", "dashed"), strict=True):
            plot.multi_line("xs", "ys", line_color="colour", line_dash=dash, line_width=1.4, source=source)
        return sources

    def wide(self) -> dict[str, Any]:
        """What all controls share."""
        return {"sizing_mode": "stretch_width", "stylesheets": [self.sheet]}

    def select(self, title: str, name: str, options: Sequence[str] = ()) -> Select:
        """A list to choose from; the first is chosen."""
        chosen = options[0] if options else ""
        made = Select(title=title, name=name, value=chosen, **self.wide())
        offer(made, options)
        return made

    def div(self, name: str) -> Div:
        """A place for text."""
        return Div(name=name, text="", **self.wide())

    def dress(self, theme: str) -> None:
        """Dark or light figures; the page's own colours are in page.css."""
        colours = THEMES[theme]
        for plot in (self.spectrum, self.profile, self.histogram):
            plot.axis.axis_label_text_color = plot.axis.major_label_text_color = colours["text"]
            plot.axis.axis_line_color = plot.axis.major_tick_line_color = colours["text"]
            plot.grid.grid_line_color = colours["grid"]

    def add_to(self, doc: Document, title: str) -> None:
        """Put everything into a document."""
        roots = (
            *self.figures,
            self.spectrum,
            self.profile,
            self.histogram,
            self.profile_along,
            *self.captions,
            self.notice,
            self.readout,
            *self.layers,
            self.composite,
            *self.bands,
            self.palette,
            self.percentiles,
            self.gamma,
            self.same,
            self.fuse_hs,
            self.fuse_ms,
            self.fuse_method,
            self.fuse_budget,
            self.fuse_name,
            self.fuse_trust,
            self.fuse_run,
            self.fuse_cancel,
            self.fuse_state,
            self.open_name,
            self.open_role,
            self.open_run,
            self.files_list,
        )
        with doc.models.freeze():  # or Bokeh walks through all models for each root
            for root in roots:
                doc.add_root(root)
        sources = [self.signals, self.view, self.home, self.grids, self.spectra]
        self.notice.tags = sources  # so they travel too
        doc.title = title
        doc.template = page_template()
        doc.template_variables.update(
            scene_title=escape(title),
            page_scripts=scripts(),
            page_css=(HERE / "page.css").read_text(encoding="utf-8"),
            page_js=(HERE / "page.js").read_text(encoding="utf-8"),
        )


def offer(select: Select, options: Sequence[Any]) -> None:
    """What can be chosen from a list."""
    offered: list[Any] = list(options)
    select.options = offered


def when(model: Model, what: str, do: Callable[[], None]) -> None:
    """Do something whenever a property of a model has changed."""
    model.on_change(what, lambda _name, _old, _new: do())


@cache
def scripts() -> str:
    """Of Bokeh's own scripts those that the page needs, from this server."""
    needed = Resources(mode="server", root_url="", path_versioner=StaticHandler.append_version)
    needed.components = ["bokeh", "bokeh-widgets"]
    return str(needed.render_js())


@cache
def page_template() -> Template:
    """The page around the figures."""
    template: Template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template
