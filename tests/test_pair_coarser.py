"""Bands of an ms that were resampled from coarser pixels are told by what they lack, and others are left in peace."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from hypersharp.cube import make_cube
from hypersharp.io.image import CubeImage
from hypersharp.pair.coarser import coarser_bands
from hypersharp.pair.pair import check_pair
from hypersharp.pair.place import place
from hypersharp.sensor.tables import FloatArray

SIDE_PX = 96


def bands(count: int = 5, seed: int = 0) -> FloatArray:
    """Fields of many sizes, sharp to the pixel, each with another mix of three; the last one mostly noise."""
    draw = np.random.default_rng(seed)
    scales = (0.7, 1.5, 4)
    fields = [scale * gaussian_filter(draw.normal(size=(3, SIDE_PX, SIDE_PX)), (0, scale, scale)) for scale in scales]
    mixed = np.tensordot(draw.uniform(0.2, 1, (count, 3)), np.sum(fields, axis=0), 1)
    mixed[-1] = 0.05 * mixed[-1] + 0.1 * draw.normal(size=mixed[-1].shape)
    return np.asarray(5 + mixed)


def coarser(band: FloatArray, factor: int, how: str) -> FloatArray:
    side = SIDE_PX // factor
    coarse = band.reshape(side, factor, side, factor).mean((1, 3))
    if how == "nearest":
        return np.kron(coarse, np.ones((factor, factor)))
    return np.asarray(zoom(coarse, factor, order=3 if how == "cubic" else 1, mode="nearest", grid_mode=True))


@pytest.mark.parametrize("how", ["nearest", "linear", "cubic"])
def test_bands_of_pixels_twice_as_wide_are_told(how: str) -> None:
    ms = bands()
    assert coarser_bands(ms) == {}
    for band in (1, 2):
        ms[band] = coarser(ms[band], 2, how)
    assert coarser_bands(ms) == {1: 2, 2: 2}
    ms[:, :20, :30] = ms[:, 60, 60] = np.nan
    assert how == "nearest" or coarser_bands(ms) == {1: 2, 2: 2}


@pytest.mark.parametrize("how", ["nearest", "cubic"])
@pytest.mark.parametrize("factor", [3, 6])
def test_and_those_of_60_m(factor: int, how: str) -> None:
    ms = bands()
    ms[0] = coarser(ms[0], factor, how)
    assert coarser_bands(ms) == {0: factor}


def test_where_all_are_alike_or_little_is_seen_nothing_is_said() -> None:
    assert coarser_bands(np.array([coarser(band, 2, "cubic") for band in bands()])) == {}
    assert coarser_bands(gaussian_filter(bands(), (0, 1.5, 1.5))) == {}
    assert coarser_bands(bands()[:1]) == coarser_bands(bands()[:, :30, :30]) == {}
    assert (
        coarser_bands(np.full((3, SIDE_PX, SIDE_PX), 2.0))
        == coarser_bands(np.full((3, SIDE_PX, SIDE_PX), np.nan))
        == {}
    )


def test_the_pair_says_which_by_number_and_wavelength() -> None:
    truth, nm = bands(8), np.linspace(450, 900, 8)
    ms = truth[[0, 2, 4, 6]].copy()
    ms[3] = coarser(ms[3], 2, "linear")
    hs = make_cube(truth.reshape(8, 24, 4, 24, 4).mean((2, 4)), wavelengths_nm=nm)
    placed = place(CubeImage(hs), CubeImage(make_cube(ms, wavelengths_nm=nm[[0, 2, 4, 6]])), coregister="none")
    (said,) = (line for line in check_pair(placed).warnings if "finer" in line)
    assert said.startswith("ms band 4 (836 nm): shows no detail finer than 2 ms pixels, unlike the others; ")
