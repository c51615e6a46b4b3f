"""Two images of one place -> a pair: hs pixels as they are, ms resampled once onto an exact multiple of their grid.

Geometry first: `grid.common_grid` says from affines, sizes and CRS alone what is kept and where the ms must come to
lie. Then the images say by how much the ms lies off (`sensor.register`, on a first resampling that is thrown away),
and one bicubic resampling (Keys 1981; the kernel widened where the target is coarser) does both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import shift

from hypersharp.cube import (
    check_cube,
    fwhm_nm,
    good_bands,
    grid_of,
    make_cube,
    only_usable,
    pair_ratio,
    transform_of,
    usable_bands,
    wavelengths_nm,
)
from hypersharp.errors import InputError, check_name, needs
from hypersharp.grid import (
    CommonGrid,
    Grid,
    Points,
    Window,
    affine_of,
    common_grid,
    covering,
    fine_transform,
    fits_exactly,
    lattice_offset,
    whole_ratio,
    window_transform,
)
from hypersharp.pair.register import Model, Registration, register
from hypersharp.pair.settings import Progress
from hypersharp.pair.tensors import fill_gaps, gaps
from hypersharp.sensor.srf import check_common_wavelengths
from hypersharp.sensor.tables import FloatArray

if TYPE_CHECKING:
    from affine import Affine

Move = Literal["shift", "affine", "none"]
Keep = Literal["hs", "ms"]
Pieces = tuple[xr.DataArray, xr.DataArray]
RESAMPLING_PX = 4.0  # of the coarser of two grids: how far the kernel and a shift reach
LARGEST_SIDE = 256  # coarse pixels that are asked for a shift
AWAY_PX = 1000.0  # an affine of offset 0 and step 1 means "none" to GDAL


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """hs and ms on nested grids, and how they came there.

    `grid`: their geometry; `ms_before`: the grid of the ms that was given; `registration`: what the images said, None
    where they were not asked; `to_ms`: the affine, in map coordinates of the pair, from where the pair says that a
    thing lies to where the ms that was given says so; `notes`: what was done, as people read it.
    """

    hs: xr.DataArray
    ms: xr.DataArray
    grid: CommonGrid
    ms_before: Grid
    registration: Registration | None
    to_ms: Affine
    notes: tuple[str, ...]


def align(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    move: Move = "shift",
    keep: Keep = "hs",
    ratio: int | None = None,
    srf: FloatArray | None = None,
    progress: Progress | None = None,
) -> AlignedPair:
    """Bring hs (L, h, w) and ms (l, H, W) of one place, each on any grid, to one extent and a whole ratio.

    Args:
        move: how the ms may be moved to lie on hs: "shift", "affine", or "none", by its georeference only.
        keep: whose pixels stay as they are; the other image is resampled, once.
        ratio: fine pixels per coarse one, by default the whole number nearest the true ratio.
        srf: response (l, L) of ms where known; by default found by non-negative regression.
        progress: called with the fraction done, 0..1.

    Without a georeference on either side, both are taken to show one extent, at a whole ratio of sizes.

    Raises:
        InputError: no common pixel, an ms coarser than hs, a ratio below 1.5 or above 32, a CRS on one side only,
            no common wavelengths. MissingExtraError: without rasterio.
    """
    report = progress or (lambda _: None)
    for name, known in ((move, get_args(Move)), (keep, get_args(Keep))):
        check_name("choice", name, known)
    check_cube(hs, "hs")
    check_cube(ms, "ms")
    check_common_wavelengths(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))
    coarse, fine = _places(hs, ms)
    first = common_grid(coarse, fine, ratio=ratio, project=_project)
    found = None if move == "none" else _registration(hs, ms, fine, first, move, srf)
    report(0.6)
    to_ms = _displacement(first, found)
    believed = replace(coarse, transform=to_ms @ affine_of(coarse))
    grid = common_grid(believed, fine, ratio=first.ratio, keep=keep, project=_project)
    if keep == "hs":
        placed = _relaid(grid, coarse)
        hs, ms = _cropped(hs, placed.hs, grid), _on(ms, _resampled(ms, fine, grid.ms), placed.ms)
    else:
        placed, to_ms = grid, to_ms.identity()
        hs, ms = _on(hs, _resampled(hs, believed, grid.hs), grid.hs), _cropped(ms, grid.ms, grid)
    report(1.0)
    return AlignedPair(hs, ms, placed, fine, found, to_ms, _notes(first, placed, found))


def align_if_needed(hs: xr.DataArray, ms: xr.DataArray, ratio: int | None, move: Move = "shift") -> AlignedPair | None:
    """The aligned pair where both are georeferenced and their grids do not nest; None where nothing is to be done."""
    coarse, fine = grid_of(hs), grid_of(ms)
    if None in (coarse.crs, fine.crs, coarse.transform, fine.transform) or fits_exactly(coarse, fine):
        return None
    return align(hs, ms, ratio=ratio, move=move)


@dataclass(frozen=True, eq=False)
class Alignment:
    """How images that lie on other grids come to nest, as far as geometry says: what `align` does, without pixels.

    `grid`: the pair's; `source`: the ms's own grid; `target`: where, on the ground as the ms sees it, the pair's fine
    pixels lie; both windows of `grid.window` coarse pixels of hs.
    """

    grid: CommonGrid
    source: Grid
    target: Grid
    notes: tuple[str, ...]

    def resampled(self, ms: xr.DataArray, source: Grid, window: Window) -> xr.DataArray:
        """The pair's fine pixels in a window, of the pixels of the ms that lie on `source`."""
        shape = window[2:]
        target = Grid(shape, window_transform(affine_of(self.target), window), self.target.crs)
        placed = Grid(shape, window_transform(affine_of(self.grid.ms), window), self.grid.ms.crs)
        return _on(ms, _resampled(ms, source, target), placed)

    def reads(self, window: Window) -> Window:
        """The window of the ms that the pair's fine pixels in a window are made of; empty where it shows none."""
        target = Grid(window[2:], window_transform(affine_of(self.target), window), self.target.crs)
        return covering(self.source, target, margin_px=RESAMPLING_PX, project=_project)


