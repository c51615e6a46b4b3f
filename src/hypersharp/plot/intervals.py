"""Where and how far to trust a result: predicted errors drawn."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hypersharp.cube import wavelengths_nm
from hypersharp.plot.draw import OKABE_ITO, draw_image, draw_spectra, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def trust_figure(sharp: xr.DataArray, error: xr.DataArray, truth: xr.DataArray | None = None) -> "Figure":
    """Where and how far to trust a result: its predicted error (half-widths, as `sharp`) over the scene and in spectra.

    The pixels shown have the median, the 90 % and the 99 % quantile of the mean over bands. With a truth, the share
    of each band's values that the intervals hold, beside the share stated in error's attrs.
    """
    figure = new_figure(15 + (4 if truth is not None else 0), 3.6)
    row = figure.subplots(1, 4 + (truth is not None))
    with np.errstate(invalid="ignore"):
        means = np.asarray(error.mean("band", skipna=True), np.float32)
    unit = error.attrs.get("units", "unit of the result")
    shown = draw_image(
        row[0], means, "mean over bands", cmap="viridis", vmin=0, vmax=float(np.nanquantile(means, 0.995))
    )
    figure.colorbar(shown, ax=row[0], label=f"half-width ({unit})", shrink=0.8, extend="max")
    for n, quantile in enumerate((0.5, 0.9, 0.99)):
        gap = np.abs(means - np.nanquantile(means, quantile))
        y, x = np.unravel_index(int(np.nanargmin(gap)), gap.shape)
        row[0].plot(x, y, "o", color="white", markeredgecolor="black", markersize=9)
        row[0].annotate("ABC"[n], (x, y), ha="center", va="center", fontsize=6)
        cubes = {"result": sharp} if truth is None else {"result": sharp, "truth": truth}
        draw_spectra(row[1 + n], cubes, (int(y), int(x)), f"{'ABC'[n]}: {quantile:.0%} of pixels are safer")
        nm, middle, half = wavelengths_nm(sharp), sharp.values[:, y, x], error.values[:, y, x]
        where = np.arange(len(middle)) if nm is None else nm
        label = f"{error.attrs.get('coverage', 0.9):.0%} interval"
        row[1 + n].fill_between(where, middle - half, middle + half, color=OKABE_ITO[2], alpha=0.4, label=label)
    row[1].legend(fontsize=7)
    if truth is not None:
        draw_coverage(row[4], sharp, error, truth)
    return figure


def draw_coverage(axes: "Axes", sharp: xr.DataArray, error: xr.DataArray, truth: xr.DataArray) -> None:
    """The share of values within their intervals, band by band, and the share that was stated."""
    gap, nm = np.abs(sharp.values - truth.values), wavelengths_nm(sharp)
    counted = np.isfinite(gap) & np.isfinite(error.values)
    held = ((gap <= error.values) & counted).sum((1, 2)) / np.maximum(counted.sum((1, 2)), 1)
    axes.plot(np.arange(len(held)) if nm is None else nm, 100 * held, color=OKABE_ITO[6], label="observed")
    axes.axhline(100 * float(error.attrs.get("coverage", 0.9)), color=OKABE_ITO[0], linestyle="--", label="stated")
    axes.set(title="coverage", xlabel="band" if nm is None else "wavelength (nm)", ylabel="%", ylim=(50, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
