"""Where, and in which bands, an estimate differs from its truth; what is left of both degradations."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import usable_bands
from hypersharp.errors import InputError
from hypersharp.plot.colour import Image
from hypersharp.plot.draw import OKABE_ITO, axis_label, band_axis, broken, draw_image, scale_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

FloatArray = NDArray[np.float64]
Parts = Iterable[tuple[NDArray[Any], NDArray[Any]]]  # some bands (n, H, W) of estimate and truth at a time
TOP_QUANTILE = 0.995


def rms_of(parts: Parts) -> FloatArray:
    """(H, W): root of the mean of (estimate - truth)^2 over the bands that both have; NaN where there is none."""
    total = bands = np.float64(0)
    for estimate, truth in parts:
        square = (estimate - truth.astype(float)) ** 2
        total, bands = total + np.nansum(square, 0), bands + np.isfinite(square).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total / bands))


def angle_of(parts: Parts) -> FloatArray:
    """(H, W): the angle between two spectra, degrees, over the bands that both have; NaN where one is zero."""
    inner = left = right = np.float64(0)
    for estimate, truth in parts:
        there = np.isfinite(estimate + truth)
        ours, theirs = (np.where(there, values, 0).astype(float) for values in (estimate, truth))
        inner, left, right = (inner + (ours * theirs).sum(0), left + (ours**2).sum(0), right + (theirs**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = inner / np.sqrt(left * right)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def rms_error(estimate: xr.DataArray, truth: xr.DataArray) -> Image:
    """(H, W): `rms_of` two cubes, in their unit. Raises: InputError for two shapes."""
    return rms_of([both_there(estimate, truth)]).astype(np.float32)


def angle_error(estimate: xr.DataArray, truth: xr.DataArray) -> Image:
    """(H, W): `angle_of` two cubes, degrees. Raises: InputError for two shapes."""
    return angle_of([both_there(estimate, truth)]).astype(np.float32)


def both_there(estimate: xr.DataArray, truth: xr.DataArray) -> tuple[Image, Image]:
    """The bands (n, H, W) that neither cube calls bad nor lacks everywhere. Raises: InputError for two shapes."""
    if estimate.shape != truth.shape:
        raise InputError(f"shapes {estimate.shape} and {truth.shape}", "two cubes of one shape", "compare a pair")
    kept = usable_bands(estimate) & usable_bands(truth)
    a, b = (np.asarray(cube.values[kept], np.float32) for cube in (estimate, truth))
    return a, b


def draw_map(axes: "Axes", values: Image, title: str, label: str = "", cmap: str = "viridis") -> None:
    """A map (H, W) of something that is 0 at best, with its colour bar; NaN stays grey."""
    shown = draw_image(axes, values, title, cmap=cmap, vmin=0, vmax=scale_end([values], TOP_QUANTILE))
    axes.figure.colorbar(shown, ax=axes, label=label, shrink=0.8, extend="max")


def draw_errors(figure: "FigureBase", estimates: Mapping[str, xr.DataArray], truth: xr.DataArray) -> None:
    """RMS errors over bands: of one estimate beside its spectral angle, of several on one scale."""
    errors = {name: rms_error(estimate, truth) for name, estimate in estimates.items()}
    if len(estimates) == 1:
        ((name, estimate),) = estimates.items()
        left, right = figure.subplots(1, 2)
        draw_map(left, errors[name], "RMS error over bands")
        draw_map(right, angle_error(estimate, truth), "spectral angle (degrees)", cmap="cividis")
        return
    top = scale_end(errors.values(), TOP_QUANTILE)
    row = figure.subplots(1, len(errors))
    for axes, (name, error) in zip(row, errors.items(), strict=True):
        shown = draw_image(axes, error, f"error of {name}", cmap="viridis", vmin=0, vmax=top)
    figure.colorbar(shown, ax=list(row), label="RMS error over bands", shrink=0.8, extend="max")


def draw_band_errors(axes: "Axes", estimates: Mapping[str, xr.DataArray], truth: xr.DataArray, unit: str) -> None:
    """The RMS error over the bands, a line an estimate."""
    for n, (name, estimate) in enumerate(estimates.items()):
        gaps = [np.asarray(ours, float) - theirs for ours, theirs in zip(estimate.values, truth.values, strict=True)]
        there = (gap[np.isfinite(gap)] for gap in gaps)  # of a band that one of the two lacks nothing
        rmse = [np.sqrt(np.mean(gap**2)) if gap.size else np.nan for gap in there]
        where, values = broken(band_axis(truth), rmse)
        axes.plot(where, values, "--" if n else "-", color=OKABE_ITO[(6, 0, 4)[n % 3]], linewidth=1.5, label=name)
    label_axes(axes, axis_label(truth), f"RMS error ({unit})")


def label_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    """Labels, grid and legend of something that is 0 at best."""
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
