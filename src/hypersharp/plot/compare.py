"""Estimates beside hs, ms and the truth: true colour, spectra, error maps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from hypersharp.plot.colour import colour_limits, true_colour
from hypersharp.plot.draw import draw_colours, draw_errors, draw_image, draw_spectra, new_figure
from hypersharp.plot.places import Pixel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def colour_figure(cubes: Mapping[str, xr.DataArray]) -> "Figure":
    """True-colour pictures side by side."""
    figure = new_figure(3.2 * len(cubes), 3.4)
    draw_colours(figure.subplots(1, len(cubes), squeeze=False)[0], cubes)
    return figure


def error_figure(estimates: Mapping[str, xr.DataArray], truth: xr.DataArray) -> "Figure":
    """Error maps side by side, one colour bar."""
    figure = new_figure(3.2 * len(estimates) + 1, 3.4)
    draw_errors(figure.subplots(1, len(estimates), squeeze=False)[0], estimates, truth)
    return figure


def spectra_figure(cubes: Mapping[str, xr.DataArray], pixels: Sequence[Pixel]) -> "Figure":
    """A panel of spectra a pixel."""
    figure = new_figure(3.6 * len(pixels), 3.0)
    row = figure.subplots(1, len(pixels), squeeze=False)[0]
    for axes, pixel in zip(row, pixels, strict=True):
        draw_spectra(axes, cubes, pixel, f"pixel y = {pixel[0]}, x = {pixel[1]}")
    row[0].legend(fontsize=8)
    return figure


def comparison_figure(
    hs: xr.DataArray,
    ms: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    truth: xr.DataArray,
    pixels: Sequence[Pixel],
) -> "Figure":
    """The whole story on a page: pictures, spectra at `pixels` (y, x) and error maps."""
    figure = new_figure(13, 10)
    pictures, spectra, errors = figure.subfigures(3, 1, squeeze=False, height_ratios=[1.1, 0.9, 1.1])[:, 0]
    best = dict(list(estimates.items())[:1])
    row = pictures.subplots(1, 4)
    draw_image(row[1], true_colour(ms, colour_limits(ms, True)), f"ms {ms.shape[1]} x {ms.shape[2]} x {ms.shape[0]}")
    shown = {f"hs {hs.shape[1]} x {hs.shape[2]} x {hs.shape[0]}": hs, **best, "truth": truth}
    draw_colours([row[0], row[2], row[3]], shown, pixels, balanced=True)
    for n, axes in enumerate(spectra.subplots(1, len(pixels), squeeze=False)[0]):
        draw_spectra(axes, {"truth": truth, **estimates}, pixels[n], f"spectra at {'ABCDEFGH'[n]}")
        if n == 0:
            axes.legend(fontsize=8)
    draw_errors(errors.subplots(1, len(estimates), squeeze=False)[0], estimates, truth)
    return figure
