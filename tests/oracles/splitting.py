"""ADMM as the textbook writes it, every variable in full, with the proximal maps that tests need.

Sources: Afonso, Bioucas-Dias, Figueiredo 2011, IEEE TIP 20(3) (SALSA); Parikh and Boyd 2014, Proximal Algorithms,
section 6; the vector soft threshold as in HySure (Simoes et al. 2015, section III).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hypersharp.numerics.loops import shrinkage

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Operator:
    """A linear map and its transpose."""

    forward: Map
    adjoint: Map


@dataclass(frozen=True)
class Split:
    """One term g(K u): the operator K and the proximal map of g / mu."""

    operator: Operator
    prox: Map


@dataclass
class SplitState:
    """The variables of every split; u is the current solution."""

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


def split_minimum(splits: Sequence[Split], invert: Map, start: Tensor, *, iterations: int = 1000) -> Tensor:
    """min_u sum_k g_k(K_k u); `start` lends its shape, `invert` is (sum K_k'K_k)^-1."""
    state = SplitState(splits, invert, start)
    for _ in range(iterations):
        state.solve()
        state.update()
    return state.u


def gradient(image: Tensor) -> Tensor:
    """Circular differences to the next pixel, along x and along y, stacked on a new first axis."""
    return torch.stack([image - image.roll(-1, axis) for axis in (-1, -2)])


def gradient_adjoint(fields: Tensor) -> Tensor:
    """The transpose of `gradient`: (2, ..., H, W) -> (..., H, W)."""
    along_x, along_y = fields.unbind()
    return along_x - along_x.roll(1, -1) + along_y - along_y.roll(1, -2)


def soft(v: Tensor, threshold: float) -> Tensor:
    """g = threshold ||x||_1: every value moved towards 0 by the threshold."""
    return v - v.clamp(-threshold, threshold)


def vector_soft(v: Tensor, threshold: float, axes: tuple[int, ...]) -> Tensor:
    """g = threshold sum ||x||_2, one norm over `axes` at every place: its length shortened by the threshold."""
    return v * shrinkage(torch.linalg.vector_norm(v, dim=axes, keepdim=True), threshold)


def nonnegative(v: Tensor) -> Tensor:
    """g = indicator of x >= 0."""
    return v.clamp(min=0)
