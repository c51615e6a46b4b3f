"""The form of a fusion: starts it, shows how far it is, cancels it, shows and offers what it made."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from hypersharp.errors import HypersharpError
from hypersharp.viewer.job import Fusion, Order
from hypersharp.viewer.page import offer
from hypersharp.viewer.scene import Layer, Named

if TYPE_CHECKING:
    from hypersharp.viewer.session import Session

EVERY_MS = 250
METHODS = ("auto", "bicubic", "gsa", "sfim", "glp", "cnmf", "fuse", "hysure", "dhsis", "dbin", "ssjcn")


class FuseForm:
    """One fusion at a time on a server; every page shows it."""

    def __init__(self, session: Session) -> None:
        self.session, self.seen = session, session.shared.fusion.state
        page = session.page
        offer(page.fuse_method, METHODS)
        page.fuse_method.value = "auto"
        page.fuse_method.on_change("value", lambda _a, _o, new: setattr(page.fuse_budget, "visible", new == "auto"))
        page.fuse_run.on_click(lambda: self.start())
        page.fuse_cancel.on_click(lambda: session.shared.fusion.cancel())
        session.doc.add_periodic_callback(self.watch, EVERY_MS)

    def list_layers(self) -> None:
        """The images that can be hs and ms; those named so first."""
        page, scene = self.session.page, self.session.scene
        names = [layer.name for layer in scene.layers if layer.role != "trust"]
        by_bands = sorted((layer for layer in scene.layers if layer.role != "trust"), key=lambda layer: -layer.bands)
        for select, role, guess in ((page.fuse_hs, "hs", by_bands[:1]), (page.fuse_ms, "ms", by_bands[-1:])):
            offer(select, names)
            known = [layer for layer in scene.layers if layer.role == role] or guess
            select.value = select.value or (known[0].name if known else "")

    def start(self) -> None:
        """Order the fusion, if its result may be written."""
        page, fusion, session = self.session.page, self.session.shared.fusion, self.session
        if fusion.state == "running":
            return
        try:
            fusion.start(self.order())
        except HypersharpError as exc:
            page.fuse_state.text = f'<div class="warn">{escape(str(exc))}</div>'
            return
        self.seen = "idle"
        session.say("")
        self.watch()

    def order(self) -> Order:
        """What the form says.

        Raises: CallError for a name that may not be written, InputError for an image that is not open.
        """
        page, scene, folders = self.session.page, self.session.scene, self.session.shared.folders
        out = folders.new(page.fuse_name.value)
        trust = folders.new(f"{out.stem}-trust{out.suffix}") if page.fuse_trust.active else None
        hs, ms = (scene.find(select.value) for select in (page.fuse_hs, page.fuse_ms))
        method = page.fuse_method.value if page.fuse_method.value in METHODS else "auto"
        budget_s = float(page.fuse_budget.value or 60)
        return Order(str(hs.path), str(ms.path), str(out), method, budget_s, str(trust) if trust else None)

    def watch(self) -> None:
        """Show how far the fusion is; open what it made when it has ended."""
        fusion, page = self.session.shared.fusion, self.session.page
        running = fusion.state == "running"
        page.fuse_run.disabled, page.fuse_cancel.disabled = running, not running
        if fusion.state == "idle" or (fusion.state == self.seen and not running):
            return
        ended, self.seen = fusion.state != self.seen and not running, fusion.state
        page.fuse_state.text = state_text(fusion)
        if ended and fusion.state == "done":
            self.session.work("fused", lambda: self.open_result(fusion), self.show_result)

    def open_result(self, fusion: Fusion) -> list[Layer]:
        """Open the result and its intervals."""
        assert fusion.out is not None
        scene = self.session.scene
        files: list[Named] = [(fusion.out, "result", None)]
        return scene.open(files + ([(fusion.trust, "trust", fusion.out)] if fusion.trust else []))

    def show_result(self, made: list[Layer]) -> None:
        """Show the result as B; propose another name for the next one."""
        page = self.session.page
        self.session.add_layers(made)
        stem, suffix = Path(page.fuse_name.value).stem, Path(page.fuse_name.value).suffix
        number = int(stem.rpartition("-")[2]) + 1 if stem.rpartition("-")[2].isdigit() else 2
        page.fuse_name.value = f"{stem.rpartition('-')[0] if number > 2 else stem}-{number}{suffix}"
        self.session.say(f"{made[0].name} is image B now")


def state_text(fusion: Fusion) -> str:
    """How far a fusion is, as HTML."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in fusion.notes)
    told = f'<ul class="muted" style="margin: 6px 0; padding-left: 16px; font-size: 12px">{notes}</ul>' if notes else ""
    if fusion.state == "running":
        share_text = f", {fusion.fraction:.0%}" if fusion.fraction > 0 else ""
        share = f'value="{fusion.fraction:.3f}"' if fusion.fraction > 0 else ""
        return f'<progress {share} max="1"></progress><div>running{share_text}</div>{told}'
    if fusion.state == "done" and fusion.out:
        name = fusion.out.name
        link = f'<a href="download?name={quote(name)}" download="{escape(name)}">Download {escape(name)}</a>'
        return f"<div>done: {link}</div>{told}"
    return f'<div class="{"warn" if fusion.state == "failed" else ""}">{fusion.state}</div>{told}'
