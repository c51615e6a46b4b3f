"""The figures of `hypersharp.plot`: images in colour, spectra, errors, the sensor, prediction intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import check_axes, only_usable
from hypersharp.errors import InputError
from hypersharp.pair.estimate import study_pair
from hypersharp.plot import draw
from hypersharp.plot.colour import Kind, mix_for, mixture, stretch
from hypersharp.plot.draw import OKABE_ITO, broken
from hypersharp.plot.errors import draw_errors, draw_map
from hypersharp.plot.places import Pixel, Place, find_pixel, same_place
from hypersharp.registration.field import Field

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hypersharp.sensor.observe import Sensor

Cubes = xr.DataArray | Mapping[str, xr.DataArray]
PANEL = (3.4, 3.5)  # inches
QUANTILES = (0.5, 0.9, 0.99)  # of the predicted error: pixels whose spectra are shown
MOST_TICKS = 12
ARROWS, MAP_STEPS = 14, 160  # along the longer side of a displacement's picture


def composites(cubes: Cubes, kind: Kind = "true") -> "Figure":
    """Images side by side in colour, each with its own stretch.

    Args:
        cubes: a cube (L, H, W), or several by name.
        kind: "true" colour; near "infrared", red and green as red, green and blue; the first three principal
            "components" of each.

    Returns: a figure, a panel a cube.

    Raises:
        InputError: an unknown kind, or an image whose bands cannot show it. MissingExtraError: no matplotlib.

    >>> from hypersharp.cube import make_cube
    >>> cube = make_cube(np.random.default_rng(0).random((3, 8, 8)), wavelengths_nm=[480, 560, 660])
    >>> composites(cube).axes[0].get_title().strip()
    '660, 560, 480 nm'
    """
    named = by_name(cubes)
    figure = draw.new_figure(PANEL[0] * len(named), PANEL[1])
    for axes, (name, cube) in zip(figure.subplots(1, len(named), squeeze=False)[0], named.items(), strict=True):
        draw.draw_composite(axes, cube, name, mix_for(cube, kind))
    return figure


def spectra(cubes: Cubes, places: Sequence[Place]) -> "Figure":
    """A panel a place with the spectra there, those of each image on its own grid.

    Args:
        cubes: a cube (L, H, W), or several by name; drawn where their bands lie on the axis of the last one's.
        places: (x, y): whole numbers count pixels of the last cube from 0, others are map coordinates.

    Returns: a figure, a panel a place.

    Raises:
        InputError: no place, or one outside the last image. MissingExtraError: no matplotlib.

    >>> from hypersharp.cube import make_cube
    >>> cube = make_cube(np.random.default_rng(0).random((30, 8, 8)))
    >>> spectra({"sharp": cube}, [(2, 5)]).axes[0].get_title(loc="left")
    'pixel 2, 5'
    """
    named = by_name(cubes)
    if not places:
        raise InputError("no place", "one (x, y) at least", "name a pixel, [(10, 20)]")
    pixels = [find_pixel(place, list(named.values())[-1]) for place in places]
    figure = draw.new_figure(PANEL[0] * len(places) + 0.6, PANEL[1])
    _draw_spectra(figure.subplots(1, len(places), squeeze=False)[0], named, pixels)
    return figure


def comparison(
    hs: xr.DataArray, ms: xr.DataArray, sharp: Cubes, truth: xr.DataArray | None = None, places: Sequence[Place] = ()
) -> "Figure":
    """HS, MS, a result and its truth in true colour; below them spectra, and errors against the truth.

    All but ms are shown in the stretch of the truth, or of the result.

    Args:
        hs: (L, h, w).
        ms: (l, H, W), in a unit of its own.
        sharp: a result (L, H, W), or several by name: the first is pictured, spectra and errors are those of all.
        truth: the fine scene (L, H, W), where it is known.
        places: (x, y) in the result whose spectra are shown.

    Returns: a figure, a row each of images, spectra and errors.

    Raises:
        InputError: a place outside the result, a truth of another shape. MissingExtraError: no matplotlib.

    >>> from hypersharp.cube import make_cube
    >>> cube = make_cube(np.random.default_rng(0).random((30, 8, 8)))
    >>> len(comparison(cube[:, ::2, ::2], cube[:3], cube, places=[(2, 5)]).subfigs)
    2
    """
    results = by_name(sharp) if isinstance(sharp, Mapping) else {"result": sharp}
    first, result = next(iter(results.items()))
    true = {} if truth is None else {"truth": truth}
    named, pixels = {"hs": hs, "ms": ms, first: result} | true, [find_pixel(place, result) for place in places]
    rows = 1 + bool(places) + bool(true)
    figure = draw.new_figure(PANEL[0] * len(named), PANEL[1] * rows)
    parts = list(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    last = list(named.values())[-1]
    limits = stretch(mixture(last, mix_for(last)))
    pictures = parts.pop(0).subplots(1, len(named))
    for axes, (name, cube) in zip(pictures, named.items(), strict=True):
        draw.draw_composite(axes, cube, name, limits=None if name == "ms" else limits)
    draw.draw_marks(pictures[-1], pixels)
    if places:
        row = parts.pop(0).subplots(1, len(places), squeeze=False)[0]
        _draw_spectra(row, {"hs": hs, "ms": ms, **results, **true}, pixels, lettered=True)
    if truth is not None:
        draw_errors(parts.pop(0), results, truth)
    return figure


def error_map(estimate: Cubes, truth: xr.DataArray) -> "Figure":
    """Where an estimate differs from its truth: RMS error over bands, in their unit, and spectral angle, degrees.

    Args:
        estimate: (L, H, W), or several by name: then their RMS errors on one scale.
        truth: (L, H, W).

    Returns: a figure, two maps of one estimate or a map each of several.

    Raises:
        InputError: two shapes. MissingExtraError: no matplotlib.

    >>> from hypersharp.cube import make_cube
    >>> truth = make_cube(np.random.default_rng(0).random((4, 8, 8)))
    >>> [axes.get_title() for axes in error_map(truth + 0.1, truth).axes][:2]
    ['RMS error over bands', 'spectral angle (degrees)']
    """
    estimates = estimate if isinstance(estimate, Mapping) else {"estimate": estimate}
    figure = draw.new_figure(max(9.6, 3.2 * len(estimates) + 1), 4.2 if len(estimates) == 1 else 3.4)
    draw_errors(figure, estimates, truth)
    return figure


def sensor(
    hs: xr.DataArray, ms: xr.DataArray, *, psf: str | Path | None = None, srf: str | Path | None = None
) -> "Figure":
    """The PSF of HS, the spectral responses of MS, and the difference between the two under them.

    Args:
        hs: (L, h, w).
        ms: (l, H, W).
        psf, srf: as `fuse` takes them; what is not given is estimated from the pair.

    Returns: a figure of three panels.

    Raises:
        InputError: as `hypersharp estimate`. MissingExtraError: no matplotlib.

    >>> import hypersharp as hsp
    >>> from hypersharp.cube import make_cube
    >>> from hypersharp.simulation.protocols import find_protocol
    >>> scene = make_cube(np.random.default_rng(0).random((31, 64, 64)), wavelengths_nm=range(400, 701, 10))
    >>> hs, ms, _ = hsp.simulate(scene, find_protocol("dian-x4").sensor())
    >>> len(sensor(hs, ms, srf="nikon-d700").axes) >= 3
    True
    """
    study = study_pair(hs, ms, psf=psf, srf=srf)
    found = study.estimate
    return sensor_figure(found.sensor, found.shift_px_yx, study.diagnosis.residuals, study.spectra.hs_nm)


def uncertainty(sharp: xr.DataArray, error: xr.DataArray, truth: xr.DataArray | None = None) -> "Figure":
    """Prediction intervals of a result: their half-widths over the scene, spectra within them, and how often they hold.

    The pixels shown have the median, the 90 % and the 99 % quantile of the half-width's mean over bands.

    Args:
        sharp: a result (L, H, W).
        error: half-widths (L, H, W), as `predict_error` gives them; the stated share is in its attrs.
        truth: the fine scene (L, H, W): then the coverage of each band is drawn too.

    Returns: a figure of four panels, five with a truth.

    Raises:
        MissingExtraError: no matplotlib.

    >>> from hypersharp.cube import make_cube
    >>> sharp = make_cube(np.random.default_rng(0).random((30, 8, 8)))
    >>> uncertainty(sharp, 0 * sharp + 0.1).axes[1].get_title(loc="left")
    'A: 50% of pixels have narrower intervals'
    """
    figure = draw.new_figure(15 + (4 if truth is not None else 0), 3.6)
    row = figure.subplots(1, 4 + (truth is not None))
    with np.errstate(invalid="ignore"):
        means = np.asarray(only_usable(error, "half-widths").mean("band", skipna=True), np.float32)
    draw_map(row[0], means, "mean over bands", f"half-width ({error.attrs.get('units', 'unit of the result')})")
    pixels = []
    for n, quantile in enumerate(QUANTILES):
        y, x = np.unravel_index(np.nanargmin(np.abs(means - np.nanquantile(means, quantile))), means.shape)
        pixels.append((int(y), int(x)))
        curves = [draw.curve_at(sharp, pixels[n], "result", error)]
        curves += [] if truth is None else [draw.curve_at(truth, pixels[n], "truth")]
        title = f"{draw.LETTERS[n]}: {quantile:.0%} of pixels have narrower intervals"
        draw.draw_curves(row[1 + n], curves, title, draw.axis_label(sharp))
    draw.draw_marks(row[0], pixels)
    stated = float(error.attrs.get("coverage", 0.9))
    row[1].legend(fontsize=7, title=f"with {stated:.0%} intervals", title_fontsize=7)
    if truth is not None:
        axes, gap = row[4], np.abs(sharp.values - truth.values)
        counted = np.isfinite(gap) & np.isfinite(error.values)
        held = ((gap <= error.values) & counted).sum((1, 2)) / np.maximum(counted.sum((1, 2)), 1)
        axes.plot(draw.band_axis(sharp), 100 * held, color=OKABE_ITO[6], label="observed")
        axes.axhline(100 * stated, color=OKABE_ITO[0], linestyle="--", label="stated")
        axes.set(title="coverage", xlabel=draw.axis_label(sharp), ylabel="%", ylim=(50, 100))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure


def _draw_spectra(
    row: Sequence["Axes"], cubes: Mapping[str, xr.DataArray], pixels: Sequence[Pixel], lettered: bool = False
) -> None:
    """The spectra at pixels of the last cube, of all whose bands lie on the same axis: wavelengths, or numbers."""
    last = list(cubes.values())[-1]
    alike = {name: cube for name, cube in cubes.items() if draw.axis_label(cube) == draw.axis_label(last)}
    for n, (axes, pixel) in enumerate(zip(row, pixels, strict=True)):
        places = {name: same_place(pixel, last, cube) for name, cube in alike.items()}
        curves = [draw.curve_at(alike[name], at, name) for name, at in places.items() if at is not None]
        title = f"pixel {pixel[1]}, {pixel[0]}"
        letter = f"{draw.LETTERS[n % len(draw.LETTERS)]}: " if lettered else ""
        draw.draw_curves(axes, curves, letter + title, draw.axis_label(last))
    if any(alike):
        row[0].legend(fontsize=8)


def by_name(cubes: Cubes) -> Mapping[str, xr.DataArray]:
    """Cubes by name, one alone under its own. Raises: InputError for something that is no cube."""
    named = {str(cubes.name or ""): cubes} if isinstance(cubes, xr.DataArray) else cubes
    for name, cube in named.items():
        check_axes(cube, name or "image")
    return named


def sensor_figure(
    sensor: "Sensor", shift_px_yx: tuple[float, float], residuals: NDArray[np.float64], nm: NDArray[np.float64] | None
) -> "Figure":
    """The blur as the coarse pixel sees the fine ones, its centre marked; the responses; the residuals (l,), shares.

    nm (L,): wavelengths of the hs bands, None where unknown.
    """
    figure = draw.new_figure(13, 3.8)
    blur, response, bars = figure.subplots(1, 3, width_ratios=[1, 1.8, 1])
    draw_blur(blur, sensor, shift_px_yx)
    draw_response(response, sensor, nm)
    draw_sensor_residuals(bars, residuals)
    for axes, title in ((blur, "blur"), (response, "response"), (bars, "residual")):
        axes.set_title(title)
    return figure


def draw_blur(axes: "Axes", sensor: "Sensor", shift_px_yx: tuple[float, float]) -> None:
    """The kernel over the fine pixels around a coarse one."""
    kernel = sensor.psf.kernel[::-1, ::-1]
    top, left = (
        start + size // 2 - size + 0.5 - (sensor.ratio - 1) / 2
        for start, size in zip(sensor.psf.start_yx, kernel.shape, strict=True)
    )
    extent = (left, left + kernel.shape[1], top + kernel.shape[0], top)
    shown = axes.imshow(kernel, cmap="viridis", interpolation="nearest", extent=extent)
    axes.plot(shift_px_yx[1], shift_px_yx[0], "+", color=OKABE_ITO[4], markersize=14, label="centre of mass")
    axes.plot(0, 0, "o", markerfacecolor="none", color="white", label="coarse pixel's centre")
    axes.set(xlabel="x (fine pixels)", ylabel="y (fine pixels)")
    axes.legend(fontsize=7, loc="lower right")
    axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def draw_displacement(axes: "Axes", field: Field, first_yx: tuple[int, int], shape_yx: tuple[int, int]) -> None:
    """How far (colours) and where to (arrows) MS shows things off HS, fine pixels; first_yx: the first pixel shown."""

    def seen(steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        step = max(shape_yx) / steps
        sides = [np.arange(step / 2, side, step) for side in shape_yx]
        places = np.stack(np.meshgrid(*sides, indexing="ij"))
        moved = field(places.reshape(2, -1) + np.array(first_yx)[:, None]).reshape(places.shape)
        return places, moved

    extent = (0, shape_yx[1], shape_yx[0], 0)
    shown = axes.imshow(np.hypot(*seen(MAP_STEPS)[1]), cmap="viridis", extent=extent)
    (y, x), (down, right) = seen(ARROWS)
    axes.quiver(x, y, right, down, angles="xy", color="white", width=0.004)
    axes.set(xlabel="x (fine pixels)", ylabel="y (fine pixels)")
    axes.figure.colorbar(shown, ax=axes, shrink=0.8, label="displacement (fine pixels)")


def draw_response(axes: "Axes", sensor: "Sensor", nm: NDArray[np.float64] | None) -> None:
    """A line an ms band, its weights over the hs bands."""
    where = np.arange(1.0, sensor.srf.shape[1] + 1) if nm is None else nm
    for m, row in enumerate(sensor.srf):
        colour, style = OKABE_ITO[m % len(OKABE_ITO)], "-" if m < len(OKABE_ITO) else "--"
        axes.plot(*broken(where, row), style, color=colour, linewidth=1.4, label=f"MS {m + 1}")
    axes.set(xlabel="HS band" if nm is None else "wavelength (nm)", ylabel="weight")
    axes.legend(fontsize=7, ncols=2)
    axes.grid(alpha=0.3)


def draw_sensor_residuals(axes: "Axes", residuals: NDArray[np.float64]) -> None:
    """A bar an ms band, in percent."""
    if len(residuals) <= MOST_TICKS:
        axes.set_xticks(range(1, len(residuals) + 1))
    axes.bar(np.arange(1, len(residuals) + 1), 100 * residuals, color=OKABE_ITO[6])
    axes.set(xlabel="MS band", ylabel="||R hs - D B ms|| / ||R hs|| (%)")
