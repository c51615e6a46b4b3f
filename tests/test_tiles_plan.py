"""The geometry of tiles: every pixel once, halos inside the scene, sides that fit the memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersharp.errors import CallError
from hypersharp.pair.tiling import Tiling, step_px
from hypersharp.tiles.plan import WORKER_BYTES, WRITER_BYTES, make_tiling

SIDES = st.integers(1, 60)
RATIOS = st.integers(2, 12)


def tiling_of(shape_yx: tuple[int, int], ratio: int, side: int, halo: int) -> Tiling:
    step = step_px(ratio)
    return Tiling(shape_yx, ratio, side * step, halo * step)


@given(SIDES, SIDES, RATIOS, st.integers(1, 9), st.integers(0, 4))
def test_every_coarse_pixel_is_kept_once_and_halos_stay_inside(
    height: int, width: int, ratio: int, side: int, halo: int
) -> None:
    tiling = tiling_of((height, width), ratio, side, halo)
    kept = {}
    for number in range(len(tiling)):
        tile = tiling[number]
        y, x, rows, columns = tile.core
        for place in ((i, j) for i in range(y, y + rows) for j in range(x, x + columns)):
            assert place not in kept
            kept[place] = number
        top, left, seen_rows, seen_columns = tile.seen
        assert 0 <= top <= y and 0 <= left <= x
        assert y + rows <= top + seen_rows <= height and x + columns <= left + seen_columns <= width
        assert top % step_px(ratio) == 0 and left % step_px(ratio) == 0
        fine_rows, fine_columns = tile.core_in_seen(ratio)
        assert fine_rows.stop - fine_rows.start == rows * ratio
        assert fine_columns.start == (x - left) * ratio
    assert len(kept) == height * width


@given(SIDES, SIDES, RATIOS, st.integers(1, 9), st.data())
def test_the_tiles_over_a_window_are_those_that_hold_its_pixels(
    height: int, width: int, ratio: int, side: int, data: st.DataObject
) -> None:
    tiling = tiling_of((height, width), ratio, side, 1)
    rows, columns = (
        slice(first, data.draw(st.integers(first + 1, size * ratio)))
        for size in (height, width)
        for first in [data.draw(st.integers(0, size * ratio - 1))]
    )
    expected = set()
    for number in range(len(tiling)):
        y, x, tall, wide = (length * ratio for length in tiling[number].core)
        if y < rows.stop and y + tall > rows.start and x < columns.stop and x + wide > columns.start:
            expected.add(number)
    assert set(tiling.over(rows, columns)) == expected


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_tiles_of_all_workers_fit_the_memory_together(workers: int) -> None:
    bytes_per_px, memory = 1500.0, 8e9
    tiling = make_tiling((2500, 2500), 4, halo_px=30, bytes_per_px=bytes_per_px, memory_bytes=memory, workers=workers)
    assert tiling.halo == 8 and tiling.side * 4 <= 1024
    seen = (tiling.side + 2 * tiling.halo) * 4
    assert WRITER_BYTES + workers * (WORKER_BYTES + bytes_per_px * seen**2) <= memory
    more = make_tiling((2500, 2500), 4, halo_px=30, bytes_per_px=1, memory_bytes=memory, workers=workers)
    assert more.side >= tiling.side


def test_a_memory_in_which_nothing_fits_says_how_much_does() -> None:
    with pytest.raises(CallError, match=r"found 1.0 GB for 2 workers, expected \d\.\d GB or more"):
        make_tiling((100, 100), 4, halo_px=32, bytes_per_px=1000, memory_bytes=1e9, workers=2)


def test_tiles_of_a_given_side_are_the_same_for_any_memory_that_holds_them() -> None:
    known = {"halo_px": 32, "bytes_per_px": 400, "side_px": 256}
    (one,) = {make_tiling((500, 500), 4, memory_bytes=1e10, workers=workers, **known) for workers in (1, 2, 4)}  # type: ignore[arg-type]
    assert str(one) == "64 tiles of 256 x 256 px with a 32 px halo"
    with pytest.raises(CallError, match=r"1\.4 GB for 1 worker, expected 1\.5 GB"):
        make_tiling((500, 500), 4, memory_bytes=1.4e9, workers=1, **known)  # type: ignore[arg-type]
