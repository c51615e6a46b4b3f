"""The two sides of a page, A and B: which images they show, in which colours, and how much of them is read."""

from collections.abc import Callable
from functools import partial

from hypersharp.grid import Box
from hypersharp.viewer import pictures
from hypersharp.viewer.page import EMPTY, Page
from hypersharp.viewer.pictures import COMPOSITES, ONE, THREE, Look, Picture
from hypersharp.viewer.scene import Layer, Patch

MOST_SCREEN_PX = 6000  # a side; what a browser says is not taken for granted
GRID = ("name", "x0", "y1", "width", "height", "rows", "columns")
FIRST = ("result", "image", "ms", "hs", "truth", "uncertainty")  # the roles shown first


class Stage:
    """`shown` and `refined` are called when a picture, or what a view shows of it, is there."""

    def __init__(self, page: Page) -> None:
        self.page, self.scene = page, page.scene
        self.pictures: list[Picture | None] = [None, None]
        self.details: list[Patch | None] = [None, None]
        self.bases: pictures.Bases = {}
        self.quiet = False  # while controls are changed from here
        self.shown: Callable[[], None] = lambda: None
        self.refined: Callable[[], None] = lambda: None
        # the finest result as B, beside hs or the next best as A, in true colour where the bands allow it
        ranked = sorted(self.scene.layers, key=lambda layer: FIRST.index(layer.role))
        best = ranked[0]
        other = next((layer for layer in [*self.scene.with_role("hs"), *ranked] if layer is not best), best)
        self.list_layers()
        self.quiet = True
        page.layers[0].value, page.layers[1].value = other.name, best.name
        reference = other if other.bands >= best.bands else best
        found = pictures.composite_bands("True colour", reference.wavelengths_nm, reference.bands)
        page.composite.value = ONE if reference.bands < 3 else "True colour" if found else THREE
        self.quiet = False
        self.list_bands(found if found and reference.bands > 2 else (0, 0, 0))
        left, low, right, high = zip(*(layer.box for layer in self.scene.layers), strict=True)
        x0, y0, x1, y1 = min(left), min(low), max(right), max(high)
        page.x.update(start=x0, end=x1)
        page.y.update(start=y0, end=y1)
        home = {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "unit": self.scene.unit}
        home["mode"] = "single" if other is best else "swipe"
        page.home.data = {name: [value] for name, value in home.items()}  # where Fit leads to
        for side in (0, 1):
            page.when(page.layers[side], "value", partial(self.on_layer, side))
        page.when(page.composite, "value", self.on_composite)
        for control in (*page.bands, page.palette):
            page.when(control, "value", self.recolour)
        for slider in (page.percentiles, page.gamma):
            page.when(slider, "value_throttled", self.recolour)
        page.when(page.same, "active", self.recolour)
        page.when(page.view, "data", partial(self.refine, 0, 1))

    def list_layers(self) -> None:
        for chooser in self.page.layers:
            self.page.offer(chooser, [layer.name for layer in self.scene.layers] + list(pictures.map_names(self.scene)))

    @property
    def reference(self) -> Layer:
        """The image whose bands the lists show: that of A, or of B where it has more."""
        maps, titles = pictures.map_names(self.scene), [chooser.value for chooser in self.page.layers]
        a, b = (maps[title].image if title in maps else self.scene.find(title) for title in titles)
        return b if b.bands > a.bands else a

    def list_bands(self, chosen: tuple[int, ...]) -> None:
        """Fill the lists of bands with those of the reference."""
        self.listed, self.quiet = self.reference, True
        names = [pictures.band_name(self.listed, band) for band in range(self.listed.bands)]
        options = [(str(band), f"{band + 1} · {name}") for band, name in enumerate(names)]
        for select, band in zip(self.page.bands, chosen, strict=True):
            self.page.offer(select, options)
            select.value = str(min(band, self.listed.bands - 1))
        self.quiet = False
        self.show_controls()

    @property
    def bands(self) -> tuple[int, ...]:
        """The bands (from 0) chosen for red, green and blue."""
        return tuple(int(select.value) for select in self.page.bands)

    def show_controls(self) -> None:
        """Only the controls that do something now."""
        page, one = self.page, self.page.composite.value == ONE
        page.bands[0].title = "Band" if one else "Red"
        for select in page.bands:
            select.visible = page.composite.value == THREE
        page.bands[0].visible |= one
        page.palette.visible = one or any(chooser.value in pictures.map_names(self.scene) for chooser in page.layers)

    def look(self) -> Look:
        page = self.page
        low, high = page.percentiles.value
        stretch = pictures.Stretch(low, high if high > low else low + 0.5, page.gamma.value)
        return Look(page.composite.value, self.bands, self.reference, page.palette.value, stretch)

    def repaint(self, *sides: int) -> None:
        """Paint sides again: the whole scene, then what the view shows of it."""
        look, scene, known = self.look(), self.scene, self.bases
        for side in sides:
            title = self.page.layers[side].value
            read = partial(pictures.paint, scene, title, look, known)
            self.page.work(f"base {side}", read, partial(self._show_base, side))

    def _show_base(self, side: int, picture: Picture) -> None:
        self.pictures[side], self.details[side] = picture, None
        self._show(side)
        if side == 0 and self.page.same.active:
            self._show(1)
        layers = [shown.layer for shown in self.pictures if shown]  # where pixels lie, for the line under the image
        rows = [(layer.name, layer.box[0], layer.box[3], *layer.pixel_size, *layer.shape_yx) for layer in layers]
        self.page.grids.data = dict(zip(GRID, map(list, zip(*rows, strict=True)), strict=True))
        self.shown()
        self.refine(side)
        if self.pictures[1] is None:
            self.repaint(1)

    def _show(self, side: int, *, whole: bool = True) -> None:
        """Send the pixels of a side: all, or those of the view alone."""
        picture, patch = self.pictures[side], self.details[side]
        if picture is None:
            return
        first, between = self.pictures[0], picture.limits
        if side == 1 and self.page.same.active and first and len(first.limits) == len(between):
            between = first.limits  # black and white of A for B too
        if whole:
            self.page.bases[side].data = picture.columns(picture.base, between)
            self.page.captions[side].text = pictures.caption("AB"[side], picture, between)
        self.page.details[side].data = picture.columns(patch, between) if patch else dict(EMPTY)

    def refine(self, *sides: int) -> None:
        """Read what the view shows, where that is finer than what is there."""
        data = self.page.view.data
        for side in sides:
            picture = self.pictures[side]
            if picture is None or not len(data["x0"]):
                continue
            view: Box = (data["x0"][0], data["y0"][0], data["x1"][0], data["y1"][0])
            height, width = (max(1, min(int(data[side][0]), MOST_SCREEN_PX)) for side in ("height", "width"))
            read = partial(pictures.detail, self.scene, picture, view, (height, width))
            self.page.work(f"detail {side}", read, partial(self._show_detail, side, picture))

    def _show_detail(self, side: int, picture: Picture, patch: Patch | None) -> None:
        """Show what has been read for a view, if its picture is still the one shown."""
        if picture is self.pictures[side]:
            self.details[side] = patch
            self._show(side, whole=False)
            self.refined()

    def recolour(self) -> None:
        """Other colours, chosen by a person."""
        if not self.quiet:
            self.repaint(0, 1)

    def on_layer(self, side: int) -> None:
        """Another image or map on a side; the bands stay those of the same wavelengths."""
        if self.quiet:
            return
        before, after = self.listed, self.reference
        if before is after:
            self.show_controls()
            self.repaint(side)
            return
        other = after.wavelengths_nm, after.bands
        match = partial(pictures.matching_band, nm=before.wavelengths_nm, bands=before.bands)
        self.list_bands(tuple(match(band, other_nm=other[0], others=other[1]) for band in self.bands))
        self.repaint(0, 1)

    def on_composite(self) -> None:
        """Another composite: where bands are chosen by hand, begin with those shown."""
        name, reference = self.page.composite.value, self.reference
        if name in COMPOSITES:
            found = pictures.composite_bands(name, reference.wavelengths_nm, reference.bands)
            if found is None:
                self.page.say(f"{reference.name} has no bands for {name.lower()}: true colour is shown", warn=True)
            else:
                self.list_bands(found)
        self.show_controls()
        self.recolour()

    def swap(self) -> None:
        """A becomes B, B becomes A."""
        first, second = self.page.layers
        self.quiet = True
        first.value, second.value = second.value, first.value
        self.quiet = False
        self.list_bands(self.bands)
        self.repaint(0, 1)

    def choose_band(self, band: int) -> None:
        """One band alone; numbers go round the end."""
        self.page.composite.value = ONE
        self.page.bands[0].value = str(band % self.listed.bands)
