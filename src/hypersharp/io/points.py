"""The place of a swath as control points: a grid of them, which GDAL and GIS put an image on the map by.

Between its points the place is that of cubic splines through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.interpolate import RectBivariateSpline

from hypersharp.grid import next_to
from hypersharp.sensor.tables import FloatArray

MOST_POINTS = 32  # along a side: GDAL's thin plate spline takes the cube of all
LEAST_POINTS = 4  # of a cubic spline
MOST_PX = 2**26  # of an image whose every pixel gets a place


def points_of(lonlat: FloatArray) -> list[Any]:
    """Control points at degrees (2, y, x) of pixels' centres, those that are not known left out."""
    from rasterio.control import GroundControlPoint

    rows, columns = (np.unique(np.linspace(0, side - 1, MOST_POINTS).round().astype(int)) for side in lonlat.shape[1:])
    first = np.fmax.reduce(lonlat[0], axis=None)
    lonlat = np.stack([next_to(first, lonlat[0]), lonlat[1]])  # GDAL's splines know no date line
    return [
        GroundControlPoint(row + 0.5, column + 0.5, lon, lat)
        for row in rows.tolist()
        for column in columns.tolist()
        for lon, lat in [lonlat[:, row, column].tolist()]
        if np.isfinite(lon) and np.isfinite(lat)
    ]


def lonlat_of_points(points: Sequence[Any], shape_yx: tuple[int, int]) -> FloatArray | None:
    """The degrees (2, y, x) of pixels' centres by a full grid of control points in degrees; None where it is none."""
    pixels, ground = (
        np.array(found, float) for found in zip(*(((p.row, p.col), (p.x, p.y)) for p in points), strict=True)
    )
    rows, columns = (np.unique(axis) for axis in pixels.T)
    full = len(np.unique(pixels, axis=0)) == len(points) == len(rows) * len(columns)
    if not full or min(len(rows), len(columns)) < LEAST_POINTS or shape_yx[0] * shape_yx[1] > MOST_PX:
        return None
    turned = next_to(ground[0, 0], ground[:, 0])
    planes = np.stack([turned, ground[:, 1]])[:, np.lexsort(pixels.T[::-1])].reshape(2, len(rows), len(columns))
    y, x = (np.arange(side) + 0.5 for side in shape_yx)
    return np.stack([RectBivariateSpline(rows, columns, plane)(y, x) for plane in planes])
