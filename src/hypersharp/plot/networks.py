"""Pictures of networks at work, as papers show them: iterations, predicted errors, degradations, training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.plot.colour import Image
from hypersharp.plot.draw import OKABE_ITO, draw_scaled, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELLING = 4.0


def iterations_figure(rows: Sequence[Mapping[str, Image]]) -> "Figure":
    """One band: a row of images (estimates and truth), then rows of signed maps, by title."""
    columns = max(len(row) for row in rows)
    figure = new_figure(3.2 * columns + 1, 3.3 * len(rows))
    for n, axes in enumerate(figure.subplots(len(rows), columns, squeeze=False)):
        draw_scaled(axes, rows[n], signed=n > 0)
    return figure


def prediction_figure(error: Image, predictions: Mapping[str, Image]) -> "Figure":
    """One band of the true error beside what was predicted of it, with the correlation of the two."""
    figure = new_figure(3.9 * (1 + len(predictions)) + 1, 3.9)
    maps = {"truth - $Z^1$": error}
    for title, predicted in predictions.items():
        correlation = float(np.corrcoef(error.ravel(), predicted.ravel())[0, 1])
        maps[f"{title}\ncorrelation {correlation:.2f}"] = predicted
    draw_scaled(figure.subplots(1, len(maps)), maps, signed=True)
    return figure


def degradation_figure(pairs: Mapping[str, tuple[Image, Image]]) -> "Figure":
    """A row an image: the band that was made of the estimate, the one observed, and their difference."""
    figure = new_figure(12.4, 3.6 * len(pairs))
    rows = figure.subplots(len(pairs), 3, squeeze=False)
    for row, (title, (made, observed)) in zip(rows, pairs.items(), strict=True):
        draw_scaled(row[:2], {f"{title} of the degraded estimate": made, f"{title} as observed": observed})
        draw_scaled(row[2:], {"difference": made - observed}, signed=True)
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
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_ylim(bottom=min(y[-1] for _, y in curves.values()) - LEVELLING)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
