"""Figures of cubes, sensors, errors and intervals."""

from hypersharp.plot.figures import comparison, composites, error_map, sensor, spectra, trust

__all__ = ["comparison", "composites", "error_map", "sensor", "spectra", "trust"]
