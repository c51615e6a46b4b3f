"""Ratios, windows and affines, without an image."""

import pytest
from affine import Affine
from hypothesis import given, reject
from hypothesis import strategies as st

from hypersharp.errors import InputError
from hypersharp.grid import (
    Grid,
    check_window,
    coarse_transform,
    common_grid,
    fine_transform,
    fits_exactly,
    lattice_offset,
    whole_ratio,
    window_transform,
)

COARSE = Affine(30, 0, 383472, 0, -30, 5818302)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 16))
def test_the_ratio_of_sizes_is_found(height: int, width: int, ratio: int) -> None:
    assert whole_ratio(Grid((height, width)), Grid((ratio * height, ratio * width))) == ratio


@pytest.mark.parametrize(
    ("hs", "ms", "said"),
    [
        ((80, 60), (660, 494), "8.25 and 8.23"),
        ((10, 10), (40, 30), "one whole ratio"),
        ((40, 40), (10, 10), "coarse image first"),
        ((40, 40), (40, 20), "coarse image first"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(hs: tuple[int, int], ms: tuple[int, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        whole_ratio(Grid(hs), Grid(ms))


def test_the_same_place_is_accepted_and_others_are_not() -> None:
    hs = Grid((10, 10), COARSE, "EPSG:32633")
    fine = fine_transform(COARSE, 4)
    assert whole_ratio(hs, Grid((40, 40), fine, "EPSG:32633")) == 4
    nudged = fine @ Affine.translation(1.5, 0)
    assert whole_ratio(hs, Grid((40, 40), nudged, "EPSG:32633")) == 4
    with pytest.raises(InputError, match="one CRS"):
        whole_ratio(hs, Grid((40, 40), fine, "EPSG:32632"))
    with pytest.raises(InputError, match="same place"):
        whole_ratio(hs, Grid((40, 40), fine @ Affine.translation(100, 0), "EPSG:32633"))
    with pytest.raises(InputError, match=r"2\.5 hs pixels apart"):
        whole_ratio(hs, Grid((40, 40), fine @ Affine.translation(10, 0), "EPSG:32633"))


def test_without_a_crs_the_place_is_not_judged() -> None:
    assert whole_ratio(Grid((10, 10), COARSE), Grid((20, 20), COARSE @ Affine.translation(900, 0))) == 2


@given(st.integers(1, 64))
def test_fine_and_coarse_affines_share_the_corner(ratio: int) -> None:
    there_and_back = coarse_transform(fine_transform(COARSE, ratio), ratio)
    assert there_and_back.almost_equals(COARSE, 1e-9)
    assert fine_transform(COARSE, ratio) @ (ratio, ratio) == pytest.approx(COARSE @ (1, 1))


def test_a_window_moves_the_corner() -> None:
    assert window_transform(COARSE, (2, 3, 4, 4)) @ (0, 0) == COARSE @ (3, 2)


@pytest.mark.parametrize("window", [(0, 0, 0, 1), (-1, 0, 2, 2), (0, 0, 7, 1), (3, 3, 3, 4)])
def test_a_window_beyond_the_image_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="inside the image"):
        check_window(window, (6, 6))


UTM33, UTM32 = "EPSG:32633", "EPSG:32632"
BERLIN_HS = Grid((80, 60), Affine(30, 0, 383472.37, 0, -30, 5818302.35), UTM33)
BERLIN_MS = Grid((660, 494), Affine(3.6, 0, 383469.97, 0, -3.6, 5818303.55), UTM33)


def test_berlin_keeps_the_hs_corners_and_takes_what_the_ms_covers() -> None:
    common = common_grid(BERLIN_HS, BERLIN_MS)
    assert common.window == (0, 0, 79, 59)
    assert (common.ratio, common.true_ratio) == (8, pytest.approx(30 / 3.6))
    assert common.hs.transform == BERLIN_HS.transform
    assert common.ms.shape_yx == (8 * 79, 8 * 59)
    assert common.ms.transform is not None
    assert common.ms.transform.almost_equals(Affine(3.75, 0, 383472.37, 0, -3.75, 5818302.35), 1e-9)
    assert fits_exactly(common.hs, common.ms)
    assert not fits_exactly(BERLIN_HS, BERLIN_MS)


def test_the_ms_pixels_may_be_kept_instead() -> None:
    common = common_grid(BERLIN_HS, BERLIN_MS, keep="ms")
    assert common.window == (1, 1, 656, 488)
    assert lattice_offset(BERLIN_MS, common.ms) == (1, 1)
    assert fits_exactly(common.hs, common.ms)


def test_another_whole_ratio_may_be_asked_for() -> None:
    assert common_grid(BERLIN_HS, BERLIN_MS, ratio=9).ms.shape_yx == (9 * 79, 9 * 59)


def bounds(grid: Grid) -> tuple[float, ...]:
    """x_min, y_min, x_max, y_max of a grid that is not rotated."""
    (x0, y1), (x1, y0) = grid.transform @ (0, 0), grid.transform @ grid.shape_yx[::-1]
    return x0, y0, x1, y1


@given(st.floats(-400, 400), st.floats(-400, 400), st.floats(1.6, 20), st.integers(5, 40), st.integers(60, 400))
def test_every_kept_pixel_is_covered(right: float, down: float, fine: float, side: int, width: int) -> None:
    hs = Grid((side, side + 3), COARSE, UTM33)
    place = Affine(fine, 0, COARSE.c + right, 0, -fine, COARSE.f - down)
    ms = Grid((width, width), place, UTM33)
    try:
        common = common_grid(hs, ms)
    except InputError:
        reject()  # no common pixel
    inner, outer, whole = bounds(common.hs), bounds(ms), bounds(hs)
    assert inner is not None and outer is not None and whole is not None
    slack = 0.01 * 30 + 1e-6
    for box in (outer, whole):
        assert box[0] <= inner[0] + slack and box[1] <= inner[1] + slack
        assert inner[2] <= box[2] + slack and inner[3] <= box[3] + slack
    assert lattice_offset(hs, common.hs) == common.window[:2]
    assert common.ms.shape_yx == tuple(common.ratio * side for side in common.hs.shape_yx)
    assert bounds(common.ms) == pytest.approx(inner, abs=1e-6)


@pytest.mark.parametrize(
    ("pixel_m", "said"),
    [(60.0, "ms pixels 2 times as wide"), (25.0, "hs pixels 1.2 times as wide"), (0.9, "hs pixels 33.3 times as wide")],
)
def test_a_ratio_that_cannot_be_bridged_is_refused(pixel_m: float, said: str) -> None:
    ms = Grid((500, 500), Affine(pixel_m, 0, 383472, 0, -pixel_m, 5818302), UTM33)
    with pytest.raises(InputError, match=said):
        common_grid(Grid((80, 60), COARSE, UTM33), ms)


def test_images_apart_are_refused() -> None:
    away = Grid((660, 494), Affine(3.6, 0, 393469.97, 0, -3.6, 5818303.55), UTM33)
    with pytest.raises(InputError, match=r"an image at \(383472\.37, .* and one at \(393469\.97"):
        common_grid(BERLIN_HS, away)


def test_another_crs_is_followed() -> None:
    warp = pytest.importorskip("rasterio.warp")
    xs, ys = warp.transform(UTM33, UTM32, [383472.0], [5818302.0])
    ms = Grid((1000, 1000), Affine(3.6, 0, xs[0] - 400, 0, -3.6, ys[0] + 400), UTM32)
    common = common_grid(BERLIN_HS, ms, project=warp.transform)
    assert common.hs.crs == common.ms.crs == UTM33
    assert common.true_ratio == pytest.approx(30 / 3.6, rel=2e-3)
    assert common.window == (0, 0, 80, 60)


def test_pixels_of_no_size_are_refused() -> None:
    with pytest.raises(InputError, match="pixels of a size"):
        common_grid(BERLIN_HS, Grid((10, 10)))


def test_a_ratio_at_the_limit_is_within_it_whatever_rounds() -> None:
    """15 m beside 10 m."""
    hs = Grid((20, 20), Affine(15, 0, 500_000.1, 0, -15, 5_000_000.7), "EPSG:32633")
    ms = Grid((30, 30), Affine(10, 0, 500_000.1, 0, -10, 5_000_000.7), "EPSG:32633")
    assert common_grid(hs, ms).ratio == 2
