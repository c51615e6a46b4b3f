"""What figures are drawn with: panels on axes of matplotlib; and pictures as text, to stand inside a page.

No pyplot, so nothing global: a figure is freed with its last name. Colours are safe for the colour-blind
(Okabe and Ito, "Color Universal Design", 2008; the maps viridis and magma).

Spectra are those of images of one place on several grids, each with its own bands. A curve is broken where bands lie
far apart, so that no line crosses what no band has seen; a band of some width is drawn as wide as it is.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from PIL import Image as Pil

from hypersharp.cube import usable_bands, wavelengths_nm
from hypersharp.errors import CallError, needs
from hypersharp.plot.colour import STRETCH_QUANTILES, Image, Limits, Mix, composite, mix_for
from hypersharp.plot.places import Pixel
from hypersharp.system.atomic import check_parent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
MISSING = "0.85"  # the grey of pixels without a value
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_PX, LEAST_PX = 640, 280  # along the longer side
FloatArray = NDArray[np.float64]
GAP = 5.0  # times the usual step between bands
LINE_BANDS = 16  # fewer are drawn as points
COLOURS = {"hs": OKABE_ITO[1], "ms": OKABE_ITO[3], "result": OKABE_ITO[6], "truth": OKABE_ITO[0]}
OTHERS = [OKABE_ITO[n] for n in (4, 5, 2, 6, 3)]
DASHED = ("truth",)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, that belongs to nobody else. Raises: MissingExtraError without matplotlib."""
    with needs("plots", "plot"):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


def check_picture(path: Path) -> None:
    """Raise now what is wrong with a figure to write: MissingExtraError, CallError for its suffix, OutputError."""
    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise CallError(f"the picture {path}", f"a name ending in one of .{', .'.join(sorted(known))}", "rename it")
    check_parent(path)


def draw_image(axes: "Axes", image: Image, title: str, **options: Any) -> Any:
    """One picture without ticks, grey where it is missing."""
    axes.set_facecolor(MISSING)
    shown = axes.imshow(image, interpolation="nearest", **options)
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    return shown


def draw_composite(
    axes: "Axes", cube: xr.DataArray, name: str, mix: Mix | None = None, limits: Limits | None = None
) -> None:
    """A cube in colour, true colour if not mixed otherwise, by its own stretch unless limits are given."""
    mix = mix or mix_for(cube)
    draw_image(axes, composite(cube, mix, limits), f"{name}\n{mix.title}".strip())


def draw_marks(axes: "Axes", pixels: Sequence[Pixel]) -> None:
    """A letter at each pixel (y, x), A first."""
    for letter, (y, x) in zip(LETTERS, pixels, strict=False):
        axes.plot(x, y, "o", color="white", markeredgecolor="black", markersize=9)
        axes.annotate(letter, (x, y), ha="center", va="center", fontsize=6)


def scale_end(images: Iterable[Image], quantile: float) -> float:
    """The end of a scale from 0: the largest of the quantiles of images, 1 where that is 0 or nothing is measured.

    >>> scale_end([np.array([np.nan]), np.array([np.nan, 3.0])], 0.5), scale_end([np.array([np.nan])], 0.5)
    (3.0, 1.0)
    """
    there = (image[~np.isnan(image)] for image in images)
    return max((float(np.quantile(values, quantile)) for values in there if values.size), default=0.0) or 1.0


def panels_figure(rows: Sequence[Sequence[tuple[Mapping[str, Image], bool]]]) -> "Figure":
    """Rows of single bands (H, W), in groups by title; a group has one scale: grey from 0, or, signed, around 0."""
    columns = max(sum(len(images) for images, _ in row) for row in rows)
    figure = new_figure(3.4 * columns + 1, 3.4 * len(rows))
    for row, panels in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for images, signed in row:
            group, panels = panels[: len(images)], panels[len(images) :]
            top = scale_end(map(np.abs, images.values()), STRETCH_QUANTILES[1])
            options: dict[str, Any] = {"cmap": "PuOr" if signed else "gray", "vmin": -top if signed else 0, "vmax": top}
            for axes, (title, image) in zip(group, images.items(), strict=True):
                shown = draw_image(axes, image, title, **options)
            extend = "both" if signed else "max"
            figure.colorbar(shown, ax=list(group), label="share of full scale", shrink=0.8, extend=extend)
        for axes in panels:
            axes.axis("off")
    return figure


