"""Swaths: pixels of an image in the order of acquisition, by their longitudes and latitudes."""

import re

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform

from hypersharp.cube import make_cube, with_lonlat
from hypersharp.describe import facts_of
from hypersharp.errors import InputError
from hypersharp.grid import Grid, in_pixels, on_map, swath_grid, swath_in_swath
from hypersharp.io.geotiff import points_of
from hypersharp.products.hdf import place_of

FloatArray = NDArray[np.float64]


def test_a_swath_knows_its_pixels_and_back() -> None:
    """By analytic longitudes and latitudes, some of them unknown, across the 180th meridian."""
    row, column = np.mgrid[:200, :90] + 0.5

    def places(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        lon = 179.98 + 6e-4 * (x + 0.2 * y + 3 * np.sin(y / 40))
        return (lon + 180) % 360 - 180, 50 - 4e-4 * (y - 0.3 * x + 2 * np.cos((x + y) / 50))

    lon, lat = places(row, column)
    lon[3:5, 7], lat[60, 60] = np.nan, -9999
    grid = swath_grid(lon, lat, "degrees")
    y, x = np.array([10.2, 55.0, 150.7, 199.5]), np.array([5.5, 80.1, 33.3, 0.5])
    xs, ys = on_map(grid, (x, y))
    true_lon, true_lat = places(y, x)
    np.testing.assert_allclose((xs - true_lon + 180) % 360 - 180, 0, atol=2e-6)
    np.testing.assert_allclose(ys, true_lat, atol=2e-6)
    np.testing.assert_allclose(in_pixels(grid, (xs, ys)), (x, y), atol=1e-4)
    far = in_pixels(grid, (xs + 30, ys))
    assert ((far[0] > 1000) | np.isnan(far[0])).all()


def test_a_swath_across_the_date_line_is_placed_in_its_zone_and_told_there() -> None:
    affine = Affine(30, 0, 712_000, 0, -30, 5_540_000)
    xs, ys = affine @ tuple(axis.ravel() + 0.5 for axis in np.mgrid[:40, :200][::-1])
    lon, lat = (np.reshape(axis, (40, 200)) for axis in transform("EPSG:32660", "EPSG:4326", xs, ys))
    lon = (lon + 180) % 360 - 180
    assert lon.min() < -179 and lon.max() > 179 and abs(lon.mean()) < 100
    known = place_of(lon, lat)
    (x,), (y,) = transform(f"EPSG:{known['crs']}", "EPSG:32660", *([one] for one in known["transform"] @ (100, 20)))
    assert known["crs"] in (32660, 32601) and (x, y) == pytest.approx(affine @ (100, 20), abs=1)
    swath = with_lonlat(make_cube(np.zeros((1, 40, 200))), np.stack([lon, lat]))
    assert re.search(r"around -?(179|180)\.", facts_of(swath)["Place"])
    assert np.ptp([point.x for point in points_of(np.stack([lon, lat]))]) < 1
    nowhere = with_lonlat(swath, np.full((2, 40, 200), np.nan))
    assert "around" not in facts_of(nowhere)["Place"] and points_of(np.full((2, 40, 200), np.nan)) == []


def test_where_a_swath_lies_in_a_finer_one_of_its_acquisition() -> None:
    """A part of a fine pixel off, which the PSF's centre takes up; not where pixels are no blocks."""

    def swath(side: int, step: float, start: float, bend: float = 2.0) -> Grid:
        y, x = start + step * (np.mgrid[:side, :side] + 0.5)
        return swath_grid(12 + 1e-4 * (x + bend * np.sin(y / 20)), 50 - 1e-4 * (y + np.cos(x / 30)), "degrees")

    fine = swath(240, 1.0, 0.0)
    assert swath_in_swath(swath(40, 6.0, 0.0), fine, 6) == (0.0, 0.0)
    np.testing.assert_allclose(swath_in_swath(swath(39, 6.0, 2.5), fine, 6), 2.5, atol=1e-3)
    with pytest.raises(InputError, match="two images of one acquisition"):
        swath_in_swath(swath(40, 6.0, 0.0, bend=9.0), fine, 6)


def test_a_swath_without_places_is_refused() -> None:
    with pytest.raises(InputError, match="without longitude and latitude"):
        swath_grid(np.full((4, 4), np.nan), np.zeros((4, 4)), "degrees")
