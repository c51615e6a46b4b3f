"""Pictures of a page, each inside the page itself: composites as PNG, charts as SVG, with what they show in words."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.plot.colour import Mix, component_mix, composite, composite_limits, infrared_mix, mix_for, true_mix
from hypersharp.plot.inline import MOST_PX, as_data, png

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
Window = tuple[int, int, int, int]  # y, x, height, width


@dataclass(frozen=True)
class Picture:
    """An image for a page: data, alternative text, title, a word on it; size in pixels; whether points are marked."""

    uri: str
    alt: str
    title: str
    word: str
    width: int
    height: int
    pixelated: bool = False
    mix: str = ""  # what a composite shows as red, green and blue
    marked: bool = False


def chart(figure: "Figure", alt: str, title: str, word: str = "", *, heatmap: bool = False) -> Picture:
    """A figure: of lines as SVG, of many pixels as PNG."""
    file = io.BytesIO()
    options: dict[str, Any] = {"format": "svg", "metadata": {"Date": None, "Creator": None}}
    if heatmap:
        options = {"format": "png", "dpi": MAP_DPI, "metadata": {"Software": None}}
    figure.savefig(file, **options)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    uri = as_data("image/png" if heatmap else "image/svg+xml", file.getvalue())
    return Picture(uri, alt, title, word, width, height)


def composites(
    cubes: Mapping[str, xr.DataArray],
    ms_nm: NDArray[np.float64] | None,
    *,
    false: bool = False,
    window: Window | None = None,
    marked: bool = False,
) -> list[Picture]:
    """Every image that can be shown in true or false colour, or a window (of the finest one) of each.

    All but ms have the mix and the stretch of the last, also where a window is shown. ms_nm: wavelengths of the
    usable ms bands, stated or found from their responses.
    """
    last = list(cubes.values())[-1]
    shared = false_mix(last) if false else mix_for(last)
    finest = max(cube.shape[1] for cube in cubes.values())
    what = "close-up, true colour" if window else "false colour" if false else "true colour"
    pictures = []
    for name, cube in cubes.items():
        mix = ms_mix(cube, ms_nm, false, shared) if name == "ms" else shared
        if mix is None:
            continue
        limits, part = composite_limits(cube if name == "ms" else last, mix), cube
        if window:
            y, x, rows, columns = (round(edge * cube.shape[1] / finest) for edge in window)
            part = cube[:, y : y + rows, x : x + columns]
        height, width = part.shape[1:]
        size = f"{width:,} × {height:,} pixels"
        alt = f"{name}, {what} ({mix.title}), {size}"
        uri, whole = png(composite(part, mix, limits)), max(height, width) <= MOST_PX
        pictures.append(Picture(uri, alt, name, size, width, height, whole, mix.title, marked))
    return pictures


def false_mix(cube: xr.DataArray) -> Mix | None:
    """Near infrared where the bands reach there, else principal components."""
    return infrared_mix(wavelengths_nm(only_usable(cube, "result"))) or component_mix(cube)


def ms_mix(ms: xr.DataArray, nm: NDArray[np.float64] | None, false: bool, others: Mix | None) -> Mix | None:
    """The same of ms; None where it has no near infrared and the others show theirs."""
    if not false:
        return true_mix(nm, len(only_usable(ms, "ms")))
    alike = others is None or "component" in others.title
    return infrared_mix(nm) or (component_mix(ms) if alike else None)


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
