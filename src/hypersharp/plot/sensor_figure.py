"""A sensor drawn: blur, responses, residuals."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypersharp.plot.band_curves import broken
from hypersharp.plot.draw import OKABE_ITO, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hypersharp.sensor.observe import Sensor

MOST_TICKS = 12


def sensor_figure(
    sensor: "Sensor", shift_px_yx: tuple[float, float], residuals: NDArray[np.float64], nm: NDArray[np.float64] | None
) -> "Figure":
    """The blur as the coarse pixel sees the fine ones, its centre marked; the responses; the residuals (l,), shares.

    nm (L,): wavelengths of the hs bands, None where unknown.
    """
    figure = new_figure(13, 3.8)
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
