"""Noise: what was added is found, and the rank that stands out of it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.numerics.noise import (
    band_noise,
    neighbour_noise,
    neighbour_residuals,
    signal_rank,
    unshared_noise,
    white_axes,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_band_noise_is_the_noise_that_was_added() -> None:
    clean = random(40, 3) @ random(3, 4000, seed=1)
    sigma = torch.linspace(0.05, 0.1, 40, dtype=torch.float64)
    noisy = clean + sigma[:, None] * random(40, 4000, seed=2)
    assert float((band_noise(noisy).sqrt() / sigma - 1).abs().max()) < 0.2


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("snr_db", [20, 30, 40])
def test_signal_rank_is_the_rank_below_the_noise(rank: int, snr_db: float) -> None:
    clean = random(30, rank) @ random(rank, 2000, seed=1)
    noise = float(clean.square().mean().sqrt()) * 10 ** (-snr_db / 20) * random(30, 2000, seed=2)
    assert signal_rank(clean + noise) == rank


def test_signal_rank_stays_within_its_bounds() -> None:
    many = random(30, 6) @ random(6, 500, seed=1) + 0.01 * random(30, 500, seed=2)
    assert signal_rank(many) == 6 and signal_rank(many, most=2) == 2
    assert signal_rank(torch.ones(6, 40)) == 1
    assert signal_rank(torch.zeros(6, 40)) == 1
    assert 1 <= signal_rank(random(30, 8)) <= 8


def test_neighbours_leave_what_all_bands_leave_where_pixels_are_many_and_something_where_they_are_few() -> None:
    clean = random(40, 3) @ random(3, 4000, seed=1)
    noisy = clean + 0.1 * random(40, 4000, seed=2)
    torch.testing.assert_close(neighbour_noise(noisy), band_noise(noisy) * (1 - 3 / 40))
    torch.testing.assert_close(neighbour_residuals(noisy).square().mean(1), neighbour_noise(noisy))
    few = noisy[:, :36]
    assert not band_noise(few).any()
    assert (neighbour_noise(few) > 0).all()


def test_noise_is_found_in_the_unit_of_each_band() -> None:
    noisy = random(40, 3) @ random(3, 200, seed=1) + 0.1 * random(40, 200, seed=2)
    gains = torch.logspace(-4, 4, 40, dtype=torch.float64)
    for noise, pixels in ((band_noise, noisy), (neighbour_noise, noisy), (neighbour_noise, noisy[:, :36])):
        found, expected = noise(gains[:, None] * pixels), gains.square() * noise(pixels)
        torch.testing.assert_close(found / expected, torch.ones(40).double(), rtol=0, atol=1e-4)


def test_neighbours_do_not_make_noise_small_where_pixels_are_fewer_than_bands() -> None:
    noisy = random(60, 3) @ random(3, 48, seed=1) + 0.1 * random(60, 48, seed=2)
    assert float(neighbour_noise(noisy).mean().sqrt()) == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(("rank", "bands", "pixels"), [(3, 30, 2000), (5, 60, 90), (4, 90, 60)])
def test_axes_that_stand_out_are_as_many_as_the_signal_has(rank: int, bands: int, pixels: int) -> None:
    deviation = torch.logspace(-3, 0, bands, dtype=torch.float64)
    white = random(bands, rank) @ random(rank, pixels, seed=1) + 0.3 * random(bands, pixels, seed=2)
    axes = white_axes(deviation[:, None] * white, (0.3 * deviation).square())
    assert axes.shape == (bands, rank)
    torch.testing.assert_close(axes.mT @ axes, torch.eye(rank).double())


def test_axes_are_at_least_one_and_without_bands_of_zeros() -> None:
    assert white_axes(torch.zeros(6, 40), torch.zeros(6)).shape == (6, 1)
    pixels = random(6, 40)
    pixels[2] = 0
    axes = white_axes(pixels, torch.where(torch.arange(6) == 2, 0.0, 1e-4))
    assert axes.shape[1] == 5 and float(axes[2].abs().max()) < 1e-9


@pytest.mark.parametrize("sigma", [0.003, 0.05])
def test_noise_is_found_under_smooth_texture_and_beside_gaps(sigma: float) -> None:
    y, x = np.mgrid[0:96, 0:80] / 12
    smooth = torch.from_numpy(np.stack([np.sin(y) * np.cos(x), y + x]))
    noisy = smooth + sigma * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(96, 80, dtype=torch.bool)
    valid[20:90] = False
    filled = torch.where(valid, noisy, torch.zeros(1, dtype=torch.float64))
    assert unshared_noise(noisy).numpy() == pytest.approx(sigma, rel=0.1)
    assert unshared_noise(filled, valid).numpy() == pytest.approx(sigma, rel=0.2)
    assert unshared_noise(noisy[:, :2]).tolist() == [0, 0]


def test_an_image_without_texture_has_no_noise() -> None:
    flat, ramp = torch.full((1, 12, 12), 0.3), torch.linspace(0, 1, 12).expand(1, 12, 12).contiguous()
    for image in (flat, ramp, flat.repeat(3, 1, 1)):
        assert float(unshared_noise(image).max()) < 1e-6
