"""The form that opens another image of the viewer's folders, and takes note of uploads."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from hypersharp.errors import HypersharpError
from hypersharp.viewer.page import offer
from hypersharp.viewer.scene import Layer, Role

if TYPE_CHECKING:
    from hypersharp.viewer.session import Session

ROLES: tuple[Role, ...] = ("image", "hs", "ms", "result", "truth", "trust")


class OpenForm:
    """Lists the folders, opens what is chosen."""

    def __init__(self, session: Session) -> None:
        self.session = session
        session.page.open_run.on_click(lambda: self.open(session.page.open_name.value))

    def list_files(self, chosen: str | None = None) -> None:
        """What there is in the folders now, and what is open."""
        page = self.session.page
        names = self.session.shared.folders.images()
        offer(page.open_name, names)
        page.open_name.value = chosen or page.open_name.value or (names[0] if names else "")
        page.files_list.text = "".join(self._line(layer) for layer in self.session.scene.layers)

    def _line(self, layer: Layer) -> str:
        """An open image in words, with its download."""
        height, width = layer.shape_yx
        nm = layer.wavelengths_nm
        span = "" if nm is None else f", {nm.min():.0f} to {nm.max():.0f} nm"
        notes = "".join(f'<div class="warn">{escape(note)}</div>' for note in layer.notes)
        text = f"{layer.role}, {width} × {height}, {layer.bands} bands{span}"
        link = f'<a href="download?name={quote(layer.path.name)}" download>download</a>' if self._offered(layer) else ""
        return f'<div><span class="name">{escape(layer.name)}</span><div class="muted">{text} {link}</div>{notes}</div>'

    def _offered(self, layer: Layer) -> bool:
        """Whether a file may be downloaded."""
        try:
            offered = self.session.shared.folders.existing(layer.path.name)
        except HypersharpError:
            return False
        return offered == layer.path.resolve() and offered.is_file()

    def uploaded(self, name: str) -> None:
        """A file has come: choose it."""
        self.list_files(Path(name).name)
        self.open(Path(name).name)

    def open(self, name: str) -> None:
        """Open an image by its name, in a role."""
        session, chosen = self.session, self.session.page.open_role.value
        role = next(role for role in ROLES if role == chosen)
        results = session.scene.with_role("result")
        of = results[0].path if role == "trust" and results else None

        def do() -> list[Layer]:
            return session.scene.open([(session.shared.folders.existing(name), role, of)])

        def then(made: list[Layer]) -> None:
            session.add_layers(made)
            session.say(f"{made[0].name} is open")

        session.work("open", do, then)