def png(image: Image) -> str:
    """A picture (H, W, 3) in 0..1 as a data URI; NaN is transparent; few pixels are repeated: printers blur them."""
    missing = np.isnan(image).any(2)
    pixels = np.round(255 * np.nan_to_num(image)).astype(np.uint8)
    alpha = np.where(missing, 0, 255).astype(np.uint8)[..., None]
    picture = Pil.fromarray(np.concatenate([pixels, alpha], 2) if missing.any() else pixels)
    picture.thumbnail((MOST_PX, MOST_PX), Pil.Resampling.BOX)
    times = -(-LEAST_PX // max(picture.size))
    picture = picture.resize((times * picture.width, times * picture.height), Pil.Resampling.NEAREST)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return as_data("image/png", file.getvalue())


def as_data(kind: str, content: bytes) -> str:
    """Bytes of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True, eq=False)
class Curve:
    """Values (n,) at `where` (nm or band numbers from 1); `reach` (2, n): how far each band sees below and above that;
    `half_interval` (n,) of the values.
    """

    name: str
    where: FloatArray
    values: FloatArray
    reach: FloatArray | None = None
    half_interval: FloatArray | None = None


def band_axis(cube: xr.DataArray) -> FloatArray:
    """(L,): the wavelengths, nm, or the bands' numbers from 1."""
    nm = wavelengths_nm(cube)
    return np.arange(1.0, cube.shape[0] + 1) if nm is None else nm.astype(np.float64)


def axis_label(cube: xr.DataArray) -> str:
    return "band" if wavelengths_nm(cube) is None else "wavelength (nm)"


def curve_at(cube: xr.DataArray, pixel_yx: Pixel, name: str, error: xr.DataArray | None = None) -> Curve:
    """The spectrum of a pixel, unusable bands missing; `error` holds half-widths of its intervals, as `cube`."""
    y, x = pixel_yx
    values = np.where(usable_bands(cube), np.array(cube.values[:, y, x], np.float64), np.nan)
    half = None if error is None else np.array(error.values[:, y, x], np.float64)
    return Curve(name, band_axis(cube), values, half_interval=half)


def draw_curves(axes: "Axes", curves: Sequence[Curve], title: str, x_label: str) -> None:
    """Spectra of several images at one place; hs, ms, result and truth have colours of their own."""
    for n, curve in enumerate(curves):
        colour, where, half = COLOURS.get(curve.name, OTHERS[n % len(OTHERS)]), curve.where, curve.half_interval
        options: dict[str, Any] = {"color": colour, "label": curve.name, "linewidth": 1.4}
        if len(where) < LINE_BANDS:  # points as wide as the bands
            axes.errorbar(where, curve.values, yerr=half, xerr=curve.reach, fmt="s", markersize=4, zorder=3, **options)
            continue
        style = "--" if curve.name in DASHED else "-"
        axes.plot(*broken(where, curve.values), style, **options)
        if half is not None:
            where, low, high = broken(where, curve.values - half, curve.values + half)
            axes.fill_between(where, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def broken(where: FloatArray, *lines: ArrayLike) -> tuple[FloatArray, ...]:
    """`where` in ascending order and lines (n,) over it, with a NaN put in wherever bands lie far apart.

    >>> [line.tolist() for line in broken(np.array([1.0, 3, 2, 50]), np.array([5, 6, 7, 8]))]
    [[1.0, 2.0, 3.0, 26.5, 50.0], [5.0, 7.0, 6.0, nan, 8.0]]
    """
    order = np.argsort(where, kind="stable")
    where = where[order]
    steps = np.diff(where)
    far = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) else np.empty(0, np.intp)
    middles = (where[far - 1] + where[far]) / 2
    return np.insert(where, far, middles), *(np.insert(np.asarray(line, float)[order], far, np.nan) for line in lines)
