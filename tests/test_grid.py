"""Ratios, windows and affines, without an image."""

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from hypersharp.errors import InputError
from hypersharp.grid import (
    Grid,
    check_window,
    coarse_transform,
    fine_transform,
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
