"""Proximal maps: each is the minimum it claims to be, and brings no two points further apart."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from hypersharp.numerics.prox import nonnegative, shrinkage, simplex, soft, vector_soft

T = 0.7
MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "soft": lambda v: soft(v, T),
    "vector soft": lambda v: vector_soft(v, T, (0,)),
    "vector soft over two axes": lambda v: vector_soft(v, T, (0, 1)),
    "nonnegative": nonnegative,
    "simplex": simplex,
    "simplex along y": lambda v: simplex(v, 1),
}
PENALTIES: dict[str, Callable[[Tensor], Tensor]] = {
    "soft": lambda x: T * x.abs().sum(),
    "vector soft": lambda x: T * x.norm(dim=0).sum(),
    "vector soft over two axes": lambda x: T * torch.linalg.vector_norm(x, dim=(0, 1)).sum(),
}
every_map = pytest.mark.parametrize("name", MAPS)


def random(seed: int) -> Tensor:
    return torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@every_map
def test_no_two_points_come_further_apart(name: str) -> None:
    for seed in range(10):
        x, y = random(seed), random(seed + 100)
        assert (MAPS[name](x) - MAPS[name](y)).norm() <= (x - y).norm() + 1e-12


@pytest.mark.parametrize("name", PENALTIES)
def test_nothing_near_the_result_is_better(name: str) -> None:
    v = random(0)
    best = MAPS[name](v)

    def objective(x: Tensor) -> float:
        return float(PENALTIES[name](x) + 0.5 * (x - v).square().sum())

    assert all(objective(best) <= objective(best + scale * random(seed)) for seed in range(20) for scale in (1e-3, 0.1))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_the_simplex_projection_meets_its_conditions(values: list[float]) -> None:
    v = torch.tensor(values, dtype=torch.float64)
    x = simplex(v)
    assert float(x.min()) >= 0 and float(x.sum()) == pytest.approx(1)
    shift = (v - x)[x > 1e-9]
    torch.testing.assert_close(shift, shift[:1].expand_as(shift), rtol=0, atol=1e-9)
    assert bool((v[x <= 1e-9] <= shift.max() + 1e-9).all())


def test_the_simplex_projection_is_that_of_a_general_solver() -> None:
    v = random(3)[:, 0, 0]
    found = minimize(
        lambda x: ((x - v.numpy()) ** 2).sum(),
        v.new_full((4,), 0.25).numpy(),
        bounds=[(0, None)] * 4,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        tol=1e-12,
    )
    torch.testing.assert_close(simplex(v), torch.from_numpy(found.x), rtol=0, atol=1e-6)


def test_shrinkage_is_defined_where_nothing_is_to_shrink() -> None:
    torch.testing.assert_close(shrinkage(torch.zeros(2), 0.0), torch.ones(2))
    torch.testing.assert_close(shrinkage(torch.tensor([0.0, 1.0, 4.0]), 1.0), torch.tensor([0.0, 0.0, 0.75]))
