"""Predicted errors: coverage on exchangeable data, order in coverage, units, masks, what is stored with weights."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.fusion.learn import Sharpener
from hypersharp.networks.packaged import packaged_weights
from hypersharp.pair.options import Options
from hypersharp.pair.record import Record
from hypersharp.pair.reduced import ReducedPair
from hypersharp.pair.tensors import TensorPair
from hypersharp.plot.figures import uncertainty
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian
from hypersharp.uncertainty.model import (
    FEATURES,
    ErrorModel,
    Sample,
    as_model,
    conformal_quantile,
    fit_scale,
    half_widths,
    noise_deviation,
    one_level_finer,
    read_model,
    scores_of,
)
from hypersharp.uncertainty.predict import LEAST_PX, predict_error

SENSOR = Sensor(gaussian(4, 1.0, 2), np.full((2, 6), 1 / 6), 2)
MODEL = ErrorModel((1e-6, 0, 0, 0, 0), (1.0,) * 6, (1.0,) * 9)


def laplace_sample(seed: int, count: int = 8000) -> Sample:
    """Errors whose scale is c_b (a f), as the model has it."""
    random = np.random.default_rng(seed)
    features, bands = random.random((5, count)) + 0.05, random.integers(0, 6, count)
    scale = (0.5 + bands / 5) * (np.array([0.1, 0.5, 0, 0.2, 0.3]) @ features)
    return Sample(features, np.abs(random.laplace(0, scale)), bands)


def laplace_model() -> ErrorModel:
    """Fitted on one sample, its scores those of another."""
    scale = fit_scale([laplace_sample(0)], 6)
    return as_model(*scale, scores_of(laplace_sample(1), *scale))


def test_a_stated_share_is_covered_on_exchangeable_data() -> None:
    model = laplace_model()
    fresh = laplace_sample(2, 40_000)
    scores = scores_of(fresh, np.array(model.weights), np.array(model.bands))
    for coverage in (0.5, 0.8, 0.9, 0.95):
        assert np.mean(scores <= model.quantile(coverage)) == pytest.approx(coverage, abs=0.015)


def test_the_fit_finds_the_scale_and_a_feature_of_zeros_gets_none() -> None:
    sample = laplace_sample(0, 40_000)
    sample.features[2] = 0
    a, c = fit_scale([sample], 6)
    found = c[sample.bands] * (a @ sample.features)
    expected = (0.5 + sample.bands / 5) * (np.array([0.1, 0.5, 0, 0.2, 0.3]) @ sample.features)
    assert a[2] == 0 and (a >= 0).all()
    assert np.median(np.abs(found / expected - 1)) < 0.05


def test_the_noise_of_the_finer_level_is_read_off_hs() -> None:
    """White noise under what all bands share, of which neighbouring pixels of hs see the same part."""
    sigma, sensor = 0.02, Sensor(gaussian(9, 1.5, 3), np.full((2, 6), 1 / 6), 3)
    noise = sigma * torch.randn(6, 216, 216, generator=torch.Generator().manual_seed(0))
    shared = torch.linspace(0, 3, 216).sin() * torch.linspace(0.1, 1, 6)[:, None, None]
    truth = sensor.hs(shared + noise)
    reduced = ReducedPair(sensor.hs(truth), sensor.ms(truth), truth=truth)
    found = one_level_finer(MODEL, reduced, torch.ones(6, 99), sensor).noise
    assert np.mean(found) == pytest.approx(sigma, rel=0.1)
    np.testing.assert_allclose(found, sigma, rtol=0.25)  # bands of little signal lend theirs to others


def test_noise_is_no_more_than_errors_show_and_smooth_residuals_are_none() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(6, 64, 64, generator=generator)
    smooth = torch.randn(6, 8, 8, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    few = torch.full((6, 99), 1e-3)
    assert (noise_deviation(white, None, few, SENSOR) < 0.01).all()
    assert (noise_deviation(smooth, None, 1e3 * few, SENSOR) < 0.3).all()
    half = torch.zeros(64, 64, dtype=torch.bool)
    half[:32] = True
    known = noise_deviation(white, half, 1e4 * few, SENSOR)
    white[:, 32:] *= 5
    np.testing.assert_allclose(noise_deviation(white, half, 1e4 * few, SENSOR), known)


def test_one_level_finer_noise_is_added_in_quadrature() -> None:
    hs, ms = SENSOR.observe(scene())
    model = replace(MODEL, noise=(0.02,) * 6)
    for coverage, quantile in ((0.5, 0.6745), (0.9, 1.6449), (0.99, 2.5758)):
        widths = half_widths(model, scene(), hs, ms, SENSOR, coverage=coverage)
        np.testing.assert_allclose(widths, quantile * 0.02, rtol=1e-3)
    model = laplace_model()
    narrow, wide = (half_widths(m, scene(), hs, ms, SENSOR) for m in (model, replace(model, noise=(0.5,) * 6)))
    np.testing.assert_allclose(wide, np.hypot(narrow.numpy(), 1.6449 * 0.5), rtol=1e-3)


@pytest.mark.parametrize("named", [False, True])
def test_what_the_pair_taught_is_applied_to_it_degraded_as_the_result_was_made(
    named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options are those of the result's record, or the ones given with the name of a method."""
    hs, ms, _ = pair()
    applied: list[tuple[tuple[int, ...], Options]] = []
    as_it_is = Sharpener.__call__

    def spy(sharpener: Sharpener, pair: TensorPair, options: Options, *progress: object) -> torch.Tensor:
        applied.append((tuple(pair.hs.shape), options))
        return as_it_is(sharpener, pair, options)

    how = {"precision": "fp32"}
    sharp = fuse(hs, ms, method="bicubic", **how)  # type: ignore[arg-type]
    monkeypatch.setattr(Sharpener, "__call__", spy)
    more = {"method": "bicubic", **how} if named else {}
    predict_error(sharp, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf, consistent=False, device="cpu", **more)  # type: ignore[arg-type]
    assert applied and all(hs_shape[1] <= hs.shape[1] // 2 for hs_shape, _ in applied)
    assert all(getattr(said, name) == value for _, said in applied for name, value in {**how, "device": "cpu"}.items())


@pytest.mark.parametrize("method", ["bicubic", "gsa"])
def test_a_sensor_and_consistency_that_are_given_count_instead_of_the_records(method: str) -> None:
    hs, ms, _ = pair()
    sharp = fuse(hs, ms, method=method, consistent=True)
    told = {"psf": gaussian(7, 2.0, 2), "srf": SENSOR.srf, "consistent": False}
    found = predict_error(sharp, hs, ms, **told)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, predict_error(sharp, hs, ms, method=method, **told), rtol=1e-5)  # type: ignore[arg-type]
    assert not np.allclose(found, predict_error(sharp, hs, ms), rtol=1e-3)
    assert Record.of(sharp).choice["consistent"]


