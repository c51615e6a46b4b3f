"""Spectra of images of one place on several grids, each with its own bands.

A curve is broken where bands lie far apart, so that no line crosses what no band has seen; a band of some width is
drawn as wide as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from hypersharp.cube import usable_bands, wavelengths_nm
from hypersharp.plot.draw import OKABE_ITO
from hypersharp.plot.places import Pixel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float64]
GAP = 5.0  # times the usual step between bands
LINE_BANDS = 16  # fewer are drawn as points
COLOURS = {"hs": OKABE_ITO[1], "ms": OKABE_ITO[3], "result": OKABE_ITO[6], "truth": OKABE_ITO[0]}
OTHERS = [OKABE_ITO[n] for n in (4, 5, 2, 6, 3)]
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


def curve_at(cube: xr.DataArray, pixel_yx: Pixel, name: str, error: xr.DataArray | None = None) -> Curve:
    """The spectrum of a pixel, unusable bands missing; `error` holds half-widths of its intervals, as `cube`."""
    y, x = pixel_yx
    values = np.where(usable_bands(cube), np.array(cube.values[:, y, x], np.float64), np.nan)
    half = None if error is None else np.array(error.values[:, y, x], np.float64)
    return Curve(name, band_axis(cube), values, half_interval=half)


def draw_curves(axes: "Axes", curves: Sequence[Curve], title: str, x_label: str) -> None:
    """Spectra of several images at one place; hs, ms, result and truth have colours of their own."""
    for n, curve in enumerate(curves):
        _draw_curve(axes, curve, COLOURS.get(curve.name, OTHERS[n % len(OTHERS)]))
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x_label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def _draw_curve(axes: "Axes", curve: Curve, colour: str) -> None:
    """A line, or, of few bands, points as wide as the bands; its interval shaded, or as bars."""
    where, half = curve.where, curve.half_interval
    options: dict[str, Any] = {"color": colour, "label": curve.name, "linewidth": 1.4}
    if len(where) < LINE_BANDS:
        axes.errorbar(where, curve.values, yerr=half, xerr=curve.reach, fmt="s", markersize=4, zorder=3, **options)
        return
    style = "--" if curve.name in DASHED else "-"
    axes.plot(*broken(where, curve.values), style, **options)
    if half is not None:
        where, low, high = broken(where, curve.values - half, curve.values + half)
        axes.fill_between(where, low, high, color=colour, alpha=0.25, linewidth=0)


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
