"""CNMF: its updates never fit worse and keep what is exact; its factors stay what they are said to be."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods.cnmf import Unmixing, alternate, learn, update_abundances, update_endmembers
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian_fwhm
from method_runs import Known


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture() -> tuple[Tensor, Tensor, Tensor]:
    """(pixels, endmembers, abundances): exact, the abundances of each pixel sum to one."""
    endmembers, abundances = random(9, 3, seed=1), random(3, 50, seed=2)
    abundances /= abundances.sum(0)
    return endmembers @ abundances, endmembers, abundances


def cost(pixels: Tensor, endmembers: Tensor, abundances: Tensor, sum_power: float) -> float:
    """What an update of H lowers: the misfit and how far the sums are from one."""
    misfit = (pixels - endmembers @ abundances).square().sum()
    return float(misfit + sum_power * (1 - abundances.sum(0)).square().sum())


@pytest.mark.parametrize("sum_power", [0.0, 0.3, 2.0])
def test_no_update_fits_worse(sum_power: float) -> None:
    pixels = random(9, 50, seed=4)
    endmembers, abundances = random(9, 3, seed=5), random(3, 50, seed=6)
    costs = [cost(pixels, endmembers, abundances, sum_power)]
    for _ in range(20):
        abundances = update_abundances(pixels, endmembers, abundances, 1, sum_power)
        costs.append(cost(pixels, endmembers, abundances, sum_power))
        endmembers = update_endmembers(pixels, endmembers, abundances, 1)
        costs.append(cost(pixels, endmembers, abundances, sum_power))
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(costs))
    assert endmembers.min() > 0 and abundances.min() > 0


def test_an_exact_mixture_stays_and_is_found_again() -> None:
    pixels, endmembers, abundances = mixture()
    kept = alternate(pixels, endmembers, abundances, 5, 1.0)
    torch.testing.assert_close(kept, (endmembers, abundances), atol=1e-7, rtol=0)
    start = torch.full_like(abundances, 1 / 3)
    found = update_abundances(pixels, endmembers, start, 5000, 1.0)
    torch.testing.assert_close(found, abundances, atol=1e-3, rtol=0)


def test_the_numbers_of_endmembers_that_pixels_can_carry() -> None:
    for bands, shape_yx, expected in ((40, (20, 25), 30), (12, (20, 25), 12), (12, (2, 3), 3)):
        sensor = Sensor(gaussian_fwhm(2, 2), np.full((1, bands), 1 / bands), 2)
        hs, ms = sensor.observe(random(bands, 2 * shape_yx[0], 2 * shape_yx[1]))
        known = Known(sensor.psf, sensor.srf)
        found = learn(known.pair(hs, ms), known.sensor(hs, ms), known.options)
        assert isinstance(found, Unmixing) and found.start.shape == found.endmembers.shape == (bands, expected)


def test_the_result_is_not_negative_and_explains_both_images() -> None:
    y, x = np.mgrid[0:48, 0:48] / 12
    shares = torch.from_numpy(np.stack([np.sin(y), np.cos(x), np.sin(x * y)]) + 1.1)
    truth = torch.einsum("lk,kyx->lyx", random(10, 3, seed=3), shares / shares.sum(0))
    response = np.repeat(np.eye(5), 2, axis=1) / 2
    sensor = Sensor(gaussian_fwhm(4, 4, boundary="reflect"), response, 4)
    hs, ms = (image.float() for image in sensor.observe(truth))
    seen: list[float] = []
    found = Known(sensor.psf, sensor.srf).run("cnmf", hs, ms, seen.append)
    assert found.min() >= 0 and seen == [0.25, 0.5, 0.75, 1.0]
    for again, image in zip(sensor.observe(found), (hs, ms), strict=True):
        assert (again - image).norm() < 0.01 * image.norm()
