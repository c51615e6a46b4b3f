"""Protocols: the splits, the blur and its phase, and what a simulated pair knows about itself."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from hypersharp.cube import crs_of, fwhm_nm, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.quality.metrics import PRESETS
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.srf import find_srf, gaussian_srf
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import CAVE_SCENES, HARVARD_SCENES, PROTOCOLS, find_protocol

every_protocol = pytest.mark.parametrize("name", PROTOCOLS)


@every_protocol
def test_a_row_is_whole(name: str) -> None:
    protocol = find_protocol(name)
    sensor = protocol.sensor()
    assert protocol.name == name
    assert protocol.preset in PRESETS
    assert sensor.srf.shape == (3, 31)
    assert len(protocol.wavelengths_nm) == 31
    assert sensor.ratio == protocol.ratio
    assert sensor.psf.boundary == "wrap"


@every_protocol
def test_the_parts_of_a_split_share_no_scene(name: str) -> None:
    protocol = find_protocol(name)
    parts = [protocol.train, protocol.validation, protocol.test]
    assert len({scene for part in parts for scene in part}) == sum(len(part) for part in parts)
    assert protocol.scenes == tuple(sorted(sum(parts, ())))


def test_the_scene_lists_are_alphabetical_and_complete() -> None:
    assert list(CAVE_SCENES) == sorted(CAVE_SCENES)
    assert list(HARVARD_SCENES) == sorted(HARVARD_SCENES)
    assert (len(CAVE_SCENES), len(HARVARD_SCENES)) == (32, 50)


@pytest.mark.parametrize("name", ["dian-x4", "dian-x8"])
def test_dian_trains_on_the_first_20_and_tests_on_the_last_12(name: str) -> None:
    protocol = find_protocol(name)
    first = sorted(protocol.train + protocol.validation)
    assert (len(protocol.train), len(first), len(protocol.test)) == (18, 20, 12)
    assert (first[0], first[-1]) == ("balloons", "hairs")
    assert (protocol.test[0], protocol.test[-1]) == ("jelly_beans", "watercolors")
    assert [first[3], first[13]] == list(protocol.validation)
    assert protocol.validation == ("chart_and_stuffed_toy", "fake_and_real_strawberries")


def test_dspnet_reads_each_fine_pixel_once() -> None:
    """Its blur is exactly its own coarse pixel: taps 0 .. ratio - 1, as its scripts decimate from ratio/2 - 1."""
    for name in ("dspnet-x4", "dspnet-x8"):
        protocol = find_protocol(name)
        weights = protocol.psf.window(protocol.ratio, protocol.ratio)
        assert weights.min() > 0
        assert (len(protocol.train + protocol.validation), len(protocol.test)) == (20, 12)
    np.testing.assert_allclose(np.square(find_protocol("dspnet-x4").psf.kernel).sum(), 0.064448, atol=5e-7)


def test_uestc_tests_on_its_11_scenes_without_watercolors() -> None:
    protocol = find_protocol("uestc-x4")
    assert (len(protocol.train + protocol.validation), len(protocol.test)) == (20, 11)
    assert "watercolors" not in protocol.scenes
    assert {"balloons", "cd", "jelly_beans", "hairs"} <= set(protocol.test)


def test_harvard_takes_the_daylight_scenes_in_order() -> None:
    protocol = find_protocol("harvard-x4")
    assert (protocol.train[0], protocol.train[-1], len(protocol.train)) == ("img1", "imgc4", 20)
    assert protocol.validation == ("imgc5", "imgc7", "imgc8", "imgc9", "imgd2")
    assert (protocol.test[0], protocol.test[-1], len(protocol.test)) == ("imgd3", "imgh3", 25)
    assert protocol.wavelengths_nm[0] == 420
    cave = find_protocol("dian-x4").sensor().srf
    np.testing.assert_array_equal(protocol.sensor().srf, cave)


@pytest.mark.parametrize(
    ("name", "size", "centre"),
    [
        ("dian-x4", 8, 1.5),
        ("dian-x8", 8, 3.5),
        ("uestc-x4", 3, 2.0),
        ("dspnet-x4", 4, 1.5),
        ("dspnet-x8", 8, 3.5),
        ("harvard-x4", 8, 1.5),
    ],
)
def test_blur_and_phase(name: str, size: int, centre: float) -> None:
    psf = find_protocol(name).psf
    assert psf.kernel.shape == (size, size)
    assert psf.centre_yx() == (centre, centre)


def test_an_unknown_protocol_offers_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean dian-x4"):
        find_protocol("dian_x4")


def scene(bands: int = 31, height: int = 16, width: int = 24, dtype: str = "float32") -> xr.DataArray:
    """A random scene with CAVE's wavelengths, 10 nm wide."""
    values = np.random.default_rng(0).random((bands, height, width)).astype(dtype)
    nm = 400.0 + 10.0 * np.arange(bands)
    return make_cube(values, wavelengths_nm=nm, fwhm_nm=np.full(bands, 10.0))


