"""The main job inside somebody's own dask graph: two lazy cubes in, a lazy one out, and nothing read meanwhile.

The place of the result is known by georeferences or sizes alone. What is learned of the scene is one task, which sees
the windows that a sample of it takes; each tile is another, which sees that task's result and its own window of both
images, with a halo. Windows are a margin larger than the grids ask for, since how far the images lie off each other is
found out in the first task.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from math import ceil, floor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import check_axes, flipped
from hypersharp.errors import CallError
from hypersharp.fusion.finish import as_cube, result_type
from hypersharp.fusion.learn import Fusion, halo_px, learn_pair
from hypersharp.grid import Window, middle
from hypersharp.io.image import CubeParts
from hypersharp.methods.table import AUTO, METHODS, find_method
from hypersharp.pair.align import registered_window
from hypersharp.pair.bands import REACH_PX
from hypersharp.pair.defects import LOOKED_AT_MS_PX
from hypersharp.pair.defects import LOOKED_AT_PX as DEFECTS_PX
from hypersharp.pair.fill import nine_windows
from hypersharp.pair.lattice import Lattice
from hypersharp.pair.options import Options
from hypersharp.pair.pair import check_pair
from hypersharp.pair.place import checked_grids, first_lattice, opposed, place
from hypersharp.pair.placement import OnMS
from hypersharp.pair.sample import Sample
from hypersharp.pair.sensor import GivenPSF, GivenSRF, told_apart
from hypersharp.pair.tiling import Tiling, grown, halo_of, step_px, tile_around
from hypersharp.pair.warp import SPLINE_PX, around, block_centres
from hypersharp.registration.spread import FEW, MANY, spread

MOVED_PX = 8  # coarse pixels that hs and ms may be found to lie off each other
BANDS_PX = REACH_PX + 2  # coarse pixels around bands of hs that are moved, which lie up to two of them off
BLURRED_PX = 8  # coarse pixels that the blur reaches under which the ms guides a resampling of hs
LEAST_PX, MOST_PX = 64, 1024  # fine pixels along a tile
Part = tuple[Window, NDArray[Any]]


def fuse_lazily(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    method: str,
    options: Options,
    psf: GivenPSF = None,
    srf: GivenSRF = None,
    ratio: int | None = None,
) -> xr.DataArray:
    """A lazy result (L, H, W) on the pixels of ms that hs covers by its georeference, in floating numbers.

    Its chunks are tiles of the size that those of ms have (64 to 1024 pixels a side).

    Raises: InputError for a pair that its outlines rule out; CallError for the frame "hs". When it is computed, as
        `fuse`, and an InputError where the images lie more than 8 hs pixels off each other.
    """
    if options.frame != "ms":
        raise CallError(f"frame {options.frame} for lazy cubes", "ms", "leave it out, or load the cubes first")
    for cube, name in ((hs, "hs"), (ms, "ms")):
        check_axes(cube, name)
    if axes := opposed(hs, ms):
        hs = flipped(hs, axes)
    import dask.array as da
    from dask.base import tokenize
    from dask.delayed import delayed

    candidates = [one for one in METHODS.values() if one.candidate] if method == AUTO.name else [find_method(method)]
    (coarse, fine), start_px_yx, _ = checked_grids(hs, ms, ratio)
    lattice = first_lattice(coarse, fine, ratio, start_px_yx)
    reach = Reach(lattice, coarse.shape_yx, fine.shape_yx, moves=options.coregister_with(psf) != "none")
    images = da.asarray(hs.data), da.asarray(ms.data)
    # without the graph that makes the pixels
    hs_outline, ms_outline = (cube.copy(data=da.zeros(cube.shape, cube.dtype, chunks=-1)) for cube in (hs, ms))
    given = [told_apart(one) for one in (psf, srf, options.weights)]
    token = tokenize(*(image.name for image in images), hs_outline, ms_outline, method, str(options), given, ratio)

    def parts(windows: Iterable[Iterable[Window]]) -> list[list[tuple[Window, Any]]]:
        return [
            [((y, x, height, width), image[:, y : y + height, x : x + width]) for y, x, height, width in own]
            for image, own in zip(images, windows, strict=True)
        ]

    learn = partial(learned, (hs_outline, ms_outline), method=method, options=options, psf=psf, srf=srf, ratio=ratio)
    fusion = delayed(learn, pure=False)(*parts(reach.to_learn_from()), dask_key_name=f"hypersharp-learned-{token}")
    tiling = Tiling(
        lattice.shape_yx,
        lattice.ratio,
        side_of(images[1].chunksize[1:], lattice.ratio),
        halo_of(halo_px(candidates, lattice.ratio, consistent=options.consistent is not False), lattice.ratio),
    )
    dtype = hs.dtype if hs.dtype.kind == "f" else np.dtype(np.float32)
    rows = [list[Any]() for _ in range(tiling.counts_yx[0])]
    for number in range(len(tiling)):
        tile, name = tiling[number], f"hypersharp-tile-{token}-{number}"
        window, sharpen = lattice.fine_window(tile.core), delayed(sharpened, pure=False)
        made = sharpen(fusion, *parts([[own] for own in reach.around(tile.seen)]), window, dask_key_name=name)
        block = da.from_delayed(made, (hs.shape[0], *window[2:]), dtype)
        rows[number // tiling.counts_yx[1]].append(block)
    whole = OnMS.of(CubeParts(hs_outline), CubeParts(ms_outline), fine, lattice)
    return as_cube(da.block(rows), whole)


def side_of(chunk_yx: tuple[int, int], ratio: int) -> int:
    """Coarse pixels along a tile, for an ms in chunks of that size.

    >>> side_of((500, 500), 4), side_of((10_000, 300), 3)
    (125, 100)
    """
    step = step_px(ratio)
    side = min(max(min(chunk_yx), LEAST_PX), MOST_PX) // ratio
    return max(step, side // step * step)


class Reach:
    """Which windows of hs and ms are read for windows of a lattice, wherever they are found to lie on each other."""

    def __init__(self, lattice: Lattice, hs_yx: tuple[int, int], ms_yx: tuple[int, int], *, moves: bool) -> None:
        self.lattice, self.hs_yx, self.ms_yx, self.moves = lattice, hs_yx, ms_yx, moves

    def around(self, window: Window) -> tuple[Window, Window]:
        """Of hs and of ms, for a window (y0, x0, height, width) in coarse pixels of the lattice."""
        lattice, fine = self.lattice, self.lattice.fine_window(window)
        ratio, moved, bands = lattice.ratio, *((MOVED_PX, BANDS_PX) if self.moves else (0, 0))
        if lattice.warp is None:
            (y, x, height, width), (row, column) = window, lattice.corner_yx
            reach = moved + (SPLINE_PX + 1 if self.moves else 0)
            hs = grown((y + row, x + column, height, width), reach + bands, self.hs_yx)
            return hs, grown(fine, (reach + (BLURRED_PX if self.moves else 0)) * ratio, self.ms_yx)
        blocks = block_centres(fine, ratio)
        hs = around(lattice.warp.in_hs(blocks), self.hs_yx, SPLINE_PX + moved + 1 + bands)
        rows, columns = np.indices(hs[2:]).reshape(2, -1)
        under = lattice.warp.in_ms(np.stack([rows + hs[0], columns + hs[1]]).astype(float))
        places = np.concatenate([under, blocks, blocks - ratio, blocks + ratio], 1)
        return hs, around(places, self.ms_yx, (BLURRED_PX + moved) * ratio)

    def to_learn_from(self) -> tuple[list[Window], list[Window]]:
        """Of hs and of ms, for what is learned of the scene as a whole."""
        shape_yx, ratio = self.lattice.shape_yx, self.lattice.ratio
        blocks, registered = list(chain(*Sample.of(shape_yx, ratio).windows)), registered_window(shape_yx, ratio)
        if self.moves or self.lattice.warp:
            blocks.append(registered)
        if self.moves and registered[2:] != shape_yx:
            blocks += [*spread(shape_yx, FEW), *spread(shape_yx, MANY)]
        hs, ms = zip(*map(self.around, blocks), strict=True)
        hs = (middle(self.hs_yx, DEFECTS_PX), *nine_windows(self.hs_yx), *hs)
        ms = (middle(self.ms_yx, LOOKED_AT_MS_PX), *nine_windows(self.ms_yx), *ms)
        return whole_or_parts(hs, self.hs_yx), whole_or_parts(ms, self.ms_yx)


def whole_or_parts(windows: Iterable[Window], shape_yx: tuple[int, int]) -> list[Window]:
    """The windows with pixels, each once; all of an image of that shape in one where that is no more."""
    kept = [window for window in dict.fromkeys(windows) if 0 not in window[2:]]
    pixels = sum(height * width for _, _, height, width in kept)
    return kept if pixels < shape_yx[0] * shape_yx[1] else [(0, 0, *shape_yx)]


def learned(
    outlines: tuple[xr.DataArray, xr.DataArray],
    hs: list[Part],
    ms: list[Part],
    *,
    method: str,
    options: Options,
    psf: GivenPSF,
    srf: GivenSRF,
    ratio: int | None,
) -> Fusion:
    """What the scene teaches, without the pixels that it was learned from: other processes are told."""
    images = [CubeParts(outline, parts=tuple(own)) for outline, own in zip(outlines, (hs, ms), strict=True)]
    placement = place(*images, ratio=ratio, coregister=options.coregister_with(psf))
    # parts do not show whole lines
    pair = check_pair(placement, scale=options.scale, destripe=False, despike=not options.keep_changed)
    fusion = learn_pair(pair, method, options, psf=psf, srf=srf, in_parts=True)
    return replace(seeing(fusion, [], []), sensor=fusion.sensor.on(None), made=None)


def seeing(fusion: Fusion, hs: list[Part], ms: list[Part]) -> Fusion:
    """The same, which reads its pixels from these parts."""
    placement = fusion.pair.placement
    coarse, fine = placement.hs, placement.ms
    assert isinstance(coarse, CubeParts) and isinstance(fine, CubeParts)
    images = replace(placement, hs=replace(coarse, parts=tuple(hs)), ms=replace(fine, parts=tuple(ms)))
    return replace(fusion, pair=replace(fusion.pair, placement=images, sample=None))


def sharpened(fusion: Fusion, hs: list[Part], ms: list[Part], window: Window) -> NDArray[Any]:
    """The result (L, height, width) in a window (y0, x0, height, width) of ms; NaN where hs shows nothing."""
    placement = fusion.pair.placement
    assert isinstance(placement, OnMS)
    dtype, bands = result_type(fusion.pair, gaps=True), fusion.pair.all_bands[0]
    values: NDArray[Any] = np.full((bands, *window[2:]), np.nan, dtype)
    lattice, ratio = placement.lattice, fusion.pair.ratio
    step, spans = step_px(ratio), list[tuple[int, int]]()
    for start, length, origin, size in zip(window[:2], window[2:], lattice.window[:2], lattice.shape_yx, strict=True):
        first = max(0, floor((start - origin) / (step * ratio)) * step)
        spans.append((first, min(size, ceil((start + length - origin) / ratio)) - first))
    (y, height), (x, width) = spans
    if min(height, width) <= 0:
        return values
    halo = halo_of(fusion.sharpener.halo_px(ratio), ratio)
    tile = tile_around((y, x, height, width), halo, lattice.shape_yx)
    here = seeing(fusion, hs, ms)
    core = here.core(*here.estimate(tile), tile, dtype)
    top, left, rows, columns = lattice.fine_window(tile.core)
    (first_y, last_y), (first_x, last_x) = (
        (max(start, own), min(start + length, own + size))
        for start, length, own, size in ((window[0], window[2], top, rows), (window[1], window[3], left, columns))
    )
    made = core[:, first_y - top : last_y - top, first_x - left : last_x - left]
    values[:, first_y - window[0] : last_y - window[0], first_x - window[1] : last_x - window[1]] = made
    return values
