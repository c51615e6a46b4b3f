"""Pictures of cubes: true colour, spectra, error maps; each function returns a matplotlib figure or draws on axes.

No pyplot, so nothing global: a figure is freed with its last name. Colours are safe for the colour-blind
(Okabe and Ito, "Color Universal Design", 2008; the maps viridis and magma).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import wavelengths_nm
from hypersharp.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hypersharp.sensor.observe import Sensor

Pixel = tuple[int, int]  # y, x
Image = NDArray[np.float32]
Limits = tuple[NDArray[np.float64], NDArray[np.float64]]  # of each channel, or one number for all

RGB_CENTRES_NM = (620.0, 550.0, 460.0)  # where a camera's red, green and blue are most sensitive
RGB_SIGMA_NM = 25.0
STRETCH_QUANTILES = (0.01, 0.995)
DISPLAY_GAMMA = 1 / 2.2
OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
SHARE = "share of full scale"
LEVELLING = 4.0


def rgb_weights(wavelengths: NDArray[np.float64] | None, bands: int) -> Image:
    """(3, L) weights of red, green and blue, rows sum to 1; by thirds of the axis where wavelengths are unknown.

    >>> rgb_weights(np.arange(400.0, 701.0, 10), 31).argmax(1).tolist()
    [22, 15, 6]
    """
    if wavelengths is None:
        weights = np.eye(bands)[[bands - 1, bands // 2, 0]]
    else:
        distance = (wavelengths - np.array(RGB_CENTRES_NM)[:, None]) / RGB_SIGMA_NM
        distance -= np.abs(distance).min(1, keepdims=True) * np.sign(
            distance
        )  # outside the visible: the nearest band
        weights = np.exp(-0.5 * distance**2)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def true_colour(cube: xr.DataArray, limits: Limits | None = None) -> Image:
    """(H, W, 3) in 0..1 for a screen; `limits` are the values shown as black and white, by quantile if None."""
    low, high = limits or colour_limits(cube)
    shares = np.clip((mix_rgb(cube) - low) / np.maximum(high - low, 1e-12), 0, 1)
    return np.asarray(shares**DISPLAY_GAMMA, np.float32)


def colour_limits(cube: xr.DataArray, balanced: bool = False) -> Limits:
    """Black and white of a cube's true colour, so that several pictures can share them.

    `balanced` finds them for red, green and blue apart, which takes the light's own colour out.
    """
    low, high = np.quantile(mix_rgb(cube), STRETCH_QUANTILES, axis=(0, 1) if balanced else None)
    return low, high


def mix_rgb(cube: xr.DataArray) -> Image:
    """(H, W, 3) red, green and blue in the cube's unit, missing pixels 0."""
    values = np.nan_to_num(np.asarray(cube.values, dtype=np.float32))
    rgb: Image = np.einsum("cl,lyx->yxc", rgb_weights(wavelengths_nm(cube), len(values)), values)
    return rgb


def rms_error(estimate: xr.DataArray, truth: xr.DataArray) -> Image:
    """(H, W): the root mean square over bands of estimate - truth, in the cubes' unit."""
    if estimate.shape != truth.shape:
        raise InputError(
            f"shapes {estimate.shape} and {truth.shape}", "two cubes of one shape", "compare a pair"
        )
    difference = np.asarray(estimate.values, np.float32) - np.asarray(truth.values, np.float32)
    error: Image = np.sqrt(np.mean(difference**2, axis=0))
    return error


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches, that belongs to nobody else.

    Raises: MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingExtraError("plots", "plot") from exc
    return Figure(figsize=(width, height), layout="constrained")


def draw_image(axes: "Axes", image: Image, title: str, **options: Any) -> Any:
    """One picture without ticks."""
    shown = axes.imshow(image, interpolation="nearest", **options)
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    return shown


def draw_colours(
    row: Sequence["Axes"],
    cubes: Mapping[str, xr.DataArray],
    pixels: Sequence[Pixel] = (),
    balanced: bool = False,
) -> None:
    """True-colour pictures of cubes of one unit in the stretch of the last, `pixels` marked on that."""
    last = list(cubes.values())[-1]
    limits = colour_limits(last, balanced)
    for axes, (title, cube) in zip(row, cubes.items(), strict=True):
        draw_image(axes, true_colour(cube, limits), title)
    for n, (y, x) in enumerate(pixels):
        row[-1].plot(x, y, "o", color="white", markeredgecolor="black", markersize=9)
        row[-1].annotate("ABCDEFGH"[n], (x, y), ha="center", va="center", fontsize=6)


