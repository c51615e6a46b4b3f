"""The charts of a page, drawn from findings."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import fwhm_nm, only_usable, transform_of, usable_bands, wavelengths_nm
from hypersharp.plot.band_curves import Curve, axis_label, band_axis, broken, curve_at, draw_curves
from hypersharp.plot.draw import new_figure, rms_error
from hypersharp.plot.errors import angle_error, band_error_figure, label_axes, map_figure, residual_figure
from hypersharp.plot.places import same_place
from hypersharp.plot.sensor_figure import draw_blur, draw_response, draw_sensor_residuals
from hypersharp.reporting.findings import ENLARGED, RESULT, Findings
from hypersharp.reporting.pictures import Picture, chart, heatmap
from hypersharp.reporting.points import Point
from hypersharp.sensor.observe import Sensor

FloatArray = NDArray[np.float64]
CHART = (4.4, 2.8)  # inches
EDGES = (0.12, 0.5, 0.88)
UNIT = "unit of the result"


def unit_of(cube: xr.DataArray) -> str:
    return str(cube.attrs.get("units", UNIT))


def ms_bands(found: Findings) -> tuple[FloatArray, FloatArray] | None:
    """(l,) where the usable ms bands lie on the axis of hs, (2, l) how far they see below and above that.

    As the file says, else as their response does.
    """
    ms = only_usable(found.ms, "ms")
    stated, widths = (wavelengths_nm(ms), fwhm_nm(ms)) if wavelengths_nm(found.hs) is not None else (None, None)
    if stated is not None and widths is not None:
        return np.asarray(stated), np.tile(np.asarray(widths) / 2, (2, 1))
    if found.estimate is None:
        return None if stated is None else (np.asarray(stated), np.zeros((2, len(stated))))
    low, middle, high = response_edges(found.estimate.sensor, found.hs)
    centres = middle if stated is None else np.clip(stated, low, high)
    return centres, np.stack([centres - low, high - centres])


def response_edges(sensor: Sensor, hs: xr.DataArray) -> FloatArray:
    """(3, l): between which places on the axis of hs a row has three quarters of its weight, and its middle.

    That is the half maximum of a Gaussian. NaN for a row of zeros.
    """
    where = band_axis(hs)[usable_bands(hs)]
    order = np.argsort(where)
    weights = np.clip(sensor.srf[:, order], 0, None)
    below = np.cumsum(weights, 1) - weights / 2
    edges = [
        np.interp(EDGES, row / total, where[order]) if total > 0 else (np.nan,) * len(EDGES)
        for row, total in zip(below, weights.sum(1), strict=True)
    ]
    return np.asarray(edges, np.float64).T


def spectra_charts(found: Findings, points: Sequence[Point]) -> Iterator[Picture]:
    """A chart a point: hs, ms, result, truth, and the interval around the result."""
    for point in points:
        curves = curves_at(found, point)
        y, x = point.pixel_yx
        figure = new_figure(*CHART)
        axes = figure.subplots()
        draw_curves(axes, curves, "", axis_label(found.hs))
        axes.set_ylabel(found.sharp.attrs.get("units", "value"), fontsize=9)
        names = ", ".join(curve.name for curve in curves)
        if curves:
            axes.legend(fontsize=8, frameon=False)
        yield chart(
            figure,
            f"spectra of {names} at point {point.label}, pixel {x}, {y}",
            f"{point.label}",
            f"pixel {x}, {y}{place_words(found.sharp, point)}{', as asked' if point.given else ''}",
        )


def place_words(cube: xr.DataArray, point: Point) -> str:
    """Map coordinates of a pixel's middle."""
    affine = transform_of(cube)
    if affine is None:
        return ""
    east, north = affine @ (point.pixel_yx[1] + 0.5, point.pixel_yx[0] + 0.5)
    return f" ({east:.8g}, {north:.8g})"


def curves_at(found: Findings, point: Point) -> list[Curve]:
    """The spectra at a point of all images that have one there."""
    curves = []
    coarse, fine = (same_place(point.pixel_yx, found.sharp, cube) for cube in (found.hs, found.ms))
    if coarse is not None:
        curves.append(curve_at(found.hs, coarse, "hs"))
    result = curve_at(found.sharp, point.pixel_yx, "result")
    if found.error is not None:
        half = np.array(found.error.values[:, point.pixel_yx[0], point.pixel_yx[1]], np.float64)
        result = Curve(result.name, result.where, result.values, None, half)
    curves.append(result)
    bands = ms_bands(found)
    if fine is not None and bands is not None:
        values = only_usable(found.ms, "ms").values[:, fine[0], fine[1]].astype(np.float64)
        curves.append(Curve("ms", bands[0], values, bands[1]))
    if found.truth is not None:
        curves.append(curve_at(found.truth, point.pixel_yx, "truth"))
    return [curve for curve in curves if np.isfinite(curve.values).any()]


