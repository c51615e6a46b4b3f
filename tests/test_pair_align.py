"""Any two rasters of one place become a pair: geometry exact, one resampling, gaps and metadata carried through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter, shift

pytest.importorskip("rasterio")
from affine import Affine

from hypersharp.cube import crs_of, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import HypersharpError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube
from hypersharp.io.image import CubeImage
from hypersharp.pair.align import align
from hypersharp.pair.place import place
from hypersharp.pair.placement import OnHS
from hypersharp.pair.record import Record
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

UTM33, UTM32 = "EPSG:32633", "EPSG:32632"
NM = np.linspace(450, 900, 12)
HS_PLACE = Affine(30, 0, 383472.37, 0, -30, 5818302.35)
OWN_CRS = 'LOCAL_CS["x",UNIT["m",1]]'


def ground(place: Affine, shape_yx: tuple[int, int], crs: str = UTM33, off_m: tuple[float, float] = (0, 0)) -> Any:
    """(12, h, w): a smooth scene that is a function of UTM 33 coordinates, and a texture at each place."""
    from rasterio.warp import transform

    rows, columns = np.indices(shape_yx) + 0.5
    xs, ys = place.a * columns + place.b * rows + place.c, place.d * columns + place.e * rows + place.f
    if crs != UTM33:
        there = transform(crs, UTM33, xs.ravel(), ys.ravel())
        xs, ys = (np.reshape(values, shape_yx) for values in there)
    east, south = xs - HS_PLACE.c - off_m[1], HS_PLACE.f - ys - off_m[0]
    draw = np.random.default_rng(5)
    waves = [
        np.cos(2 * np.pi * (east * fx + south * fy) / 1000 + phase) for fx, fy, phase in draw.uniform(-8, 8, (40, 3))
    ]
    spectra = np.abs(draw.normal(size=(12, 40)))
    return 20 + np.tensordot(spectra, np.asarray(waves), 1)


def coarse(shape_yx: tuple[int, int] = (40, 36), **known: Any) -> xr.DataArray:
    return make_cube(ground(HS_PLACE, shape_yx), wavelengths_nm=NM, **{"crs": UTM33, "transform": HS_PLACE, **known})


def fine(
    place: Affine, shape_yx: tuple[int, int], crs: str = UTM33, off_m: tuple[float, float] = (0, 0)
) -> xr.DataArray:
    values = ground(place, shape_yx, crs, off_m)[[2, 5, 9]]
    return make_cube(values, wavelengths_nm=NM[[2, 5, 9]], fwhm_nm=[50.0] * 3, crs=crs, transform=place)


MS_PLACE = Affine(7.2, 0, HS_PLACE.c - 3.4, 0, -7.2, HS_PLACE.f + 5.1)


def test_the_ms_comes_to_lie_on_an_exact_multiple_of_the_hs_grid() -> None:
    hs, ms = coarse(), fine(MS_PLACE, (160, 140))
    pair = align(hs, ms, coregister="none")
    assert pair.hs.shape == (12, 38, 33)
    np.testing.assert_array_equal(pair.hs, hs[:, :38, :33])
    assert transform_of(pair.hs) == HS_PLACE
    assert transform_of(pair.ms).almost_equals(HS_PLACE @ Affine.scale(0.25), 1e-7)
    assert pair.ms.shape == (3, 4 * 38, 4 * 33)
    expected = ground(HS_PLACE @ Affine.scale(0.25), pair.ms.shape[1:])[[2, 5, 9]]
    np.testing.assert_allclose(pair.ms[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=0.1)  # of +-10
    assert wavelengths_nm(pair.ms).tolist() == NM[[2, 5, 9]].tolist()
    assert "ratio 4.167, taken as 4" in pair.notes[0]


@pytest.mark.parametrize("down_m", [2.1, 9.0])
def test_a_displaced_ms_is_moved_back(down_m: float) -> None:
    hs, ms = coarse(), fine(MS_PLACE @ Affine.translation(-6, -6), (190, 170), off_m=(down_m, -6.0))
    pair = align(hs, ms)
    assert pair.registration is not None
    assert pair.registration.moved
    assert np.multiply(pair.registration.shift_px_yx, 7.5) == pytest.approx((down_m, -6.0), abs=0.3)
    assert transform_of(pair.hs) == HS_PLACE
    expected = ground(HS_PLACE @ Affine.scale(0.25), pair.ms.shape[1:])[[2, 5, 9]]
    left = align(hs, ms, coregister="none").ms.values
    assert np.abs(pair.ms.values - expected).mean() < 0.2 * np.abs(left - expected).mean()
    assert "co-registered: ms lay" in pair.notes[1] and "(down, right) off" in pair.notes[1]


def test_another_crs_is_reprojected() -> None:
    from rasterio.warp import transform

    xs, ys = transform(UTM33, UTM32, [HS_PLACE.c], [HS_PLACE.f])
    ms = fine(Affine(10, 0, xs[0] - 300, 0, -10, ys[0] + 300), (200, 200), UTM32)
    pair = align(coarse(), ms, coregister="none")
    assert crs_of(pair.ms) == crs_of(pair.hs)
    assert pair.ms.shape == (3, 120, 108)
    expected = ground(HS_PLACE @ Affine.scale(1 / 3), (120, 108))[[2, 5, 9]]
    np.testing.assert_allclose(pair.ms, expected, atol=0.3)


def test_the_ms_pixels_may_be_kept() -> None:
    hs, ms = coarse(), fine(MS_PLACE, (160, 140))
    pair = align(hs, ms, coregister="none", keep="ms")
    np.testing.assert_array_equal(pair.ms, ms[:, 1 : 1 + pair.ms.shape[1], 1 : 1 + pair.ms.shape[2]])
    assert transform_of(pair.hs).a == pytest.approx(28.8)
    assert transform_of(pair.hs).c == transform_of(pair.ms).c


def test_gaps_stay_gaps_and_no_more() -> None:
    ms = fine(MS_PLACE, (160, 140))
    ms.values[:, 40:60, 40:60] = np.nan
    pair = align(coarse(), ms, coregister="none")
    missing = np.isnan(pair.ms.values).any(0)
    assert missing.sum() * 7.5**2 == pytest.approx((20 * 7.2) ** 2, rel=0.06)


def test_whole_numbers_stay_whole_numbers() -> None:
    ms = fine(MS_PLACE, (160, 140))
    counts = make_cube((ms.values * 20).astype("u2"), crs=UTM33, transform=MS_PLACE)
    assert align(coarse(), counts, coregister="none").ms.dtype == np.uint16


def test_an_aligned_pair_is_left_as_it_is() -> None:
    pair = align(coarse(), fine(MS_PLACE, (160, 140)))
    again = align(pair.hs, pair.ms)
    np.testing.assert_array_equal(again.hs, pair.hs)
    np.testing.assert_array_equal(again.ms, pair.ms)


def test_without_georeference_the_images_alone_count() -> None:
    hs = make_cube(coarse().values)
    ms = fine(HS_PLACE @ Affine.scale(0.25), (160, 144), off_m=(0.0, 15.0)).values
    pair = align(hs, make_cube(ms))
    assert pair.registration is not None
    assert pair.registration.shift_px_yx == pytest.approx((0, 2), abs=0.05)
    assert transform_of(pair.ms) is None
    assert pair.ms.shape[1:] == tuple(4 * side for side in pair.hs.shape[1:])


def test_fuse_aligns_what_does_not_nest_and_says_so() -> None:
    hs, ms = coarse(), fine(MS_PLACE, (160, 140))
    sharp = fuse(hs, ms, method="bicubic", frame="hs")
    assert transform_of(sharp).almost_equals(HS_PLACE @ Affine.scale(0.25), 1e-7)
    assert "aligned: 33 x 38 hs pixels of 30 m" in str(Record.of(sharp))


def test_fuse_leaves_a_pair_that_nests_alone() -> None:
    ms = fine(HS_PLACE @ Affine.scale(0.25), (160, 144), off_m=(0.0, 15.0))
    sharp = fuse(coarse(), ms, method="bicubic")
    assert sharp.shape == (12, 160, 144)
    assert "aligned" not in str(Record.of(sharp))


@pytest.mark.parametrize(
    ("hs", "ms", "said"),
    [
        (coarse(), fine(MS_PLACE @ Affine.translation(9000, 0), (160, 140)), "share at least one whole hs pixel"),
        (coarse(), fine(Affine(60, 0, HS_PLACE.c, 0, -60, HS_PLACE.f), (20, 20)), "times as wide as those of hs"),
        (coarse(), fine(Affine(25, 0, HS_PLACE.c, 0, -25, HS_PLACE.f), (60, 60)), "hs pixels 1.2 times as wide"),
        (coarse((4, 4)), fine(Affine(0.9, 0, HS_PLACE.c, 0, -0.9, HS_PLACE.f), (100, 100)), "33.3 times as wide"),
        (coarse(), make_cube(np.ones((3, 160, 140))), "no CRS for ms and one for hs"),
        (
            coarse(),
            make_cube(np.ones((3, 160, 140)), crs='LOCAL_CS["x",UNIT["m",1]]', transform=MS_PLACE),
            "of one Earth",
        ),
        (coarse(), make_cube(np.ones((3, 160, 140)), crs="IAU_2015:30110", transform=MS_PLACE), "of one Earth"),
        (
            coarse(),
            make_cube(np.ones((1, 160, 140)), wavelengths_nm=[2200.0], crs=UTM33, transform=MS_PLACE),
            "hs bands from 450 to 900 nm and ms bands from 2200 to 2200 nm",
        ),
    ],
)
def test_bad_input_is_answered_with_one_line(hs: xr.DataArray, ms: xr.DataArray, said: str) -> None:
    with pytest.raises(HypersharpError, match=said) as caught:
        align(hs, ms)
    assert "\n" not in str(caught.value)


def test_berlin(data_dir: Callable[[str], Path]) -> None:
    folder = data_dir("berlin")
    hs = open_cube(folder / "EnMAP_BerlinUrbanGradient.hdr", bands=range(0, 177, 8))
    ms = open_cube(folder / "HighResolution_BerlinUrbanGradient.hdr")
    pair = align(hs, ms)
    to_hs, to_ms = transform_of(pair.hs), transform_of(pair.ms)
    rows, columns = pair.hs.shape[1:]
    assert (rows, columns) == (78, 59)
    assert pair.ms.shape[1:] == (8 * rows, 8 * columns)
    before = ~HS_PLACE @ to_hs
    assert before.almost_equals(Affine.translation(0, 1), 1e-6)  # whole hs pixels, kept to the last digit
    for corner in ((0, 0), (columns, rows)):
        gap = np.subtract(to_hs @ corner, to_ms @ (8 * corner[0], 8 * corner[1])) / 3.75
        assert np.abs(gap).max() < 0.01
    assert not np.isnan(pair.ms.values).any()
    again = align(pair.hs, pair.ms).registration
    assert again is not None
    assert np.abs(again.shift_px_yx).max() < 0.05


def test_the_verb_writes_the_pair_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hypersharp.cli import main
    from hypersharp.io import save_cube

    save_cube(coarse(), tmp_path / "hs.tif")
    save_cube(fine(MS_PLACE, (160, 140)), tmp_path / "ms.tif")
    with pytest.raises(SystemExit) as done:
        main(["align", str(tmp_path / "hs.tif"), str(tmp_path / "ms.tif"), "-o", str(tmp_path / "pair")])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert "EPSG:32633" in said
    assert "ratio 4.167, taken as 4" in said
    hs, ms = (open_cube(tmp_path / "pair" / f"{name}.tif") for name in ("hs", "ms"))
    assert ms.shape[1:] == tuple(4 * side for side in hs.shape[1:])
    assert transform_of(ms).almost_equals(transform_of(hs) @ Affine.scale(0.25), 1e-7)
    assert wavelengths_nm(hs).tolist() == NM.tolist()


def test_fuse_moves_an_ms_that_lies_off_its_hs_and_says_so() -> None:
    """Also where nothing is georeferenced; a psf that is given, or coregister="none", leaves the ms where it is."""
    draw = np.random.default_rng(0)
    fields = gaussian_filter(draw.normal(size=(3, 136, 136)), (0, 2, 2))
    scene = np.tensordot(draw.uniform(0.2, 1, (8, 3)), 0.2 + 0.5 * (fields - fields.min()), 1)
    sensor = Sensor(gaussian(8, 2.0, ratio=4), np.kron(np.eye(4), [[0.5, 0.5]]), 4)
    truth = scene[:, 4:-4, 4:-4]
    hs, lying_off = sensor.hs(torch.from_numpy(truth.copy())), shift(scene, (0, 0.8, -1.1))[:, 4:-4, 4:-4]
    cubes = make_cube(hs.numpy()), make_cube(sensor.ms(torch.from_numpy(lying_off.copy())).numpy())
    moved, left = (
        fuse(*cubes, method="gsa", coregister=wanted, consistent=False, frame="hs") for wanted in ("shift", "none")
    )
    told = fuse(*cubes, method="gsa", psf="gaussian:8:2", consistent=False, frame="hs")
    assert "co-registered" in str(Record.of(moved))
    assert "co-registered" not in str(Record.of(left)) + str(Record.of(told))
    errors = [np.abs(sharp.values - truth)[:, 8:-8, 8:-8].mean() for sharp in (moved, left)]
    assert errors[0] < 0.5 * errors[1]


def test_a_move_in_place_keeps_grid_type_and_gaps() -> None:
    hs, ms = coarse(), fine(HS_PLACE @ Affine.scale(0.25), (160, 144), off_m=(3.0, -4.5))
    ms[:, 40:60, 50:70] = np.nan
    placement = place(CubeImage(hs), CubeImage(ms), frame="hs")
    assert isinstance(placement, OnHS)
    _, moved = placement.read(placement.everything)
    assert placement.notes[0].startswith("ms resampled once: ") and placement.alignment is None
    assert transform_of(moved) == transform_of(ms)
    assert moved.dtype == ms.dtype
    holes = np.isnan(moved.values[0])
    assert 0.8 * 400 < holes.sum() < 1.2 * 400
    assert not holes[:36].any()
