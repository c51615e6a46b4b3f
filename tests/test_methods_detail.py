"""The way between the grids, and the detail gains, against numpy and laws."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods.detail import WINDOW_PX, Scales, detail, detail_gains, make_pair, match
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.psf import PSF, box, gaussian_fwhm
from method_runs import ON_CPU


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("ratio", [2, 3, 5, 8])
def test_expand_is_bicubic_interpolation(ratio: int) -> None:
    coarse = random(2, 7, 9)
    found = Scales(box(ratio), ratio).expand(coarse)
    inside = (..., slice(2 * ratio, -2 * ratio), slice(2 * ratio, -2 * ratio))
    torch.testing.assert_close(found[inside], upsample_bicubic(coarse[None], ratio)[0][inside])


def test_a_shifted_blur_is_undone_to_first_order() -> None:
    """Down and up again leaves a plane where it was, whatever the kernel's centre."""
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in (36, 45)), indexing="ij")
    plane = (0.3 * y - 0.7 * x)[None]
    kernel = random(5, 7, seed=3).numpy()
    scales = Scales(PSF(kernel, (1, 0), "nearest"), 3)
    again = scales.expand(scales.reduce(plane))
    torch.testing.assert_close(again[:, 12:-12, 12:-12], plane[:, 12:-12, 12:-12])


def test_detail_is_what_the_local_mean_leaves() -> None:
    image, valid = random(2, 11, 13), random(11, 13, seed=1) > 0.3
    found = detail(image, valid)
    half = WINDOW_PX // 2
    for column, (y, x) in enumerate(valid.nonzero().tolist()):
        window = (slice(max(0, y - half), y + half + 1), slice(max(0, x - half), x + half + 1))
        expected = image[:, y, x] - image[(slice(None), *window)][:, valid[window]].mean(1)
        torch.testing.assert_close(found[:, column], expected)


def test_gains_are_those_of_least_squares_and_shrink_with_noise() -> None:
    source, mixing = random(3, 20, 20), random(5, 3, seed=1)
    target, valid = torch.einsum("pl,lyx->pyx", mixing, source) + 2.0, torch.ones(20, 20, dtype=torch.bool)
    exact = detail_gains(source, target, valid, torch.zeros(3))
    torch.testing.assert_close(exact, mixing, atol=1e-6, rtol=0)
    x, y, noise = detail(source, valid).numpy(), detail(target, valid).numpy(), 0.2
    stacked = np.hstack([x, 20 * noise * np.eye(3)]), np.hstack([y, np.zeros((5, 3))])
    expected = np.linalg.lstsq(stacked[0].T, stacked[1].T, rcond=None)[0].T
    found = detail_gains(source, target, valid, torch.full((3,), noise))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_bands_that_repeat_each_other_or_say_nothing_have_finite_gains() -> None:
    source = random(1, 12, 12).expand(3, -1, -1)
    valid = torch.ones(12, 12, dtype=torch.bool)
    assert detail_gains(source, source, valid, torch.zeros(3)).sum(1) == pytest.approx(1, abs=1e-4)
    flat = torch.ones(2, 12, 12, dtype=torch.float64)
    assert detail_gains(flat, source, valid, torch.zeros(2)).abs().max() < 1e-6


def test_what_is_not_measured_leaves_the_pair() -> None:
    hs, ms = random(6, 10, 12).float(), random(2, 30, 36, seed=1).float()
    hs_valid, ms_valid = torch.ones(10, 12, dtype=torch.bool), torch.ones(30, 36, dtype=torch.bool)
    hs_valid[0, 0] = ms_valid[16, 19] = False
    psf = gaussian_fwhm(3.0, 3)
    valid = make_pair(TensorPair(hs, ms, hs_valid, ms_valid), psf, ON_CPU).valid
    assert not valid[0, 0] and not valid[5, 6] and valid[9, 0] and valid.sum() < 119
    assert make_pair(TensorPair(hs, ms, torch.zeros_like(hs_valid)), psf, ON_CPU).valid.all()


def test_ms_is_brought_to_the_level_and_contrast_of_hs_but_for_bands_that_do_not_follow_it() -> None:
    seen = random(3, 10, 12).float()
    fine = Scales(box(3), 3).expand(seen)
    ms = torch.stack([0.5 * fine[0] + 0.1, fine[1], random(30, 36, seed=5).float()])
    pair = make_pair(TensorPair(random(6, 10, 12).float(), ms), box(3), ON_CPU)
    found = match(pair, pair.scales.reduce(fine))(ms)
    torch.testing.assert_close(found[:2], fine[:2])
    torch.testing.assert_close(found[2], ms[2] - ms[2].mean() + seen[2].mean(), atol=0.02, rtol=0)
