"""The DataArray that travels: what is known about it stays with it."""

import sys
from collections.abc import Callable

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from affine import Affine

from hypersharp import cube as cubes
from hypersharp.cube import check_cube, decode, make_cube
from hypersharp.errors import InputError
from hypersharp.grid import window_transform

PLACE = Affine(30, 0, 383472.37, 0, -30, 5818302.35)


def scene(bands: int = 3, side: int = 6) -> object:
    values = np.arange(bands * side * side, dtype="f4").reshape(bands, side, side)
    centres = np.linspace(400, 700, bands)
    return make_cube(values, wavelengths_nm=centres, fwhm_nm=centres / 50, crs="EPSG:32633", transform=PLACE)


def test_all_that_is_given_can_be_asked_for() -> None:
    cube = scene()
    assert cube.dims == ("band", "y", "x")
    assert cubes.wavelengths_nm(cube).tolist() == [400, 550, 700]
    assert cubes.fwhm_nm(cube).tolist() == [8, 11, 14]
    assert cubes.transform_of(cube) == PLACE
    assert cubes.crs_of(cube).to_epsg() == 32633
    assert cubes.good_bands(cube) is None
    assert cube.rio.transform() == PLACE
    assert cube.x.values[0] == PLACE.c + 15


def test_a_bare_cube_knows_nothing() -> None:
    cube = make_cube(np.zeros((1, 2, 2)))
    assert cubes.wavelengths_nm(cube) is cubes.transform_of(cube) is cubes.crs_of(cube) is cubes.nodata_of(cube) is None


def test_the_affine_follows_a_slice() -> None:
    moved = scene()[:, 2:, 1:]
    assert cubes.transform_of(moved).almost_equals(PLACE @ Affine.translation(1, 2), 1e-6)
    assert cubes.transform_of(scene()[:, 3:4, 5:]).almost_equals(PLACE @ Affine.translation(5, 3), 1e-6)


def test_a_rotated_affine_is_kept() -> None:
    turned = PLACE @ Affine.rotation(30)
    assert cubes.transform_of(make_cube(np.ones((1, 3, 3)), transform=turned)).almost_equals(turned, 1e-6)


def test_nodata_becomes_nan_and_is_remembered() -> None:
    cube = make_cube(np.array([[[1, -99], [3, 4]]], "i2"), nodata=-99)
    assert cube.dtype == np.float32
    assert np.isnan(cube.values[0, 0, 1])
    assert cubes.nodata_of(cube) == -99


@pytest.mark.parametrize(("dtype", "nodata"), [("u1", -99), ("u2", 0.5), ("u1", np.nan), ("i4", 1e30)])
def test_a_nodata_that_no_integer_equals_changes_nothing(dtype: str, nodata: float) -> None:
    assert decode(np.ones((1, 2, 2), dtype), nodata).dtype == dtype


def test_scale_and_offset_may_differ_from_band_to_band() -> None:
    scale = np.array([1.0, 10.0]).reshape(2, 1, 1)
    decoded = decode(np.array([[[1, 0]], [[1, 0]]], "u2"), 0, scale, 5)
    np.testing.assert_array_equal(decoded, [[[6, np.nan]], [[15, np.nan]]])


def test_a_lazy_cube_stays_lazy() -> None:
    cube = make_cube(da.zeros((2, 4, 4), chunks=2, dtype="i2"), nodata=0, crs="EPSG:4326", transform=PLACE)
    assert isinstance(cube.data, da.Array)
    assert np.isnan(cube.values).all()


def turned_scene() -> xr.DataArray:
    """A scene on a grid that is rotated, so that no coordinates of pixel centres say where it lies."""
    return make_cube(np.arange(48.0).reshape(1, 6, 8), crs="EPSG:32633", transform=PLACE @ Affine.rotation(30))


@pytest.mark.parametrize("make", [scene, turned_scene])
def test_a_cut_is_a_view_that_lies_where_its_pixels_lie(make: Callable[[], xr.DataArray]) -> None:
    whole = make()
    part = cubes.cut(whole, (1, 2, 3, 1))
    place = cubes.transform_of(whole)
    assert place is not None
    assert cubes.transform_of(part).almost_equals(window_transform(place, (1, 2, 3, 1)), 1e-6)
    np.testing.assert_array_equal(part.values, whole.values[:, 1:4, 2:3])
    with pytest.raises(InputError, match="window"):
        cubes.cut(whole, (0, 0, 7, 9))


def test_a_fused_result_takes_the_grid_of_ms_and_the_bands_of_hs() -> None:
    hs = make_cube(np.ones((3, 2, 2), "i2"), wavelengths_nm=[1, 2, 3], good_bands=[1, 0, 1], nodata=-99)
    ms = scene(2, 6)
    fused = cubes.with_bands_of(hs, np.zeros((3, 6, 6), "f4"), crs=cubes.crs_of(ms), transform=cubes.transform_of(ms))
    assert cubes.wavelengths_nm(fused).tolist() == [1, 2, 3]
    assert cubes.good_bands(fused).tolist() == [True, False, True]
    assert cubes.transform_of(fused) == PLACE
    assert cubes.nodata_of(fused) == -99
    assert fused.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((1, 2, 2), np.nan), "without one finite pixel"),
        (np.array([[[np.inf, 1.0], [-np.inf, 2.0]]]), "2 infinite values"),
        (np.zeros((1, 0, 2)), "at least one band"),
        (np.full((1, 2, 2), "a"), "real numbers"),
        (np.ones((1, 2, 2), complex), "real numbers"),
    ],
)
def test_an_unusable_image_is_named(values: np.ndarray, said: str) -> None:
    import xarray as xr

    with pytest.raises(InputError, match=said):
        check_cube(xr.DataArray(values, dims=("band", "y", "x")), "the ms")


def test_wrong_axes_are_named() -> None:
    with pytest.raises(InputError, match="axes"):
        check_cube(scene().transpose("y", "x", "band"), "hs")
    with pytest.raises(InputError, match="three axes"):
        make_cube(np.ones((2, 2)))


def test_a_list_that_is_too_short_is_named() -> None:
    with pytest.raises(InputError, match="2 values of wavelength for 3 bands"):
        make_cube(np.ones((3, 2, 2)), wavelengths_nm=[1, 2])


def test_an_unknown_crs_is_named() -> None:
    with pytest.raises(InputError, match="nonsense"):
        make_cube(np.ones((3, 2, 2)), crs="nonsense")


def test_without_the_geo_extra_a_cube_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rioxarray", None)
    with pytest.warns(UserWarning, match=r"hypersharp\[geo\]"):
        cube = make_cube(np.ones((1, 2, 2)), crs="EPSG:32633", transform=PLACE)
    assert cubes.crs_of(cube) is None
