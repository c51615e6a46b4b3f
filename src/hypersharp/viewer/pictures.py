"""What one side of the viewer shows: bands or a map, read for the whole scene and for the view, and their colours.

A map is one number a pixel: error and spectral angle against the truth, predicted error, how far ms lay off hs. Bands
are taken some at a time; where a view holds more pixels than the screen, maps are those of means over
`Patch.pixels_a_value` pixels.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from bokeh.palettes import Cividis256, Greys256, Magma256, Viridis256
from numpy.typing import NDArray

from hypersharp.grid import Box
from hypersharp.plot.colour import INFRARED_CENTRES_NM, RGB_CENTRES_NM, nearest_band
from hypersharp.plot.draw import OKABE_ITO
from hypersharp.plot.errors import FloatArray, Parts, angle_of, rms_of
from hypersharp.registration.field import Field, displacement_words, recorded_field
from hypersharp.viewer.scene import Floats, Layer, Patch, Scene

BANDS_AT_A_TIME = 16


@dataclass(frozen=True, eq=False)
class Map:
    """A number for each pixel of an image, made of some bands at a time of it and of its truth, if it has one."""

    make: Callable[[Parts], FloatArray]
    what: str  # its numbers are
    image: Layer
    truth: Layer | None = None
    field: tuple[Field, tuple[int, int]] | None = None  # of a displacement, no bands are read for it


def mean_of(parts: Parts) -> FloatArray:
    """(H, W): the mean of the bands that a pixel has; the second of each part does not count."""
    total = count = np.float64(0)
    for values, _ in parts:
        total, count = total + np.nansum(values, 0, dtype=float), count + np.isfinite(values).sum(0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def map_names(scene: Scene) -> dict[str, Map]:
    """The maps that can be made of the open images, by title."""
    found: dict[str, Map] = {}
    for image in scene.with_role("result", "image"):
        for truth in scene.with_role("truth"):
            if image.bands == truth.bands:
                unit = "over all bands, in the unit of the image"
                found[f"RMS error of {image.name}"] = Map(rms_of, unit, image, truth)
                found[f"Spectral angle of {image.name}"] = Map(angle_of, "between the spectra, °", image, truth)
    for image in scene.with_role("uncertainty"):
        found[f"Predicted error, {image.name}"] = Map(mean_of, "half-width of the interval, mean over all bands", image)
    for image in scene.with_role("result", "image"):
        try:
            placement = json.loads(image.source.notes or "{}").get("placement")
        except (ValueError, AttributeError):  # notes of other programs
            continue
        field = recorded_field(placement) if isinstance(placement, dict) else None
        if field is not None:
            what = f"MS off HS, fine pixels: {displacement_words(placement['evidence'])}"
            found[f"Displacement of {image.name}"] = Map(mean_of, what, image, field=field)
    return found


def make_map(chosen: Map, view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
    """A map on the pixels of its image; None where the view shows none of it."""
    outline = chosen.image.patch([0], view, most_yx)
    if outline is None:
        return None
    if chosen.field:
        (x0, y0, across, down), (xs, ys), (move, first) = chosen.image.lattice, outline.centres(), chosen.field
        rows, columns = (ys - y0) / down - 0.5 + first[0], (xs - x0) / across - 0.5 + first[1]
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"))
        values = np.hypot(*move(places.reshape(2, -1))).reshape(places.shape[1:]).astype(np.float32)
    else:
        values = chosen.make(_in_parts(chosen.image, chosen.truth, view, most_yx)).astype(np.float32)
    return Patch(values[np.newaxis], outline.box, outline.pixels_a_value)


def _in_parts(image: Layer, truth: Layer | None, view: Box | None, most_yx: tuple[int, int]) -> Parts:
    """Some bands at a time of an image and of its truth nearest to the centres of its pixels, NaN beside that."""
    for first in range(0, image.bands, BANDS_AT_A_TIME):
        bands = range(first, min(first + BANDS_AT_A_TIME, image.bands))
        ours = image.patch(bands, view, most_yx)
        assert ours is not None
        theirs = ours if truth is None else truth.patch(bands, view, most_yx)
        if theirs is None:
            yield ours.values, np.full_like(ours.values, np.nan)
        elif theirs.box == ours.box and theirs.values.shape == ours.values.shape:
            yield ours.values, theirs.values
        else:
            x, y = theirs.index(*ours.centres())
            height, width = theirs.values.shape[1:]
            inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))[None]
            taken = theirs.values[:, y.clip(0, height - 1)[:, None], x.clip(0, width - 1)[None]]
            yield ours.values, np.where(inside, taken, np.float32(np.nan))


Limits = tuple[tuple[float, float], ...]  # the value shown black and the one shown white, a channel
Wavelengths = NDArray[np.float64] | None
Bases = dict[tuple[str | int, ...], Patch]

BASE_PX = 900  # longest side of the picture of a whole scene
MAP_BASE_PX, MAP_MOST_PX = 320, 700  # maps take every band
MOST_KEPT = 8
ENOUGH = 250_000  # values for a percentile
FAR_NM = 100.0  # no composite from a band that lies further off
MISSING = 0  # RGBA of a pixel without a value: nothing is drawn
SHADES = 9  # of a colour bar
COMPOSITES: dict[str, tuple[float, ...]] = {
    "True colour": RGB_CENTRES_NM,
    "Colour infrared": INFRARED_CENTRES_NM,
    "Short-wave infrared": (2200.0, 860.0, 650.0),
}
THREE, ONE = "Three bands", "One band"
PALETTES: dict[str, Sequence[str]] = {  # all readable by the colour-blind
    "Viridis": Viridis256,
    "Cividis": Cividis256,
    "Magma": Magma256,
    "Grey": Greys256,
}
CHANNEL_COLOURS = {3: (OKABE_ITO[4], OKABE_ITO[3], OKABE_ITO[2]), 1: (OKABE_ITO[1],)}


@dataclass(frozen=True)
class Stretch:
    """Percentiles shown black and white, and the gamma between them (1 is linear, more is brighter)."""

    low: float = 1.0
    high: float = 99.0
    gamma: float = 1.4


DEFAULT_STRETCH = Stretch()
MAP_STRETCH = Stretch(0, 99.5, 1.0)


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
    what: str  # is shown: bands, or what a map's numbers are

    def columns(self, patch: Patch, between: Limits | None = None) -> dict[str, list[Any]]:
        (left, low, right, high), stretch = patch.box, self.look.stretch if self.bands else MAP_STRETCH
        pixels = rgba(patch.values, between or self.limits, stretch.gamma, PALETTES[self.look.palette])
        return {"image": [pixels], "x": [left], "y": [low], "dw": [right - left], "dh": [high - low]}


def composite_bands(name: str, nm: Wavelengths, bands: int) -> tuple[int, ...] | None:
    """The bands (from 0) for red, green and blue; None where the image has none near enough.

    Without wavelengths true colour is last, middle, first, as they ascend.

    >>> composite_bands("True colour", np.array([460.0, 550, 620, 800]), 4)
    (2, 1, 0)
    """
    if nm is None:
        return (bands - 1, bands // 2, 0) if name == "True colour" else None
    chosen = tuple(nearest_band(nm, centre) for centre in COMPOSITES[name])
    near = all(abs(nm[band] - centre) <= FAR_NM for band, centre in zip(chosen, COMPOSITES[name], strict=True))
    return chosen if near else None


def matching_band(band: int, nm: Wavelengths, bands: int, other_nm: Wavelengths, others: int) -> int:
    """The band of another image for a band of this one: by wavelength, else by its share of the list.

    >>> matching_band(1, np.array([500.0, 600]), 2, np.array([400.0, 500, 590]), 3)
    2
    """
    if nm is not None and other_nm is not None:
        return nearest_band(other_nm, float(nm[band]))
    return round(band * (others - 1) / max(bands - 1, 1))


def band_name(layer: Layer, band: int) -> str:
    """A band by its wavelength, or its number from 1."""
    nm = layer.wavelengths_nm
    return f"band {band + 1}" if nm is None else f"{nm[band]:.0f} nm"


def bands_shown(layer: Layer, look: Look) -> tuple[int, ...]:
    nm, ours = layer.wavelengths_nm, look.reference
    if look.composite in COMPOSITES:
        found = composite_bands(look.composite, nm, layer.bands)
        return found or composite_bands("True colour", nm, layer.bands) or (0,)
    wanted = look.bands[:1] if look.composite == ONE else look.bands
    if layer is ours:
        return wanted
    return tuple(matching_band(band, ours.wavelengths_nm, ours.bands, nm, layer.bands) for band in wanted)


def paint(scene: Scene, title: str, look: Look, known: Bases) -> Picture:
    """An image or map of the whole scene; `known` keeps what is read. Raises: InputError where that cannot be."""
    maps = map_names(scene)
    if title in maps:
        layer, what = maps[title].image, maps[title].what
        base = _kept(known, (title,), lambda: make_map(maps[title], None, _most(layer.shape_yx, MAP_BASE_PX)))
        what += " · zoom in for single pixels" if base.pixels_a_value > 1 else ""
        return Picture(title, layer, (), base, limits(base.values, MAP_STRETCH), look, what)
    layer, name = scene.find(title), look.composite
    bands = bands_shown(layer, look)
    base = _kept(known, (title, *bands), lambda: layer.patch(bands, None, _most(layer.shape_yx, BASE_PX)))
    what, nm = " / ".join(band_name(layer, band) for band in bands), layer.wavelengths_nm
    if name in COMPOSITES:
        found = composite_bands(name, nm, layer.bands)
        what = f"{'wavelengths unknown' if nm is None else name if found else 'True colour'} · {what}"
    return Picture(title, layer, bands, base, limits(base.values, look.stretch), look, what)


def _kept(known: Bases, key: tuple[str | int, ...], read: Callable[[], Patch | None]) -> Patch:
    """What has been read before, or read now; the oldest is forgotten."""
    found = known.pop(key, None) or read()
    assert found is not None  # a view of the whole scene is never beside it
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


def limits(values: Floats, stretch: Stretch) -> Limits:
    """The percentiles of each channel of (channel, y, x)."""
    found = []
    for channel in values:
        there = channel[np.isfinite(channel)]
        there = there[:: max(1, there.size // ENOUGH)]
        low, high = np.percentile(there, (stretch.low, stretch.high)) if there.size else (0.0, 1.0)
        found.append((float(low), float(high) if high > low else float(low) + 1e-6 * max(1.0, abs(low))))
    return tuple(found)


def rgba(values: Floats, between: Limits, gamma: float, palette: Sequence[str]) -> NDArray[np.uint32]:
    """(y, x) pixels for a screen from three channels, or from one through a palette of `#rrggbb`."""
    shares = [
        np.clip((np.nan_to_num(channel, nan=low) - low) / (high - low), 0, 1) ** (1 / gamma)
        for channel, (low, high) in zip(values, between, strict=True)
    ]
    if len(shares) == 1:
        steps = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in palette], np.uint8)
        colours = steps[np.rint(shares[0] * (len(palette) - 1)).astype(int)]
    else:
        colours = np.rint(255 * np.stack(shares, -1)).astype(np.uint8)
    opaque = np.where(np.isfinite(values).all(0), 255, MISSING).astype(np.uint8)
    return np.ascontiguousarray(np.dstack([colours, opaque])).view("<u4")[..., 0]


def caption(side: str, picture: Picture, between: Limits) -> str:
    """The words over a picture, and for one channel a colour bar with its ends, as HTML."""
    title = f'<span class="name">{side} · {escape(picture.title)}</span>'
    words = f'{title}<br><span class="what">{escape(picture.what)}</span>'
    if len(between) != 1:
        return words
    palette = PALETTES[picture.look.palette]
    stops = ", ".join(palette[round(i * (len(palette) - 1) / (SHADES - 1))] for i in range(SHADES))
    low, high = (f"{value:.4g}" for value in between[0])
    return (
        f'{words}<div class="bar" style="background: linear-gradient(90deg, {stops})"></div>'
        f'<div class="ends"><span>{low}</span><span>{high}</span></div>'
    )
