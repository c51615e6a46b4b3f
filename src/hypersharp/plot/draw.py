"""What figures are drawn with: panels on axes of matplotlib.

No pyplot, so nothing global: a figure is freed with its last name. Colours are safe for the colour-blind
(Okabe and Ito, "Color Universal Design", 2008; the maps viridis and magma).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hypersharp.cube import usable_bands, wavelengths_nm
from hypersharp.errors import InputError, needs
from hypersharp.plot.colour import STRETCH_QUANTILES, Image, colour_limits, true_colour
from hypersharp.plot.places import Pixel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
SHARE = "share of full scale"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, that belongs to nobody else.

    Raises: MissingExtraError without matplotlib.
    """
    with needs("plots", "plot"):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), layout="constrained")


def draw_image(axes: "Axes", image: Image, title: str, **options: Any) -> Any:
    """One picture without ticks."""
    shown = axes.imshow(image, interpolation="nearest", **options)
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    return shown


def draw_colours(
    row: Sequence["Axes"], cubes: Mapping[str, xr.DataArray], pixels: Sequence[Pixel] = (), balanced: bool = False
) -> None:
    """True-colour pictures of cubes of one unit in the stretch of the last, `pixels` marked on that."""
    last = list(cubes.values())[-1]
    limits = colour_limits(last, balanced)
    for axes, (title, cube) in zip(row, cubes.items(), strict=True):
        draw_image(axes, true_colour(cube, limits), title)
    for n, (y, x) in enumerate(pixels):
        row[-1].plot(x, y, "o", color="white", markeredgecolor="black", markersize=9)
        row[-1].annotate("ABCDEFGH"[n], (x, y), ha="center", va="center", fontsize=6)


def rms_error(estimate: xr.DataArray, truth: xr.DataArray) -> Image:
    """(H, W): the root mean square of estimate - truth over the bands that both have, in the cubes' unit."""
    a, b = both_there(estimate, truth)
    error: Image = np.sqrt(np.mean((a - b) ** 2, axis=0))
    return error


def both_there(estimate: xr.DataArray, truth: xr.DataArray) -> tuple[Image, Image]:
    """The bands (n, H, W) of two cubes that neither calls bad nor lacks everywhere.

    Raises: InputError for two shapes.
    """
    if estimate.shape != truth.shape:
        raise InputError(f"shapes {estimate.shape} and {truth.shape}", "two cubes of one shape", "compare a pair")
    kept = usable_bands(estimate) & usable_bands(truth)
    a, b = (np.asarray(cube.values[kept], np.float32) for cube in (estimate, truth))
    return a, b


def draw_errors(row: Sequence["Axes"], estimates: Mapping[str, xr.DataArray], truth: xr.DataArray) -> None:
    """Error maps with one shared colour bar."""
    errors = {name: rms_error(estimate, truth) for name, estimate in estimates.items()}
    top = max(float(np.nanquantile(error, 0.995)) for error in errors.values())
    for axes, (name, error) in zip(row, errors.items(), strict=True):
        shown = draw_image(axes, error, f"error of {name}", cmap="magma", vmin=0, vmax=top)
    row[0].get_figure().colorbar(shown, ax=list(row), label="RMS error over bands", shrink=0.8, extend="max")  # type: ignore[union-attr]


def draw_spectra(axes: "Axes", cubes: Mapping[str, xr.DataArray], pixel: Pixel, title: str) -> None:
    """The spectra of several cubes of one grid at one pixel (y, x)."""
    for n, (name, cube) in enumerate(cubes.items()):
        nm = wavelengths_nm(cube)
        where = np.arange(cube.shape[0]) if nm is None else nm
        axes.plot(where, cube.values[:, pixel[0], pixel[1]], color=OKABE_ITO[n], label=name, linewidth=1.4)
        axes.set_xlabel("band" if nm is None else "wavelength (nm)", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def draw_values(row: Sequence["Axes"], images: Mapping[str, Image]) -> None:
    """Single bands in grey on one scale, black is 0, with a shared colour bar."""
    top = max(float(np.nanquantile(image, STRETCH_QUANTILES[1])) for image in images.values())
    draw_scaled(row, images, "max", {"cmap": "gray", "vmin": 0, "vmax": top})


def draw_signed(row: Sequence["Axes"], images: Mapping[str, Image]) -> None:
    """Differences of both signs on one scale symmetric about 0, with a shared colour bar."""
    top = max(float(np.nanquantile(np.abs(image), STRETCH_QUANTILES[1])) for image in images.values()) or 1.0
    draw_scaled(row, images, "both", {"cmap": "PuOr", "vmin": -top, "vmax": top})


def draw_scaled(row: Sequence["Axes"], images: Mapping[str, Image], extend: str, scale: Mapping[str, Any]) -> None:
    """Pictures on one scale with its colour bar; what is left of the row stays empty."""
    for axes in row[len(images) :]:
        axes.axis("off")
    for axes, (title, image) in zip(row, images.items(), strict=False):
        shown = draw_image(axes, image, title, **scale)
    row[0].get_figure().colorbar(shown, ax=list(row), label=SHARE, shrink=0.8, extend=extend)  # type: ignore[union-attr]
