"""Iterations that know only callables: the alternating direction method of multipliers, conjugate gradients.

ADMM as SALSA writes it (Afonso, Bioucas-Dias, Figueiredo 2011, IEEE TIP 20(3)): min_u sum_k g_k(K_k u)
with V_k = K_k u and scaled multipliers A_k, everything from 0:

    u <- (sum K_k'K_k)^-1 sum K_k'(V_k + A_k);  N_k = K_k u - A_k;  V_k <- prox(N_k);  A_k <- V_k - N_k

The residuals are those of Boyd et al. 2011, section 3.3: primal K u - V, dual mu sum K_k'A_k (which is
mu K'(V_new - V_old), as u solves its normal equations); each relative to what it is a difference of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hypersharp.numerics.linops import Map, Operator


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


@dataclass(frozen=True)
class Split:
    """One term g(K u): the operator K and the proximal map of g / mu."""

    operator: Operator
    prox: Map


@dataclass
class SplitState:
    """The textbook's variables of every split, kept in full; u is the current solution."""

    splits: Sequence[Split]
    invert: Map
    u: Tensor
    v: list[Tensor] = field(init=False)
    a: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.v = [torch.zeros_like(split.operator.forward(self.u)) for split in self.splits]
        self.a = [torch.zeros_like(v) for v in self.v]

    def solve(self) -> None:
        """u from the V_k + A_k; `invert` is (sum K_k'K_k)^-1."""
        terms = [s.operator.adjoint(v + a) for s, v, a in zip(self.splits, self.v, self.a, strict=True)]
        self.u = self.invert(torch.stack(terms).sum(0))

    def update(self) -> None:
        """V_k and A_k from u."""
        for k, split in enumerate(self.splits):
            n = split.operator.forward(self.u) - self.a[k]
            self.v[k] = split.prox(n)
            self.a[k] = self.v[k] - n

    def measured_update(self) -> Residuals:
        self.update()
        seen = [split.operator.forward(self.u) for split in self.splits]
        forces = [split.operator.adjoint(a) for split, a in zip(self.splits, self.a, strict=True)]
        gaps = [k_u - v for k_u, v in zip(seen, self.v, strict=True)]
        primal = relative(joint_norm(gaps), max(joint_norm(seen), joint_norm(self.v)))
        return Residuals(primal, relative(joint_norm([torch.stack(forces).sum(0)]), joint_norm(forces)))


def split_minimum(
    splits: Sequence[Split],
    invert: Map,
    start: Tensor,
    *,
    iterations: int = 1000,
    tolerance: float = 1e-6,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Tensor, Outcome]:
    """min_u sum_k g_k(K_k u) by the textbook iteration; `start` lends its shape, `invert` is (sum K_k'K_k)^-1."""
    state = SplitState(splits, invert, start)
    outcome = admm(
        state.solve, state.update, state.measured_update, iterations=iterations, tolerance=tolerance, progress=progress
    )
    return state.u, outcome


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