def plan_alignment(
    hs: xr.DataArray, ms: xr.DataArray, ratio: int | None, read: Callable[[Window, Window], Pieces], move: Move
) -> Alignment:
    """The alignment of two images of which the grids are looked at, and by `read` the pixels in the middle.

    read: (window of hs, window of ms) -> the two cubes.

    Raises: InputError as `align`.
    """
    coarse, fine = grid_of(hs), grid_of(ms)
    first = common_grid(coarse, fine, ratio=ratio, project=_project)
    y0, x0, height, width = first.window
    rows, columns = min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)
    middle = y0 + (height - rows) // 2, x0 + (width - columns) // 2, rows, columns
    place = Grid(middle[2:], window_transform(affine_of(coarse), middle), coarse.crs)
    found = align(
        *read(middle, covering(fine, place, margin_px=RESAMPLING_PX, project=_project)), move=move, ratio=first.ratio
    )
    believed = replace(coarse, transform=found.to_ms @ affine_of(coarse))
    grid = common_grid(believed, fine, ratio=first.ratio, project=_project)
    placed = _relaid(grid, coarse)
    notes = (*_notes(first, placed, None), *found.notes[1:])
    return Alignment(placed, fine, grid.ms, notes)


def undo_shift(
    hs: xr.DataArray, ms: xr.DataArray, srf: FloatArray | None = None
) -> tuple[xr.DataArray, tuple[str, ...]]:
    """The ms of a pair whose grids nest, moved in place to lie on hs where the images prove a shift, and what was done.

    Its pixels keep their places and number; those that come in over the border repeat it. The images are asked
    within their middle `LARGEST_SIDE` coarse pixels, the ms is interpolated with cubic splines.

    Raises: InputError for sizes of no whole ratio.
    """
    found = find_shift(hs, ms, srf)
    return (ms, ()) if found is None else (shifted(ms, found.shift_px_yx), (said_of_shift(found, grid_of(ms)),))