def error_charts(found: Findings) -> Iterator[Picture]:
    """Where and in which bands the result is off, or is expected to be."""
    if found.truth is not None:
        yield from true_error_charts(found, found.truth)
    elif found.error is not None:
        yield from predicted_error_charts(found.error, unit_of(found.sharp))


def true_error_charts(found: Findings, truth: xr.DataArray) -> Iterator[Picture]:
    unit = unit_of(found.sharp)
    rms, angle = rms_error(found.sharp, truth), angle_error(found.sharp, truth)
    yield heatmap(
        map_figure(rms, unit),
        f"map of the RMS error over bands, median {np.nanmedian(rms):.3g}",
        "RMS error over bands",
    )
    yield heatmap(
        map_figure(angle, "degrees", "cividis"),
        f"map of the spectral angle to the truth, median {np.nanmedian(angle):.3g} degrees",
        "Spectral angle",
    )
    shown = {RESULT: found.sharp} | ({} if found.enlarged is None else {ENLARGED: found.enlarged})
    yield chart(
        band_error_figure(shown, truth, unit), "RMS error of every band, of " + " and of ".join(shown), "Error by band"
    )


def predicted_error_charts(error: xr.DataArray, unit: str) -> Iterator[Picture]:
    with np.errstate(invalid="ignore"):
        means = np.asarray(error.mean("band", skipna=True), np.float32)
    coverage = f"{error.attrs.get('coverage', 0.9):.0%}"
    yield heatmap(
        map_figure(means, f"half-width ({unit})"),
        f"map of the half-widths of {coverage} intervals, mean over bands, median {np.nanmedian(means):.3g}",
        "Predicted error, mean over bands",
    )
    figure = new_figure(*CHART)
    axes = figure.subplots()
    usable = usable_bands(error)
    for quantile, style in ((0.5, "-"), (0.95, "--")):
        values = np.full(len(usable), np.nan)
        values[usable] = np.nanquantile(error.values[usable], quantile, axis=(1, 2))
        label = "median pixel" if quantile == 0.5 else f"{quantile:.0%} of pixels lie below"
        axes.plot(*broken(band_axis(error), values), style, color="#0072B2", label=label)
    label_axes(axes, axis_label(error), f"half-width ({unit})")
    yield chart(figure, f"half-widths of {coverage} intervals by band", "Predicted error by band")


def residual_chart(found: Findings) -> Picture | None:
    """What is left of both degradation equations, by band."""
    bands = ms_bands(found)
    if found.judgement is None or bands is None:
        return None
    judged, usable = found.judgement, usable_bands(found.hs) & usable_bands(found.sharp)
    figure = residual_figure(
        band_axis(found.hs)[usable], judged.hs_residual, bands[0], judged.ms_residual, axis_label(found.hs)
    )
    alt = "relative residuals of hs and of ms, by band"
    return chart(figure, alt, "Residuals of both degradations", "0 is needed, not enough")


def sensor_charts(found: Findings) -> Iterator[Picture]:
    """Blur, responses, and how far hs and ms are from each other under them."""
    if found.estimate is None:
        return
    sensor, nm = found.estimate.sensor, wavelengths_nm(only_usable(found.hs, "hs"))
    blur, response = new_figure(4.4, 3.6), new_figure(*CHART)
    draw_blur(blur.subplots(), sensor, found.estimate.shift_px_yx)
    draw_response(response.subplots(), sensor, nm)
    for figure in (blur, response):
        figure.axes[0].set_title("")
    sigma = sensor.psf.sigma_yx_px()
    yield chart(
        blur,
        f"the blur over the fine pixels around a coarse one, sigma {sigma[0]:.2f} by {sigma[1]:.2f} fine pixels",
        "Blur (PSF)",
    )
    yield chart(response, f"weights of {len(sensor.srf)} ms bands over the hs bands", "Spectral response (SRF)")
    if found.diagnosis is not None:
        bars = new_figure(*CHART)
        axes = bars.subplots()
        draw_sensor_residuals(axes, found.diagnosis.residuals)
        axes.set(title="", ylabel="relative difference (%)")
        yield chart(bars, "difference of hs seen as ms and ms blurred, by ms band", "hs and ms under this sensor")
