"""A small landscape whose truth is known, as any sensor would see it: the ground under the miniatures of products.

1440 m x 1440 m of EPSG:32633 in cells of 5 m: fields of vegetation and soil, water, roads, roofs; one for each seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

EPSG, LEFT, TOP, SIDE_M, CELL_M = 32633, 368_160.0, 5_811_000.0, 1440, 5
STEP_M = 2.5  # between the places that a pixel is averaged over
GRID_NM = np.arange(330.0, 2600.0, 2.0)
Array = NDArray[np.float64]
Ground = Callable[[Array, Array], tuple[Array, Array]]


def degrees(x: Array, y: Array) -> tuple[Array, Array]:
    """Longitude and latitude of places on the map."""
    return tuple(np.reshape(axis, x.shape) for axis in transform(EPSG, 4326, x.ravel(), y.ravel()))  # type: ignore[return-value]


def metres(lon: Array, lat: Array) -> tuple[Array, Array]:
    """Places on the map of longitudes and latitudes."""
    return tuple(np.reshape(axis, lon.shape) for axis in transform(4326, EPSG, lon.ravel(), lat.ravel()))  # type: ignore[return-value]


def bump(centre: float, width: float) -> Array:
    return np.exp(-(((GRID_NM - centre) / width) ** 2))


def rise(centre: float, width: float) -> Array:
    return 1 / (1 + np.exp((centre - GRID_NM) / width))


def line(*points: float) -> Array:
    """The line through (nm, value, nm, value, ...)."""
    return np.interp(GRID_NM, points[::2], points[1::2])


VEGETATION = (0.05 + 0.06 * bump(555, 40)) * (1 - rise(715, 12)) + rise(715, 12) * line(
    700, 0.46, 1300, 0.42, 2500, 0.16
) * (1 - 0.5 * bump(1450, 90) - 0.7 * bump(1940, 110))
SOIL = line(330, 0.05, 700, 0.2, 1800, 0.38, 2500, 0.3) * (1 - 0.13 * bump(2205, 28))
WATER = line(330, 0.05, 480, 0.05, 800, 0.006, 2500, 0.004)
ROAD = line(330, 0.06, 700, 0.11, 2500, 0.16)
ROOF = 0.06 + 0.32 * rise(595, 25) * line(600, 0.9, 2500, 1)
SPECTRA = np.stack([VEGETATION, SOIL, WATER, ROAD, ROOF])


@dataclass(frozen=True)
class Landscape:
    """Where the materials lie, by seed."""

    seed: int = 0

    @cached_property
    def shares(self) -> Array:
        """(material, y, x) on the cells, rows from the north."""
        random, n = np.random.default_rng(self.seed), SIDE_M // CELL_M
        y, x = np.mgrid[:n, :n]
        field = KDTree(random.random((150, 2)) * n).query(np.stack([y, x], -1))[1]
        green = np.clip(random.random(150)[field] + 2.0 * gaussian_filter(random.standard_normal((n, n)), 1.5), 0, 1)
        found = np.zeros((5, n, n))
        found[0], found[1] = green, 1 - green
        lots = np.kron(random.random((n // 4, n // 4)), np.ones((4, 4)))
        bend = random.uniform(0.3, 0.7) * n + 20 * np.sin(x / random.uniform(25, 45) + random.uniform(0, 6))
        for material, where in (
            (4, lots > 0.94),
            (3, (x + y // 5) % 61 < 3),
            (3, (y - x // 7) % 83 < 3),
            (2, np.abs(y - bend) < 7),
        ):
            found[:, where], found[material, where] = 0, 1
        return found

    def seen(
        self,
        place: Affine,
        shape_yx: tuple[int, int],
        nm: Array,
        fwhm_nm: Array | float,
        to_ground: Ground | None = None,
    ) -> Array:
        """Reflectance (band, y, x) of the pixels of a grid, NaN where the ground is not known."""
        size = np.hypot(place.a, place.d)
        steps = max(2, round(size / STEP_M))
        within = (np.arange(steps) + 0.5) / steps
        rows, columns = (np.add.outer(np.arange(side), within).ravel() for side in shape_yx)
        column, row = np.meshgrid(columns, rows)
        x, y = place.a * column + place.b * row + place.c, place.d * column + place.e * row + place.f
        x, y = (x, y) if to_ground is None else to_ground(x, y)
        n = self.shares.shape[1]
        i, j = np.floor((TOP - y) / CELL_M).astype(int), np.floor((x - LEFT) / CELL_M).astype(int)
        known = (i >= 0) & (i < n) & (j >= 0) & (j < n)
        shares = self.shares[:, i.clip(0, n - 1), j.clip(0, n - 1)]
        blocks = (shape_yx[0], steps, shape_yx[1], steps)
        weights = np.exp(-4 * np.log(2) * ((GRID_NM[:, None] - np.asarray(nm)) / np.asarray(fwhm_nm)) ** 2)
        spectra = SPECTRA @ (weights / weights.sum(0))
        values = np.einsum("myx,mb->byx", shares.reshape(5, *blocks).mean((2, 4)), spectra)
        values[:, ~known.reshape(blocks).all((1, 3))] = np.nan
        return values


def on_map(size_m: float, left_m: float = 0.0, top_m: float = 0.0) -> Affine:
    """North-up pixels whose corner lies so far right of, and below, that of the ground."""
    return Affine(size_m, 0, LEFT + left_m, 0, -size_m, TOP - top_m)


def in_orbit(size_m: float, lines: int) -> Affine:
    """A swath in the middle of the ground, its track 12 degrees off north."""
    middle = Affine.translation(LEFT + SIDE_M / 2, TOP - SIDE_M / 2) @ Affine.rotation(-12)
    return middle @ Affine.scale(size_m, -size_m) @ Affine.translation(-lines / 2, -lines / 2)


def swaying(x: Array, y: Array) -> tuple[Array, Array]:
    """A swath of an instrument that sways to and fro by 45 m, and turns, along its track."""
    return x + 45 * np.sin((y - TOP) / 180), y + 20 * np.cos((x + y - LEFT - TOP) / 250)


def centres(place: Affine, shape_yx: tuple[int, int], to_ground: Ground | None = None) -> tuple[Array, Array]:
    """Longitude and latitude of the centres of a grid's pixels."""
    row, column = np.mgrid[: shape_yx[0], : shape_yx[1]] + 0.5
    x, y = place.a * column + place.b * row + place.c, place.d * column + place.e * row + place.f
    return degrees(*((x, y) if to_ground is None else to_ground(x, y)))


def disc(size_m: float, shape_yx: tuple[int, int], middle_m: tuple[float, float], radius_m: float) -> NDArray[np.bool_]:
    """True within a round cloud; middle_m: (x, y) from the corner of the grid."""
    y, x = (np.mgrid[: shape_yx[0], : shape_yx[1]] + 0.5) * size_m
    found: NDArray[np.bool_] = np.hypot(x - middle_m[0], y - middle_m[1]) < radius_m
    return found
