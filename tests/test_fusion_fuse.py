"""`fuse`: the user's units, grid and gaps come back; what cannot be fused is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cube import crs_of, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import CallError, HypersharpError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.methods.table import AUTO, METHODS, find_method
from hypersharp.networks import packaged
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.record import Record
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor

NM = np.array([450.0, 500.0, 550.0, 600.0, 650.0])
HEADER = WeightsHeader("ssjcn", {"bands": 5, "ms_bands": 2, "ratio": 4, "features": 8}, tuple(NM))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "five.safetensors"
    net = build_network("ssjcn", {**HEADER.options, "zero_init": True})
    save_weights(path, net, HEADER)
    return path


def cubes(dtype: str = "float32", top: float = 1.0) -> tuple[xr.DataArray, xr.DataArray]:
    random = np.random.default_rng(0)
    hs = (random.random((5, 6, 8)) * top).astype(dtype)
    ms = (random.random((2, 24, 32)) * top).astype(dtype)
    return make_cube(hs, wavelengths_nm=NM), make_cube(ms)


def test_bicubic_keeps_bands_and_doubles_as_the_floor() -> None:
    hs, ms = cubes()
    sharp = fuse(hs, ms, method="bicubic")
    assert sharp.shape == (5, 24, 32)
    assert sharp.dtype == np.float32
    np.testing.assert_array_equal(wavelengths_nm(sharp), NM)
    assert Record.of(sharp).method == "bicubic" and "bicubic" in str(Record.of(sharp))


def test_an_image_of_one_value_stays_it() -> None:
    hs, ms = cubes()
    sharp = fuse(hs.copy(data=np.full(hs.shape, 0.3, "float32")), ms, method="bicubic")
    np.testing.assert_allclose(sharp.values, 0.3, atol=1e-6)


@pytest.mark.parametrize(("dtype", "top"), [("uint16", 9000), ("int16", 9000), ("float64", 250.0), ("float32", 0.4)])
def test_units_and_dtype_come_back(weights: Path, dtype: str, top: float) -> None:
    hs, ms = cubes(dtype, top)
    sharp = fuse(hs, ms, weights=weights)
    assert sharp.dtype == hs.dtype
    assert float(sharp.mean()) == pytest.approx(float(hs.mean()), rel=0.02)


def test_a_scaled_copy_gives_the_scaled_result(weights: Path) -> None:
    """Reflectance in 0..1 and the same in 0..10000 are the same image."""
    hs, ms = cubes()
    small = fuse(hs, ms, weights=weights, scale=1.0, precision="fp32")
    large = fuse(hs * 1e4, ms * 1e4, weights=weights, scale=1e4, precision="fp32")
    np.testing.assert_allclose(large.values / 1e4, small.values, atol=1e-5)


@pytest.mark.parametrize("method", ["hysure", "gsa", "cnmf"])
def test_results_scale_with_the_unit(method: str) -> None:
    hs, ms = cubes(top=0.37)
    given = {"psf": "box", "srf": np.full((ms.shape[0], hs.shape[0]), 1 / hs.shape[0]), "coregister": "none"}
    one, other = (
        fuse(hs * unit, ms * unit, method=method, consistent=False, **given).values / unit for unit in (1, 4096)
    )
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_the_grid_of_ms_comes_back(weights: Path) -> None:
    affine = pytest.importorskip("affine")
    hs, ms = cubes()
    to_hs = affine.Affine(40, 0, 500_000, 0, -40, 5_800_000)
    to_ms = affine.Affine(10, 0, 500_000, 0, -10, 5_800_000)
    hs = make_cube(hs.values, wavelengths_nm=NM, crs="EPSG:32633", transform=to_hs)
    ms = make_cube(ms.values, crs="EPSG:32633", transform=to_ms)
    sharp = fuse(hs, ms, weights=weights)
    assert transform_of(sharp) == to_ms
    assert crs_of(sharp) == crs_of(ms)


def test_gaps_come_back_and_do_not_spread(weights: Path) -> None:
    hs, ms = cubes()
    hs[:, 2, 3] = np.nan
    ms[0, 20, 30] = np.nan
    missing = np.isnan(fuse(hs, ms, weights=weights).values)
    expected = np.zeros((24, 32), bool)
    expected[8:12, 12:16] = True
    expected[20, 30] = True
    np.testing.assert_array_equal(missing, np.broadcast_to(expected, missing.shape))


def test_inputs_are_not_changed(weights: Path) -> None:
    hs, ms = cubes()
    before = hs.copy(deep=True), ms.copy(deep=True)
    fuse(hs, ms, weights=weights)
    assert hs.identical(before[0])
    assert ms.identical(before[1])


def test_a_given_response_is_used(weights: Path) -> None:
    hs, ms = cubes()
    net_options = {**HEADER.options, "spectrally_consistent": True, "zero_init": True}
    save_weights(weights, build_network("ssjcn", net_options), WeightsHeader("ssjcn", net_options, tuple(NM)))
    srf = np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 0.2, 0.4, 0.4]])
    sharp = fuse(hs, ms, weights=weights, srf=srf)
    np.testing.assert_allclose(np.einsum("lk,kyx->lyx", srf, sharp.values), ms.values, atol=1e-5)
    assert any("response differs" in text for text in Record.of(sharp).warnings)


def test_packaged_weights_are_picked_by_shape_and_wavelengths(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "FOLDER", weights.parent)
    packaged.packaged_weights.cache_clear()
    try:
        hs, ms = cubes()
        found = Record.of(fuse(hs, ms, method="ssjcn"))
        assert found.weights == ["five"] and "weights five: packaged" in str(found)
        blind = Record.of(fuse(make_cube(hs.values), ms, method="ssjcn"))
        assert any("no wavelengths" in text for text in blind.warnings)
        elsewhere = make_cube(hs.values, wavelengths_nm=NM + 300)
        with pytest.raises(InputError, match="750 to 950 nm"):
            fuse(elsewhere, ms, method="ssjcn")
    finally:
        packaged.packaged_weights.cache_clear()


def refused(hs: xr.DataArray, ms: xr.DataArray, **options: object) -> str:
    with pytest.raises(HypersharpError) as caught:
        fuse(hs, ms, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_swapped_images_are_refused(weights: Path) -> None:
    hs, ms = cubes()
    told = refused(ms, hs, weights=weights)
    assert "hs of 2 x 24 x 32 and ms of 5 x 6 x 8" in told and "swap the two, hs comes first" in told


def test_sizes_of_no_whole_ratio_are_refused() -> None:
    hs, ms = cubes()
    assert "whole ratio" in refused(hs, ms[:, :23])


def test_another_ratio_than_the_given_is_refused() -> None:
    assert "ratio 4" in refused(*cubes(), ratio=2)


def test_a_ratio_that_no_fusion_bridges_is_refused() -> None:
    hs, ms = cubes()
    assert "1 fine pixels per coarse pixel" in refused(hs, make_cube(ms.values[:, ::4, ::4]))
    far = refused(hs, make_cube(np.ones((2, 33 * hs.shape[1], 33 * hs.shape[2]), np.float32)))
    assert "33 fine pixels" in far and "2 to 32" in far


def test_an_image_without_a_finite_pixel_is_refused() -> None:
    hs, ms = cubes()
    assert "finite" in refused(hs * np.nan, ms)


def test_infinite_values_are_refused() -> None:
    hs, ms = cubes()
    hs[0, 0, 0] = np.inf
    assert "infinite" in refused(hs, ms)


def test_a_band_count_that_no_weights_fit_says_what_there_is() -> None:
    hs, ms = cubes()
    assert "hypersharp train" in refused(hs, ms, method="dbin")


def test_weights_of_another_shape_are_refused(weights: Path) -> None:
    hs, ms = cubes()
    assert "bands 4 instead of 5" in refused(hs[:4], ms, weights=weights)


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ({"method": "sjcn"}, "ssjcn"),
        ({"weights": "ssjcn-dian-x3"}, "ssjcn-dian"),
        ({"weights": "nowhere.safetensors"}, "missing"),
        ({"mode": "tile"}, "tiles"),
        ({"precision": "fp16"}, "fp32"),
        ({"srf": "nikon-d70"}, "nikon-d700"),
    ],
)
def test_unknown_names_offer_the_nearest(options: dict[str, str], offered: str) -> None:
    assert offered in refused(*cubes(), **options)


def test_an_unavailable_device_is_a_wrong_call(weights: Path) -> None:
    hs, ms = cubes()
    with pytest.raises(CallError, match="device"):
        fuse(hs, ms, weights=weights, device="nowhere")


def test_very_different_units_are_noticed(weights: Path) -> None:
    hs, ms = cubes()
    with pytest.warns(UserWarning, match="same unit"):
        fuse(hs, ms * 1e4, weights=weights)


@pytest.mark.parametrize("name", [AUTO.name, *METHODS])
def test_the_table_describes_each_method(name: str) -> None:
    method = find_method(name)
    assert method.name == name
    assert method.paper
    assert method.halo_px >= 0 and method.halo_coarse >= 0


def test_a_psf_that_puts_hs_elsewhere_is_warned_of() -> None:
    """One of another pair, say: beside a psf nothing is co-registered."""
    coarse = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    maps = torch.nn.functional.interpolate(coarse, (120, 120), mode="bicubic")[0]
    scene = torch.einsum("bm,myx->byx", torch.rand(6, 3, generator=torch.Generator().manual_seed(1)), maps)
    srf, blur = np.kron(np.eye(2), np.full((1, 3), 1 / 3)), psf.gaussian(8, 2.0, 4, boundary="reflect")
    hs, ms = (make_cube(image.numpy()) for image in Sensor(blur.moved((1.0, 2.0), 4), srf, 4).observe(scene))
    told = []
    for given in (blur.moved((1.0, 2.0), 4), blur):
        record = Record.of(fuse(hs, ms, method="gsa", psf=given))
        told.append([text for text in record.warnings if "beside a psf nothing is co-registered" in text])
    assert told[0] == [] and len(told[1]) == 1 and "+1.0, +2.0 fine pixels" in told[1][0]
    right, wrong = (
        Record.of(fuse(hs, ms, method="hysure", psf=blur.moved((1.0, 2.0), 4), srf=rows)).warnings
        for rows in (srf, srf[::-1])
    )
    assert not any("under the given srf" in text for text in right)
    assert any("has it a row for each ms band, in their order?" in text for text in wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"psf": 2.0}, "a psf of type float"),
        ({"srf": [[0.5, np.nan]]}, "finite numbers"),
        ({"srf": [0.5, 0.5]}, "finite numbers"),
        ({"method": None}, "method 'None'"),
    ],
)
def test_what_is_no_sensor_and_no_method_is_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        fuse(*cubes(), **({"method": "gsa"} | options))  # type: ignore[arg-type]


def test_a_scale_that_is_no_scale_is_a_wrong_call() -> None:
    with pytest.raises(CallError, match="scale=-1"):
        fuse(*cubes(), method="gsa", scale=-1.0)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"method": "bicubic", "budget_s": 60}, "--budget with method bicubic"),
        ({"method": "bicubic", "tile_px": 128}, "--tile with --mode whole, expected --mode tiles"),
    ],
)
def test_an_option_without_effect_is_refused_though_it_says_the_default(chosen: dict[str, object], words: str) -> None:
    random = np.random.default_rng(0)
    with pytest.raises(CallError, match=words):
        fuse(make_cube(random.random((5, 8, 8))), make_cube(random.random((2, 16, 16))), **chosen)  # type: ignore[arg-type]


def test_a_displacement_asked_for_beside_a_psf_is_told_to_have_no_effect() -> None:
    random = np.random.default_rng(0)
    hs, ms = make_cube(random.random((5, 16, 16))), make_cube(random.random((2, 32, 32)))
    made = {name: fuse(hs, ms, method="gsa", psf="box", coregister=name) for name in ("local", "affine", "none")}
    told = {name: any("has no effect" in note for note in Record.of(sharp).notes) for name, sharp in made.items()}
    assert told == {"local": False, "affine": True, "none": False}