def test_a_pair_is_what_the_sensor_sees() -> None:
    sensor = find_protocol("dian-x4").sensor()
    hs, ms, truth = simulate_pair(scene(), sensor)
    assert (hs.shape, ms.shape, truth.shape) == ((31, 4, 6), (3, 16, 24), (31, 16, 24))
    assert {cube.dtype for cube in (hs, ms, truth)} == {np.dtype("float32")}
    expected_hs, expected_ms = sensor.observe(torch.from_numpy(truth.values))
    np.testing.assert_array_equal(hs.values, expected_hs)
    np.testing.assert_array_equal(ms.values, expected_ms)


def test_a_pair_knows_its_wavelengths() -> None:
    hs, ms, truth = simulate_pair(scene(), find_protocol("dian-x4").sensor())
    np.testing.assert_array_equal(wavelengths_nm(hs), wavelengths_nm(truth))
    np.testing.assert_array_equal(fwhm_nm(hs), fwhm_nm(truth))
    centres = wavelengths_nm(ms)
    assert centres is not None
    srf = find_srf("nikon-d700", wavelengths_nm(truth))
    np.testing.assert_allclose(centres, srf @ np.asarray(wavelengths_nm(truth)))
    assert (np.diff(centres) < 0).all()


def test_a_scene_that_knows_nothing_gives_a_pair_that_knows_nothing() -> None:
    hs, ms, _ = simulate_pair(make_cube(scene().values), find_protocol("dian-x4").sensor())
    assert wavelengths_nm(hs) is None
    assert wavelengths_nm(ms) is None
    assert transform_of(hs) is None


def test_the_coarse_grid_has_the_same_corner_and_larger_pixels() -> None:
    pytest.importorskip("rioxarray", reason="needs hypersharp[geo]")
    from affine import Affine

    fine = Affine(5.0, 0.0, 400_000.0, 0.0, -5.0, 5_800_000.0)
    truth = make_cube(scene().values, wavelengths_nm=400.0 + 10 * np.arange(31), crs="EPSG:32633", transform=fine)
    hs, ms, again = simulate_pair(truth, find_protocol("dian-x4").sensor())
    assert transform_of(hs) == Affine(20.0, 0.0, 400_000.0, 0.0, -20.0, 5_800_000.0)
    assert transform_of(ms) == transform_of(again) == fine
    assert crs_of(hs) == crs_of(ms) == crs_of(truth)


def test_noise_by_snr_and_seed() -> None:
    sensor = find_protocol("dian-x4").sensor()
    clean_hs, clean_ms, clean_truth = simulate_pair(scene(31, 64, 64), sensor)
    hs, ms, truth = simulate_pair(scene(31, 64, 64), sensor, snr_hs_db=20, snr_ms_db=30, seed=1)
    for noisy, clean, snr_db in ((hs, clean_hs, 20), (ms, clean_ms, 30)):
        noise_power = float(((noisy - clean) ** 2).mean())
        assert 10 * np.log10(float((clean**2).mean()) / noise_power) == pytest.approx(snr_db, abs=0.3)
    np.testing.assert_array_equal(truth, clean_truth)
    again, _, _ = simulate_pair(scene(31, 64, 64), sensor, snr_hs_db=20, seed=1)
    other, _, _ = simulate_pair(scene(31, 64, 64), sensor, snr_hs_db=20, seed=2)
    np.testing.assert_array_equal(hs, again)
    assert not np.array_equal(hs, other)


def test_other_dtypes_and_the_callers_cube() -> None:
    truth = (scene(dtype="float64") * 9000).astype("uint16")
    kept = truth.copy(deep=True)
    hs, _, again = simulate_pair(truth, find_protocol("dian-x4").sensor())
    assert float(hs.mean()) == pytest.approx(float(truth.mean()), rel=0.01)
    again[:] = 0
    hs[:] = 0
    xr.testing.assert_identical(truth, kept)
    floating = scene()
    simulate_pair(floating, find_protocol("dian-x4").sensor())[2][:] = 0
    xr.testing.assert_identical(floating, scene())


@pytest.mark.parametrize("shape", [(31, 15, 24), (31, 16, 22), (30, 16, 24)])
def test_scenes_that_do_not_fit(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError):
        simulate_pair(scene(*shape), find_protocol("dian-x4").sensor())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([2, 3, 4, 8]), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["box", "mtf:0.3"]))
def test_pairs_of_any_shape(ratio: int, h: int, w: int, spec: str) -> None:
    truth = scene(4, h * ratio, w * ratio)
    nm = wavelengths_nm(truth)
    assert nm is not None
    hs, ms, _ = simulate_pair(truth, Sensor(parse_psf(spec, ratio), gaussian_srf([410, 425], [20, 10], nm), ratio))
    assert (hs.shape, ms.shape) == ((4, h, w), (2, h * ratio, w * ratio))
    assert float(truth.min()) - 1e-6 <= float(hs.min()) <= float(hs.max()) <= float(truth.max()) + 1e-6