def test_options_that_are_given_count_instead_of_the_records() -> None:
    """Tiles of a side that no tiling has are refused, though those of the result are recorded."""
    hs, ms = (make_cube(np.random.default_rng(0).random(shape)) for shape in ((31, 16, 16), (3, 64, 64)))
    sharp = fuse(hs, ms, method="ssjcn", weights="ssjcn-dian-x4", device="cpu", mode="tiles", tile_px=32)
    with pytest.raises(CallError, match="tiles of 33 pixels"):
        predict_error(sharp, hs, ms, psf=SENSOR.psf, srf=np.full((3, 31), 1 / 31), tile_px=33)


def test_any_program_is_run_on_the_degraded_pair() -> None:
    hs, ms, _ = pair()
    seen: list[tuple[int, ...]] = []

    def program(hs: xr.DataArray, ms: xr.DataArray) -> xr.DataArray:
        seen.append((*hs.shape, *ms.shape[1:]))
        return fuse(hs, ms, method="bicubic", coregister="none")

    sharp = fuse(hs, ms, method="bicubic")
    widths = predict_error(sharp, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf, fuse_again=program)
    assert seen[0] == (6, 12, 16, 24, 32)
    own = predict_error(sharp, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf, consistent=False)
    np.testing.assert_allclose(widths, own, rtol=1e-3)