def draw_errors(row: Sequence["Axes"], estimates: Mapping[str, xr.DataArray], truth: xr.DataArray) -> None:
    """Error maps with one shared colour bar."""
    errors = {name: rms_error(estimate, truth) for name, estimate in estimates.items()}
    top = max(float(np.nanquantile(error, 0.995)) for error in errors.values())
    for axes, (name, error) in zip(row, errors.items(), strict=True):
        shown = draw_image(axes, error, f"error of {name}", cmap="magma", vmin=0, vmax=top)
    row[0].get_figure().colorbar(shown, ax=list(row), label="RMS error over bands", shrink=0.8, extend="max")  # type: ignore[union-attr]


def draw_spectra(axes: "Axes", cubes: Mapping[str, xr.DataArray], pixel: Pixel, title: str) -> None:
    """The spectra of several cubes of one grid at one pixel (y, x)."""
    for n, (name, cube) in enumerate(cubes.items()):
        nm = wavelengths_nm(cube)
        where = np.arange(cube.shape[0]) if nm is None else nm
        axes.plot(where, cube.values[:, pixel[0], pixel[1]], color=OKABE_ITO[n], label=name, linewidth=1.4)
        axes.set_xlabel("band" if nm is None else "wavelength (nm)", fontsize=9)
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


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
    draw_image(
        row[1], true_colour(ms, colour_limits(ms, True)), f"ms {ms.shape[1]} x {ms.shape[2]} x {ms.shape[0]}"
    )
    shown = {f"hs {hs.shape[1]} x {hs.shape[2]} x {hs.shape[0]}": hs, **best, "truth": truth}
    draw_colours([row[0], row[2], row[3]], shown, pixels, balanced=True)
    for n, axes in enumerate(spectra.subplots(1, len(pixels), squeeze=False)[0]):
        draw_spectra(axes, {"truth": truth, **estimates}, pixels[n], f"spectra at {'ABCDEFGH'[n]}")
        if n == 0:
            axes.legend(fontsize=8)
    draw_errors(errors.subplots(1, len(estimates), squeeze=False)[0], estimates, truth)
    return figure


def draw_values(row: Sequence["Axes"], images: Mapping[str, Image]) -> None:
    """Single bands in grey on one scale, black is 0, with a shared colour bar."""
    top = max(float(np.nanquantile(image, STRETCH_QUANTILES[1])) for image in images.values())
    draw_scaled(row, images, "max", {"cmap": "gray", "vmin": 0, "vmax": top})


def draw_signed(row: Sequence["Axes"], images: Mapping[str, Image]) -> None:
    """Differences of both signs on one scale symmetric about 0, with a shared colour bar."""
    top = max(float(np.nanquantile(np.abs(image), STRETCH_QUANTILES[1])) for image in images.values()) or 1.0
    draw_scaled(row, images, "both", {"cmap": "PuOr", "vmin": -top, "vmax": top})


def draw_scaled(
    row: Sequence["Axes"], images: Mapping[str, Image], extend: str, scale: Mapping[str, Any]
) -> None:
    """Pictures on one scale with its colour bar; what is left of the row stays empty."""
    for axes in row[len(images) :]:
        axes.axis("off")
    for axes, (title, image) in zip(row, images.items(), strict=False):
        shown = draw_image(axes, image, title, **scale)
    row[0].get_figure().colorbar(shown, ax=list(row), label=SHARE, shrink=0.8, extend=extend)  # type: ignore[union-attr]


def iterations_figure(rows: Sequence[Mapping[str, Image]]) -> "Figure":
    """One band: a row of images (estimates and truth), then rows of signed maps, by title."""
    columns = max(len(row) for row in rows)
    figure = new_figure(3.2 * columns + 1, 3.3 * len(rows))
    first, *others = figure.subplots(len(rows), columns, squeeze=False)
    draw_values(first, rows[0])
    for axes, maps in zip(others, rows[1:], strict=True):
        draw_signed(axes, maps)
    return figure


