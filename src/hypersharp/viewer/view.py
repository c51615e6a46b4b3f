"""One open page, whole: the stage, the readings and the forms tied together, and what keys and buttons ask of them."""

from __future__ import annotations

from collections.abc import Callable

from bokeh.document import Document

from hypersharp.viewer.forms import FuseForm, OpenForm
from hypersharp.viewer.page import when
from hypersharp.viewer.readings import Readings
from hypersharp.viewer.scene import Layer
from hypersharp.viewer.session import Session, Shared
from hypersharp.viewer.stage import Stage


class View:
    """What a browser has open."""

    def __init__(self, doc: Document, shared: Shared) -> None:
        session = Session(doc, shared)
        self.page, self.stage = session.page, Stage(session)
        self.readings = Readings(session, self.stage)
        self.fuse_form, self.open_form = FuseForm(session, self.add_layers), OpenForm(session, self.add_layers)
        when(self.page.signals, "data", self.on_signal)
        self.page.dress("dark")
        self.page.add_to(doc, shared.title)
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
        data = self.page.signals.data
        acts: dict[str, Callable[[str], None]] = {
            "swap": lambda _: self.stage.swap(),
            "band": lambda by: self.stage.next_band(int(by)),
            "composite": self.stage.choose_composite,
            "theme": lambda name: self.page.dress("light" if name == "light" else "dark"),
            "uploaded": self.open_form.uploaded,
        }
        for kind, value in zip(data["kind"], data["value"], strict=True):
            if str(kind) in acts:
                acts[str(kind)](str(value))
