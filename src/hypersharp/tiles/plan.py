"""How large the tiles of a scene may be: as many fit the memory as there are workers, with least to see twice."""

from heapq import heapreplace
from itertools import product
from math import ceil, isqrt

from hypersharp.describe import counted
from hypersharp.errors import CallError
from hypersharp.pair.tiling import Tiling, halo_of, step_px

WORKER_BYTES = 650e6  # a worker's libraries, and what its memory allocator keeps
SPARE = 1.25  # of what the table of methods has for a pixel
WRITER_BYTES = 750e6  # those of the process that learns and writes, and its buffers
MOST_SIDE_PX = 1024  # fine pixels along a core: beyond, a larger tile saves next to nothing
LEAST_SIDE_PX = 64
EVEN = 50  # tiles a worker from which on all have as much to do
SLOW = 1.2  # times as long as others, about, take lengths that Fourier transforms do not like
FLOAT_BYTES = 4


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
    halo = halo_of(halo_px, ratio)
    for_each = (memory_bytes - WRITER_BYTES) / workers - WORKER_BYTES
    most = isqrt(max(0, int(for_each / (SPARE * bytes_per_px)))) - 2 * halo * ratio
    least_px = min(side_px or LEAST_SIDE_PX, ratio * max(shape_yx))
    if most < least_px:
        each = WORKER_BYTES + SPARE * bytes_per_px * (least_px + 2 * halo * ratio) ** 2
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
