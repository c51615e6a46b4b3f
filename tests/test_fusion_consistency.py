"""Consistency: the closed form where it holds, hs given back within its noise, no ringing, no leaks from masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.cube import make_cube
from hypersharp.fusion.consistency import gram_of, likely_weights, make_consistent, most_noise, project
from hypersharp.fusion.fuse import fuse
from hypersharp.numerics.linops import BlurDecimation, fuse_gaussian
from hypersharp.pair.record import Record
from hypersharp.pair.reduced import inside_pixels, trusted_pixels
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, Boundary, gaussian

RATIO, BANDS, SIDE = 4, 5, 64
RULES: tuple[Boundary, ...] = ("wrap", "reflect", "nearest")
PSFS = {str(rule): gaussian(8, 2.0, RATIO, start=1, boundary=rule) for rule in RULES}


def sensor_of(boundary: str) -> Sensor:
    return Sensor(PSFS[boundary], np.eye(BANDS), RATIO)


def scene(seed: int = 0) -> Tensor:
    """Two smooth materials, and much brighter at the bottom right, so that wrapping round tells."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 2, SIDE // 4, SIDE // 4, generator=random, dtype=torch.float64)
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[0]
    spectra = torch.rand(BANDS, 2, generator=random, dtype=torch.float64)
    ramp = torch.linspace(0, 1, SIDE, dtype=torch.float64)
    return 0.5 * torch.einsum("bm,myx->byx", spectra, fine) + ramp[:, None] + ramp


def wrong_by(truth: Tensor, size: float, seed: int = 5) -> Tensor:
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed), dtype=truth.dtype)
    return truth + size * noise


