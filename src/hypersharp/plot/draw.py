"""What figures are drawn with: panels on axes of matplotlib.

No pyplot, so nothing global: a figure is freed with its last name. Colours are safe for the colour-blind
(Okabe and Ito, "Color Universal Design", 2008; the maps viridis and magma).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hypersharp.errors import needs
from hypersharp.plot.colour import STRETCH_QUANTILES, Image, Limits, Mix, composite, mix_for
from hypersharp.plot.places import Pixel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
MISSING = "0.85"  # the grey of pixels without a value
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, that belongs to nobody else. Raises: MissingExtraError without matplotlib."""
    with needs("plots", "plot"):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


def draw_image(axes: "Axes", image: Image, title: str, **options: Any) -> Any:
    """One picture without ticks, grey where it is missing."""
    axes.set_facecolor(MISSING)
    shown = axes.imshow(image, interpolation="nearest", **options)
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
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


def panels_figure(rows: Sequence[Sequence[tuple[Mapping[str, Image], bool]]]) -> "Figure":
    """Rows of single bands (H, W), in groups by title; a group has one scale: grey from 0, or, signed, around 0."""
    columns = max(sum(len(images) for images, _ in row) for row in rows)
    figure = new_figure(3.4 * columns + 1, 3.4 * len(rows))
    for row, panels in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for images, signed in row:
            group, panels = panels[: len(images)], panels[len(images) :]
            top = max(float(np.nanquantile(np.abs(image), STRETCH_QUANTILES[1])) for image in images.values()) or 1.0
            options: dict[str, Any] = {"cmap": "PuOr" if signed else "gray", "vmin": -top if signed else 0, "vmax": top}
            for axes, (title, image) in zip(group, images.items(), strict=True):
                shown = draw_image(axes, image, title, **options)
            extend = "both" if signed else "max"
            figure.colorbar(shown, ax=list(group), label="share of full scale", shrink=0.8, extend=extend)
        for axes in panels:
            axes.axis("off")
    return figure