def find_shift(hs: xr.DataArray, ms: xr.DataArray, srf: FloatArray | None = None) -> Registration | None:
    """By how much the images say that the ms lies off, None where they prove nothing; see `undo_shift`."""
    ratio = pair_ratio(hs, ms)
    response = None if srf is None else srf[np.ix_(usable_bands(ms), usable_bands(hs))]
    coarse, fine = middle(only_usable(hs, "hs"), 1), middle(only_usable(ms, "ms"), ratio)
    values = [fill_gaps(np.asarray(cube.values, np.float32)) for cube in (coarse, fine)]
    found = register(*values, srf=response, model="shift", hs_valid=~gaps(coarse), ms_valid=~gaps(fine))
    return found if found.moved else None


def middle(cube: xr.DataArray, ratio: int) -> xr.DataArray:
    """The pixels in the middle, LARGEST_SIDE coarse ones a side at most."""
    height, width = (length // ratio for length in cube.shape[1:])
    y, x = (max(0, (length - LARGEST_SIDE) // 2) * ratio for length in (height, width))
    side = LARGEST_SIDE * ratio
    return cube[:, y : y + side, x : x + side]


def shifted(ms: xr.DataArray, shift_px_yx: tuple[float, float]) -> xr.DataArray:
    """The image as it is `shift_px_yx` further down and right, in its own type; gaps move with it."""
    values, missing = np.asarray(ms.values), gaps(ms)
    filled = fill_gaps(values.astype(np.float32))
    back = [-length for length in shift_px_yx]
    moved = np.stack([shift(band, back, order=3, mode="nearest") for band in filled])
    if missing.any():
        moved[:, shift(missing.astype(np.float32), back, order=1, mode="nearest") > 0.5] = np.nan
    return ms.copy(data=_as_stored(moved, values.dtype).astype(values.dtype, copy=False))


def to_ms_grid(sharp: xr.DataArray, pair: AlignedPair) -> xr.DataArray:
    """A result (L, H, W) on the pair's grid brought back to the pixels of the ms that was given, NaN where none is.

    Resampled once more (bicubic), with the ms's displacement undone, so that it lies on that ms pixel by pixel.

    Raises: InputError for a result on another grid than the pair's.
    """
    expected = pair.grid.ms.shape_yx
    if sharp.shape[1:] != expected:
        raise InputError(f"a result of {sharp.shape[1:]} pixels", f"{expected}, the pair's", "give that one")
    source = replace(pair.grid.ms, transform=pair.to_ms @ affine_of(pair.grid.ms))
    back = _on(sharp, _resampled(sharp, source, pair.ms_before), pair.ms_before)
    return back.assign_attrs(sharp.attrs)


def _places(hs: xr.DataArray, ms: xr.DataArray) -> tuple[Grid, Grid]:
    """The grids of both on the ground; of one extent, in fine pixels, where neither has a georeference."""
    coarse, fine = grid_of(hs), grid_of(ms)
    for what, lacking in (
        ("CRS", (coarse.crs is None, fine.crs is None)),
        ("affine", (coarse.transform is None, fine.transform is None)),
    ):
        if lacking[0] != lacking[1]:
            names = ("hs", "ms") if lacking[0] else ("ms", "hs")
            raise InputError(
                f"no {what} for {names[0]} and one for {names[1]}",
                "both or neither georeferenced",
                "give it one (gdal_edit -a_srs, -a_ullr)",
            )
    if coarse.transform is not None:
        return coarse, fine
    affine, ratio = _affine_type(), whole_ratio(coarse, fine)
    upright = affine(1, 0, 0, 0, -1, 0)
    return replace(coarse, transform=upright @ affine.scale(ratio)), replace(fine, transform=upright)


def _affine_type() -> type[Affine]:
    """The class of affines, which comes with rasterio."""
    with needs("bringing images to one grid"):
        import rasterio  # noqa: F401  (resamples)
        from affine import Affine
    return Affine


def _project(source: object, target: object, xs: Sequence[float], ys: Sequence[float]) -> Points:
    """Map coordinates of one CRS in another; infinite where they have no place there."""
    from rasterio.warp import transform

    there = transform(source, target, xs, ys)
    return there[0], there[1]


def _registration(
    hs: xr.DataArray, ms: xr.DataArray, fine: Grid, grid: CommonGrid, model: Model, srf: FloatArray | None
) -> Registration:
    """What the images say, the ms resampled by its georeference alone; unusable bands are left out."""
    response = None if srf is None else srf[np.ix_(usable_bands(ms), usable_bands(hs))]
    coarse = only_usable(_cropped(hs, grid.hs, grid), "hs")
    seen = only_usable(ms, "ms")
    moved = _on(seen, _resampled(seen, fine, grid.ms), grid.ms)
    values = [fill_gaps(np.asarray(cube.values, np.float32)) for cube in (coarse, moved)]
    return register(*values, srf=response, model=model, hs_valid=~gaps(coarse), ms_valid=~gaps(moved))


def _displacement(grid: CommonGrid, found: Registration | None) -> Affine:
    """From where hs says that a thing lies to where ms says so, map coordinates."""
    affine: type[Affine] = _affine_type()
    if found is None or not found.moved:
        return affine.translation(0, 0)  # the identity
    (y0, y_y, y_x), (x0, x_y, x_x) = np.pad(found.coefficients, ((0, 0), (0, 2)))[:, :3].tolist()
    half_x, half_y = (grid.ratio * max(side - 1, 1) / 2 for side in grid.hs.shape_yx[::-1])
    # from fine pixel corners (x, y) to -1 .. 1 between the centres of the outermost coarse pixels
    from_first = affine.translation(-grid.ratio / 2, -grid.ratio / 2)
    to_unit = affine.translation(-1, -1) @ affine.scale(1 / half_x, 1 / half_y) @ from_first
    off, place = affine(x_x, x_y, x0, y_x, y_y, y0) @ to_unit, affine_of(grid.ms)
    moved: Affine = place @ affine(1 + off.a, off.b, off.c, off.d, 1 + off.e, off.f) @ ~place
    return moved


def _relaid(grid: CommonGrid, hs: Grid) -> CommonGrid:
    """The same pixels where hs says they lie, its corners to the last digit."""
    corner = window_transform(affine_of(hs), grid.window)
    return replace(
        grid, hs=replace(grid.hs, transform=corner), ms=replace(grid.ms, transform=fine_transform(corner, grid.ratio))
    )


def _cropped(cube: xr.DataArray, place: Grid, grid: CommonGrid) -> xr.DataArray:
    """The window of the image whose pixels are kept."""
    y0, x0, height, width = grid.window
    if (height, width) == cube.shape[1:]:
        return cube
    return _on(cube, cube.data[:, y0 : y0 + height, x0 : x0 + width], place)


def _resampled(cube: xr.DataArray, source: Grid, target: Grid) -> NDArray[Any]:
    """The pixels (band, H, W) of another grid, NaN where the nearest is missing; taken over where they coincide."""
    offset = lattice_offset(source, target) if source.crs == target.crs else None
    values = np.asarray(cube.values)
    if offset is not None:
        y, x = offset
        height, width = target.shape_yx
        if min(y, x) >= 0 and y + height <= values.shape[1] and x + width <= values.shape[2]:
            return values[:, y : y + height, x : x + width]
    return _as_stored(_warped(values, source, target), values.dtype)


def _warped(values: NDArray[Any], source: Grid, target: Grid) -> NDArray[np.floating]:
    """Bicubic resampling; within one CRS in pixels of the target, so that large coordinates cost no digits."""
    from rasterio.crs import CRS
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    dtype = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
    result = np.full((len(values), *target.shape_yx), np.nan, dtype)
    start, end, crs = affine_of(source), affine_of(target), (source.crs, target.crs)
    if source.crs == target.crs:
        away = _affine_type().translation(AWAY_PX, AWAY_PX)
        start, end, crs = away @ ~end @ start, away, (CRS.from_epsg(3857),) * 2
    reproject(
        values.astype(dtype, copy=False),
        result,
        src_transform=start,
        dst_transform=end,
        src_crs=crs[0],
        dst_crs=crs[1],
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=Resampling.cubic,
        tolerance=0.0,
    )
    return result


def _as_stored(values: NDArray[np.floating], dtype: np.dtype[Any]) -> NDArray[Any]:
    """In the type they came in; whole numbers become floating where some are missing."""
    if dtype.kind not in "iub" or np.isnan(values).any():
        return values
    whole = np.iinfo(np.uint8 if dtype.kind == "b" else dtype)
    return np.asarray(np.clip(np.rint(values), whole.min, whole.max).astype(whole.dtype))


def _on(cube: xr.DataArray, values: Any, grid: Grid) -> xr.DataArray:
    """A cube of these pixels on this grid, with the bands of another; without georeference where that has none."""
    known = transform_of(cube) is not None
    made = make_cube(
        values,
        wavelengths_nm=wavelengths_nm(cube),
        fwhm_nm=fwhm_nm(cube),
        good_bands=good_bands(cube),
        crs=grid.crs if known else None,
        transform=grid.transform if known else None,
    )
    made.encoding.update(cube.encoding)
    return made.assign_attrs(cube.attrs)


def _notes(first: CommonGrid, placed: CommonGrid, found: Registration | None) -> tuple[str, ...]:
    """What was done, a line each, as people read it."""
    rows, columns = placed.hs.shape_yx
    true = f"{first.true_ratio:.4g}"
    taken = true if true == str(placed.ratio) else f"{true}, taken as {placed.ratio}"
    sides = f" of {_pixel_size(placed.hs)}, ms pixels of {_pixel_size(placed.ms)}" if placed.hs.crs else ""
    done = f"aligned: {columns} x {rows} hs pixels{sides}, ratio {taken}"
    return (done,) if found is None else (done, said_of_shift(found, first.ms))


def said_of_shift(found: Registration, ms: Grid) -> str:
    """What the images said of the ms's place."""
    if not found.moved:
        return f"ms left where its georeference puts it: {found.reason}"
    (y, x), unit = found.shift_px_yx, _unit(ms)
    size_y, size_x = _pixel_sides(ms) if unit else (1.0, 1.0)
    ground = f" = ({y * size_y:+.3g}, {x * size_x:+.3g}) {unit}" if unit else ""
    corner = f", up to {found.largest_px:.2f} at a corner" if found.coefficients.shape[1] > 1 else ""
    return (
        f"ms lay ({y:+.2f}, {x:+.2f}) fine pixels{ground} (down, right) off hs{corner}, now undone "
        f"(error {found.error_px:.2f} fine pixels, correlation {found.correlation_before:.3f} before, "
        f"{found.correlation:.3f} after)"
    )


def _pixel_sides(grid: Grid) -> tuple[float, float]:
    """Height and width of a pixel, map units."""
    place = affine_of(grid)
    return hypot(place.b, place.e), hypot(place.a, place.d)


def _pixel_size(grid: Grid) -> str:
    height, width = _pixel_sides(grid)
    sides = f"{width:.6g}" if abs(width - height) < 1e-9 * width else f"{width:.6g} x {height:.6g}"
    return f"{sides} {_unit(grid)}".strip()


def _unit(grid: Grid) -> str:
    """The CRS's unit in short, empty where there is none."""
    if grid.crs is None:
        return ""
    crs: Any = grid.crs
    return "degrees" if crs.is_geographic else {"metre": "m"}.get(crs.linear_units, str(crs.linear_units))