def test_what_another_program_leaves_out_teaches_nothing() -> None:
    """A border of NaN, as of a program that wants whole neighbourhoods, is no error."""
    hs, ms, _ = pair()

    def program(border: float, hs: xr.DataArray, ms: xr.DataArray) -> xr.DataArray:
        sharp = fuse(hs, ms, method="bicubic", coregister="none")
        sharp.values[:, :, -4:] = border
        return sharp

    sharp = fuse(hs, ms, method="bicubic")
    predict = partial(predict_error, sharp, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf)
    own = float(predict(consistent=False).mean())
    left_out, wrong = (float(predict(fuse_again=partial(program, border)).mean()) for border in (np.nan, 9.0))
    assert left_out == pytest.approx(own, rel=0.05) and wrong > 1.2 * own


def test_the_quantile_has_the_finite_sample_correction() -> None:
    scores = np.arange(1.0, 10)
    assert conformal_quantile(scores, 0.9) == 9 and conformal_quantile(scores, 0.5) == 5


def scene() -> torch.Tensor:
    y, x = np.mgrid[0:48, 0:64] / 9
    shapes = np.stack([np.sin((k + 1) * y) * np.cos(x + k) + np.sign(np.sin(x * (k + 1) / 2)) for k in range(6)])
    noise = np.random.default_rng(0).normal(0, 0.01, shapes.shape)
    return torch.from_numpy(0.5 + 0.15 * shapes + noise).float()


def pair() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    hs, ms = SENSOR.observe(scene())
    return make_cube(hs.numpy()), make_cube(ms.numpy()), make_cube(scene().numpy())


def test_it_grows_with_coverage_and_scales_with_the_unit() -> None:
    hs, ms, truth = pair()
    sharp = fuse(hs, ms, method="bicubic")
    predict = partial(predict_error, method="bicubic", psf=SENSOR.psf, srf=SENSOR.srf)
    widths = [predict(sharp, hs, ms, coverage=p) for p in (0.5, 0.9, 0.99)]
    assert all((a.values < b.values).all() for a, b in pairwise(widths))
    assert widths[1].shape == sharp.shape and widths[1].attrs["coverage"] == 0.9
    assert 0.8 < float((np.abs(sharp - truth) <= widths[1]).mean()) < 0.99
    again = predict(sharp * 1000, hs * 1000, ms * 1000)
    np.testing.assert_allclose(again.values / 1000, widths[1].values, rtol=0.1)


def test_missing_pixels_stay_missing() -> None:
    hs, ms, _ = pair()
    ms[:, 5, 7] = np.nan
    sharp = fuse(hs, ms, method="bicubic")
    found = predict_error(sharp, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf)
    np.testing.assert_array_equal(np.isnan(found.values), np.isnan(sharp.values))


def test_what_cannot_be_had_is_refused() -> None:
    hs, ms, truth = pair()
    with pytest.raises(CallError, match="name the method"):
        predict_error(truth, hs, ms)
    again = partial(fuse, method="bicubic")
    with pytest.raises(CallError, match="a coverage of"):
        predict_error(truth, hs, ms, psf=SENSOR.psf, srf=SENSOR.srf, method="bicubic", coverage=0.999)
    small = [cube.isel(y=slice(n * 6), x=slice(n * 6)) for cube, n in ((truth, 2), (hs, 1), (ms, 2))]
    with pytest.raises(InputError, match="at least 8 along each side"):
        predict_error(*small, method="bicubic", psf=SENSOR.psf, srf=SENSOR.srf, fuse_again=again)


