"""The closed-form step against dense matrices, for rectangles, ratios and phases."""

import pytest
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.linops import BlurDecimation, fuse_gaussian, mix_bands, sylvester

CASES = [((4, 6), 2, (0, 0)), ((6, 4), 2, (1, 0)), ((6, 9), 3, (2, 1)), ((4, 8), 4, (1, 3)), ((5, 3), 1, (0, 0))]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(operator: BlurDecimation) -> Tensor:
    """The matrix (pixels of hs, pixels of ms), column by column."""
    pixels = operator.shape_yx[0] * operator.shape_yx[1]
    images = torch.eye(pixels, dtype=torch.float64).view(pixels, *operator.shape_yx)
    return operator.forward(images).flatten(1).mT


@pytest.mark.parametrize(("shape_yx", "ratio", "start_yx"), CASES)
def test_the_step_meets_the_dense_solution(shape_yx: tuple[int, int], ratio: int, start_yx: tuple[int, int]) -> None:
    bands, pixels = 3, shape_yx[0] * shape_yx[1]
    operator = BlurDecimation(random(3, 4), shape_yx, ratio, start_yx)
    root = random(bands, bands, seed=1)
    gram, rhs = root @ root.mT + 0.1 * torch.eye(bands), random(bands, *shape_yx, seed=2)
    a = dense(operator)
    identity = torch.eye(pixels, dtype=torch.float64)
    system = torch.kron(gram, identity) + torch.kron(torch.eye(bands, dtype=torch.float64), a.mT @ a)
    expected = torch.linalg.solve(system, rhs.flatten()).view(bands, *shape_yx)
    found = sylvester(gram, rhs, operator)
    assert (found - expected).norm() <= 1e-10 * expected.norm()


@pytest.mark.parametrize(("shape_yx", "ratio", "start_yx"), CASES)
def test_fusion_is_stationary(shape_yx: tuple[int, int], ratio: int, start_yx: tuple[int, int]) -> None:
    operator = BlurDecimation(random(3, 3), shape_yx, ratio, start_yx)
    response, prior, weight = random(2, 5, seed=3), random(5, *shape_yx, seed=4), 5e-2
    hs, ms = random(5, shape_yx[0] // ratio, shape_yx[1] // ratio, seed=5), random(2, *shape_yx, seed=6)
    x = fuse_gaussian(hs, ms, prior, observe=operator, response=response, weight=weight).requires_grad_()
    objective = (
        (hs - operator.forward(x)).square().sum()
        + (ms - mix_bands(response, x)).square().sum()
        + weight * (x - prior).square().sum()
    )
    (slope,) = torch.autograd.grad(objective, x)
    assert float(slope.abs().max()) < 1e-10


def test_a_consistent_pair_keeps_a_prior_that_explains_it() -> None:
    operator, response = BlurDecimation(random(4, 4), (8, 12), 4, (1, 1)), random(2, 3)
    truth = random(3, 8, 12, seed=7)
    pair = operator.forward(truth), mix_bands(response, truth)
    found = fuse_gaussian(*pair, truth, observe=operator, response=response, weight=1e-3)
    torch.testing.assert_close(found, truth)


def test_single_precision_is_kept() -> None:
    operator = BlurDecimation(random(4, 4).float(), (8, 12), 4, (1, 1))
    hs, ms, prior = random(3, 2, 3).float(), random(2, 8, 12).float(), random(3, 8, 12).float()
    response = random(2, 3).float()
    assert fuse_gaussian(hs, ms, prior, observe=operator, response=response, weight=0.1).dtype == torch.float32


def test_what_has_no_unique_solution_is_refused() -> None:
    operator = BlurDecimation(random(3, 3), (4, 4), 2, (0, 0))
    with pytest.raises(InputError, match="raise the weight"):
        sylvester(torch.zeros(2, 2, dtype=torch.float64), random(2, 4, 4), operator)
    with pytest.raises(InputError, match="a positive one"):
        fuse_gaussian(
            random(2, 2, 2), random(1, 4, 4), random(2, 4, 4), observe=operator, response=random(1, 2), weight=0.0
        )
