"""The way between the grids, against laws."""

import pytest
import torch
from torch import Tensor

from hypersharp.methods.detail import Scales, make_pair, match
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