def test_plain_arrays_are_taken_as_fuse_takes_them() -> None:
    images = pair()
    known = {"method": "bicubic", "psf": SENSOR.psf, "srf": SENSOR.srf}
    hs, ms, truth = (image.values for image in images)
    np.testing.assert_array_equal(predict_error(truth, hs, ms, **known), predict_error(images[2], *images[:2], **known))


def test_stored_calibrations_belong_to_their_weights(tmp_path: Path) -> None:
    weights = packaged_weights()["ssjcn-dian-x4"]
    stored = read_model(weights.path)
    assert stored is not None
    model, _ = stored
    assert len(model.weights) == len(FEATURES) and list(model.quantiles) == sorted(model.quantiles)
    assert read_model(tmp_path / "none.safetensors") is None
    with pytest.raises(InputError, match="31, as calibrated"):
        half_widths(model, scene(), *SENSOR.observe(scene()), SENSOR)


def test_the_picture_shows_the_share_held() -> None:
    hs, ms, truth = pair()
    sharp = fuse(hs, ms, method="bicubic")
    error = sharp * 0 + np.abs(sharp - truth) + 1e-6
    error.attrs["coverage"] = 0.9
    *_, coverage = (axes for axes in uncertainty(sharp, error, truth).axes if axes.get_title())
    np.testing.assert_array_equal(coverage.lines[0].get_ydata(), 100)
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in uncertainty(sharp, error).axes]
    assert len([title for title in titles if title]) == 4


def test_a_result_of_moved_or_aligned_images_gets_its_error_on_its_own_grid() -> None:
    """The pair is placed as fuse placed it, which the result says."""
    pytest.importorskip("rasterio")
    from affine import Affine

    scene = torch.rand(6, 30, 36, generator=torch.Generator().manual_seed(3)).numpy()
    scene = np.kron(scene, np.ones((8, 8), np.float32))
    place = Affine(30, 0, 0, 0, -30, 0)
    hs = make_cube(scene[:, ::8, ::8], crs="EPSG:32633", transform=place)
    fine = Affine(7.5, 0, 11, 0, -7.5, -6)
    ms = make_cube(scene[:2, ::2, ::2][:, :112, :120], crs="EPSG:32633", transform=fine)
    sharp = fuse(hs, ms, method="gsa", coregister="none", consistent=False)
    assert sharp.shape[1:] != ms.shape[1:]
    assert predict_error(sharp, hs, ms, consistent=False).shape == sharp.shape


@pytest.mark.parametrize("method", ["gsa", "cnmf"])
def test_the_least_hs_that_is_accepted_suffices(method: str) -> None:
    """Degraded once more it tells no sensor; that of the pair is used."""
    hs, ms, truth = small_pair(LEAST_PX * 4)
    sharp = fuse(hs, ms, method=method)
    widths = predict_error(sharp, hs, ms).values
    assert np.isfinite(widths).all() and np.mean(np.abs(sharp.values - truth) <= widths) > 0.8


def small_pair(side: int) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """A pair at ratio 4 whose hs has `side` pixels a side."""
    random = np.random.default_rng(0)
    places = np.linspace(0, 3 * np.pi, 4 * side)
    maps = np.stack([1 + np.sin(places * k)[:, None] * np.cos(places * (4 - k)) for k in (1, 2, 3)])
    maps += 0.2 * random.random(maps.shape)
    scene = np.tensordot(random.random((6, 3)), maps, 1).astype(np.float32)
    sensor = Sensor(gaussian(8, 2.0, 4), random.dirichlet(np.ones(6), 2), 4)
    hs, ms = sensor.observe(torch.from_numpy(scene))
    return make_cube(hs.numpy()), make_cube(ms.numpy()), scene
