"""The forms of a page: one starts a fusion and shows what it made, one opens another image of the viewer's folders."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from urllib.parse import quote

from hypersharp.errors import HypersharpError
from hypersharp.methods.table import AUTO, METHODS
from hypersharp.viewer.job import Order
from hypersharp.viewer.page import Page
from hypersharp.viewer.scene import ROLES, Layer, Named

EVERY_MS = 250
Show = Callable[[list[Layer]], None]  # images that have just been opened


class FuseForm:
    """One fusion at a time on a server; every page shows it."""

    def __init__(self, page: Page, show: Show) -> None:
        self.page, self.show, self.fusion = page, show, page.shared.fusion
        self.seen = self.fusion.state
        page.offer(page.fuse_method, [AUTO.name, *METHODS])
        page.fuse_method.value = AUTO.name
        page.fuse_method.on_change("value", lambda _a, _o, new: setattr(page.fuse_budget, "visible", new == "auto"))
        page.fuse_run.on_click(page.if_sound(self.start))
        page.fuse_cancel.on_click(lambda: self.fusion.cancel())
        page.doc.add_periodic_callback(self.watch, EVERY_MS)
        self.list_layers()

    def list_layers(self) -> None:
        """The images that can be hs and ms; those named so first, else those with the most and the fewest bands."""
        layers = [layer for layer in self.page.scene.layers if layer.role != "uncertainty"]
        by_bands = sorted(layers, key=lambda layer: -layer.bands)
        for select, role, guess in ((self.page.fuse_hs, "hs", by_bands[:1]), (self.page.fuse_ms, "ms", by_bands[-1:])):
            self.page.offer(select, [layer.name for layer in layers])
            known = [layer for layer in layers if layer.role == role] or guess
            select.value = select.value or (known[0].name if known else "")

    def start(self) -> None:
        """Order the fusion that the form says, if its images are open and its result may be written."""
        page, folders = self.page, self.page.shared.folders
        if self.fusion.state == "running":
            return
        try:
            out = folders.new(page.fuse_name.value)
            half = folders.new(f"{out.stem}-uncertainty{out.suffix}") if page.fuse_uncertainty.active else None
            hs, ms = (str(page.scene.find(select.value).path) for select in (page.fuse_hs, page.fuse_ms))
        except HypersharpError as exc:
            page.fuse_state.text = f'<div class="warn">{escape(str(exc))}</div>'
            return
        method = page.fuse_method.value if page.fuse_method.value in METHODS else AUTO.name
        budget_s, uncertainty = float(page.fuse_budget.value or 60), str(half) if half else None
        self.fusion.start(Order(hs, ms, str(out), method, budget_s, uncertainty))
        self.seen = "idle"
        page.say("")
        self.watch()

    def watch(self) -> None:
        """Show how far the fusion is; open what it made when it has ended."""
        fusion, page = self.fusion, self.page
        running = fusion.state == "running"
        page.fuse_run.disabled, page.fuse_cancel.disabled = running, not running
        if fusion.state == "idle" or (fusion.state == self.seen and not running):
            return
        ended, self.seen = fusion.state != self.seen and not running, fusion.state
        items = "".join(f"<li>{escape(note)}</li>" for note in fusion.notes)
        noted = f'<ul class="muted notes">{items}</ul>' if items else ""
        if running:
            share = f' value="{fusion.fraction:.3f}"' if fusion.fraction > 0 else ""
            said = f"running, {fusion.fraction:.0%}" if fusion.fraction > 0 else "running"
            text = f'<progress{share} max="1"></progress><div>{said}</div>'
        elif fusion.state == "done" and fusion.out:
            text = f"<div>done: {download_link(fusion.out, f'Download {fusion.out.name}')}</div>"
        else:
            text = f'<div class="{"warn" if fusion.state == "failed" else ""}">{fusion.state}</div>'
        page.fuse_state.text = text + noted
        if ended and fusion.state == "done" and fusion.out:
            made: list[Named] = [(fusion.out, "result", None)]
            made += [(fusion.uncertainty, "uncertainty", fusion.out)] if fusion.uncertainty else []
            page.work("fused", lambda: page.scene.open(made), self.show_result)

    def show_result(self, made: list[Layer]) -> None:
        """Show the result as B; propose another name for the next one: sharp.tif, sharp-2.tif, ..."""
        self.show(made)
        name = Path(self.page.fuse_name.value)
        stem, dash, number = name.stem.rpartition("-")
        following = f"{stem}-{int(number) + 1}" if dash and number.isdecimal() else f"{name.stem}-2"
        self.page.fuse_name.value = following + name.suffix
        self.page.say(f"{made[0].name} is image B now")


def download_link(path: Path, text: str) -> str:
    return f'<a href="download?name={quote(path.name)}" download="{escape(path.name)}">{escape(text)}</a>'


class OpenForm:
    """Lists the folders, opens what is chosen or has been uploaded."""

    def __init__(self, page: Page, show: Show) -> None:
        self.page, self.show = page, show
        self.page.open_run.on_click(
            page.if_sound(lambda: self.open(page.open_address.value.strip() or page.open_name.value))
        )
        self.list_files()

    def list_files(self, chosen: str | None = None) -> None:
        """What there is in the folders now, and what is open."""
        names = self.page.shared.folders.images()
        self.page.offer(self.page.open_name, names)
        self.page.open_name.value = (
            (chosen if chosen in names else None) or self.page.open_name.value or (names[0] if names else "")
        )
        lines = []
        for layer in self.page.scene.layers:
            try:
                path = self.page.shared.folders.existing(layer.path.name)
                offered = path == layer.path.resolve() and path.is_file()
            except HypersharpError:
                offered = False
            (height, width), nm = layer.shape_yx, layer.wavelengths_nm
            span = "" if nm is None else f", {nm.min():.0f} to {nm.max():.0f} nm"
            link = download_link(layer.path, "download") if offered else ""
            text = f"{layer.role}, {width} × {height}, {layer.bands} bands{span} {link}"
            notes = "".join(f'<div class="warn">{escape(note)}</div>' for note in layer.notes)
            name = f'<span class="name">{escape(layer.name)}</span>'
            lines.append(f'<div>{name}<div class="muted">{text}</div>{notes}</div>')
        self.page.files_list.text = "".join(lines)

    def open(self, name: str) -> None:
        scene, folders = self.page.scene, self.page.shared.folders
        role = next(role for role in ROLES if role == self.page.open_role.value)
        results = scene.with_role("result")
        of = results[0].path if role == "uncertainty" and results else None
        self.page.work("open", lambda: scene.open([(folders.existing(name), role, of)]), self._show)

    def _show(self, made: list[Layer]) -> None:
        self.show(made)
        self.page.open_address.value = ""  # else it would be taken before a name from the list
        self.page.say(f"{made[0].name} is open")
