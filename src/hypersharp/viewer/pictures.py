"""What one side of the viewer shows: values for the whole scene and for the view, their colours, their caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from bokeh.palettes import Cividis256, Greys256, Magma256, Viridis256
from numpy.typing import NDArray

from hypersharp.grid import Box
from hypersharp.plot.draw import OKABE_ITO
from hypersharp.viewer.composites import COMPOSITES, Limits, Stretch, composite_bands, limits, matching_band, rgba
from hypersharp.viewer.maps import MAPS, TRUST, make_map, map_names
from hypersharp.viewer.scene import Layer, Patch, Scene

BASE_PX = 900  # longest side of the picture of a whole scene
MAP_BASE_PX, MAP_MOST_PX = 320, 700  # maps take every band
MAP_STRETCH = Stretch(0, 99.5)
MOST_KEPT = 8
Bases = dict[tuple[str | int, ...], Patch]
SHADES = 9  # of a colour bar
THREE, ONE = "Three bands", "One band"
PALETTES: dict[str, Sequence[str]] = {  # all readable by the colour-blind
    "Viridis": Viridis256,
    "Cividis": Cividis256,
    "Magma": Magma256,
    "Grey": Greys256,
}
DEFAULT_STRETCH = Stretch()
CHANNEL_COLOURS = {3: (OKABE_ITO[4], OKABE_ITO[3], OKABE_ITO[2]), 1: (OKABE_ITO[1],)}


@dataclass(frozen=True)
class Look:
    """Which bands in which colours: `bands` (from 0) are those of `reference`, by which other images find theirs."""

    composite: str
    bands: tuple[int, ...]
    reference: Layer
    palette: str = "Viridis"
    stretch: Stretch = DEFAULT_STRETCH


@dataclass(frozen=True, eq=False)
class Picture:
    """One image or map as it is shown, with the patch of the whole scene from which its limits come."""

    title: str
    layer: Layer
    bands: tuple[int, ...]  # of the layer; empty for a map
    base: Patch
    limits: Limits
    look: Look
    what: str = ""  # a map's numbers are

    @property
    def colours(self) -> tuple[str, ...]:
        """Of lines for each channel."""
        return CHANNEL_COLOURS[len(self.base.values)]

    def rgba(self, patch: Patch, between: Limits | None = None) -> NDArray[np.uint32]:
        """The pixels of a patch for the screen."""
        gamma = self.look.stretch.gamma if self.bands else 1.0
        return rgba(patch.values, between or self.limits, gamma, PALETTES[self.look.palette])

    def channel_names(self) -> list[str]:
        """What each channel shows, as people say it."""
        return [band_name(self.layer, band) for band in self.bands] or [self.what]


def band_name(layer: Layer, band: int) -> str:
    """A band by its wavelength, or its number from 1."""
    nm = layer.wavelengths_nm
    return f"band {band + 1}" if nm is None else f"{nm[band]:.0f} nm"


def bands_shown(layer: Layer, look: Look) -> tuple[int, ...]:
    """The bands of a layer for a look."""
    nm, ours = layer.wavelengths_nm, look.reference
    if look.composite in COMPOSITES:
        found = composite_bands(look.composite, nm, layer.bands)
        return found or composite_bands("True colour", nm, layer.bands) or (0,)
    wanted = look.bands[:1] if look.composite == ONE else look.bands
    if layer is ours:
        return wanted
    return tuple(matching_band(band, ours.wavelengths_nm, ours.bands, nm, layer.bands) for band in wanted)


def paint(scene: Scene, title: str, look: Look, known: Bases) -> Picture:
    """The picture of an image or map of the whole scene; `known` holds what has been read of it before.

    Raises: InputError where the file cannot be read.
    """
    maps = map_names(scene)
    if title in maps:
        kind, layer, _ = maps[title]
        base = _kept(known, (title,), lambda: make_map(maps[title], None, _most(layer.shape_yx, MAP_BASE_PX)))
        what = MAPS[kind][1] if kind in MAPS else TRUST
        return Picture(title, layer, (), base, limits(base.values, MAP_STRETCH), look, what)
    layer = scene.find(title)
    bands = bands_shown(layer, look)
    whole = _kept(known, (title, *bands), lambda: layer.patch(bands, None, _most(layer.shape_yx, BASE_PX)))
    return Picture(title, layer, bands, whole, limits(whole.values, look.stretch), look)


def _kept(known: Bases, key: tuple[str | int, ...], read: Callable[[], Patch | None]) -> Patch:
    """What has been read before, or read now; the oldest is forgotten."""
    found = known.get(key) or read()
    assert found is not None  # a view of the whole scene is never beside it
    known.pop(key, None)
    known[key] = found
    for old in list(known)[:-MOST_KEPT]:
        known.pop(old, None)
    return found


def _most(shape_yx: tuple[int, int], longest: int) -> tuple[int, int]:
    """The shape at most `longest` pixels along a side."""
    shrink = max(1.0, max(shape_yx) / longest)
    return max(1, round(shape_yx[0] / shrink)), max(1, round(shape_yx[1] / shrink))


def detail(scene: Scene, picture: Picture, view: Box, screen_yx: tuple[int, int]) -> Patch | None:
    """What a view shows, finer than the picture of the whole; None where that is fine enough already."""
    left, low, right, high = view
    window = picture.layer.window(view)
    if picture.base.pixels_a_value <= 1 or window is None:
        return None
    width, height = picture.layer.pixel_size
    most = (
        max(1, min(screen_yx[0], round(screen_yx[0] * window[2] * height / (high - low)))),
        max(1, min(screen_yx[1], round(screen_yx[1] * window[3] * width / (right - left)))),
    )
    if max(window[2] / most[0], window[3] / most[1]) >= 0.9 * picture.base.pixels_a_value:
        return None
    if picture.bands:
        return picture.layer.patch(picture.bands, view, most)
    return make_map(map_names(scene)[picture.title], view, (min(most[0], MAP_MOST_PX), min(most[1], MAP_MOST_PX)))


def caption(side: str, picture: Picture, between: Limits) -> str:
    """The words over a picture, as HTML."""
    what = " / ".join(picture.channel_names())
    nm, name = picture.layer.wavelengths_nm, picture.look.composite
    if picture.bands and name in COMPOSITES:
        found = composite_bands(name, nm, picture.layer.bands)
        what = f"{'wavelengths unknown' if nm is None else name if found else 'True colour'} · {what}"
    if not picture.bands:
        block = picture.base.pixels_a_value
        what += " · zoom in for single pixels" if block > 1 else ""
    title = f'<span class="name">{side} · {escape(picture.title)}</span>'
    return f'{title}<br><span class="what">{escape(what)}</span>{_bar(picture, between)}'


def _bar(picture: Picture, between: Limits) -> str:
    """A colour bar with its ends, for one channel."""
    if len(between) != 1:
        return ""
    palette = PALETTES[picture.look.palette]
    stops = ", ".join(palette[round(i * (len(palette) - 1) / (SHADES - 1))] for i in range(SHADES))
    low, high = (f"{value:.4g}" for value in between[0])
    return (
        f'<div class="bar" style="background: linear-gradient(90deg, {stops})"></div>'
        f'<div class="ends"><span>{low}</span><span>{high}</span></div>'
    )
