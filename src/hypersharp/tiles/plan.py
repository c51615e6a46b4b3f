"""Where the tiles of a scene lie and how large they may be: ints only, no pixels.

Tiles are counted in coarse pixels. A tile's core is what is kept of it; what it sees reaches a halo further, to the
border of the scene at most. Both begin at whole multiples of `step_px`, where the networks' halvings begin too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapreplace
from itertools import product
from math import ceil, gcd, isqrt

from hypersharp.describe import counted
from hypersharp.errors import CallError
from hypersharp.grid import Window

LEVELS = 4  # fine pixels that two halvings of the networks make one
WORKER_BYTES = 650e6  # a worker's libraries, and what its memory allocator keeps
SPARE = 1.25  # of what the table of methods has for a pixel
WRITER_BYTES = 750e6  # those of the process that learns and writes, and its buffers
MOST_SIDE_PX = 1024  # fine pixels along a core: beyond, a larger tile saves next to nothing
LEAST_SIDE_PX = 64
EVEN = 50  # tiles a worker from which on all have as much to do
SLOW = 1.2  # times as long as others, about, take lengths that Fourier transforms do not like
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Tile:
    """Coarse windows (y0, x0, height, width) of the scene: what is kept and what is seen."""

    core: Window
    seen: Window

    def core_in_seen(self, ratio: int) -> tuple[slice, slice]:
        """Rows and columns of the core among the fine pixels seen."""
        (y, x, height, width), (seen_y, seen_x, _, _) = self.core, self.seen
        top, left = (y - seen_y) * ratio, (x - seen_x) * ratio
        return slice(top, top + height * ratio), slice(left, left + width * ratio)


@dataclass(frozen=True)
class Tiling:
    """A scene of `shape_yx` coarse pixels in tiles of `side` coarse pixels, each seeing `halo` more on every side.

    >>> tiling = Tiling((10, 12), ratio=4, side=6, halo=2)
    >>> len(tiling), tiling[3]
    (4, Tile(core=(6, 6, 4, 6), seen=(4, 4, 6, 8)))
    """

    shape_yx: tuple[int, int]
    ratio: int
    side: int
    halo: int

    @property
    def counts_yx(self) -> tuple[int, int]:
        """Tiles along y and x."""
        rows, columns = (-(-size // self.side) for size in self.shape_yx)
        return rows, columns

    def __len__(self) -> int:
        rows, columns = self.counts_yx
        return rows * columns

    def __getitem__(self, number: int) -> Tile:
        row, column = divmod(number, self.counts_yx[1])
        (y, height), (x, width) = (
            (first, min(self.side, size - first))
            for first, size in zip((row * self.side, column * self.side), self.shape_yx, strict=True)
        )
        return tile_around((y, x, height, width), self.halo, self.shape_yx)

    def __str__(self) -> str:
        """Formatted for display, in fine pixels."""
        if len(self) == 1:
            return "1 tile"
        side, halo = self.side * self.ratio, self.halo * self.ratio
        return f"{len(self)} tiles of {side} x {side} px with a {halo} px halo"

    def over(self, rows: slice, columns: slice) -> Iterator[int]:
        """Numbers of the tiles whose cores hold some of these fine pixels."""
        side = self.side * self.ratio
        for row in range(rows.start // side, -(-rows.stop // side)):
            for column in range(columns.start // side, -(-columns.stop // side)):
                yield row * self.counts_yx[1] + column


def tile_around(core: Window, halo: int, shape_yx: tuple[int, int]) -> Tile:
    """A tile that sees `halo` more than its core, as far as the scene of that shape goes.

    >>> tile_around((0, 4, 2, 2), 1, (9, 9))
    Tile(core=(0, 4, 2, 2), seen=(0, 3, 3, 4))
    """
    y, x, height, width = core
    top, left = max(0, y - halo), max(0, x - halo)
    bottom, right = min(shape_yx[0], y + height + halo), min(shape_yx[1], x + width + halo)
    return Tile(core, (top, left, bottom - top, right - left))


def step_px(ratio: int) -> int:
    """Coarse pixels at whose multiples tiles begin.

    >>> step_px(4), step_px(3), step_px(2)
    (1, 4, 2)
    """
    return LEVELS // gcd(LEVELS, ratio)


def make_tiling(
    shape_yx: tuple[int, int],
    ratio: int,
    *,
    halo_px: int,
    bytes_per_px: float,
    memory_bytes: float,
    workers: int,
    side_px: int | None = None,
) -> Tiling:
    """Tiles (of `side_px` fine pixels, or) of which `workers` fit the memory, and with which they have least to see.

    halo_px: how far, in fine pixels, a result sees; bytes_per_px: what sharpening holds for each fine pixel seen.

    Raises: CallError for a memory in which not even small tiles fit, saying how much is needed.
    """
    step = step_px(ratio)
    halo = -(-halo_px // (ratio * step)) * step
    for_each = (memory_bytes - WRITER_BYTES) / workers - WORKER_BYTES
    most = isqrt(max(0, int(for_each / (SPARE * bytes_per_px)))) - 2 * halo * ratio
    if most < LEAST_SIDE_PX and side_px is None:
        each = WORKER_BYTES + SPARE * bytes_per_px * (LEAST_SIDE_PX + 2 * halo * ratio) ** 2
        least = workers * each + WRITER_BYTES
        found = f"{memory_bytes / 1e9:.1f} GB for {counted(workers, 'worker')}"
        expected = f"{ceil(least / 1e8) / 10:.1f} GB or more for this method and pair"
        raise CallError(found, expected, "raise --memory, or lower --workers")
    if side_px is not None:
        return Tiling(shape_yx, ratio, max(step, side_px // ratio // step * step), halo)
    largest = max(step, min(most, MOST_SIDE_PX) // ratio // step * step)
    sides = range(largest, largest // 3, -step)
    return min((Tiling(shape_yx, ratio, side, halo) for side in sides), key=lambda tiling: work(tiling, workers))


def work(tiling: Tiling, workers: int) -> float:
    """What the busiest worker has to do, each taking the next tile: pixels seen, those of slow lengths counted more.

    >>> work(Tiling((20, 20), 4, side=10, halo=5), 1), work(Tiling((20, 20), 4, side=20, halo=5), 1)
    (900.0, 400.0)
    """
    columns = tiling.counts_yx[1]
    heights = [tiling[number].seen[2] for number in range(0, len(tiling), columns)]
    widths = [tiling[number].seen[3] for number in range(columns)]
    costs_y, costs_x = (
        [length * (1.0 if is_smooth(length * tiling.ratio) else SLOW) for length in lengths]
        for lengths in (heights, widths)
    )
    if len(tiling) > EVEN * workers:
        return sum(costs_y) * sum(costs_x) / workers
    busy = [0.0] * workers
    for height, width in product(costs_y, costs_x):
        heapreplace(busy, busy[0] + height * width)
    return max(busy)


def is_smooth(length: int) -> bool:
    """Whether a length has no prime factor above 11, for which Fourier transforms are up to six times as fast.

    >>> [length for length in range(170, 200) if is_smooth(length)]
    [175, 176, 180, 189, 192, 196, 198]
    """
    for factor in (2, 3, 5, 7, 11):
        while length % factor == 0:
            length //= factor
    return length == 1
