"""The charts of a page, drawn from findings, and the pixels whose spectra it shows."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from hypersharp.cube import fwhm_nm, only_usable, transform_of, usable_bands, wavelengths_nm
from hypersharp.grid import Window
from hypersharp.plot import colour, draw
from hypersharp.plot.colour import Image
from hypersharp.plot.errors import angle_error, draw_band_errors, draw_map, label_axes, rms_error
from hypersharp.plot.figures import draw_blur, draw_displacement, draw_response, draw_sensor_residuals
from hypersharp.plot.places import Pixel, Place, find_pixel, same_place
from hypersharp.registration.field import displacement_words, recorded_field
from hypersharp.reporting.findings import ENLARGED, RESULT, Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOSE_PX, CLOSE_COARSE_PX = 64, 10  # along a side of the close-up, at least
MAP_DPI = 160
CHOSEN = 4
PURE = 0.5  # the share of coarse pixels, the most like their neighbours, that are chosen from
DARK = 0.3  # of the median length of a spectrum: darker ones are mostly noise
FARTHEST = 0.98  # quantile of the angles: the very farthest is often a fault
FloatArray = NDArray[np.float64]
CHART = (4.4, 2.8)  # inches
EDGES = (0.12, 0.5, 0.88)
UNIT = "unit of the result"
CHART_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "svg.hashsalt": "hypersharp",  # the same figure is the same text
}


@dataclass(frozen=True)
class Picture:
    """An image for a page: data, alternative text, title, a word on it; size in pixels; whether points are marked."""

    uri: str
    alt: str
    title: str
    word: str
    width: int
    height: int
    pixelated: bool = False
    mix: str = ""  # what a composite shows as red, green and blue
    marked: bool = False


def chart(figure: "Figure", alt: str, title: str, word: str = "", *, heatmap: bool = False) -> Picture:
    """A figure: of lines as SVG, of many pixels as PNG."""
    file = io.BytesIO()
    options: dict[str, Any] = {"format": "svg", "metadata": {"Date": None, "Creator": None}}
    if heatmap:
        options = {"format": "png", "dpi": MAP_DPI, "metadata": {"Software": None}}
    figure.savefig(file, **options)
    width, height = (round(96 * side) for side in figure.get_size_inches())
    uri = draw.as_data("image/png" if heatmap else "image/svg+xml", file.getvalue())
    return Picture(uri, alt, title, word, width, height)


def composites(
    cubes: Mapping[str, xr.DataArray],
    ms_nm: NDArray[np.float64] | None,
    *,
    false: bool = False,
    window: Window | None = None,
    marked: bool = False,
) -> list[Picture]:
    """Every image that can be shown in true or false colour, or a window (of the finest one) of each.

    False colour is near infrared where the bands reach there, else principal components. All but ms have the mix and
    the stretch of the last, also where a window is shown. ms_nm: wavelengths of the usable ms bands, stated or found
    from their responses.
    """
    usable = [usable_bands(cube) for name, cube in cubes.items() if name != "ms"]  # of a window fewer may be
    counted = np.flatnonzero(np.logical_and.reduce(usable))
    cubes = {name: only_usable(cube, name) if name == "ms" else cube[counted] for name, cube in cubes.items()}
    last = list(cubes.values())[-1]
    infrared = colour.infrared_mix(wavelengths_nm(last)) if false else None
    shared = infrared or colour.component_mix(last) if false else colour.mix_for(last)
    finest = max(cube.shape[1] for cube in cubes.values())
    what = "close-up, true colour" if window else "false colour" if false else "true colour"
    pictures = []
    for name, cube in cubes.items():
        mix = shared
        if name == "ms" and not false:
            mix = colour.true_mix(ms_nm, len(cube))
        elif name == "ms":  # none where it has no near infrared and the others show theirs
            alike = shared is None or "component" in shared.title
            mix = colour.infrared_mix(ms_nm) or (colour.component_mix(cube) if alike else None)
        if mix is None:
            continue
        limits, part = colour.stretch(colour.mixture(cube if name == "ms" else last, mix)), cube
        if window:
            y, x, rows, columns = (round(edge * cube.shape[1] / finest) for edge in window)
            part = cube[:, y : y + rows, x : x + columns]
        height, width = part.shape[1:]
        size = f"{width:,} × {height:,} pixels"
        alt = f"{name}, {what} ({mix.title}), {size}"
        uri, whole = draw.png(colour.composite(part, mix, limits)), max(height, width) <= draw.MOST_PX
        pictures.append(Picture(uri, alt, name, size, width, height, whole, mix.title, marked))
    return pictures


def detailed_window(ms: xr.DataArray, ratio: int) -> Window:
    """Where ms has the most detail: a square of whole coarse pixels, (y, x, height, width) in its pixels."""
    side = max(CLOSE_PX, CLOSE_COARSE_PX * ratio) // ratio
    values = only_usable(ms, "ms").mean("band", skipna=False).values
    height, width = (size // ratio for size in values.shape)
    rows, columns = min(side, height), min(side, width)
    blocks = values[: height * ratio, : width * ratio].reshape(height, ratio, width, ratio)
    detail = np.nan_to_num(blocks.std((1, 3)), nan=-float(np.nanmax(np.abs(values))))  # missing: the last choice
    around = uniform_filter(detail, (rows, columns), mode="constant")
    half = rows // 2, columns // 2
    inside = around[half[0] : height - (rows - half[0]) + 1, half[1] : width - (columns - half[1]) + 1]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(y) * ratio, int(x) * ratio, rows * ratio, columns * ratio


@dataclass(frozen=True)
class Point:
    """A pixel (y, x) of the result, under a letter; `given` by the user or chosen."""

    label: str
    pixel_yx: Pixel
    given: bool


def choose_points(places: Sequence[Place], sharp: xr.DataArray, hs: xr.DataArray) -> list[Point]:
    """The user's points first, then `CHOSEN` or one less, for an even number, whose spectra differ most in angle.

    Raises: InputError for a place outside the result.
    """
    given = list(dict.fromkeys(find_pixel(place, sharp) for place in places))
    diverse = diverse_pixels(sharp, hs, CHOSEN + len(given))
    chosen = [pixel for pixel in diverse if pixel not in given][: CHOSEN - len(given) % 2]
    pixels = [(pixel, True) for pixel in given] + [(pixel, False) for pixel in chosen]
    turns = (divmod(n, len(draw.LETTERS)) for n in range(len(pixels)))  # A to Z, A2 to Z2, ...
    labels = [f"{draw.LETTERS[n]}{turn + 1 if turn else ''}" for turn, n in turns]
    return [Point(label, *place) for label, place in zip(labels, pixels, strict=True)]


def diverse_pixels(sharp: xr.DataArray, hs: xr.DataArray, count: int) -> list[Pixel]:
    """Pixels of the result in the middle of coarse pixels of hs whose spectra lie far from each other in angle.

    Each is the farthest, but for outliers, from those chosen before it (Gonzalez 1985, Theoretical Computer Science
    38); only coarse pixels that are much like their neighbours, bright enough, and there in the result take part.
    """
    values = only_usable(hs, "hs").values.astype(np.float64)
    length = np.linalg.norm(values, axis=0)
    whole = np.isfinite(length) & (length > DARK * np.nanmedian(length)) & (length > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(whole, values / length, 0.0)
    inner = np.zeros_like(whole)
    inner[1:-1, 1:-1] = True
    good = whole & inner if (whole & inner).any() else whole
    if not good.any():
        return []
    around = sum(np.roll(unit, shift, axis) for axis in (1, 2) for shift in (-1, 1))
    likeness = (unit * around).sum(0)
    good &= likeness >= np.quantile(likeness[good], 1 - PURE)
    steps = sharp.shape[1] / hs.shape[1], sharp.shape[2] / hs.shape[2]
    pixels = [(int((y + 0.5) * steps[0]), int((x + 0.5) * steps[1])) for y, x in zip(*np.nonzero(good), strict=True)]
    there = np.isfinite(only_usable(sharp, "result").values).all(0)
    kept = [n for n, pixel in enumerate(pixels) if there[pixel]]
    if not kept:
        return []
    spectra = unit[:, good].T[kept]
    mean = spectra.mean(0)
    nearest, chosen = np.arccos(np.clip(spectra @ (mean / np.linalg.norm(mean)), -1, 1)), list[int]()
    while len(chosen) < min(count, len(kept)):
        chosen.append(int(np.abs(nearest - np.quantile(nearest, FARTHEST)).argmin()))
        away = np.arccos(np.clip(spectra @ spectra[chosen[-1]], -1, 1))
        nearest = away if len(chosen) == 1 else np.minimum(nearest, away)
    return list(dict.fromkeys(pixels[kept[n]] for n in chosen))


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
    where = draw.band_axis(found.hs)[usable_bands(found.hs)]
    order = np.argsort(where)
    weights = np.clip(found.estimate.sensor.srf[:, order], 0, None)
    below = np.cumsum(weights, 1) - weights / 2
    edges = [  # of three quarters of a row's weight, the half maximum of a Gaussian, and its middle; NaN of zeros
        np.interp(EDGES, row / total, where[order]) if total > 0 else (np.nan,) * len(EDGES)
        for row, total in zip(below, weights.sum(1), strict=True)
    ]
    low, middle, high = np.asarray(edges, np.float64).T
    centres = middle if stated is None else np.clip(stated, low, high)
    return centres, np.stack([centres - low, high - centres])


def spectra_charts(found: Findings, points: Sequence[Point]) -> Iterator[Picture]:
    """A chart a point: hs, result, ms, truth, and the interval around the result."""
    for point in points:
        (y, x), bands = point.pixel_yx, ms_bands(found)
        coarse, fine = (same_place((y, x), found.sharp, cube) for cube in (found.hs, found.ms))
        curves = [] if coarse is None else [draw.curve_at(found.hs, coarse, "hs")]
        curves.append(draw.curve_at(found.sharp, (y, x), "result", found.error))
        if fine is not None and bands is not None:
            values = only_usable(found.ms, "ms").values[:, fine[0], fine[1]].astype(np.float64)
            curves.append(draw.Curve("ms", bands[0], values, bands[1]))
        if found.truth is not None:
            curves.append(draw.curve_at(found.truth, (y, x), "truth"))
        curves = [curve for curve in curves if np.isfinite(curve.values).any()]
        figure = draw.new_figure(*CHART)
        axes = figure.subplots()
        draw.draw_curves(axes, curves, "", draw.axis_label(found.hs))
        axes.set_ylabel(found.sharp.attrs.get("units", "value"), fontsize=9)
        if curves:
            axes.legend(fontsize=8, frameon=False)
        affine = transform_of(found.sharp)
        ground = "" if affine is None else " ({:.8g}, {:.8g})".format(*(affine @ (x + 0.5, y + 0.5)))
        alt = f"spectra of {', '.join(curve.name for curve in curves)} at point {point.label}, pixel {x}, {y}"
        yield chart(figure, alt, point.label, f"pixel {x}, {y}{ground}{', as asked' if point.given else ''}")


def error_charts(found: Findings) -> Iterator[Picture]:
    """Where and in which bands the result is off, or is expected to be."""
    unit = str(found.sharp.attrs.get("units", UNIT))
    if found.truth is not None:
        rms, angle = rms_error(found.sharp, found.truth), angle_error(found.sharp, found.truth)
        yield map_chart(rms, unit, "map of the RMS error over bands", "RMS error over bands")
        yield map_chart(angle, "degrees", "map of the spectral angle to the truth", "Spectral angle", cmap="cividis")
        shown = {RESULT: found.sharp} | ({} if found.enlarged is None else {ENLARGED: found.enlarged})
        figure = draw.new_figure(*CHART)
        draw_band_errors(figure.subplots(), shown, found.truth, unit)
        yield chart(figure, "RMS error of every band, of " + " and of ".join(shown), "Error by band")
        return
    if found.error is None:
        return
    error = found.error
    with np.errstate(invalid="ignore"):
        means = np.asarray(error.mean("band", skipna=True), np.float32)
    intervals = f"half-widths of the {error.attrs.get('coverage', 0.9):.0%} prediction intervals"
    label = f"half-width ({unit})"
    yield map_chart(means, label, f"map of the {intervals}, mean over bands", "Predicted error, mean over bands")
    figure = draw.new_figure(*CHART)
    axes = figure.subplots()
    usable = usable_bands(error)
    for quantile, style, name in ((0.5, "-", "median pixel"), (0.95, "--", "95% of pixels lie below")):
        values = np.full(len(usable), np.nan)
        values[usable] = np.nanquantile(error.values[usable], quantile, axis=(1, 2))
        axes.plot(*draw.broken(draw.band_axis(error), values), style, color=draw.OKABE_ITO[6], label=name)
    label_axes(axes, draw.axis_label(error), label)
    yield chart(figure, f"{intervals} by band", "Predicted error by band")


def map_chart(values: Image, label: str, alt: str, title: str, cmap: str = "viridis") -> Picture:
    """A map (H, W) of something that is 0 at best."""
    height, width = values.shape
    figure = draw.new_figure(4.4, float(np.clip(3.6 * height / width, 1.8, 6.0)))
    axes = figure.subplots()
    draw_map(axes, values, "", label, cmap)
    axes.spines[:].set_visible(False)
    return chart(figure, f"{alt}, median {np.nanmedian(values):.3g} {label}", title, heatmap=True)


def residual_chart(found: Findings) -> Picture | None:
    """What is left of hs - degraded result and of ms - result seen as ms, each band's share in percent."""
    bands = ms_bands(found)
    if found.judgement is None or bands is None:
        return None
    usable = usable_bands(found.hs) & usable_bands(found.sharp)
    figure = draw.new_figure(*CHART)
    axes = figure.subplots()
    lines = draw.broken(draw.band_axis(found.hs)[usable], 100 * found.judgement.hs_residual)
    axes.plot(*lines, color=draw.OKABE_ITO[6], linewidth=1.5, label="HS bands")
    axes.plot(bands[0], 100 * found.judgement.ms_residual, "s", color=draw.OKABE_ITO[1], label="MS bands")
    label_axes(axes, draw.axis_label(found.hs), "relative residual (%)")
    alt = "relative residuals of HS and of MS, by band"
    return chart(figure, alt, "Residuals of both degradations", "0 is needed, not enough")


def displacement_chart(found: Findings) -> Picture | None:
    """Where and how far HS and MS lie off each other, where that is not one shift."""
    known = None if found.record is None else recorded_field(found.record.placement)
    if known is None or found.record is None:
        return None
    figure, (height, width) = draw.new_figure(4.4, 3.6), found.sharp.shape[1:]
    draw_displacement(figure.subplots(), *known, (height, width))
    words = displacement_words(found.record.placement["evidence"])
    return chart(figure, f"map of the displacement, {words}", "Displacement of MS off HS", words, heatmap=True)


def sensor_charts(found: Findings) -> Iterator[Picture]:
    """Blur, responses, and how far hs and ms are from each other under them."""
    if found.estimate is None:
        return
    sensor, nm = found.estimate.sensor, wavelengths_nm(only_usable(found.hs, "hs"))
    blur, response, bars = draw.new_figure(4.4, 3.6), draw.new_figure(*CHART), draw.new_figure(*CHART)
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
