"""Iterations that know only callables: the alternating direction method of multipliers, conjugate gradients.

ADMM as SALSA writes it (Afonso, Bioucas-Dias, Figueiredo 2011, IEEE TIP 20(3)): min_u sum_k g_k(K_k u) with
V_k = K_k u, scaled multipliers A_k and proximal maps prox(v) = argmin_x g(x) / mu + 1/2 ||x - v||^2, everything from 0:

    u <- (sum K_k'K_k)^-1 sum K_k'(V_k + A_k);  N_k = K_k u - A_k;  V_k <- prox(N_k);  A_k <- V_k - N_k

The residuals are those of Boyd et al. 2011, section 3.3: primal K u - V, dual mu sum K_k'A_k (which is
mu K'(V_new - V_old), as u solves its normal equations); each relative to what it is a difference of.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.numerics.linops import Map


@dataclass(frozen=True)
class Residuals:
    """How far from feasible (primal) and from stationary (dual) an iteration is, relative."""

    primal: float
    dual: float

    @property
    def worst(self) -> float:
        return max(self.primal, self.dual)


@dataclass(frozen=True)
class Outcome:
    """What an iteration ended with: `converged` is None where no tolerance was asked for."""

    iterations: int
    residuals: Residuals | None
    converged: bool | None


def slices(count: int, at_once: int) -> Iterator[slice]:
    """0..count - 1 in consecutive slices of `at_once` at most, at least one.

    >>> [(part.start, part.stop) for part in slices(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, at_once)
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def admm(
    solve: Callable[[], None],
    update: Callable[[], None],
    measured_update: Callable[[], Residuals],
    *,
    iterations: int,
    tolerance: float = 0.0,
    check_every: int = 10,
    progress: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Alternate `solve` (for u) and `update` (of the V_k, A_k), at most `iterations` times.

    With a tolerance, every `check_every`-th update is `measured_update`, and the loop ends as soon as both
    residuals are below it. The last solve is what the caller's u then holds.
    """
    residuals = None
    for number in range(1, iterations + 1):
        solve()
        progress(number / iterations)
        if tolerance and number % check_every == 0:
            residuals = measured_update()
            if residuals.worst < tolerance:
                return Outcome(number, residuals, True)
        elif number < iterations:
            update()
    return Outcome(iterations, residuals, False if tolerance else None)


def shrinkage(length: Tensor, threshold: float) -> Tensor:
    """The proximal map of t ||x||_2: max(0, g - t) / (max(0, g - t) + t), the factor of a length g; 1 at t = 0.

    >>> shrinkage(torch.tensor([0.5, 5.0]), 1.0)
    tensor([0.0000, 0.8000])
    """
    if threshold == 0:
        return torch.ones_like(length)
    kept = (length - threshold).clamp_(min=0)
    return kept / (kept + threshold)


def conjugate_gradients(
    apply: Map,
    rhs: Tensor,
    *,
    start: Tensor | None = None,
    precondition: Map = lambda residual: residual,
    iterations: int = 200,
    tolerance: float = 1e-8,
) -> Tensor:
    """x with apply(x) = rhs for a symmetric positive definite `apply`, to ||rhs - apply(x)|| <= tolerance ||rhs||.

    Source: Golub and Van Loan, Matrix Computations, algorithm 11.5.1; `precondition` is about apply^-1.
    """
    x = torch.zeros_like(rhs) if start is None else start.clone()
    residual = rhs - apply(x)
    direction = step = precondition(residual)
    steepness = (residual * step).sum()
    enough = tolerance * float(rhs.norm())
    for _ in range(iterations):
        if float(residual.norm()) <= enough:
            break
        image = apply(direction)
        length = steepness / (direction * image).sum()
        x = x + length * direction
        residual = residual - length * image
        step = precondition(residual)
        steeper = (residual * step).sum()
        direction = step + (steeper / steepness) * direction
        steepness = steeper
    return x


def joint_norm(tensors: Sequence[Tensor]) -> float:
    """The Euclidean norm of all of them together."""
    return float(torch.stack([t.norm() for t in tensors]).norm())


def relative(part: float, whole: float) -> float:
    return part / whole if whole > 0 else part
