"""One open page of the viewer, and how slow work is done for it: in threads, so that the server never waits for a disk.

The parts of a page (`stage`, `readings`, `forms`) work on a session and do not know of each other; `view` ties them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from html import escape
from typing import TypeVar

from bokeh.document import Document, without_document_lock

from hypersharp.errors import HypersharpError
from hypersharp.viewer.folders import Folders
from hypersharp.viewer.job import Fusion
from hypersharp.viewer.page import Page
from hypersharp.viewer.scene import Scene

Result = TypeVar("Result")


@dataclass
class Shared:
    """What all pages of a server share; `threads` read files."""

    scene: Scene
    folders: Folders
    fusion: Fusion
    title: str
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))


class Session:
    """A page with its own copy of the scene."""

    def __init__(self, doc: Document, shared: Shared) -> None:
        self.doc, self.shared, self.page = doc, shared, Page()
        self.scene = replace(shared.scene, layers=list(shared.scene.layers))
        self.turns: dict[str, int] = {}
        doc.on_session_destroyed(lambda _: self.turns.clear())  # what is still being read is not shown any more

    def work(self, turn: str, do: Callable[[], Result], then: Callable[[Result], None]) -> None:
        """Do something slow in a thread, then change the page; an older call of the same turn is forgotten."""
        number = self.turns[turn] = self.turns.get(turn, 0) + 1

        @without_document_lock
        async def run() -> None:
            try:
                result = await asyncio.get_running_loop().run_in_executor(self.shared.threads, do)
            except (HypersharpError, MemoryError) as exc:
                message = str(exc) or "too little memory"
                self.doc.add_next_tick_callback(lambda: self.say(message, warn=True))
                return
            if self.turns.get(turn) == number:
                self.doc.add_next_tick_callback(lambda: then(result))

        self.doc.add_next_tick_callback(run)  # type: ignore[arg-type]  # it may be a coroutine

    def say(self, text: str, warn: bool = False) -> None:
        """A line in the header."""
        self.page.notice.text = f'<span class="{"warn" if warn else "muted"}">{escape(text)}</span>'
