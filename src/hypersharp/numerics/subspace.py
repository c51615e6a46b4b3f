"""Endmembers by VCA, and principal axes.

Source: VCA, Nascimento and Bioucas-Dias 2005 (IEEE TGRS 43(4)), projection on p - 1 dimensions. Pixels are the columns
of (L, N); sums run in float64 because ranks are read off small eigenvalues. What stands out of noise: `signal`.
"""

import torch
from torch import Tensor

from hypersharp.errors import InputError


def vca(pixels: Tensor, count: int, *, seed: int = 0, runs: int = 20) -> Tensor:
    """Endmembers (L, count): extreme pixels along random directions, the run of largest volume det(E'E).

    The pixels are those of the (count - 1)-dimensional affine fit. The same seed gives the same result.

    Raises: InputError for a count the pixels cannot carry.
    """
    if not 1 <= count <= min(pixels.shape):
        expected = f"1 to {min(pixels.shape)}, as many as bands and pixels"
        raise InputError(f"a subspace of {count} dimensions", expected, "ask for fewer")
    values = pixels.to(torch.float64)
    mean = values.mean(1, keepdim=True)
    axes = principal_axes(second_moment(values - mean))[:, : count - 1]
    scores = axes.mT @ (values - mean)
    radius = scores.norm(dim=0).max() if count > 1 else scores.new_ones(())
    lifted = torch.cat([scores, radius.expand(1, scores.shape[1])])
    generator = torch.Generator().manual_seed(seed)
    extremes = [axes @ scores[:, extreme_pixels(lifted, generator)] + mean for _ in range(runs)]
    volumes = torch.stack([torch.linalg.slogdet(e.mT @ e).logabsdet for e in extremes])
    return extremes[int(volumes.argmax())].to(pixels.dtype)


def extreme_pixels(lifted: Tensor, generator: torch.Generator) -> Tensor:
    """Indices of as many pixels as `lifted` (p, N) has rows, each extreme orthogonally to those before."""
    count = lifted.shape[0]
    chosen = lifted.new_zeros(count, count)
    chosen[-1, 0] = 1
    indices = torch.zeros(count, dtype=torch.long, device=lifted.device)
    for number in range(count):
        random = torch.randn(count, generator=generator, dtype=lifted.dtype).to(lifted.device)
        direction = random - chosen @ (torch.linalg.pinv(chosen) @ random)
        indices[number] = (direction @ lifted).abs().argmax()
        chosen[:, number] = lifted[:, indices[number]]
    return indices


def second_moment(pixels: Tensor) -> Tensor:
    """The sum of y y' over the pixels, (L, L) in float64."""
    values = pixels.to(torch.float64)
    return torch.mm(values, values.mT)


def principal_axes(moment: Tensor) -> Tensor:
    """The eigenvectors (L, L) of a symmetric matrix as columns, largest eigenvalue first."""
    vectors: Tensor = torch.linalg.eigh(moment).eigenvectors
    return vectors.flip(1)
