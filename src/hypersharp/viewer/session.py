"""One open page: what its controls do. Files are read in threads, so that the server never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import Any, TypeVar

import numpy as np
from bokeh.document import Document, without_document_lock
from bokeh.models import Range1d

from hypersharp.errors import HypersharpError
from hypersharp.grid import Box
from hypersharp.viewer.composites import COMPOSITES, Stretch, composite_bands, matching_band
from hypersharp.viewer.folders import Folders
from hypersharp.viewer.fusing import FuseForm
from hypersharp.viewer.job import Fusion
from hypersharp.viewer.maps import map_names
from hypersharp.viewer.opening import OpenForm
from hypersharp.viewer.page import Page, offer, when
from hypersharp.viewer.pictures import ONE, THREE, Bases, Look, Picture, band_name, caption, detail, paint
from hypersharp.viewer.readings import Readings
from hypersharp.viewer.scene import Layer, Patch, Scene

Result = TypeVar("Result")
MOST_SCREEN_PX = 6000  # a side; what a browser says is not taken for granted
EMPTY: dict[str, list[Any]] = {"image": [], "x": [], "y": [], "dw": [], "dh": []}


@dataclass
class Shared:
    """What all pages of a server share; `threads` read files."""

    scene: Scene
    folders: Folders
    fusion: Fusion
    title: str
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))


class Session:
    """A page's state, and the callbacks of its controls."""

    def __init__(self, doc: Document, shared: Shared) -> None:
        self.doc, self.shared = doc, shared
        self.scene = replace(shared.scene, layers=list(shared.scene.layers))
        self.page = Page()
        self.pictures: list[Picture | None] = [None, None]
        self.details: list[Patch | None] = [None, None]
        self.bases: Bases = {}
        self.turns: dict[str, int] = {}
        self.quiet = False  # while controls are changed from here
        self.readings = Readings(self)
        self.fuse_form, self.open_form = FuseForm(self), OpenForm(self)
        self._first_choice()
        self._connect()
        self.page.dress("dark")
        self.page.add_to(doc, shared.title)
        self.repaint(0)  # B follows when A is there
        doc.on_session_destroyed(self._close)

    def work(self, turn: str, do: Callable[[], Result], then: Callable[[Result], None]) -> None:
        """Do something slow in a thread, then change the page; an older call of the same turn is forgotten."""
        number = self.turns[turn] = self.turns.get(turn, 0) + 1

        @without_document_lock
        async def run() -> None:
            loop = asyncio.get_running_loop()
            try:
                result = await loop.run_in_executor(self.shared.threads, do)
            except (HypersharpError, MemoryError) as exc:
                message = str(exc) or "too little memory"
                self.doc.add_next_tick_callback(lambda: self.say(message, warn=True))
                return
            if self.turns.get(turn) == number:
                self.doc.add_next_tick_callback(lambda: then(result))

        self.doc.add_next_tick_callback(run)  # type: ignore[arg-type]  # it may be a coroutine

    def _close(self, _: Any) -> None:
        """Whatever is still being read is not shown any more."""
        self.turns.clear()

    def say(self, text: str, warn: bool = False) -> None:
        """A line in the header."""
        self.page.notice.text = f'<span class="{"warn" if warn else "muted"}">{escape(text)}</span>'

    # ---- choices ----------------------------------------------------------------------------------------------
    def _first_choice(self) -> None:
        """A and B as a person would want them first."""
        layers, page = self.scene.layers, self.page
        ranked = sorted(layers, key=lambda layer: ("result", "image", "ms", "hs", "truth", "trust").index(layer.role))
        second = [*self.scene.with_role("hs"), *ranked[1:], ranked[0]]
        other = next((layer for layer in second if layer is not ranked[0]), ranked[0])
        self.list_layers()
        self.quiet = True
        page.layers[0].value, page.layers[1].value = other.name, ranked[0].name
        reference = other if other.bands >= ranked[0].bands else ranked[0]
        enough = composite_bands("True colour", reference.wavelengths_nm, reference.bands)
        colour = "True colour" if enough else THREE
        page.composite.value = colour if reference.bands > 2 else ONE
        self.quiet = False
        self.list_bands(enough if enough and reference.bands > 2 else (0, 0, 0))
        self.set_home("swipe" if other is not ranked[0] else "single")

    def set_home(self, mode: str) -> None:
        """Where Fit leads to."""
        x0, y0, x1, y1 = self.scene.extent()
        for ends, made in (((x0, x1), self.page.x), ((y0, y1), self.page.y)):
            assert isinstance(made, Range1d)
            made.start, made.end = ends
        self.page.home.data = {
            "x0": [x0],
            "y0": [y0],
            "x1": [x1],
            "y1": [y1],
            "unit": [self.scene.unit],
            "mode": [mode],
        }

    def list_layers(self) -> None:
        """Images and maps to choose from."""
        names = [layer.name for layer in self.scene.layers] + list(map_names(self.scene))
        for chooser in self.page.layers:
            offer(chooser, names)
        self.fuse_form.list_layers()
        self.open_form.list_files()

    @property
    def reference(self) -> Layer:
        """The image whose bands the lists show: that of A, or of B where it has more."""
        shown = [self.layer_of(self.page.layers[side].value) for side in (0, 1)]
        return shown[1] if shown[1].bands > shown[0].bands else shown[0]

    def layer_of(self, title: str) -> Layer:
        """The image of a title, or that of which a map is."""
        maps = map_names(self.scene)
        return maps[title][1] if title in maps else self.scene.find(title)

    def list_bands(self, chosen: tuple[int, ...]) -> None:
        """Fill the lists of bands with those of the reference."""
        reference, self.quiet = self.reference, True
        options = [(str(band), f"{band + 1} · {band_name(reference, band)}") for band in range(reference.bands)]
        for select, band in zip(self.page.bands, chosen, strict=True):
            offer(select, options)
            select.value = str(min(band, reference.bands - 1))
        self.quiet = False
        self.listed = reference
        self.show_controls()

    def show_controls(self) -> None:
        """Only the controls that do something now."""
        page, one = self.page, self.page.composite.value == ONE
        page.bands[0].title = "Band" if one else "Red"
        for select in page.bands:
            select.visible = page.composite.value == THREE
        page.bands[0].visible |= one
        titles = {chooser.value for chooser in page.layers}
        page.palette.visible = one or bool(titles & set(map_names(self.scene)))

    def look(self) -> Look:
        """The colours as the controls say."""
        page = self.page
        low, high = page.percentiles.value
        stretch = Stretch(low, high if high > low else low + 0.5, page.gamma.value)
        bands = tuple(int(select.value) for select in page.bands)
        return Look(page.composite.value, bands, self.reference, page.palette.value, stretch)

    # ---- pictures ---------------------------------------------------------------------------------------------
    def repaint(self, side: int) -> None:
        """Paint a side anew: the whole scene, then what the view shows of it."""
        title, look, scene, known = self.page.layers[side].value, self.look(), self.scene, self.bases
        self.work(f"base {side}", lambda: paint(scene, title, look, known), lambda made: self._show_base(side, made))

    def repaint_all(self) -> None:
        for side in (0, 1):
            self.repaint(side)

    def _show_base(self, side: int, picture: Picture) -> None:
        """Show a picture of the whole scene."""
        self.pictures[side], self.details[side] = picture, None
        self.page.details[side].data = dict(EMPTY)
        self._show(side)
        if side == 0 and self.page.same.active:
            self._show(1)
        self._tell_grids()
        self.readings.show_lines()
        self.refine(side)
        if self.pictures[1] is None:
            self.repaint(1)

    def _show(self, side: int) -> None:
        """Send the pixels of a side."""
        picture = self.pictures[side]
        if picture is None:
            return
        between = self.limits_of(side, picture)
        self.page.bases[side].data = image_data(picture.base, picture.rgba(picture.base, between))
        patch = self.details[side]
        self.page.details[side].data = image_data(patch, picture.rgba(patch, between)) if patch else dict(EMPTY)
        self.page.captions[side].text = caption("AB"[side], picture, between)

    def limits_of(self, side: int, picture: Picture) -> Any:
        """Black and white: those of A for B too, where wanted and where both show as many channels."""
        first = self.pictures[0]
        shared = side == 1 and self.page.same.active and first is not None
        return first.limits if shared and first and len(first.limits) == len(picture.limits) else picture.limits

    def refine(self, side: int) -> None:
        """Read what the view shows, where that is finer than what is there."""
        picture, data = self.pictures[side], self.page.view.data
        if picture is None or not len(data["x0"]):
            return
        view: Box = (data["x0"][0], data["y0"][0], data["x1"][0], data["y1"][0])
        screen = (min(int(data["height"][0]), MOST_SCREEN_PX), min(int(data["width"][0]), MOST_SCREEN_PX))
        scene, shown = self.scene, picture
        self.work(
            f"detail {side}",
            lambda: detail(scene, shown, view, screen),
            lambda patch: self._show_detail(side, shown, patch),
        )

    def _show_detail(self, side: int, picture: Picture, patch: Patch | None) -> None:
        """Show what has been read for a view, if its picture is still the one shown."""
        if picture is not self.pictures[side]:
            return
        self.details[side] = patch
        pixels = picture.rgba(patch, self.limits_of(side, picture)) if patch else None
        self.page.details[side].data = image_data(patch, pixels) if patch else dict(EMPTY)
        self.readings.show_profiles()

    def refine_all(self) -> None:
        for side in (0, 1):
            self.refine(side)

    def recolour(self) -> None:
        """Other colours, chosen by a person."""
        if not self.quiet:
            self.repaint_all()

    def _tell_grids(self) -> None:
        """Where the pixels of A and B lie, for the line under the image."""
        layers = [picture.layer if picture else None for picture in self.pictures]
        rows: dict[str, list[Any]] = {name: [] for name in ("name", "x0", "y1", "width", "height", "rows", "columns")}
        for layer in layers:
            numbers = (layer.box[0], layer.box[3], *layer.pixel_size, *layer.shape_yx) if layer else (0.0,) * 6
            for name, value in zip(rows, (layer.name if layer else "", *numbers), strict=True):
                rows[name].append(value)
        self.page.grids.data = rows

    # ---- controls ---------------------------------------------------------------------------------------------
    def _connect(self) -> None:
        """Tie the controls to what they do."""
        page = self.page
        for side in (0, 1):
            when(page.layers[side], "value", partial(self.on_layer, side))
        when(page.composite, "value", self.on_composite)
        for control, what in (
            *((select, "value") for select in page.bands),
            (page.palette, "value"),
            (page.percentiles, "value_throttled"),
            (page.gamma, "value_throttled"),
            (page.same, "active"),
        ):
            when(control, what, self.recolour)
        when(page.view, "data", self.refine_all)
        when(page.pick, "data", self.readings.read)
        when(page.profile_along, "value", self.readings.show_profiles)
        when(page.signals, "data", self.on_signal)

    def on_layer(self, side: int) -> None:
        """Another image or map on a side; the bands stay those of the same wavelengths."""
        if self.quiet:
            return
        before, after = self.listed, self.reference
        if before is not after:
            kept = [int(select.value) for select in self.page.bands]
            nm, bands = before.wavelengths_nm, before.bands
            moved = [matching_band(band, nm, bands, after.wavelengths_nm, after.bands) for band in kept]
            self.list_bands(tuple(moved))
            self.repaint_all()
        else:
            self.show_controls()
            self.repaint(side)

    def on_composite(self) -> None:
        """Another composite: where bands are chosen by hand, begin with those shown."""
        name = self.page.composite.value
        if name in COMPOSITES:
            reference = self.reference
            found = composite_bands(name, reference.wavelengths_nm, reference.bands)
            if found is None:
                self.say(f"{reference.name} has no bands for {name.lower()}: true colour is shown", warn=True)
            else:
                self.list_bands(found)
        self.show_controls()
        if not self.quiet:
            self.repaint_all()

    def on_signal(self) -> None:
        """What keys and buttons of the page ask for."""
        data = self.page.signals.data
        if len(data["kind"]):
            acts: dict[str, Callable[[str], None]] = {
                "swap": lambda _: self.swap(),
                "band": lambda by: self.next_band(int(by)),
                "composite": self.choose_composite,
                "theme": lambda name: self.page.dress("light" if name == "light" else "dark"),
                "uploaded": self.open_form.uploaded,
            }
            kind, value = str(data["kind"][0]), str(data["value"][0])
            if kind in acts:
                acts[kind](value)

    def choose_composite(self, name: str) -> None:
        if name in (*COMPOSITES, THREE, ONE):
            self.page.composite.value = name

    def swap(self) -> None:
        """A becomes B, B becomes A."""
        first, second = self.page.layers
        self.quiet = True
        first.value, second.value = second.value, first.value
        self.quiet = False
        self.list_bands(tuple(int(select.value) for select in self.page.bands))
        self.repaint_all()

    def next_band(self, by: int) -> None:
        """The next band alone, round the end."""
        bands, first = self.listed.bands, self.page.bands[0]
        if self.page.composite.value != ONE:
            self.page.composite.value = ONE
        first.value = str((int(first.value) + by) % bands)

    def choose_band(self, x: float) -> None:
        """The band alone that lies nearest to a place on the spectrum's axis."""
        nm = self.listed.wavelengths_nm
        where = np.arange(1.0, self.listed.bands + 1) if nm is None else nm
        self.page.composite.value = ONE
        self.page.bands[0].value = str(int(np.abs(where - x).argmin()))

    def add_layers(self, made: list[Layer], show: bool = True) -> None:
        """Images that have just been opened; the first is shown as B."""
        self.list_layers()
        self.readings.add_lines(made)
        if show and made:
            self.page.layers[1].value = made[0].name
        self.readings.read()


def image_data(patch: Patch, pixels: Any) -> dict[str, list[Any]]:
    """The columns of an image glyph."""
    left, low, right, high = patch.box
    return {"image": [pixels], "x": [left], "y": [low], "dw": [right - left], "dh": [high - low]}
