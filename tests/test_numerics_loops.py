"""The loops meet dense solutions."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

from hypersharp.numerics.loops import conjugate_gradients, shrinkage
from oracles.splitting import Operator, Split, nonnegative, soft, split_minimum, vector_soft

RANDOM = np.random.default_rng(0)
A = torch.from_numpy(RANDOM.standard_normal((12, 5)))
B = A @ torch.tensor([1.0, -2, 3, 0.1, -1], dtype=A.dtype) + torch.from_numpy(RANDOM.standard_normal(12))
DENSE = Operator(lambda x: A @ x, lambda y: A.mT @ y)
IDENTITY = Operator(lambda x: x, lambda y: y)
MU = 0.8


def fit(v: Tensor) -> Tensor:
    """Proximal map of ||v - B||^2 / (2 mu)."""
    return (B + MU * v) / (1 + MU)


def invert(rhs: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.solve(A.mT @ A + torch.eye(5, dtype=rhs.dtype), rhs)
    return solution


def test_admm_meets_nonnegative_least_squares() -> None:
    splits = [Split(DENSE, fit), Split(IDENTITY, nonnegative)]
    x = split_minimum(splits, invert, torch.zeros(5, dtype=A.dtype))
    expected = nnls(A.numpy(), B.numpy())[0]
    assert 0 < (expected > 0).sum() < 5
    np.testing.assert_allclose(x, expected, atol=1e-8)


def test_admm_meets_the_conditions_of_the_lasso() -> None:
    weight = 2.0
    splits = [Split(DENSE, fit), Split(IDENTITY, lambda v: soft(v, weight / MU))]
    x = split_minimum(splits, invert, torch.zeros(5, dtype=A.dtype), iterations=3000)
    slope = A.mT @ (B - A @ x)
    active = x.abs() > 1e-7
    assert 0 < int(active.sum()) < 5
    torch.testing.assert_close(slope[active], weight * x[active].sign(), rtol=1e-6, atol=1e-6)
    assert float(slope[~active].abs().max()) <= weight + 1e-6


@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_meet_the_dense_solution(preconditioned: bool) -> None:
    gram = A.mT @ A + 0.1 * torch.diag(torch.arange(1.0, 6.0, dtype=A.dtype))
    rhs = A.mT @ B
    diagonal = gram.diagonal()
    x = conjugate_gradients(
        lambda v: gram @ v,
        rhs,
        start=torch.ones_like(rhs),
        precondition=(lambda r: r / diagonal) if preconditioned else (lambda r: r),
        tolerance=1e-12,
    )
    torch.testing.assert_close(x, torch.linalg.solve(gram, rhs))


def test_conjugate_gradients_take_images_and_leave_zero_alone() -> None:
    image = torch.zeros(2, 3, 4)
    assert torch.equal(conjugate_gradients(lambda v: 2 * v, image), image)
    torch.testing.assert_close(conjugate_gradients(lambda v: 2 * v, image + 1), image + 0.5)


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_nothing_near_a_shrunk_vector_is_better(axes: tuple[int, ...]) -> None:
    v, t = torch.from_numpy(RANDOM.standard_normal((4, 3, 5))), 0.7
    best = vector_soft(v, t, axes)

    def objective(x: Tensor) -> float:
        return float(t * torch.linalg.vector_norm(x, dim=axes).sum() + 0.5 * (x - v).square().sum())

    steps = [scale * torch.from_numpy(RANDOM.standard_normal(v.shape)) for scale in (1e-3, 0.1) for _ in range(20)]
    assert all(objective(best) <= objective(best + step) for step in steps)


def test_shrinkage_is_defined_where_nothing_is_to_shrink() -> None:
    torch.testing.assert_close(shrinkage(torch.zeros(2), 0.0), torch.ones(2))
    torch.testing.assert_close(shrinkage(torch.tensor([0.0, 1.0, 4.0]), 1.0), torch.tensor([0.0, 0.0, 0.75]))
