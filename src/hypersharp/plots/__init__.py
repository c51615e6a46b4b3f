"""Pictures of cubes, one file a theme: colour, what figures are drawn with, comparisons, networks, sensors, trust."""

from hypersharp.plots.colour import Image, colour_limits, rgb_weights, true_colour
from hypersharp.plots.compare import colour_figure, comparison_figure, error_figure, spectra_figure
from hypersharp.plots.draw import draw_colours, draw_image, new_figure, rms_error
from hypersharp.plots.networks import curves_figure, degradation_figure, iterations_figure, prediction_figure
from hypersharp.plots.sensor import sensor_figure
from hypersharp.plots.trust import trust_figure

__all__ = [
    "Image",
    "colour_figure",
    "colour_limits",
    "comparison_figure",
    "curves_figure",
    "degradation_figure",
    "draw_colours",
    "draw_image",
    "error_figure",
    "iterations_figure",
    "new_figure",
    "prediction_figure",
    "rgb_weights",
    "rms_error",
    "sensor_figure",
    "spectra_figure",
    "true_colour",
    "trust_figure",
]
