"""One open page, whole: the stage, the readings and the forms tied together, and what keys and buttons ask of them."""

from pathlib import Path

from bokeh.document import Document

from hypersharp.viewer.forms import FuseForm, OpenForm
from hypersharp.viewer.page import Page, Shared
from hypersharp.viewer.readings import Readings
from hypersharp.viewer.scene import Layer
from hypersharp.viewer.stage import Stage


class View:
    """What a browser has open."""

    def __init__(self, doc: Document, shared: Shared) -> None:
        self.page = page = Page(doc, shared)
        self.stage = Stage(page)
        self.readings = Readings(page, self.stage)
        self.fuse_form, self.open_form = FuseForm(page, self.add_layers), OpenForm(page, self.add_layers)
        page.when(page.signals, "data", self.on_signal)
        page.dress("dark")
        page.send()
        self.stage.repaint(0)  # B follows when A is there

    def add_layers(self, made: list[Layer]) -> None:
        """Images that have just been opened; the first is shown as B."""
        self.stage.list_layers()
        self.fuse_form.list_layers()
        self.open_form.list_files()
        self.readings.add_lines(made)
        self.page.layers[1].value = made[0].name
        self.readings.read()

    def on_signal(self) -> None:
        """What keys and buttons of the page ask for."""
        data, page, stage = self.page.signals.data, self.page, self.stage
        for kind, value in zip(map(str, data["kind"]), map(str, data["value"]), strict=True):
            if kind == "swap":
                stage.swap()
            elif kind == "band" and value.lstrip("-").isdecimal() and len(value) < 9:
                stage.choose_band(stage.bands[0] + int(value))
            elif kind == "composite" and value in page.composite.options:
                page.composite.value = value
            elif kind == "theme":
                page.dress("light" if value == "light" else "dark")
            elif kind == "uploaded":
                self.open_form.list_files(Path(value).name)
                self.open_form.open(Path(value).name)
