"""Pictures of a page, each inside the page itself: composites as PNG, charts as SVG, with what they show in words."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.plot.colour import (
    Image,
    Limits,
    Mix,
    component_mix,
    composite,
    composite_limits,
    infrared_mix,
    true_mix,
)
from hypersharp.plot.inline import MOST_PX, as_data, png
from hypersharp.reporting.points import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOSE_PX, CLOSE_COARSE_PX = 64, 10  # along a side of the close-up, at least
MAP_DPI = 160
CHART_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "svg.hashsalt": "hypersharp",  # the same figure is the same text
}
FloatArray = NDArray[np.float64]
Window = tuple[int, int, int, int]  # y, x, height, width, in shares of the image in Mark


@dataclass(frozen=True)
class Mark:
    """A point or, with a side, a square on a picture, in percent of its width."""

    label: str
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Picture:
    """An image for a page: data, alternative text, title, a word on it; size in pixels; marks drawn over it."""

    uri: str
    alt: str
    title: str
    word: str
    width: int
    height: int
    marks: tuple[Mark, ...] = ()
    pixelated: bool = False

    @property
    def tall(self) -> float:
        """The height in percent of the width."""
        return round(100 * self.height / self.width, 2)


@dataclass(frozen=True, eq=False)
class Scene:
    """The images to be shown side by side by name; of ms the wavelengths, nm, stated or found from its response."""

    cubes: Mapping[str, xr.DataArray]
    ms_nm: FloatArray | None


def chart(figure: "Figure", alt: str, title: str, word: str = "") -> Picture:
    """A figure of lines, as SVG."""
    return drawn(figure, (alt, title, word), "svg", {"metadata": {"Date": None, "Creator": None}})


def heatmap(figure: "Figure", alt: str, title: str, word: str = "") -> Picture:
    """A figure of many pixels, as PNG."""
    return drawn(figure, (alt, title, word), "png", {"dpi": MAP_DPI, "metadata": {"Software": None}})


def drawn(figure: "Figure", texts: tuple[str, str, str], kind: str, options: Mapping[str, object]) -> Picture:
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)  # type: ignore[arg-type]
    width, height = (round(96 * side) for side in figure.get_size_inches())
    uri = as_data("image/svg+xml" if kind == "svg" else "image/png", file.getvalue())
    return Picture(uri, *texts, width, height)


def colours_of(scene: Scene, false: bool) -> Iterator[tuple[str, xr.DataArray, Mix, Limits | None]]:
    """Name, image, mix and limits of each image that can be shown so; all but ms share the last one's limits."""
    last = list(scene.cubes.values())[-1]
    mix = false_mix(last) if false else true_mix(wavelengths_nm(only_usable(last, "result")), usable_count(last))
    limits = None if mix is None else composite_limits(last, mix)
    for name, cube in scene.cubes.items():
        own = ms_mix(cube, scene.ms_nm, false, mix) if name == "ms" else mix
        if own is not None:
            yield name, cube, own, None if name == "ms" else limits


def usable_count(cube: xr.DataArray) -> int:
    return len(only_usable(cube, "image"))


def false_mix(cube: xr.DataArray) -> Mix | None:
    """Near infrared where the bands reach there, else principal components."""
    return infrared_mix(wavelengths_nm(only_usable(cube, "result"))) or component_mix(cube)


def ms_mix(ms: xr.DataArray, nm: FloatArray | None, false: bool, others: Mix | None) -> Mix | None:
    """The same of ms; None where it has no near infrared and the others show theirs."""
    if not false:
        return true_mix(nm, usable_count(ms))
    infrared = infrared_mix(nm)
    return infrared or (component_mix(ms) if others is None or "component" in others.title else None)


def composites(scene: Scene, false: bool, marks: Sequence[Mark] = ()) -> list[Picture]:
    """Every image of a scene in true or false colour."""
    kind = "false colour" if false else "true colour"
    return [
        colour_picture(name, composite(cube, mix, limits), f"{kind} ({mix.title})", tuple(marks))
        for name, cube, mix, limits in colours_of(scene, false)
    ]


def close_ups(scene: Scene, window: Window) -> list[Picture]:
    """The window (of the finest image) of every image, in true colour with the whole images' limits."""
    finest = max(cube.shape[1] for cube in scene.cubes.values())
    pictures = []
    for name, cube, mix, limits in colours_of(scene, false=False):
        y, x, height, width = (round(edge * cube.shape[1] / finest) for edge in window)
        own = limits or composite_limits(cube, mix)
        part = cube[:, y : y + height, x : x + width]
        pictures.append(colour_picture(name, composite(part, mix, own), "close-up, true colour", ()))
    return pictures


def colour_picture(name: str, image: Image, what: str, marks: tuple[Mark, ...]) -> Picture:
    height, width = image.shape[:2]
    size, whole = f"{width:,} × {height:,} pixels", max(height, width) <= MOST_PX
    return Picture(png(image), f"{name}, {what}, {size}", name, size, width, height, marks, whole)


def detailed_window(ms: xr.DataArray, ratio: int) -> Window:
    """Where ms has the most detail: a square of whole coarse pixels, (y, x, height, width) in its pixels."""
    side = max(CLOSE_PX, CLOSE_COARSE_PX * ratio) // ratio
    values = only_usable(ms, "ms").mean("band", skipna=False).values
    height, width = (size // ratio for size in values.shape)
    rows, columns = min(side, height), min(side, width)
    blocks = values[: height * ratio, : width * ratio].reshape(height, ratio, width, ratio)
    detail = np.nan_to_num(blocks.std((1, 3)), nan=-float(np.nanmax(np.abs(values))))  # missing: the last choice
    around = uniform_filter(detail, (rows, columns), mode="constant")
    half = rows // 2, columns // 2
    inside = around[half[0] : height - (rows - half[0]) + 1, half[1] : width - (columns - half[1]) + 1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(y) * ratio, int(x) * ratio, rows * ratio, columns * ratio


def marks_of(points: Sequence[Point], window: Window | None, width_px: int) -> list[Mark]:
    """The points, and the window of the close-up, on pictures of an image of that width."""
    per_px = 100 / width_px
    found = [
        Mark(point.label, round((point.pixel_yx[1] + 0.5) * per_px, 2), round((point.pixel_yx[0] + 0.5) * per_px, 2))
        for point in points
    ]
    if window is not None:
        y, x, height, width = (round(edge * per_px, 2) for edge in window)
        found.insert(0, Mark("", x, y, width, height))
    return found
