"""Geometry of grids: ratios, windows, affines. Ints and affines only, no pixels.

An affine maps (x, y) pixel corners to map coordinates (GDAL's convention: (0, 0) is the outer
corner of the first pixel), so a coarse grid and the fine grid of the same extent share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hypersharp.errors import InputError

if TYPE_CHECKING:
    from affine import Affine

Window = tuple[int, int, int, int]  # y0, x0, height, width
Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max
FloatArray = NDArray[np.float64]
Places = tuple[FloatArray, FloatArray]  # xs, ys of points
Points = tuple[Sequence[float], Sequence[float]]  # xs, ys
Project = Callable[[object, object, Sequence[float], Sequence[float]], Points]  # from CRS, to CRS, xs, ys

EXACT_PX = 0.01  # pixel corners that lie closer coincide
ROUNDED = 1e-6  # relative, of what is computed from coordinates
LEAST_RATIO, MOST_RATIO = 1.5, 32  # fine pixels per coarse pixel that fusion can bridge
SIDE_STEPS = 32  # points along a side of an image, enough to follow it into another CRS
ROUNDS, SETTLED_PX = 40, 1e-6  # of finding a place in a swath: each leaves a share that is the slope of `Grid.off`
LOST_PX = 0.01  # a place that is still moving by more lies in no pixel
SWATH_PX, MOSTLY = 0.25, 0.9  # of a coarse pixel that so many of two swaths' pixels stay within of their blocks
ROUNDED_PX = 0.05  # fine pixels: what longitudes and latitudes of 32 bits leave of a place
FITTED = 64  # rows and columns of a swath through which its affine is laid


@dataclass(frozen=True)
class Grid:
    """The pixels of one image on the ground: shape (height, width), affine and CRS where known.

    `off`: of a swath that no affine fits, how far (2, y, x) in the CRS (x, y) its pixels' centres lie off the affine.
    """

    shape_yx: tuple[int, int]
    transform: Affine | None = None
    crs: object | None = None
    off: FloatArray | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.shape_yx[0]} x {self.shape_yx[1]} pixels"


def check_window(window: Window, shape_yx: tuple[int, int]) -> Window:
    """Return the window if it is not empty and lies inside the image. Raises: InputError."""
    y0, x0, height, width = window
    if min(y0, x0) < 0 or min(height, width) < 1 or y0 + height > shape_yx[0] or x0 + width > shape_yx[1]:
        found = f"the window {window} on an image of {shape_yx[0]} x {shape_yx[1]} pixels"
        raise InputError(found, "(y0, x0, height, width) inside the image", "give a smaller window")
    return window


def middle(shape_yx: Sequence[int], most: int) -> Window:
    """The window in the middle of an image, of at most so many rows and columns.

    >>> middle((10, 200), 160)
    (0, 20, 10, 160)
    """
    height, width = (min(size, most) for size in shape_yx)
    return (shape_yx[0] - height) // 2, (shape_yx[1] - width) // 2, height, width


def window_transform(transform: Affine, window: Window) -> Affine:
    """The affine of the pixels in a window."""
    return transform @ type(transform).translation(window[1], window[0])


def coarse_transform(fine: Affine, ratio: int) -> Affine:
    """The affine of the grid whose pixels are `ratio` times larger, same corner."""
    return fine @ type(fine).scale(ratio)


def fine_transform(coarse: Affine, ratio: int) -> Affine:
    """The affine of the grid whose pixels are `ratio` times smaller, same corner."""
    return coarse @ type(coarse).scale(1.0 / ratio)


def whole_ratio(hs: Grid, ms: Grid) -> int:
    """Fine pixels per coarse pixel along one side, the same whole number along both.

    Where both grids have an affine and a CRS, they must also lie on the same ground: one CRS, corners less than one
    coarse pixel apart.

    >>> whole_ratio(Grid((24, 30)), Grid((96, 120)))
    4

    Raises: InputError where hs is finer than ms, the sizes are no whole ratio, or the grids do not coincide.
    """
    _check_same_ground(hs, ms)
    (h, w), (height, width) = hs.shape_yx, ms.shape_yx
    found = f"hs of {hs} and ms of {ms}"
    if height <= h and width <= w and (h, w) != (height, width):
        raise InputError(found, "an ms with more pixels than hs", "give the coarse image first, the fine one second")
    if height % h or width % w or height // h != width // w:
        found += f", {height / h:.3g} and {width / w:.3g} fine pixels per coarse pixel"
        do = "give both a georeference and run `hypersharp align`, or cut them to one extent"
        raise InputError(found, "one whole ratio along both sides", do)
    return height // h


def fits_exactly(hs: Grid, ms: Grid) -> bool:
    """Whether ms divides the pixels of hs into a whole number: one CRS, corners within 0.01 fine pixels."""
    if not nests(hs, ms) or hs.crs != ms.crs or hs.off is not None or ms.off is not None:
        return False
    ratio = ms.shape_yx[0] // hs.shape_yx[0]
    return lattice_offset(beside(ms, hs), Grid(ms.shape_yx, fine_transform(affine_of(hs), ratio))) == (0, 0)


def nests(hs: Grid, ms: Grid) -> bool:
    """Whether ms has a whole number of pixels for each of hs, the same along both sides, wherever they lie."""
    ratio = ms.shape_yx[0] // hs.shape_yx[0]
    return ratio >= 1 and ms.shape_yx == (ratio * hs.shape_yx[0], ratio * hs.shape_yx[1])


def lattice_offset(source: Grid, target: Grid) -> tuple[int, int] | None:
    """Rows and columns from the source's first pixel to the target's, None where the pixels do not coincide."""
    to_source = ~affine_of(source) @ affine_of(target)
    height, width = target.shape_yx
    x, y = (round(first) for first in to_source @ (0, 0))
    corners = [(0, 0), (width, 0), (0, height), (width, height)]  # all: two of them lie alike on a transposed grid
    gaps = np.array([to_source @ corner for corner in corners]) - corners - (x, y)
    return (y, x) if np.abs(gaps).max() <= EXACT_PX else None


def beside(source: Grid, target: Grid) -> Grid:
    """The same grid by longitudes that lie next to the target's: those of one count from 0, of the other from -180.

    >>> from affine import Affine
    >>> from rasterio.crs import CRS
    >>> degrees = CRS.from_epsg(4326)
    >>> pacific = Grid((9, 9), Affine(1, 0, 355, 0, -1, 5), degrees)
    >>> beside(pacific, Grid((9, 9), Affine(1, 0, -7, 0, -1, 5), degrees)).transform.c
    -5.0
    """
    if not (_in_degrees(source) and _in_degrees(target)):
        return source
    x = np.array(_middle_x(source))
    turns = float(next_to(_middle_x(target), x) - x)
    return replace(source, transform=type(affine_of(source)).translation(turns, 0) @ affine_of(source))


def next_to(longitude: float, longitudes: FloatArray) -> FloatArray:
    """Longitudes, by the whole turns that bring them next to one."""
    return np.asarray(longitudes + 360.0 * np.round((longitude - longitudes) / 360.0))


def _in_degrees(grid: Grid) -> bool:
    return grid.transform is not None and bool(getattr(grid.crs, "is_geographic", False))


def _middle_x(grid: Grid) -> float:
    x: float = (affine_of(grid) @ (grid.shape_yx[1] / 2, grid.shape_yx[0] / 2))[0]
    return x


@dataclass(frozen=True)
class CommonGrid:
    """Where a pair comes to lie: nested grids of one corner, ms `ratio` times as fine as hs.

    `window`: the pixels kept of the image that is not resampled. `true_ratio`: fine pixels per coarse pixel as
    the two images have them.
    """

    window: Window
    hs: Grid
    ms: Grid
    ratio: int
    true_ratio: float


def common_grid(
    hs: Grid, ms: Grid, *, ratio: int | None = None, keep: Literal["hs", "ms"] = "hs", project: Project | None = None
) -> CommonGrid:
    """The nested grids for two images with affines: the whole coarse pixels that both cover.

    `keep`: whose pixels stay as they are; the other's image is to be resampled. `ratio`: by default the whole number
    nearest the true ratio. `project` changes coordinates between CRS, as `rasterio.warp.transform` does. Where one
    image is rotated against the other, the window is the box around the covered part.

    >>> from affine import Affine
    >>> hs = Grid((80, 60), Affine(30, 0, 383472.37, 0, -30, 5818302.35))
    >>> ms = Grid((660, 494), Affine(3.6, 0, 383469.97, 0, -3.6, 5818303.55))
    >>> common = common_grid(hs, ms)
    >>> common.window, common.ratio, round(common.true_ratio, 2), common.ms.shape_yx
    ((0, 0, 79, 59), 8, 8.33, (632, 472))

    Raises: InputError for a swath that is kept, pixels without area, an ms coarser than hs, a ratio below 1.5 or above
        32, no common pixel.
    """
    check_on_map(*((hs, ms) if keep == "hs" else (ms,)))
    true_ratio = _true_ratio(hs, ms, project)
    whole = round(true_ratio) if ratio is None else ratio
    if keep == "hs":
        window = _covered(hs, ms, 1, project)
        corner = window_transform(affine_of(hs), window)
        fine = Grid((whole * window[2], whole * window[3]), fine_transform(corner, whole), hs.crs)
        return CommonGrid(window, Grid(window[2:], corner, hs.crs), fine, whole, true_ratio)
    window = _covered(ms, hs, whole, project)
    corner = window_transform(affine_of(ms), window)
    coarse = Grid((window[2] // whole, window[3] // whole), coarse_transform(corner, whole), ms.crs)
    return CommonGrid(window, coarse, Grid(window[2:], corner, ms.crs), whole, true_ratio)


def covering(source: Grid, target: Grid, *, margin_px: float, project: Project | None = None) -> Window:
    """The pixels of `source` that the pixels of `target` are made of, a margin (of the larger pixels) around included.

    Height and width are 0 where there are none.
    """
    xs, ys = _finite(pixels_in(target, source, _outline(target), project))
    if not xs.size:
        return 0, 0, 0, 0
    margin = margin_px * max(1.0, np.ptp(xs) / target.shape_yx[1], np.ptp(ys) / target.shape_yx[0])
    y0, x0 = (max(0, floor(places.min() - margin)) for places in (ys, xs))
    y1, x1 = (min(size, ceil(places.max() + margin)) for places, size in zip((ys, xs), source.shape_yx, strict=True))
    return y0, x0, max(0, y1 - y0), max(0, x1 - x0)


def affine_of(grid: Grid) -> Affine:
    """The affine of a grid that must have one. Raises: InputError where there is none, or its pixels have no area."""
    if grid.transform is None or grid.transform.is_degenerate:
        raise InputError("an image without pixels of a size on the ground", "an affine", "give it a georeference")
    return grid.transform


def pixels_in(source: Grid, target: Grid, points: Places, project: Project | None) -> Places:
    """Pixel coordinates (x, y) of one grid as those of another; not finite where points have no place there."""
    xs, ys = on_map(source, points)
    if source.crs != target.crs and project is not None:
        xs, ys = (np.asarray(axis, float) for axis in project(source.crs, target.crs, xs.tolist(), ys.tolist()))
    if _in_degrees(target):
        xs = next_to(_middle_x(target), np.where(np.isfinite(xs), xs, np.nan))
    return in_pixels(target, (xs, ys))


def on_map(grid: Grid, points: Places) -> Places:
    """Where pixel coordinates (x, y) lie in the CRS of a grid; beyond a swath as its border does."""
    xs, ys = _mapped(affine_of(grid), points)
    if grid.off is None:
        return xs, ys
    from scipy.ndimage import map_coordinates

    there = np.nan_to_num(np.stack(points[::-1])) - 0.5
    dx, dy = (map_coordinates(plane, there, order=1, mode="nearest") for plane in grid.off)
    return xs + dx, ys + dy


def in_pixels(grid: Grid, places: Places) -> Places:
    """The inverse of `on_map`, NaN where a swath has none."""
    back = ~affine_of(grid)
    found = _mapped(back, places)
    if grid.off is None:
        return found
    turned, moving = type(back)(back.a, back.b, 0, back.d, back.e, 0), np.zeros(np.shape(found[0]))
    for _ in range(ROUNDS):
        xs, ys = on_map(grid, found)
        step = _mapped(turned, (places[0] - xs, places[1] - ys))
        found = found[0] + step[0], found[1] + step[1]
        moving = np.nan_to_num(np.hypot(*step))
        if moving.max(initial=0.0) < SETTLED_PX:
            break
    lost = moving > LOST_PX
    return np.where(lost, np.nan, found[0]), np.where(lost, np.nan, found[1])


def fitted_affine(xs: FloatArray, ys: FloatArray) -> Affine:
    """The affine that fits places (y, x) of pixel centres best, those that are not finite left out.

    >>> import numpy as np
    >>> fitted_affine(*np.meshgrid([2.0, 4.0, 6.0], [9.0, 8.0])).almost_equals((2, 0, 1, 0, -1, 9.5), 1e-9)
    True

    Raises: InputError where too few have a place.
    """
    rows, columns = np.nonzero(np.isfinite(xs) & np.isfinite(ys))
    if len(rows) < 4 or np.ptp(rows) == 0 or np.ptp(columns) == 0:
        raise InputError("pixels without longitude and latitude", "those of the swath", "download the product again")
    pixels = columns.astype(np.float64) + 0.5, rows.astype(np.float64) + 0.5
    return affine_through(pixels, (xs[rows, columns], ys[rows, columns]))


def affine_through(points: Places, places: Places) -> Affine:
    """The affine from pixel coordinates (x, y) of points to their places that fits all of them best."""
    from affine import Affine

    pixels, ground = np.stack([*points, np.ones(len(points[0]))], axis=1), np.stack(places, axis=1)
    middle = ground.mean(0)  # map coordinates are large
    (a, d), (b, e), (c, f) = np.linalg.lstsq(pixels, ground - middle, rcond=None)[0].tolist()
    return Affine(a, b, c + float(middle[0]), d, e, f + float(middle[1]))


def swath_grid(lon: FloatArray, lat: FloatArray, crs: object) -> Grid:
    """The grid of a swath by the longitudes and latitudes (y, x) of its pixels' centres; crs: that of degrees.

    Raises: InputError where too few have a place.
    """
    known = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90) & (np.abs(lon) <= 360)
    if not known.any():
        raise InputError("pixels without longitude and latitude", "those of the swath", "download the product again")
    xs, ys = next_to(lon[known][0], np.where(known, lon, np.nan)), np.where(known, lat, np.nan)
    steps = [max(1, side // FITTED) for side in lon.shape]
    affine = fitted_affine(xs[:: steps[0], :: steps[1]], ys[:: steps[0], :: steps[1]])
    move, scale = type(affine).translation, type(affine).scale
    affine = affine @ move(0.5, 0.5) @ scale(1 / steps[1], 1 / steps[0]) @ move(-0.5, -0.5)
    rows, columns = np.indices(lon.shape) + 0.5
    by_affine = _mapped(affine, (columns, rows))
    off = np.stack([xs - by_affine[0], ys - by_affine[1]])
    if not known.all():
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        off = off[:, nearest[0], nearest[1]]
    return Grid((lon.shape[0], lon.shape[1]), affine, crs, off)


def swath_in_swath(hs: Grid, ms: Grid, ratio: int, project: Project | None = None) -> tuple[float, float]:
    """Where the corner of hs lies in a swath of the same acquisition whose pixels are `ratio` times as fine.

    Fine pixels (y, x), by the longitudes and latitudes of both; 0 where these leave no more than they are rounded by.

    Raises: InputError where the pixels of hs are not blocks of ms pixels everywhere.
    """
    rows, columns = (np.unique(np.linspace(0, side - 1, FITTED).astype(int)) + 0.5 for side in hs.shape_yx)
    points = [axis.ravel() for axis in np.meshgrid(columns, rows)]
    there = pixels_in(hs, ms, (points[0], points[1]), project)
    apart = np.stack([found - ratio * own for found, own in zip(there[::-1], points[::-1], strict=True)])
    apart = apart[:, np.isfinite(apart).all(0)]
    start = np.median(apart, axis=1) if apart.size else np.full(2, np.nan)
    strays = np.quantile(np.abs(apart - start[:, None]).max(0), MOSTLY) if apart.size else np.inf
    if not strays <= SWATH_PX * ratio:
        found = f"two swaths whose pixels lie {strays:.3g} fine pixels off each other's blocks, by their coordinates"
        raise InputError(found, "two images of one acquisition", "put ms on a map first: gdalwarp -geoloc")
    y, x = np.where(np.abs(start) <= ROUNDED_PX, 0.0, start).tolist()
    return y, x


def check_on_map(*grids: Grid) -> None:
    """Raise InputError for a swath, where only an affine will do."""
    if any(grid.off is not None for grid in grids):
        found = "an image in the order of acquisition, whose pixels lie on no map grid"
        raise InputError(found, "one on a map grid", "use `fuse` in the frame of the MS, which is on one")


def _finite(points: Places) -> Places:
    """Those that have a place."""
    there = np.isfinite(points[0] + points[1])
    return points[0][there], points[1][there]


def _mapped(to: Affine, points: Places) -> Places:
    """Where an affine puts points."""
    xs, ys = points
    return to.a * xs + to.b * ys + to.c, to.d * xs + to.e * ys + to.f


def _true_ratio(hs: Grid, ms: Grid, project: Project | None) -> float:
    """Root of the area of an hs pixel over that of the ms pixel in the middle, where fusion can bridge it."""
    y, x = (side / 2 for side in ms.shape_yx)
    points = np.array([x, x + 1, x]), np.array([y, y, y + 1])
    xs, ys = _finite(pixels_in(ms, hs, points, project))
    area = abs((xs[1] - xs[0]) * (ys[2] - ys[0]) - (xs[2] - xs[0]) * (ys[1] - ys[0])) if len(xs) == 3 else 0.0
    if area == 0:
        raise InputError("an ms that has no place in the CRS of hs", "two images of one place", "check their CRS")
    ratio = 1 / sqrt(area)
    if ratio < 1:
        found = f"ms pixels {1 / ratio:.3g} times as wide as those of hs"
        raise InputError(found, "an ms finer than hs", "give the coarse hyperspectral image first, the fine one second")
    if not (1 - ROUNDED) * LEAST_RATIO <= ratio <= (1 + ROUNDED) * MOST_RATIO:
        found = f"hs pixels {ratio:.3g} times as wide as those of ms"
        do = "use a finer ms" if ratio < LEAST_RATIO else "resample ms to larger pixels first"
        raise InputError(found, f"{LEAST_RATIO:g} to {MOST_RATIO:g} times", do)
    return min(max(ratio, LEAST_RATIO), MOST_RATIO)


def _covered(kept: Grid, other: Grid, multiple: int, project: Project | None) -> Window:
    """The pixels of one grid that the other image covers, a multiple of so many along both sides."""
    xs, ys = _finite(pixels_in(other, kept, _outline(other), project))
    first, count = [0, 0], [0, 0]
    for axis, places in enumerate((ys, xs) if xs.size else ()):
        first[axis] = max(0, ceil(places.min() - EXACT_PX))
        end = min(kept.shape_yx[axis], floor(places.max() + EXACT_PX))
        count[axis] = (end - first[axis]) // multiple * multiple
    if min(count) < 1:
        there = _box(kept, (xs, ys)) if xs.size else "no place in its CRS"
        found = f"an image at {_box(kept, _outline(kept))} and one at {there} (x min, y min, x max, y max)"
        raise InputError(found, "two that share at least one whole hs pixel", "check that the files belong together")
    return first[0], first[1], count[0], count[1]


def corners_apart_px(one: Grid, other: Grid) -> float:
    """How far apart two grids of one CRS and one extent lie along an axis, at most, in pixels of the first."""
    there = _mapped(~affine_of(one) @ affine_of(beside(other, one)), _outline(other))
    return float(np.abs(np.concatenate(there) - np.concatenate(_outline(one))).max())


def overlap(one: Grid, other: Grid) -> bool:
    """Whether two grids of one CRS, or of none, show some of the same ground (by the boxes around them)."""
    height, width = one.shape_yx
    xs, ys = _mapped(~affine_of(one) @ affine_of(beside(other, one)), _outline(other))  # pixels of the first
    return bool(xs.min() < width and xs.max() > 0 and ys.min() < height and ys.max() > 0)


def _outline(grid: Grid) -> Places:
    """Points along the edges, pixels; the first is the upper left corner, the last the lower right one."""
    (height, width), steps = grid.shape_yx, np.linspace(0, 1, SIDE_STEPS + 1)
    low, high = np.zeros_like(steps), np.ones_like(steps)
    xs, ys = np.concatenate([steps, low, high, steps]), np.concatenate([low, steps, steps, high])
    return width * xs, height * ys


def _box(grid: Grid, pixels: Places) -> str:
    """The box (x min, y min, x max, y max) around pixels on the map, formatted for display."""
    xs, ys = _mapped(affine_of(grid), pixels)
    return "(" + ", ".join(f"{value:.10g}" for value in (xs.min(), ys.min(), xs.max(), ys.max())) + ")"


def _check_same_ground(hs: Grid, ms: Grid) -> None:
    """Raise where affines and CRS say that two grids do not show the same place."""
    if hs.transform is None or ms.transform is None or hs.crs is None or ms.crs is None:
        return
    ms = beside(ms, hs)
    if hs.crs != ms.crs:
        found = " and ".join(f"{name} in {str(crs)[:60]}" for name, crs in (("hs", hs.crs), ("ms", ms.crs)))
        raise InputError(found, "one CRS", "run `hypersharp align HS MS -o DIR` first")
    if not overlap(hs, ms):
        boxes = [f"{name} at {_box(grid, _outline(grid))}" for name, grid in (("hs", hs), ("ms", ms))]
        found = f"{' and '.join(boxes)} (x min, y min, x max, y max)"
        raise InputError(found, "images that show the same place", "check that the two files belong together")
    worst = corners_apart_px(hs, ms)
    if worst >= 1:
        found = f"hs of {hs} and ms of {ms} whose corners lie {worst:.3g} hs pixels apart"
        raise InputError(found, "the same extent to within one hs pixel", "run `hypersharp align HS MS -o DIR` first")