def rmse(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def operator() -> BlurDecimation:
    return BlurDecimation(torch.tensor(PSFS["wrap"].kernel), (SIDE, SIDE), RATIO, PSFS["wrap"].start_yx)


@pytest.mark.parametrize("boundary", RULES)
@pytest.mark.parametrize(
    ("taps", "start", "ratio"), [((12, 12), (1, 1), 4), ((8, 7), (0, 3), 4), ((5, 9), (2, 0), 3), ((1, 1), (0, 0), 2)]
)
@pytest.mark.parametrize("shape", [(9, 11), (2, 3), (1, 1)])
def test_degrading_the_adjoint_is_a_sum_over_neighbours(
    boundary: Boundary, taps: tuple[int, int], start: tuple[int, int], ratio: int, shape: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    sensor = Sensor(PSF(random.random(taps), start, boundary), np.eye(2), ratio)
    fine = shape[0] * ratio, shape[1] * ratio
    power = BlurDecimation(torch.tensor(sensor.psf.kernel), fine, ratio, start).coarse_power()
    coarse = torch.tensor(random.random((2, *shape)))
    expected = sensor.hs(sensor.hs_adjoint(coarse))
    torch.testing.assert_close(gram_of(sensor, power, shape)(coarse), expected, rtol=0, atol=1e-12)


def test_it_is_the_closed_form_of_a_gaussian_prior() -> None:
    truth, observe = scene(), operator()
    estimate, hs = wrong_by(truth, 0.02), observe.forward(truth)
    image, found = project(estimate, hs, sensor_of("wrap"))
    for band, weight in enumerate(found.weights.tolist()):
        one = [image[band : band + 1] for image in (hs, estimate)]
        expected = fuse_gaussian(
            one[0],
            torch.zeros_like(one[1]),
            one[1],
            observe=observe,
            response=torch.zeros(1, 1, dtype=torch.float64),
            weight=weight,
        )
        torch.testing.assert_close(image[band : band + 1], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("boundary", PSFS)
def test_without_noise_hs_comes_back_and_the_truth_nears(boundary: str) -> None:
    truth, sensor = scene(), sensor_of(boundary)
    estimate = wrong_by(truth, 0.02)
    image, found = project(estimate, sensor.hs(truth), sensor)
    assert found.after < 0.1 * found.before
    assert rmse(image, truth) < rmse(estimate, truth)
    border = torch.ones(SIDE, SIDE, dtype=torch.bool)
    border[8:-8, 8:-8] = False
    assert rmse(image[:, border], truth[:, border]) <= rmse(estimate[:, border], truth[:, border])


def test_what_already_agrees_stays_to_the_last_digit() -> None:
    truth, sensor = scene(), sensor_of("wrap")
    torch.testing.assert_close(project(truth, sensor.hs(truth), sensor)[0], truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("snr_db", [20, 30, 40])
@pytest.mark.parametrize("size", [0.0, 0.01, 0.05])
def test_noise_is_not_put_into_the_result(snr_db: float, size: float) -> None:
    truth, sensor = scene(), sensor_of("wrap")
    estimate, seen = wrong_by(truth, size), sensor.hs(truth)
    hs = add_noise(seen, snr_db, seed=3)
    image = project(estimate, hs, sensor)[0]
    assert rmse(image, truth) < rmse(estimate, truth) + 0.1 * rmse(hs, seen)


def test_a_bicubic_result_is_mended_though_its_residual_is_no_white_error() -> None:
    truth, sensor = scene(), sensor_of("reflect")
    hs = sensor.hs(truth)
    estimate = torch.nn.functional.interpolate(hs[None], (SIDE, SIDE), mode="bicubic")[0]
    image, found = project(estimate, hs, sensor)
    assert found.after < 0.2 * found.before
    assert rmse(image, truth) < 0.9 * rmse(estimate, truth)


def test_an_image_too_small_to_trust_a_pixel_of_stays() -> None:
    truth, sensor = scene()[:, :8, :8], sensor_of("wrap")
    estimate, hs = wrong_by(truth, 0.02), sensor_of("reflect").hs(truth)
    image, found = project(estimate, hs, sensor, valid=torch.zeros(2, 2, dtype=torch.bool))
    torch.testing.assert_close(image, estimate, rtol=0, atol=0)
    assert found.weights.isinf().all() and (found.before, found.after) == (0, 0)


def test_few_pixels_bound_no_noise() -> None:
    assert most_noise(torch.rand(40, 4, 4), torch.ones(4, 4)).isinf().all()


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.02])
def test_the_weight_is_the_ratio_of_the_two_variances(noise: float) -> None:
    """A residual drawn from the model itself: t = 0.1, s = noise."""
    observe = operator()
    white = torch.randn(40, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grain = torch.randn(40, 16, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    residual = observe.forward(0.1 * white) + noise * grain
    weights = likely_weights(residual, observe.coarse_power(), torch.full((40,), torch.inf))
    expected = min(max((noise / 0.1) ** 2, 0.01 * 0.0625), 1000 * 0.0625)
    assert 0.6 < float(weights.median()) / expected < 1.7


@pytest.mark.parametrize("seen", ["reflect", "nearest"])
def test_a_blur_said_to_wrap_that_does_not_leaves_the_border_alone(seen: str) -> None:
    truth = scene()
    estimate, hs = wrong_by(truth, 0.02), sensor_of(seen).hs(truth)
    trusted = trusted_pixels(estimate, hs, sensor_of("wrap"), hs_valid=None, ms_valid=None)
    torch.testing.assert_close(trusted, inside_pixels(PSFS["wrap"], RATIO, (SIDE, SIDE)))
    image = project(estimate, hs, sensor_of("wrap"), valid=trusted)[0]
    edge = (slice(None), slice(0, 8))
    assert rmse(image[edge], truth[edge]) < 1.02 * rmse(estimate[edge], truth[edge])
    assert rmse(image, truth) < rmse(estimate, truth)


@pytest.mark.parametrize("boundary", PSFS)
def test_a_boundary_that_holds_is_believed(boundary: str) -> None:
    """That of a simulation; what lies beyond a mirrored border nobody knows."""
    truth, sensor = scene(), sensor_of(boundary)
    trusted = trusted_pixels(wrong_by(truth, 0.01), sensor.hs(truth), sensor, hs_valid=None, ms_valid=None)
    inside = inside_pixels(sensor.psf, RATIO, (SIDE, SIDE))
    assert torch.equal(trusted, inside | (boundary == "wrap"))


@pytest.mark.parametrize("garbage", [0.0, 1e6])
def test_masked_pixels_reach_no_further_than_the_blur(garbage: float) -> None:
    truth, sensor = scene(), sensor_of("wrap")
    estimate, hs = wrong_by(truth, 0.02), sensor.hs(truth)
    hs_valid, ms_valid = torch.ones(16, 16, dtype=torch.bool), torch.ones(SIDE, SIDE, dtype=torch.bool)
    hs_valid[3, 3] = ms_valid[40, 41] = False
    spoilt, dirty = hs.clone(), estimate.clone()
    spoilt[:, 3, 3] += garbage
    dirty[:, 40, 41] += garbage
    trusted = trusted_pixels(dirty, spoilt, sensor, hs_valid=hs_valid, ms_valid=ms_valid)
    assert not trusted[3, 3] and not trusted[10, 10] and int((~trusted).sum()) == 5
    changes = [project(a, b, sensor, valid=trusted)[0] - a for a, b in ((estimate, hs), (dirty, spoilt))]
    changes[1][:, 40, 41] = changes[0][:, 40, 41]
    torch.testing.assert_close(changes[1], changes[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("psf", "first", "last"),
    [(gaussian(8, 2, 4), 1, 1), (gaussian(3, 0.5, 4), 0, 0), (PSF(np.ones((7, 7)), (0, 0)), 1, 0)],
)
def test_which_pixels_read_beyond_the_border(psf: PSF, first: int, last: int) -> None:
    """By what a scene of ones with zeros around it shows."""
    padded = torch.zeros(1, 96, 96)
    padded[:, 32:64, 32:64] = 1
    seen = Sensor(psf, np.eye(1), 4).hs(padded)[0, 8:16, 8:16] > 1 - 1e-6
    assert torch.equal(inside_pixels(psf, 4, (32, 32)), seen)
    assert int((~seen[:, 4]).sum()) == first + last


def test_fuse_agrees_with_hs_when_asked() -> None:
    truth = scene().float()
    response = np.array([[0.2] * 5, [0.5, 0.5, 0, 0, 0]])
    for boundary in PSFS:
        sensor = replace(sensor_of(boundary), srf=response)
        hs, ms = (make_cube(image.numpy()) for image in sensor.observe(truth))
        plain, agreed = (
            fuse(hs, ms, method="bicubic", psf=sensor.psf, srf=response, scale=1.0, consistent=wanted)
            for wanted in (False, True)
        )
        given, one = torch.tensor(hs.values), slice(1, -1)
        gaps = [
            rmse(sensor.hs(torch.tensor(sharp.values))[:, one, one], given[:, one, one]) for sharp in (plain, agreed)
        ]
        assert gaps[1] < 0.2 * gaps[0]
        assert "consistency: 5 of 5 bands changed" in str(Record.of(agreed))
        assert "consistency" not in str(Record.of(plain)) and Record.of(plain).consistency is None


def test_a_psf_that_is_not_given_is_estimated() -> None:
    truth = scene().float()
    sensor = replace(sensor_of("reflect"), srf=np.full((1, BANDS), 1 / BANDS))
    hs, ms = sensor.observe(truth)
    pair = TensorPair(hs, ms)
    estimate, sensor = wrong_by(truth, 0.02), PairSensor(pair)
    image, found = make_consistent(estimate, pair, sensor.psf)
    assert image.shape == truth.shape and bool(image.isfinite().all())
    assert found.after < found.before and rmse(image, truth) < rmse(estimate, truth)
    assert "psf and srf estimated from the pair" in sensor.notes
