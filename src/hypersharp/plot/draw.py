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
SHARE = "share of full scale"
MISSING = "0.85"  # the grey of pixels without a value
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, that belongs to nobody else.

    Raises: MissingExtraError without matplotlib.
    """
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


def draw_scaled(row: Sequence["Axes"], images: Mapping[str, Image], signed: bool = False) -> None:
    """Single bands on one scale with a colour bar: grey from 0, or, of both signs, symmetric about 0.

    What is left of the row stays empty.
    """
    for axes in row[len(images) :]:
        axes.axis("off")
    top = max(float(np.nanquantile(np.abs(image), STRETCH_QUANTILES[1])) for image in images.values()) or 1.0
    options: dict[str, Any] = {"cmap": "PuOr" if signed else "gray", "vmin": -top if signed else 0, "vmax": top}
    for axes, (title, image) in zip(row, images.items(), strict=False):
        shown = draw_image(axes, image, title, **options)
    bar: dict[str, Any] = {"label": SHARE, "shrink": 0.8, "extend": "both" if signed else "max"}
    row[0].get_figure().colorbar(shown, ax=list(row), **bar)  # type: ignore[union-attr]
