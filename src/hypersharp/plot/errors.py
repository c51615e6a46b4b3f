"""Errors over the scene and over the bands, and what is left of both degradations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.plot.band_curves import axis_label, band_axis, broken
from hypersharp.plot.colour import Image
from hypersharp.plot.draw import OKABE_ITO, both_there, draw_image, new_figure, rms_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_QUANTILE = 0.995


def angle_error(estimate: xr.DataArray, truth: xr.DataArray) -> Image:
    """(H, W): the angle between the two spectra of each pixel, degrees; NaN where one is missing or dark."""
    a, b = both_there(estimate, truth)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.float32)


def map_figure(values: Image, label: str, cmap: str = "viridis", top: float | None = None) -> "Figure":
    """A map (H, W) of something that is 0 at best, with its colour bar; NaN stays grey."""
    height, width = values.shape
    figure = new_figure(4.4, float(np.clip(3.6 * height / width, 1.8, 6.0)))
    axes = figure.subplots()
    axes.set_facecolor("0.85")
    top = float(np.nanquantile(values, TOP_QUANTILE)) if top is None else top
    shown = draw_image(axes, values, "", cmap=cmap, vmin=0, vmax=top or 1.0)
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label=label, shrink=0.85, extend="max")
    return figure


def error_maps(estimate: xr.DataArray, truth: xr.DataArray) -> "Figure":
    """Where the estimate (L, H, W) is off: RMS over bands, in the cubes' unit, and the spectral angle.

    Raises: InputError for two shapes.
    """
    figure = new_figure(9.6, 4.2)
    draw_error_maps(figure.subplots(1, 2), estimate, truth)
    return figure


def draw_error_maps(row: Sequence["Axes"], estimate: xr.DataArray, truth: xr.DataArray) -> None:
    """The two maps of `error_maps`, each with its colour bar."""
    maps = (
        ("RMS error over bands", "viridis", rms_error(estimate, truth)),
        ("spectral angle (degrees)", "cividis", angle_error(estimate, truth)),
    )
    for axes, (title, cmap, values) in zip(row, maps, strict=True):
        top = float(np.nanquantile(values, TOP_QUANTILE))
        shown = draw_image(axes, values, title, cmap=cmap, vmin=0, vmax=top)
        axes.figure.colorbar(shown, ax=axes, shrink=0.8, extend="max")


def band_rmse(estimate: xr.DataArray, truth: xr.DataArray) -> NDArray[np.float64]:
    """(L,): the RMS error of each band, in the cubes' unit; NaN for a band that one of them lacks."""
    found = np.full(len(truth), np.nan)
    for band in range(len(truth)):
        gap = np.asarray(estimate.values[band], np.float64) - truth.values[band]
        finite = np.isfinite(gap)
        if finite.any():
            found[band] = np.sqrt(np.mean(gap[finite] ** 2))
    return found


def band_error_figure(estimates: Mapping[str, xr.DataArray], truth: xr.DataArray, unit: str) -> "Figure":
    """The RMS error over the bands, a line an estimate."""
    figure = new_figure(4.4, 2.8)
    axes = figure.subplots()
    for n, (name, estimate) in enumerate(estimates.items()):
        where, values = broken(band_axis(truth), band_rmse(estimate, truth))
        style = "-" if n == 0 else "--"
        axes.plot(where, values, style, color=OKABE_ITO[(6, 0, 4)[n % 3]], linewidth=1.5, label=name)
    label_axes(axes, axis_label(truth), f"RMS error ({unit})")
    return figure


def residual_figure(
    hs_where: NDArray[np.float64],
    hs_residual: NDArray[np.float64],
    ms_where: NDArray[np.float64],
    ms_residual: NDArray[np.float64],
    x_label: str,
) -> "Figure":
    """What is left of hs - degraded result and of ms - result seen as ms, each band's share in percent."""
    figure = new_figure(4.4, 2.8)
    axes = figure.subplots()
    where, values = broken(hs_where, 100 * hs_residual)
    axes.plot(where, values, color=OKABE_ITO[6], linewidth=1.5, label="hs bands")
    axes.plot(ms_where, 100 * ms_residual, "s", color=OKABE_ITO[1], label="ms bands")
    label_axes(axes, x_label, "relative residual (%)")
    return figure


def label_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    """Labels, grid and legend of something that is 0 at best."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
