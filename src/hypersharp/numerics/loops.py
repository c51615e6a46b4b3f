"""What iterative methods share: slices that fit a cache, the shrinkage of vectors, conjugate gradients."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hypersharp.numerics.linops import Map


def slices(count: int, at_once: int) -> Iterator[slice]:
    """0..count - 1 in consecutive slices of `at_once` at most, at least one.

    >>> [(part.start, part.stop) for part in slices(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(1, at_once)
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


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
