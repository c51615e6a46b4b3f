"""The charts of a page, drawn from findings."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import fwhm_nm, only_usable, transform_of, usable_bands, wavelengths_nm
from hypersharp.plot.band_curves import Curve, axis_label, band_axis, broken, curve_at, draw_curves
from hypersharp.plot.colour import Image
from hypersharp.plot.draw import OKABE_ITO, new_figure
from hypersharp.plot.errors import angle_error, draw_band_errors, draw_map, label_axes, rms_error
from hypersharp.plot.places import same_place
from hypersharp.plot.sensor_figure import draw_blur, draw_response, draw_sensor_residuals
from hypersharp.reporting.findings import ENLARGED, RESULT, Findings
from hypersharp.reporting.pictures import Picture, chart
from hypersharp.reporting.points import Point
from hypersharp.sensor.observe import Sensor

FloatArray = NDArray[np.float64]
CHART = (4.4, 2.8)  # inches
EDGES = (0.12, 0.5, 0.88)
UNIT = "unit of the result"


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
    """A chart a point: hs, result, ms, truth, and the interval around the result."""
    for point in points:
        curves, (y, x) = curves_at(found, point), point.pixel_yx
        figure = new_figure(*CHART)
        axes = figure.subplots()
        draw_curves(axes, curves, "", axis_label(found.hs))
        axes.set_ylabel(found.sharp.attrs.get("units", "value"), fontsize=9)
        if curves:
            axes.legend(fontsize=8, frameon=False)
        affine = transform_of(found.sharp)
        ground = "" if affine is None else " ({:.8g}, {:.8g})".format(*(affine @ (x + 0.5, y + 0.5)))
        alt = f"spectra of {', '.join(curve.name for curve in curves)} at point {point.label}, pixel {x}, {y}"
        yield chart(figure, alt, point.label, f"pixel {x}, {y}{ground}{', as asked' if point.given else ''}")


def curves_at(found: Findings, point: Point) -> list[Curve]:
    """The spectra at a point of all images that have one there."""
    coarse, fine = (same_place(point.pixel_yx, found.sharp, cube) for cube in (found.hs, found.ms))
    curves = [] if coarse is None else [curve_at(found.hs, coarse, "hs")]
    curves.append(curve_at(found.sharp, point.pixel_yx, "result", found.error))
    bands = ms_bands(found)
    if fine is not None and bands is not None:
        values = only_usable(found.ms, "ms").values[:, fine[0], fine[1]].astype(np.float64)
        curves.append(Curve("ms", bands[0], values, bands[1]))
    if found.truth is not None:
        curves.append(curve_at(found.truth, point.pixel_yx, "truth"))
    return [curve for curve in curves if np.isfinite(curve.values).any()]


def error_charts(found: Findings) -> Iterator[Picture]:
    """Where and in which bands the result is off, or is expected to be."""
    unit = str(found.sharp.attrs.get("units", UNIT))
    if found.truth is not None:
        rms, angle = rms_error(found.sharp, found.truth), angle_error(found.sharp, found.truth)
        yield map_chart(rms, unit, "map of the RMS error over bands", "RMS error over bands")
        yield map_chart(angle, "degrees", "map of the spectral angle to the truth", "Spectral angle", cmap="cividis")
        shown = {RESULT: found.sharp} | ({} if found.enlarged is None else {ENLARGED: found.enlarged})
        figure = new_figure(*CHART)
        draw_band_errors(figure.subplots(), shown, found.truth, unit)
        yield chart(figure, "RMS error of every band, of " + " and of ".join(shown), "Error by band")
    elif found.error is not None:
        yield from predicted_error_charts(found.error, unit)


def map_chart(values: Image, label: str, alt: str, title: str, cmap: str = "viridis") -> Picture:
    """A map (H, W) of something that is 0 at best."""
    height, width = values.shape
    figure = new_figure(4.4, float(np.clip(3.6 * height / width, 1.8, 6.0)))
    axes = figure.subplots()
    draw_map(axes, values, "", label, cmap)
    axes.spines[:].set_visible(False)
    return chart(figure, f"{alt}, median {np.nanmedian(values):.3g} {label}", title, heatmap=True)


def predicted_error_charts(error: xr.DataArray, unit: str) -> Iterator[Picture]:
    """Half-widths of the prediction intervals over the scene and over the bands."""
    with np.errstate(invalid="ignore"):
        means = np.asarray(error.mean("band", skipna=True), np.float32)
    intervals = f"half-widths of the {error.attrs.get('coverage', 0.9):.0%} prediction intervals"
    label = f"half-width ({unit})"
    yield map_chart(means, label, f"map of the {intervals}, mean over bands", "Predicted error, mean over bands")
    figure = new_figure(*CHART)
    axes = figure.subplots()
    usable = usable_bands(error)
    for quantile, style, name in ((0.5, "-", "median pixel"), (0.95, "--", "95% of pixels lie below")):
        values = np.full(len(usable), np.nan)
        values[usable] = np.nanquantile(error.values[usable], quantile, axis=(1, 2))
        axes.plot(*broken(band_axis(error), values), style, color=OKABE_ITO[6], label=name)
    label_axes(axes, axis_label(error), label)
    yield chart(figure, f"{intervals} by band", "Predicted error by band")


def residual_chart(found: Findings) -> Picture | None:
    """What is left of hs - degraded result and of ms - result seen as ms, each band's share in percent."""
    bands = ms_bands(found)
    if found.judgement is None or bands is None:
        return None
    usable = usable_bands(found.hs) & usable_bands(found.sharp)
    figure = new_figure(*CHART)
    axes = figure.subplots()
    lines = broken(band_axis(found.hs)[usable], 100 * found.judgement.hs_residual)
    axes.plot(*lines, color=OKABE_ITO[6], linewidth=1.5, label="HS bands")
    axes.plot(bands[0], 100 * found.judgement.ms_residual, "s", color=OKABE_ITO[1], label="MS bands")
    label_axes(axes, axis_label(found.hs), "relative residual (%)")
    alt = "relative residuals of HS and of MS, by band"
    return chart(figure, alt, "Residuals of both degradations", "0 is needed, not enough")


def sensor_charts(found: Findings) -> Iterator[Picture]:
    """Blur, responses, and how far hs and ms are from each other under them."""
    if found.estimate is None:
        return
    sensor, nm = found.estimate.sensor, wavelengths_nm(only_usable(found.hs, "hs"))
    blur, response, bars = new_figure(4.4, 3.6), new_figure(*CHART), new_figure(*CHART)
    draw_blur(blur.subplots(), sensor, found.estimate.shift_px_yx)
    draw_response(response.subplots(), sensor, nm)
    sigma = sensor.psf.sigma_yx_px()
    what = f"the blur over the fine pixels around a coarse one, sigma {sigma[0]:.2f} by {sigma[1]:.2f} fine pixels"
    yield chart(blur, what, "Blur (PSF)")
    what = f"weights of {len(sensor.srf)} MS bands over the HS bands"
    yield chart(response, what, "Spectral response (SRF)")
    if found.diagnosis is not None:
        draw_sensor_residuals(bars.subplots(), found.diagnosis.residuals)
        bars.axes[0].set_ylabel("relative difference (%)")
        yield chart(bars, "difference of HS seen as MS and MS blurred, by MS band", "HS and MS under this sensor")