def prediction_figure(error: Image, predictions: Mapping[str, Image]) -> "Figure":
    """One band of the true error beside what was predicted of it, with the correlation of the two."""
    figure = new_figure(3.9 * (1 + len(predictions)) + 1, 3.9)
    maps = {"truth - $Z^1$": error}
    for title, predicted in predictions.items():
        correlation = float(np.corrcoef(error.ravel(), predicted.ravel())[0, 1])
        maps[f"{title}\ncorrelation {correlation:.2f}"] = predicted
    draw_signed(figure.subplots(1, len(maps)), maps)
    return figure


def degradation_figure(pairs: Mapping[str, tuple[Image, Image]]) -> "Figure":
    """A row an image: the band that was made of the estimate, the one observed, and their difference."""
    figure = new_figure(12.4, 3.6 * len(pairs))
    for row, (title, (made, observed)) in zip(
        figure.subplots(len(pairs), 3, squeeze=False), pairs.items(), strict=True
    ):
        draw_values(row[:2], {f"{title} of the degraded estimate": made, f"{title} as observed": observed})
        draw_signed(row[2:], {"difference": made - observed})
    return figure


def curves_figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str
) -> "Figure":
    """A line a name, (x, y) of something that rises and levels off: the last LEVELLING units of y are shown."""
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for n, (name, (x, y)) in enumerate(curves.items()):
        style = "-" if n < len(OKABE_ITO) else "--"
        axes.plot(x, y, style, color=OKABE_ITO[n % len(OKABE_ITO)], label=name, linewidth=1.4)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=min(y[-1] for _, y in curves.values()) - LEVELLING)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def sensor_figure(
    sensor: "Sensor",
    shift_px_yx: tuple[float, float],
    residuals: NDArray[np.float64],
    nm: NDArray[np.float64] | None,
) -> "Figure":
    """The blur as the coarse pixel sees the fine ones, its centre marked; the responses; the residuals (l,), shares.

    nm (L,): wavelengths of the hs bands, None where unknown.
    """
    figure = new_figure(13, 3.8)
    blur, response, bars = figure.subplots(1, 3, width_ratios=[1, 1.8, 1])
    kernel = sensor.psf.kernel[::-1, ::-1]
    top, left = (
        start + size // 2 - size + 0.5 - (sensor.ratio - 1) / 2
        for start, size in zip(sensor.psf.start_yx, kernel.shape, strict=True)
    )
    extent = (left, left + kernel.shape[1], top + kernel.shape[0], top)
    shown = blur.imshow(kernel, cmap="viridis", interpolation="nearest", extent=extent)
    blur.plot(shift_px_yx[1], shift_px_yx[0], "+", color=OKABE_ITO[4], markersize=14, label="centre of mass")
    blur.plot(0, 0, "o", markerfacecolor="none", color="white", label="coarse pixel's centre")
    blur.set(title="blur", xlabel="x (fine pixels)", ylabel="y (fine pixels)")
    blur.legend(fontsize=7, loc="lower right")
    figure.colorbar(shown, ax=blur, shrink=0.8)
    where = np.arange(1, sensor.srf.shape[1] + 1) if nm is None else nm
    for m, row in enumerate(sensor.srf):
        colour, style = OKABE_ITO[m % len(OKABE_ITO)], "-" if m < len(OKABE_ITO) else "--"
        response.plot(where, row, style, color=colour, linewidth=1.4, label=f"ms {m + 1}")
    response.set(title="response", xlabel="hs band" if nm is None else "wavelength (nm)", ylabel="weight")
    response.legend(fontsize=7, ncols=2)
    response.grid(alpha=0.3)
    bars.bar(np.arange(1, len(residuals) + 1), 100 * residuals, color=OKABE_ITO[6])
    bars.set(title="residual", xlabel="ms band", ylabel="||R hs - D B ms|| / ||R hs|| (%)")
    return figure


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
        row[1 + n].fill_between(
            where, middle - half, middle + half, color=OKABE_ITO[2], alpha=0.4, label=label
        )
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
    axes.axhline(
        100 * float(error.attrs.get("coverage", 0.9)), color=OKABE_ITO[0], linestyle="--", label="stated"
    )
    axes.set(title="coverage", xlabel="band" if nm is None else "wavelength (nm)", ylabel="%", ylim=(50, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
