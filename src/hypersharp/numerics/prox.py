"""Proximal maps: prox(v) = argmin_x g(x) + 1/2 ||x - v||^2.

Sources: Parikh and Boyd 2014, Proximal Algorithms, section 6; the simplex by sorting as in Duchi et al.
2008 (ICML), Figure 1; the vector soft threshold as in HySure (Simoes et al. 2015, section III).
"""

import torch
from torch import Tensor


def soft(v: Tensor, threshold: float) -> Tensor:
    """g = threshold ||x||_1: every value moved towards 0 by the threshold.

    >>> soft(torch.tensor([-3.0, 0.5]), 1.0)
    tensor([-2.,  0.])
    """
    return v - v.clamp(-threshold, threshold)


def vector_soft(v: Tensor, threshold: float, axes: tuple[int, ...]) -> Tensor:
    """g = threshold sum ||x||_2, one norm over `axes` at every place: its length shortened by the threshold.

    With v a gradient (2, p, H, W) and axes (0, 1) this is the step of vector total variation.

    >>> vector_soft(torch.tensor([[3.0], [4.0]]), 1.0, (0,)).flatten()
    tensor([2.4000, 3.2000])
    """
    return v * shrinkage(torch.linalg.vector_norm(v, dim=axes, keepdim=True), threshold)


def shrinkage(length: Tensor, threshold: float) -> Tensor:
    """The factor max(0, g - t) / (max(0, g - t) + t) by which a vector of length g shortens; 1 where t = 0."""
    if threshold == 0:
        return torch.ones_like(length)
    kept = (length - threshold).clamp_(min=0)
    return kept / (kept + threshold)


def nonnegative(v: Tensor) -> Tensor:
    """g = indicator of x >= 0."""
    return v.clamp(min=0)


def simplex(v: Tensor, axis: int = 0) -> Tensor:
    """g = indicator of x >= 0, sum 1 along `axis`.

    >>> simplex(torch.tensor([0.6, 0.8, -1.0]))
    tensor([0.4000, 0.6000, 0.0000])
    """
    ordered = v.movedim(axis, -1)
    falling = ordered.sort(dim=-1, descending=True).values
    excess = falling.cumsum(-1) - 1
    counts = torch.arange(1, v.shape[axis] + 1, device=v.device)
    last = (falling * counts > excess).sum(-1, keepdim=True)
    shift = excess.gather(-1, last - 1) / last
    return (ordered - shift).clamp(min=0).movedim(-1, axis)
