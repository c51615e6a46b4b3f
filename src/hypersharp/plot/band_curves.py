"""Spectra of images of one place on several grids, each with its own bands.

A curve is broken where bands lie far apart, so that no line crosses what no band has seen; a band of some width is
drawn as wide as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import usable_bands, wavelengths_nm
from hypersharp.plot.draw import OKABE_ITO
from hypersharp.plot.places import Pixel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]
GAP = 5.0  # times the usual step between bands
LINE_BANDS = 16  # fewer are drawn as points
COLOURS = {"hs": OKABE_ITO[1], "ms": OKABE_ITO[3], "result": OKABE_ITO[6], "truth": OKABE_ITO[0]}
OTHERS = (OKABE_ITO[4], OKABE_ITO[5], OKABE_ITO[2])
DASHED = ("truth",)


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


def curve_at(cube: xr.DataArray, pixel_yx: Pixel, name: str) -> Curve:
    """The spectrum of a pixel, unusable bands missing."""
    values = np.array(cube.values[:, pixel_yx[0], pixel_yx[1]], np.float64)
    return Curve(name, band_axis(cube), np.where(usable_bands(cube), values, np.nan))


def draw_curves(axes: "Axes", curves: Sequence[Curve], title: str, x_label: str) -> None:
    """Spectra of several images at one place; hs, ms, result and truth have colours of their own."""
    for n, curve in enumerate(curves):
        draw_curve(axes, curve, COLOURS.get(curve.name, OTHERS[n % len(OTHERS)]))
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def draw_curve(axes: "Axes", curve: Curve, colour: str) -> None:
    """A line, or, of few bands, points as wide as the bands; its interval shaded."""
    if len(curve.where) < LINE_BANDS:
        axes.errorbar(
            curve.where,
            curve.values,
            xerr=curve.reach,
            fmt="s",
            color=colour,
            label=curve.name,
            markersize=4,
            linewidth=1.4,
            zorder=3,
        )
        return
    where, values = broken(curve.where, curve.values)
    axes.plot(where, values, "--" if curve.name in DASHED else "-", color=colour, label=curve.name, linewidth=1.4)
    if curve.half_interval is not None:
        _, half = broken(curve.where, curve.half_interval)
        axes.fill_between(where, values - half, values + half, color=colour, alpha=0.25, linewidth=0)


def broken(where: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same in order of `where`, with a NaN put in wherever bands lie far apart.

    >>> broken(np.array([1.0, 3, 2, 50]), np.ones(4))[1]
    array([ 1.,  1.,  1., nan,  1.])
    """
    order = np.argsort(where, kind="stable")
    where, values = where[order], values[order]
    steps = np.diff(where)
    far = np.flatnonzero(steps > GAP * np.median(steps)) + 1 if len(steps) else np.empty(0, np.intp)
    return np.insert(where, far, where[far]), np.insert(values, far, np.nan)
