"""open(save(x)) = x, for every format and what each can hold."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hypersharp.cube import crs_of, fwhm_nm, good_bands, make_cube, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io import open_cube, save_cube
from hypersharp.io.format import BY_SUFFIX

ALL = sorted(suffix for suffix, form in BY_SUFFIX.items() if form.written)
PLAIN = (".npy",)  # numbers alone
LAZY = (".tif", ".img", ".bil", ".npy", ".nc", ".zarr", "")
WKT_DIFFERS = (".hdr", ".img", ".bsq", ".bil", ".bip", ".dat")


def full_cube(dtype: str = "f4") -> object:
    values = np.random.default_rng(1).integers(0, 200, (5, 7, 6)).astype(dtype)
    if dtype.startswith("f"):
        values[0, 2:4, 1] = np.nan
    return make_cube(
        values,
        wavelengths_nm=[450.1, 550.2, 650.3, 1550.123456, 2200],
        fwhm_nm=[9.7, 10, 11.25, 12, 13],
        good_bands=[True, True, False, True, False],
        crs="EPSG:32633",
        transform=Affine(30, 0, 383472.37, 0, -30, 5818302.35),
        nodata=-99 if dtype.startswith("f") else None,
    )


def assert_same(a: object, b: object) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.values, b.values)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("suffix", ALL)
def test_everything_survives_where_the_format_can_hold_it(suffix: str, dtype: str, tmp_path: Path) -> None:
    cube = full_cube(dtype)
    back = open_cube(save_cube(cube, tmp_path / f"image{suffix}"))
    if suffix == "" and dtype in ("i2", "f8"):  # images hold 32 bits instead
        back = back.astype(dtype)
    assert_same(back, cube)
    if suffix in PLAIN:
        return
    np.testing.assert_array_equal(wavelengths_nm(back), wavelengths_nm(cube))
    np.testing.assert_array_equal(fwhm_nm(back), fwhm_nm(cube))
    np.testing.assert_array_equal(good_bands(back), good_bands(cube))
    assert crs_of(back) == crs_of(cube)
    assert transform_of(back) == transform_of(cube)
    assert nodata_of(back) == nodata_of(cube) or (suffix == "" and dtype == "f8")


@pytest.mark.parametrize("suffix", ALL)
def test_a_bare_cube_stays_bare(suffix: str, tmp_path: Path) -> None:
    back = open_cube(save_cube(make_cube(np.ones((2, 3, 4), "f4")), tmp_path / f"image{suffix}"))
    assert back.shape == (2, 3, 4)
    known = [read(back) for read in (wavelengths_nm, fwhm_nm, good_bands, crs_of, transform_of)]
    assert known == [None] * 5


@pytest.mark.parametrize("suffix", ALL)
def test_one_band_stays_one_band(suffix: str, tmp_path: Path) -> None:
    pan = make_cube(np.arange(35, dtype="u2").reshape(1, 7, 5))
    assert_same(open_cube(save_cube(pan, tmp_path / f"pan{suffix}")), pan)


@pytest.mark.parametrize("suffix", LAZY)
def test_lazy_reading_gives_the_same_and_reads_late(suffix: str, tmp_path: Path) -> None:
    import dask.array as da

    path = save_cube(full_cube(), tmp_path / f"image{suffix}")
    lazy = open_cube(path, lazy=True)
    assert isinstance(lazy.data, da.Array)
    whole = open_cube(path)
    assert_same(lazy, whole)
    np.testing.assert_array_equal(lazy[::2, ::-1, 1:4:2].values, whole[::2, ::-1, 1:4:2].values)


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr", ".img"])
def test_a_lazy_cube_can_be_saved(suffix: str, tmp_path: Path) -> None:
    lazy = full_cube().chunk({"y": 3})
    assert_same(open_cube(save_cube(lazy, tmp_path / f"image{suffix}")), full_cube())


@pytest.mark.parametrize("suffix", ALL)
def test_a_window_and_some_bands_are_a_part_of_the_whole(suffix: str, tmp_path: Path) -> None:
    path = save_cube(full_cube(), tmp_path / f"image{suffix}")
    for lazy in (False, True):
        part = open_cube(path, bands=[3, 0], window=(1, 2, 4, 3), lazy=lazy)
        np.testing.assert_array_equal(part.values, full_cube().values[[3, 0], 1:5, 2:5])
        if suffix not in PLAIN:
            assert wavelengths_nm(part).tolist() == [1550.123456, 450.1]
            assert transform_of(part).almost_equals(transform_of(full_cube()) @ Affine.translation(2, 1), 1e-6)


@pytest.mark.parametrize("suffix", ALL)
def test_what_lies_outside_is_refused(suffix: str, tmp_path: Path) -> None:
    path = save_cube(full_cube(), tmp_path / f"image{suffix}")
    with pytest.raises(InputError, match="inside the image"):
        open_cube(path, window=(5, 0, 5, 2))
    with pytest.raises(InputError, match=r"some of 0\.\.4"):
        open_cube(path, bands=[5])


@pytest.mark.parametrize("suffix", [".tif", ".img", ".bip", ".nc", ".zarr"])
def test_scale_and_offset_survive(suffix: str, tmp_path: Path) -> None:
    raw = np.random.default_rng(2).integers(-50, 9000, (3, 5, 5)).astype("i2")
    cube = make_cube(np.where(raw < 0, np.nan, raw * np.float32(1e-4) + np.float32(0.5)).astype("f4"))
    cube.encoding = {"dtype": np.dtype("i2"), "scale_factor": 1e-4, "add_offset": 0.5, "_FillValue": -1}
    back = open_cube(save_cube(cube, tmp_path / f"image{suffix}"))
    assert_same(back, cube)
    assert {key: back.encoding[key] for key in cube.encoding} == cube.encoding


@pytest.mark.parametrize("suffix", [".tif", ".img", ".nc", ".zarr"])
def test_new_values_are_not_squeezed_into_the_old_integers(suffix: str, tmp_path: Path) -> None:
    cube = make_cube(np.full((1, 2, 2), 0.123456, "f4"))
    cube.encoding = {"dtype": np.dtype("i2"), "scale_factor": 0.01, "add_offset": 0.0, "_FillValue": -1}
    assert_same(open_cube(save_cube(cube, tmp_path / f"image{suffix}")), cube)


@pytest.mark.parametrize("suffix", ALL)
def test_a_real_value_that_looks_like_nodata_is_kept(suffix: str, tmp_path: Path) -> None:
    cube = make_cube(np.array([[[1.0, -99.0], [np.nan, 3.0]]], "f4"))
    cube.encoding["_FillValue"] = -99.0
    assert_same(open_cube(save_cube(cube, tmp_path / f"image{suffix}")), cube)


@pytest.mark.parametrize("suffix", ALL)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.sampled_from(["u1", "u2", "i4", "f4"]).flatmap(
        lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7))
    )
)
def test_any_numbers_survive(suffix: str, values: np.ndarray, tmp_path: Path) -> None:
    cube = make_cube(values)
    assert_same(open_cube(save_cube(cube, tmp_path / f"image{suffix}")), cube)


def test_a_lazy_cube_of_uneven_chunks_is_saved(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 70, 50)).astype("f4")
    cube = make_cube(values).chunk({"y": (30, 40), "x": 50})
    for suffix in (".zarr", ".nc", ".tif"):
        np.testing.assert_array_equal(open_cube(save_cube(cube, tmp_path / f"cube{suffix}")).values, values)


def test_a_plain_array_is_saved(tmp_path: Path) -> None:
    values = np.ones((2, 3, 4), "f4")
    assert open_cube(save_cube(values, tmp_path / "cube.npy")).shape == values.shape  # type: ignore[arg-type]
