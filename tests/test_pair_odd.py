"""Grids across 180 degrees, transposed ones, undeclared fill, empty bands."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from rasterio.warp import transform as warp

import hypersharp as hsp
from hypersharp.cube import leave_out, make_cube, transform_of
from hypersharp.errors import CallError, InputError
from hypersharp.grid import Grid, fits_exactly
from hypersharp.io.image import CubeImage, Image
from hypersharp.pair.fill import without_fill
from hypersharp.pair.record import Record

UTM, NORTH_UP = "EPSG:32633", Affine(10, 0, 500_000, 0, -10, 5_000_000)


def waves(place: Affine, shape_yx: tuple[int, int], bands: int, crs: str = UTM, ground: str = UTM) -> np.ndarray:
    """A smooth scene (band, y, x), the same wherever it is looked at from."""
    columns, rows = np.meshgrid(np.arange(shape_yx[1]) + 0.5, np.arange(shape_yx[0]) + 0.5)
    xs, ys = place @ (columns, rows)
    if crs != ground:
        xs, ys = (np.array(axis).reshape(shape_yx) for axis in warp(crs, ground, xs.ravel(), ys.ravel()))
    return np.array([0.3 + 0.1 * np.sin(xs / 90 + n / 3) + 0.1 * np.cos(ys / 110 - n / 4) for n in range(bands)], "f4")


def image(place: Affine, side: int, bands: int, crs: str | None, **scene: Any) -> xr.DataArray:
    return make_cube(waves(place, (side, side), bands, **scene), crs=crs, transform=place)


def test_affines_alone_place_a_pair() -> None:
    """Without a CRS on either side the numbers count all the same."""
    ms_place = NORTH_UP @ Affine.translation(8, 8)
    hs, ms = image(NORTH_UP @ Affine.scale(4), 24, 6, None), image(ms_place, 96, 2, None)
    sharp = hsp.fuse(hs, ms, method="gsa", coregister="none")
    expected = waves(transform_of(sharp), sharp.shape[1:], 6)
    assert np.nanmean(np.abs(sharp.values - expected)) < 0.01  # 0.05 where their corners are laid on each other


def test_a_transposed_grid_does_not_nest_though_two_corners_do() -> None:
    hs = Grid((24, 24), NORTH_UP @ Affine.scale(4), UTM)
    transposed = NORTH_UP @ Affine(0, 1, 0, 1, 0, 0)
    assert fits_exactly(hs, Grid((96, 96), NORTH_UP, UTM))
    assert not fits_exactly(hs, Grid((96, 96), transposed, UTM))
    ms = image(transposed, 96, 2, UTM)
    sharp = hsp.fuse(image(hs.transform, 24, 6, UTM), ms, method="gsa", coregister="none")
    assert np.abs(sharp.values - waves(transform_of(sharp), sharp.shape[1:], 6)).mean() < 0.01


@pytest.mark.parametrize("turn", [0, -360])
def test_a_pair_across_180_degrees_overlaps_as_a_whole(turn: int) -> None:
    """hs in degrees, of which a half lies beyond 180; its longitudes may count the other way round."""
    fiji, step = "EPSG:32760", 60 / 106_000
    (east,), (north,) = warp("EPSG:4326", fiji, [180.0], [-17.0])
    scene = {"crs": "EPSG:4326", "ground": fiji}
    place = Affine(step, 0, 180 - 12 * step, 0, -step, -17 + 12 * step)
    hs = make_cube(waves(place, (24, 24), 6, **scene), crs="EPSG:4326", transform=Affine.translation(turn, 0) @ place)
    ms_place = Affine(10, 0, east - 1000, 0, -10, north + 1000)
    ms = make_cube(waves(ms_place, (200, 200), 2, crs=fiji, ground=fiji), crs=fiji, transform=ms_place)
    aligned = hsp.align(hs, ms, coregister="none")
    assert aligned.hs.shape[1:] == (24, 24)
    fine = Affine.translation(-turn, 0) @ transform_of(aligned.ms)
    assert np.nanmax(np.abs(aligned.ms.values - waves(fine, aligned.ms.shape[1:], 2, **scene))) < 0.01
    assert not np.isnan(aligned.ms.values).any()


def filled(value: float, dtype: str = "i2") -> xr.DataArray:
    values = np.rint(waves(NORTH_UP, (24, 24), 4) * 1e4).astype(dtype)
    values[:, :4, :5] = value
    return make_cube(values)


def test_a_burnt_in_negative_value_is_left_out_and_said() -> None:
    found, notes = without_fill(CubeImage(filled(-9999)), "hs")
    assert isinstance(found, CubeImage)
    assert np.isnan(found.values.values).all(0).sum() == 20
    assert notes == ["hs has -9999 in all bands of 0.035 of its pixels, and no nodata value: they are left out"]


@pytest.mark.parametrize("value", [0, 32_767])
def test_zero_and_very_large_values_are_named_with_the_option_that_leaves_them_out(value: int) -> None:
    with pytest.warns(UserWarning, match=f"ms has {value} in all bands .*--ms-nodata {value}"):
        found, notes = without_fill(CubeImage(filled(value)), "ms")
    assert not np.isnan(found.cube().values.astype("f4")).any()
    assert len(notes) == 1


def test_what_is_declared_or_ordinary_is_left_alone() -> None:
    dark = make_cube(waves(NORTH_UP, (24, 24), 4) - 0.3)  # signed, without a value in common
    for cube in (dark, filled(3000), leave_out(filled(-9999), np.ones((24, 24)) * 0)):
        if cube.values.min() > -9999:
            assert without_fill(CubeImage(cube), "hs")[1] == []


def test_a_corner_of_a_file_without_one_value_is_looked_at_in_silence(tmp_path: Path) -> None:
    pan = waves(NORTH_UP, (300, 300), 1)
    pan[:, :100, :100] = np.nan
    assert without_fill(Image(hsp.save(make_cube(pan), tmp_path / "pan.tif")), "ms")[1] == []


def test_a_band_of_zeros_is_left_out_and_the_rest_is_as_without_it() -> None:
    hs, ms = (image(NORTH_UP @ Affine.scale(s), side, n, UTM) for s, side, n in ((4, 24, 6), (1, 96, 3)))
    empty = hs.copy(data=hs.values.copy())
    empty[2] = 0
    sharp = hsp.fuse(empty, ms, method="gsa", coregister="none")
    kept = [0, 1, 3, 4, 5]
    alone = hsp.fuse(hs.isel(band=kept), ms, method="gsa", coregister="none")
    np.testing.assert_allclose(sharp.values[kept], alone.values, atol=1e-5)
    assert np.isnan(sharp.values[2]).all()


def test_an_image_of_nothing_but_zeros_or_of_flags_is_refused_in_a_line() -> None:
    """And without words of numpy, which are errors here."""
    hs, ms = image(NORTH_UP @ Affine.scale(4), 24, 6, UTM), image(NORTH_UP, 96, 3, UTM)
    with pytest.raises(InputError, match=r"found ms without one band that is good"):
        hsp.fuse(hs, ms * 0, method="bicubic", scale=1.0)
    with pytest.raises(InputError, match=r"found hs without one band that is good"):
        hsp.fuse(hs * 0, ms, method="bicubic", scale=1.0)
    with pytest.raises(InputError, match=r"found ms of true and false \(type bool\), expected an image of numbers"):
        hsp.fuse(hs, ms > 0.2, method="bicubic")


def test_a_ratio_is_a_whole_number_and_no_text() -> None:
    hs, ms = image(NORTH_UP @ Affine.scale(4), 24, 6, UTM), image(NORTH_UP, 96, 2, UTM)
    for call in (partial(hsp.fuse, method="bicubic"), partial(hsp.align, coregister="none")):
        for ratio in ("4", 4.5, float("nan")):
            with pytest.raises(CallError, match=r"found ratio=.*, expected a whole number, such as ratio=4"):
                call(hs, ms, ratio=ratio)
    assert hsp.fuse(hs, ms, method="bicubic", ratio=np.float64(4)).shape == (6, 96, 96)


def test_a_row_of_zeros_in_a_given_response_is_told_of() -> None:
    hs, ms = image(NORTH_UP @ Affine.scale(4), 24, 6, UTM), image(NORTH_UP, 96, 2, UTM)
    rows = np.ones((2, 6)) / 6
    for srf, told in ((rows, False), (rows * [[1], [0]], True)):
        said = Record.of(hsp.fuse(hs, ms, method="gsa", srf=srf, coregister="none")).warnings
        assert any("row 2 of the given srf is all zeros" in line for line in said) == told


def test_results_are_the_same_in_small_units() -> None:
    """As those of remote sensing reflectance (1/sr) and of radiance in W/m2/sr/nm: penalties scale with the values."""
    hs, ms = (image(NORTH_UP @ Affine.scale(s), side, n, UTM) for s, side, n in ((4, 8, 6), (1, 32, 3)))
    one, other = (hsp.fuse(hs * unit, ms * unit, method="hysure", coregister="none") for unit in (1e4, 1e-4))
    np.testing.assert_allclose(other.values * 1e8, one.values, rtol=1e-2, atol=10)
