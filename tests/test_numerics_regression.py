"""Local regressions, and those of detail, against numpy's least squares."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.numerics.regression import (
    RIDGE,
    RIDGE_SHARE,
    SIDE_PX,
    detail,
    detail_gains,
    detail_units,
    regress_locally,
)


@pytest.mark.parametrize("given", [None, 0.3])
def test_slopes_are_those_of_ridge_regression_in_each_window(given: float | None) -> None:
    random = torch.Generator().manual_seed(0)
    guides, targets = (torch.rand(2, bands, 7, 9, generator=random, dtype=torch.float64) for bands in (3, 4))
    found = regress_locally(targets, guides, given)
    assert found.shape == (2, 4, 3, 7, 9)
    half = SIDE_PX // 2
    y, x = (np.pad(image[1].numpy(), ((0, 0), (half, half), (half, half)), mode="edge") for image in (targets, guides))
    for row, column in ((0, 0), (3, 4), (6, 8)):
        window = (slice(None), slice(row, row + SIDE_PX), slice(column, column + SIDE_PX))
        of_y, of_x = (image[window].reshape(len(image), -1) for image in (y, x))
        of_y, of_x = (image - image.mean(1, keepdims=True) for image in (of_y, of_x))
        covariance = of_x @ of_x.T / SIDE_PX**2
        ridge = RIDGE + RIDGE_SHARE * np.trace(covariance) / 3 if given is None else given
        expected = of_y @ of_x.T / SIDE_PX**2 @ np.linalg.inv(covariance + ridge * np.eye(3))
        np.testing.assert_allclose(found[1, :, :, row, column].numpy(), expected, rtol=1e-6, atol=1e-8)


def test_guides_that_do_not_vary_have_no_slopes() -> None:
    slopes = regress_locally(torch.rand(1, 2, 6, 6), torch.full((1, 3, 6, 6), 0.5))
    assert float(slopes.abs().max()) < 1e-2


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_detail_is_what_the_local_mean_leaves() -> None:
    image, valid = random(2, 11, 13), random(11, 13, seed=1) > 0.3
    found = detail(image, valid)
    half = SIDE_PX // 2
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


def test_in_units_of_detail_it_is_white_with_its_noise() -> None:
    source, noise = random(3, 20, 20), torch.tensor([0.0, 0.1, 0.4])
    valid = random(20, 20, seed=1) > 0.2
    units = detail_units(source, valid, noise)
    x = units @ detail(source, valid)
    moments = x @ x.mT / x.shape[1] + units @ noise.double().square().diag() @ units.mT
    torch.testing.assert_close(moments, torch.eye(3, dtype=torch.float64))
    same = detail_units(source[:1].expand(3, -1, -1), valid, torch.zeros(3))
    assert torch.isfinite(same).all()


def test_bands_that_repeat_each_other_or_say_nothing_have_finite_gains() -> None:
    source = random(1, 12, 12).expand(3, -1, -1)
    valid = torch.ones(12, 12, dtype=torch.bool)
    assert detail_gains(source, source, valid, torch.zeros(3)).sum(1) == pytest.approx(1, abs=1e-4)
    flat = torch.ones(2, 12, 12, dtype=torch.float64)
    assert detail_gains(flat, source, valid, torch.zeros(2)).abs().max() < 1e-6
