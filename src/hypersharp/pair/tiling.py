"""Where the tiles of a scene lie: ints only, no pixels.

Tiles are counted in coarse pixels. A tile's core is what is kept of it; what it sees reaches a halo further, to the
border of the scene at most. Both begin at whole multiples of `step_px`, where the networks' halvings begin too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from hypersharp.grid import Window

LEVELS = 4  # fine pixels that two halvings of the networks make one


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


def grown(window: Window, reach_px: int, shape_yx: Sequence[int]) -> Window:
    """A window with what lies so many pixels around it in an image of that shape; empty where none of that does.

    >>> grown((2, -9, 4, 4), 3, (7, 7)), grown((0, 0, 2, 2), 1, (7, 7))
    ((0, 0, 0, 0), (0, 0, 3, 3))
    """
    spans = [
        (max(0, first - reach_px), min(size, first + length + reach_px))
        for first, length, size in zip(window[:2], window[2:], shape_yx, strict=True)
    ]
    if any(first >= last for first, last in spans):
        return 0, 0, 0, 0
    (top, bottom), (left, right) = spans
    return top, left, bottom - top, right - left


def tile_around(core: Window, halo: int, shape_yx: tuple[int, int]) -> Tile:
    """A tile that sees `halo` more than its core, as far as the scene of that shape goes.

    >>> tile_around((0, 4, 2, 2), 1, (9, 9))
    Tile(core=(0, 4, 2, 2), seen=(0, 3, 3, 4))
    """
    return Tile(core, grown(core, halo, shape_yx))


def step_px(ratio: int) -> int:
    """Coarse pixels at whose multiples tiles begin.

    >>> step_px(4), step_px(3), step_px(2)
    (1, 4, 2)
    """
    return LEVELS // gcd(LEVELS, ratio)


def halo_of(halo_px: int, ratio: int) -> int:
    """A halo of so many fine pixels in coarse ones, a multiple of `step_px`.

    >>> halo_of(24, 4), halo_of(25, 3)
    (6, 12)
    """
    step = step_px(ratio)
    return -(-halo_px // (ratio * step)) * step
