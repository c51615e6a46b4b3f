"""One open page: Bokeh's figures and controls by name, its scene, and how slow work is done for it.

Files are read in threads, so that the server never waits for a disk. The parts of a page (`stage`, `readings`, `forms`)
do what its models ask for and do not know of each other; `view` ties them. Around them stand page.html, .css and .js.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from html import escape
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from bokeh.document import Document, without_document_lock
from bokeh.model import Model
from bokeh.models import BasicTickFormatter, ColumnDataSource, InlineStyleSheet, Range1d
from bokeh.models.annotations import Span
from bokeh.models.widgets import Button, Checkbox, Div, RangeSlider, Select, Slider, Spinner, TextInput
from bokeh.plotting import figure
from bokeh.resources import Resources
from bokeh.server.views.static_handler import StaticHandler
from jinja2 import Template

from hypersharp.errors import HypersharpError
from hypersharp.plot.draw import OKABE_ITO
from hypersharp.viewer.folders import Folders
from hypersharp.viewer.job import Fusion
from hypersharp.viewer.pictures import COMPOSITES, DEFAULT_STRETCH, ONE, PALETTES, THREE
from hypersharp.viewer.scene import ROLES, Scene

HERE = Path(__file__).parent
THREADS = 4
EMPTY: dict[str, list[Any]] = {"image": [], "x": [], "y": [], "dw": [], "dh": []}  # of an image glyph
VIEW = ("x0", "y0", "x1", "y1", "width", "height")
MOST_NUMBER = 1e12
SPECTRA = ("image", "row", "column", "band", "nm", "value", "half_width")
FIRST_ROW_NORTH: dict[str, Any] = {"origin": "top_left", "anchor": "bottom_left"}
ON_IMAGE = ":host { color: #f2f5f9; margin: 0; }"
ACCENT = OKABE_ITO[2]
THEMES = {"dark": {"text": "#c9d1de", "grid": "#313b4c"}, "light": {"text": "#333d4b", "grid": "#dfe4ea"}}
TEMPLATE = Template((HERE / "page.html").read_text(encoding="utf-8"))
SCRIPTS = Resources(mode="server", root_url="", path_versioner=StaticHandler.append_version)
SCRIPTS.components = ["bokeh", "bokeh-widgets"]  # of Bokeh's own those that are needed, from this server
M = TypeVar("M", bound=Model)
Result = TypeVar("Result")


@dataclass
class Shared:
    """What all pages of a server share; `threads` read files."""

    scene: Scene
    folders: Folders
    fusion: Fusion
    title: str
    reads_addresses: bool = False
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS))


class Page:
    """A page with its own copy of the scene, and all models that the browser shows of it."""

    def __init__(self, doc: Document, shared: Shared) -> None:
        self.doc, self.shared = doc, shared
        self.scene = replace(shared.scene, layers=list(shared.scene.layers))
        self.turns: dict[str, int] = {}
        self.slots = asyncio.Semaphore(THREADS // 2)  # of the threads, that a page may take
        doc.on_session_destroyed(lambda _: self.turns.clear())  # what is still being read is not shown any more
        self.sheet = InlineStyleSheet(css=(HERE / "controls.css").read_text(encoding="utf-8"))
        self.roots: list[Model] = []
        self.offered: dict[Select, set[str]] = {}
        self.x, self.y = Range1d(start=0, end=1, name="x"), Range1d(start=0, end=1, name="y")
        # the numbers that browser and server exchange
        self.signals = ColumnDataSource({"kind": [], "value": [], "number": []}, name="signals")
        self.view = ColumnDataSource({name: [] for name in VIEW}, name="view")
        self.pick = ColumnDataSource({"x": [], "y": []}, name="pick")
        self.home, self.grids = ColumnDataSource({}, name="home"), ColumnDataSource({}, name="grids")
        self.spectra = ColumnDataSource({name: [] for name in SPECTRA}, name="spectra")
        self.bases, self.details = ([ColumnDataSource(dict(EMPTY)) for _ in "ab"] for _ in range(2))
        self._make_controls()
        self._make_forms()
        self.figures = [self._image_figure(side) for side in (0, 1)]
        self.readout = self.control(Div, "readout")
        self.spectrum = self._plot("spectrum", "wavelength (nm)", "")
        self.shown_bands = [Span(dimension="height", line_width=1, line_dash="dotted") for _ in range(3)]
        for span in self.shown_bands:
            self.spectrum.add_layout(span)
        self.profile_along = self.select("", "profile_along", ["along the row", "along the column"])
        self.profile_along.update(width=150, sizing_mode=None)
        self.profile, self.histogram = self._plot("profile", "", ""), self._plot("histogram", "value", "pixels (%)")
        self.profiles, self.histograms = self._lines(self.profile), self._lines(self.histogram)

    def _make_controls(self) -> None:
        self.layers = [self.select(f"Image {side}", f"layer_{side.lower()}") for side in "AB"]
        self.composite = self.select("Bands", "composite", [*COMPOSITES, THREE, ONE])
        self.bands = [self.select(title, f"band_{title[0].lower()}") for title in ("Red", "Green", "Blue")]
        self.palette = self.select("Colour map", "palette", list(PALETTES))
        ends, gamma = (DEFAULT_STRETCH.low, DEFAULT_STRETCH.high), DEFAULT_STRETCH.gamma
        self.percentiles = self.control(
            RangeSlider, "percentiles", title="Black and white at percentiles", start=0, end=100, step=0.5, value=ends
        )
        self.gamma = self.control(Slider, "gamma", title="Gamma", start=0.4, end=3.0, step=0.1, value=gamma)
        for slider in (self.percentiles, self.gamma):
            slider.bar_color = ACCENT
        self.same = self.control(Checkbox, "same", label="B with the black and white of A")
        self.captions = [self.root(Div(name=f"caption_{side}", stylesheets=[self.sheet, ON_IMAGE])) for side in "ab"]
        self.notice = self.root(Div(name="notice", stylesheets=[self.sheet]))

    def _make_forms(self) -> None:
        self.fuse_hs, self.fuse_ms = self.select("HS, coarse", "fuse_hs"), self.select("MS, fine", "fuse_ms")
        self.fuse_method = self.select("Method", "fuse_method")
        self.fuse_budget = self.control(
            Spinner, "fuse_budget", title="Seconds that auto may take", low=5, high=3600, step=5, value=60
        )
        self.fuse_name = self.control(TextInput, "fuse_name", title="Result", value="sharp.tif")
        self.fuse_uncertainty = self.control(Checkbox, "fuse_uncertainty", label="prediction intervals too")
        self.fuse_run = self.control(Button, "fuse_run", label="Fuse", button_type="primary")
        self.fuse_cancel = self.control(Button, "fuse_cancel", label="Cancel", disabled=True)
        self.fuse_state = self.control(Div, "fuse_state")
        self.open_name = self.select("In the viewer's folders", "open_name")
        self.open_address = self.control(TextInput, "open_address", title="Or at an address")
        self.open_address.visible = self.shared.reads_addresses
        self.open_role = self.select("As", "open_role", ROLES)
        self.open_run = self.control(Button, "open_run", label="Open")
        self.files_list = self.control(Div, "files_list")

    def _image_figure(self, side: int) -> figure:
        """A figure that is all image: whole scene at low resolution, what the view shows of it above, the pick."""
        made = figure(
            x_range=self.x, y_range=self.y, tools="pan,wheel_zoom", active_scroll="wheel_zoom", toolbar_location=None
        )
        made.update(name=f"figure_{'ab'[side]}", sizing_mode="stretch_both", min_border=0, outline_line_color=None)
        made.background_fill_color = made.border_fill_color = None
        made.axis.visible = made.grid.visible = False
        for source in (self.bases[side], self.details[side]):
            made.image_rgba("image", "x", "y", "dw", "dh", source=source, **FIRST_ROW_NORTH)
        made.scatter("x", "y", source=self.pick, marker="cross", size=25, line_color="black", line_width=4)
        made.scatter("x", "y", source=self.pick, marker="cross", size=24, line_color="white", line_width=2)
        return self.root(made)

    def _plot(self, name: str, x: str, y: str) -> figure:
        tips = [("x", "$x{0.[0]}"), ("value", "$y{0.[000]}")]
        made = figure(tools="xpan,xwheel_zoom,reset,hover", tooltips=tips, x_axis_label=x, y_axis_label=y)
        made.update(name=name, sizing_mode="stretch_both", toolbar_location=None, min_border_right=12)
        made.lod_threshold = None
        made.axis.axis_label_text_font_style = "normal"
        made.axis.axis_label_text_font_size = made.axis.major_label_text_font_size = "11px"
        made.axis.minor_tick_line_color = None
        made.xaxis.formatter = BasicTickFormatter(use_scientific=False)
        made.background_fill_color = made.border_fill_color = made.outline_line_color = None
        return self.root(made)

    @staticmethod
    def _lines(plot: figure) -> list[ColumnDataSource]:
        """Sources of lines of A (solid) and B (dashed)."""
        sources = [ColumnDataSource({"xs": [], "ys": [], "colour": []}) for _ in "ab"]
        for source, dash in zip(sources, ("solid", "dashed"), strict=True):
            plot.multi_line("xs", "ys", line_color="colour", line_dash=dash, line_width=1.4, source=source)
        return sources

    def root(self, model: M) -> M:
        """A model that the page embeds by its name."""
        self.roots.append(model)
        return model

    def control(self, kind: type[M], name: str, **properties: Any) -> M:
        """A control as wide as its column."""
        return self.root(kind(name=name, sizing_mode="stretch_width", stylesheets=[self.sheet], **properties))

    def select(self, title: str, name: str, options: Sequence[str] = ()) -> Select:
        chosen = options[0] if options else ""
        made = self.control(Select, name, title=title, value=chosen)
        self.offer(made, options)
        return made

    def dress(self, theme: str) -> None:
        """Dark or light figures; the page's own colours are in page.css."""
        colours = THEMES[theme]
        for plot in (self.spectrum, self.profile, self.histogram):
            plot.axis.axis_label_text_color = plot.axis.major_label_text_color = colours["text"]
            plot.axis.axis_line_color = plot.axis.major_tick_line_color = colours["text"]
            plot.grid.grid_line_color = colours["grid"]

    def send(self) -> None:
        with self.doc.models.freeze():  # or Bokeh walks through all models for each root
            for root in self.roots:
                self.doc.add_root(root)
        self.notice.tags = [self.signals, self.view, self.home, self.grids, self.spectra]  # so they travel too
        self.doc.title, self.doc.template = self.shared.title, TEMPLATE
        self.doc.template_variables.update(scene_title=escape(self.shared.title), scripts=SCRIPTS.js_files)

    def work(self, turn: str, do: Callable[[], Result], then: Callable[[Result], None]) -> None:
        """Do something slow in a thread, then change the page; an older call of the same turn is forgotten.

        One that waits for a thread while a newer comes is not done at all: whoever asks a lot delays nobody else.
        """
        number = self.turns[turn] = self.turns.get(turn, 0) + 1

        @without_document_lock
        async def run() -> None:
            try:
                async with self.slots:
                    result = await asyncio.get_running_loop().run_in_executor(
                        self.shared.threads, lambda: do() if self.turns.get(turn) == number else None
                    )
            except (HypersharpError, MemoryError) as exc:
                message = str(exc) or "too little memory"
                self.doc.add_next_tick_callback(lambda: self.say(message, warn=True))
                return
            if self.turns.get(turn) == number:
                self.doc.add_next_tick_callback(self.if_sound(lambda: then(cast(Result, result))))

        self.doc.add_next_tick_callback(run)  # type: ignore[arg-type]  # it may be a coroutine

    def offer(self, select: Select, options: Sequence[str | tuple[str, str]]) -> None:
        """Fill a list, of which alone its value may come."""
        self.offered[select] = {option if isinstance(option, str) else option[0] for option in options} | {""}
        select.update(options=list(options))

    def is_sound(self) -> bool:
        """Whether all that a browser can change holds what this page would send: anybody may send anything."""
        for source, names in ((self.view, VIEW), (self.pick, ("x", "y"))):
            columns: list[Any] = [source.data.get(name) for name in names]
            if not all(isinstance(column, list | np.ndarray) for column in columns):
                return False
            firsts = [entry for column in columns for entry in list(column)[:1]]
            if len(firsts) not in (0, len(names)) or not numbers(firsts):
                return False
        signals = (self.signals.data.get(name) for name in ("kind", "value"))
        lengths = {len(column) if isinstance(column, list | np.ndarray) else None for column in signals}
        low_high, gamma, budget = self.percentiles.value, self.gamma.value, self.fuse_budget.value
        return (
            all(isinstance(select.value, str) and select.value in known for select, known in self.offered.items())
            and lengths in ({0}, {1})
            and numbers((*low_high, gamma, 60 if budget is None else budget))
            and 0 <= low_high[0] <= low_high[1] <= 100
            and 0 < gamma < 10
            and "band" in self.spectra.data
        )

    def if_sound(self, do: Callable[[], None]) -> Callable[[], None]:
        """Something to be done only where the page holds what it would send."""

        def checked() -> None:
            if self.is_sound():
                do()
            else:
                self.say("what this page sent makes no sense: load it again", warn=True)

        return checked

    def when(self, model: Model, what: str, do: Callable[[], None]) -> None:
        """Do something whenever a property of a model has changed."""
        checked = self.if_sound(do)
        model.on_change(what, lambda _name, _old, _new: checked())

    def say(self, text: str, warn: bool = False) -> None:
        """A line in the header."""
        self.notice.text = f'<span class="{"warn" if warn else "muted"}">{escape(text)}</span>'


def numbers(values: Any) -> bool:
    """Whether these are finite numbers of a size that coordinates may have."""
    plain = all(isinstance(value, Real) and not isinstance(value, bool) for value in values)
    return plain and all(abs(float(value)) < MOST_NUMBER for value in values)  # also not of NaN
