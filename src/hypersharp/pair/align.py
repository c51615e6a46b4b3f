"""Two images of one place -> a pair: hs pixels as they are, ms resampled once onto an exact multiple of their grid.

Geometry first: `grid.common_grid` finds from affines, sizes and CRS what is kept and where the ms must lie; then the
displacement of the ms is found (`registration.register`, on a first resampling that is thrown away); one bicubic
resampling (Keys 1981; the kernel widened where the target is coarser) does both at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr

from hypersharp.cube import check_cube, fwhm_nm, grid_of, make_cube, only_usable, usable_bands, wavelengths_nm
from hypersharp.errors import InputError, check_name
from hypersharp.grid import (
    CommonGrid,
    Grid,
    Window,
    affine_of,
    check_on_map,
    common_grid,
    covering,
    fine_transform,
    middle,
    whole_ratio,
    window_transform,
)
from hypersharp.io.given import as_cube
from hypersharp.io.image import CubeImage, Image
from hypersharp.pair.bands import LEFT, hs_off, hs_off_note
from hypersharp.pair.options import Progress, given_ratio, ignore
from hypersharp.pair.resample import affine_type, on_grid, project, resampled
from hypersharp.pair.tensors import usable_values
from hypersharp.registration.register import Model, Registration, register, unregistered
from hypersharp.registration.spread import FEW, spread
from hypersharp.sensor.srf import check_common_wavelengths, check_response
from hypersharp.sensor.tables import FloatArray

if TYPE_CHECKING:
    from affine import Affine

Straight = Literal["shift", "affine", "none"]  # a displacement that resampling the ms can undo
Keep = Literal["hs", "ms"]
RESAMPLING_PX = 4.0  # of the coarser of two grids: how far the kernel and a shift reach
LARGEST_SIDE, LARGEST_FINE_SIDE = 256, 3072  # coarse and fine pixels of the middle of a scene that are registered


@dataclass(frozen=True, eq=False)
class Alignment:
    """How two images on other grids come to nest, as far as geometry says.

    `grid`: the pair's; `source`: the ms's own grid; `target`: where the pair's fine pixels lie by the georeference of
    the ms; `to_ms`: the affine, in map coordinates, from a place by the pair's georeference to the same by that of the
    ms; `notes`: what was done, a line each.
    """

    grid: CommonGrid
    source: Grid
    target: Grid
    to_ms: Affine
    notes: tuple[str, ...]

    def resampled(self, ms: Image | CubeImage, window: Window) -> xr.DataArray:
        """The pair's fine pixels in a window, of what the ms has around them; missing where it shows nothing."""
        target = _windowed(self.target, window)
        box = covering(self.source, target, margin_px=RESAMPLING_PX, project=project)
        if 0 in box[2:]:
            outline = ms.outline()
            missing = np.full((outline.shape[0], *window[2:]), np.nan, np.float32)
            return make_cube(missing, wavelengths_nm=wavelengths_nm(outline), fwhm_nm=fwhm_nm(outline))
        seen = ms.cube(box)
        return on_grid(seen, resampled(seen, _windowed(self.source, box), target), _windowed(self.grid.ms, window))


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """HS and MS on nested grids.

    Attributes:
        hs: (L, h, w).
        ms: (l, H, W), H = ratio h.
        alignment: grids, displacement and messages.
        registration: the estimated displacement and its error, None where none was asked for.

    >>> import hypersharp as hsp
    >>> from affine import Affine
    >>> from hypersharp.cube import make_cube
    >>> hs = make_cube(np.ones((4, 8, 8)), crs=32633, transform=Affine(30, 0, 0, 0, -30, 0))
    >>> ms = make_cube(np.ones((2, 24, 24)), crs=32633, transform=Affine(10, 0, 0, 0, -10, 0))
    >>> hsp.align(hs, ms, coregister="none").ms.shape
    (2, 24, 24)
    """

    hs: xr.DataArray
    ms: xr.DataArray
    alignment: Alignment
    registration: Registration | None

    @property
    def grid(self) -> CommonGrid:
        """The geometry of the pair."""
        return self.alignment.grid

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, a line each."""
        return self.alignment.notes


def align(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    coregister: Straight = "shift",
    keep: Keep = "hs",
    ratio: int | None = None,
    srf: FloatArray | None = None,
    progress: Progress = ignore,
) -> AlignedPair:
    """Bring HS and MS of one place, each on any grid, to one extent and a whole ratio.

    Args:
        hs: (L, h, w).
        ms: (l, H, W). Without a georeference on either side, both are taken to show one extent, at a whole ratio.
        coregister: how a displacement of ms is modelled and corrected: "shift", "affine", or "none", where the
            georeference alone counts.
        keep: whose pixels stay as they are; the other image is resampled, once.
        ratio: fine pixels per coarse one, by default the whole number nearest the true ratio.
        srf: response (l, L) of ms where known; by default by non-negative regression.
        progress: called with the fraction done, 0..1.

    Returns:
        The pair, its grid, and what was done.

    Raises:
        InputError: no common pixel, an ms coarser than hs, a ratio below 1.5 or above 32, a CRS on one side only, no
            wavelengths in common.
        MissingExtraError: without rasterio.

    Source: bicubic resampling (Keys 1981); registration as in `hypersharp.registration.register`.

    >>> from affine import Affine
    >>> from hypersharp.cube import make_cube
    >>> hs = make_cube(np.ones((4, 8, 8)), crs=32633, transform=Affine(30, 0, 0, 0, -30, 0))
    >>> ms = make_cube(np.ones((2, 26, 26)), crs=32633, transform=Affine(10, 0, -7, 0, -10, 7))
    >>> align(hs, ms, coregister="none").ms.shape
    (2, 24, 24)
    """
    ratio = given_ratio(ratio)
    check_name("coregistration", coregister, get_args(Straight))
    check_name("grid to keep", keep, get_args(Keep))
    hs, ms = as_cube(hs, "hs"), as_cube(ms, "ms")
    check_cube(hs, "hs")
    check_cube(ms, "ms")
    check_common_wavelengths(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))
    coarse, fine = _places(hs, ms)
    first = common_grid(coarse, fine, ratio=ratio, project=project)
    found, off = None, None
    if srf is not None:
        check_response(srf, len(ms), len(hs))
    if coregister != "none":  # of the usable bands, the ms resampled by its georeference alone
        response = None if srf is None else srf[np.ix_(usable_bands(ms), usable_bands(hs))]
        seen = only_usable(ms, "ms")
        by_place = on_grid(seen, resampled(seen, fine, first.ms), first.ms)
        whole = _cropped(hs, first.hs, first)
        found = registered(whole, by_place, coregister, response)
        off = hs_off(whole, by_place, found)
    progress(0.6)
    to_ms = _displacement(first, found)
    believed = replace(coarse, transform=to_ms @ affine_of(coarse))
    grid = common_grid(believed, fine, ratio=first.ratio, keep=keep, project=project)
    if keep == "hs":
        placed = _relaid(grid, coarse)
        hs, ms = _cropped(hs, placed.hs, grid), on_grid(ms, resampled(ms, fine, grid.ms), placed.ms)
    else:
        placed, to_ms = grid, to_ms.identity()
        hs, ms = on_grid(hs, resampled(hs, believed, grid.hs), grid.hs), _cropped(ms, grid.ms, grid)
    progress(1.0)
    notes = [place_note(placed.hs, placed.ms, first.true_ratio, placed.ratio)]
    notes += [] if found is None else [shift_message(found, first.ms)]
    notes += [] if off is None else [f"{hs_off_note(hs, off)}: {LEFT}"]
    return AlignedPair(hs, ms, Alignment(placed, fine, grid.ms, to_ms, tuple(notes)), found)


def plan_alignment(
    coarse: Grid,
    fine: Grid,
    read: tuple[Callable[[Window], xr.DataArray], Callable[[Window], xr.DataArray]],
    *,
    ratio: int | None,
    coregister: Straight,
    known: Affine | None = None,
) -> Alignment:
    """The alignment of two images by their grids and, unless it is `known` (as `Alignment.to_ms`), their middles.

    read: the cubes of a window of hs, and of one of ms.

    Raises: InputError as `align`.
    """
    first = common_grid(coarse, fine, ratio=ratio, project=project)
    to_ms, registered = known, tuple[str, ...]()
    if to_ms is None:
        y0, x0, *shape = first.window
        inside, found = (shape[0], shape[1]), None
        for y, x, *size in (registered_window(inside, first.ratio), *spread(inside, FEW)):
            window = (y0 + y, x0 + x, size[0], size[1])
            seen = covering(fine, _windowed(coarse, window), margin_px=RESAMPLING_PX, project=project)
            hs, ms = read[0](window), read[1](seen)
            if usable_bands(hs).any() and usable_bands(ms).any():
                found = align(hs, ms, coregister=coregister, ratio=first.ratio)
                if found.registration is None or found.registration.correlation > 0:
                    break
        found = found or align(hs, ms, coregister=coregister, ratio=first.ratio)  # which says what is wrong
        to_ms, registered = found.alignment.to_ms, found.notes[1:]
    grid = common_grid(replace(coarse, transform=to_ms @ affine_of(coarse)), fine, ratio=first.ratio, project=project)
    placed = _relaid(grid, coarse)
    done = place_note(placed.hs, placed.ms, first.true_ratio, placed.ratio)
    return Alignment(placed, fine, grid.ms, to_ms, (done, *registered))


def registered_window(shape_yx: tuple[int, int], ratio: int) -> Window:
    """The window in the middle of a scene of so many coarse pixels whose images show how they lie off each other.

    Read at full resolution: overviews may be subsampled, or wavelets, and then lie up to half of their pixel off.

    >>> registered_window((5000, 1000), 4), registered_window((5000, 1000), 32)
    ((2372, 372, 256, 256), (2452, 452, 96, 96))
    """
    return middle(shape_yx, min(LARGEST_SIDE, LARGEST_FINE_SIDE // ratio))


def registered(hs: xr.DataArray, ms: xr.DataArray, model: Model, srf: FloatArray | None = None) -> Registration:
    """The registration of the usable bands of a pair whose grids nest; without evidence where one shows nothing."""
    (hs_bands, coarse, hs_valid), (ms_bands, fine, ms_valid) = usable_values(hs), usable_values(ms)
    if not (len(hs_bands) and len(ms_bands)):
        return unregistered(ms.shape[1] // hs.shape[1], "no hs pixel that both images show")
    return register(coarse, fine, srf=srf, model=model, hs_valid=hs_valid, ms_valid=ms_valid)


def _windowed(grid: Grid, window: Window) -> Grid:
    """The grid of the pixels in a window."""
    return Grid(window[2:], window_transform(affine_of(grid), window), grid.crs)


def _places(hs: xr.DataArray, ms: xr.DataArray) -> tuple[Grid, Grid]:
    """The grids of both on the ground; of one extent, in fine pixels, where neither has a georeference."""
    coarse, fine = grid_of(hs), grid_of(ms)
    check_on_map(coarse, fine)
    check_both_placed(coarse, fine)
    if coarse.transform is not None:
        return coarse, fine
    affine, ratio = affine_type(), whole_ratio(coarse, fine)
    upright = affine(1, 0, 0, 0, -1, 0)
    return replace(coarse, transform=upright @ affine.scale(ratio)), replace(fine, transform=upright)


def check_both_placed(hs: Grid, ms: Grid) -> None:
    """Raise InputError where one image has a place on the ground and the other has none, or half of one."""
    for what, do, lacking in (
        ("CRS", "give it one: gdal_edit.py -a_srs EPSG:...", (hs.crs is None, ms.crs is None)),
        ("geotransform", "give it one: gdal_edit.py -a_ullr ...", (hs.transform is None, ms.transform is None)),
    ):
        if lacking[0] != lacking[1]:
            names = ("hs", "ms") if lacking[0] else ("ms", "hs")
            found = f"no {what} for {names[0]} and one for {names[1]}"
            raise InputError(found, "both images placed on the ground, or neither", do)


def _displacement(grid: CommonGrid, found: Registration | None) -> Affine:
    """From a place by the georeference of hs to the same by that of the ms, map coordinates."""
    affine: type[Affine] = affine_type()
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
    """The same pixels where the georeference of hs has them, its corners to the last digit."""
    corner = window_transform(affine_of(hs), grid.window)
    fine = fine_transform(corner, grid.ratio)
    return replace(grid, hs=replace(grid.hs, transform=corner), ms=replace(grid.ms, transform=fine))


def _cropped(cube: xr.DataArray, place: Grid, grid: CommonGrid) -> xr.DataArray:
    """The window of the image whose pixels are kept."""
    y0, x0, height, width = grid.window
    if (height, width) == cube.shape[1:]:
        return cube
    return on_grid(cube, cube.data[:, y0 : y0 + height, x0 : x0 + width], place)


def place_note(hs: Grid, ms: Grid, true_ratio: float, ratio: int) -> str:
    """How two images come to nest, formatted for display."""
    rows, columns = hs.shape_yx
    true = f"{true_ratio:.4g}"
    taken = true if true == str(ratio) else f"{true}, taken as {ratio}"
    sizes = []
    for grid in (hs, ms) if hs.crs else ():
        height, width, unit = _pixel(grid)
        sides = f"{width:.6g}" if abs(width - height) < 1e-9 * width else f"{width:.6g} x {height:.6g}"
        sizes.append(f" of {sides} {unit}".rstrip())
    sides = ", ms pixels".join(sizes)
    return f"aligned: {columns} x {rows} hs pixels{sides}, ratio {taken}"


def shift_message(found: Registration, ms: Grid) -> str:
    """What registration found, in fine pixels and map units."""
    if not found.moved:
        return f"left where the georeferences put it: {found.reason}"
    (y, x), (size_y, size_x, unit) = found.shift_px_yx, _pixel(ms)
    ground = f" = ({y * size_y:+.3g}, {x * size_x:+.3g}) {unit}" if unit else ""
    kept, asked = found.tie_points
    varies = {
        "shift": f"error {found.error_px:.2f} fine pixels",
        "affine": f"affine, up to {found.largest_px:.2f}",
        "local": f"a smooth field, up to {found.largest_px:.2f}",
    }[found.model]
    ties = f", {kept} of {asked} tie points, {found.residual_px:.2f} left between them" if asked else ""
    return (
        f"co-registered: ms lay ({y:+.2f}, {x:+.2f}) fine pixels{ground} (down, right) off hs ({varies}{ties}, "
        f"correlation {found.correlation_before:.3f} before, {found.correlation:.3f} after)"
    )


def _pixel(grid: Grid) -> tuple[float, float, str]:
    """Height and width of a pixel in map units, and their name in short; 1, 1 and none without a CRS."""
    if grid.crs is None:
        return 1.0, 1.0, ""
    crs: Any = grid.crs
    place = affine_of(grid)
    unit = "degrees" if crs.is_geographic else {"metre": "m"}.get(crs.linear_units, str(crs.linear_units))
    return hypot(place.b, place.e), hypot(place.a, place.d), unit
