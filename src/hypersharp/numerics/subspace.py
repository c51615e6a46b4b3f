"""Spectral subspaces: singular vectors, endmembers by VCA, the rank that stands out of the noise.

Sources: VCA: Nascimento and Bioucas-Dias 2005 (IEEE TGRS 43(4)), projection on p - 1 dimensions; rank and
noise: HySime, Bioucas-Dias and Nascimento 2008 (IEEE TGRS 46(8)), equations 10 to 13 and 24 to 26.
Pixels are the columns of (L, N); sums run in float64 because the rank is read off small eigenvalues.
"""

import torch
from torch import Tensor

from hypersharp.errors import InputError

RIDGE = 1e-10  # of the mean band power, keeps the regression solvable where bands repeat each other


def svd_basis(pixels: Tensor, rank: int) -> Tensor:
    """The first `rank` left singular vectors (L, rank) of pixels (L, N), mean not removed; signs are arbitrary."""
    check_rank(pixels, rank)
    return principal_axes(second_moment(pixels))[:, :rank].to(pixels.dtype)


def vca(pixels: Tensor, count: int, *, seed: int = 0, runs: int = 20) -> Tensor:
    """Endmembers (L, count): extreme pixels along random directions, the run of largest volume det(E'E).

    The pixels are those of the (count - 1)-dimensional affine fit. The same seed gives the same result.

    Raises: InputError for a count the pixels cannot carry.
    """
    check_rank(pixels, count)
    values = pixels.to(torch.float64)
    mean = values.mean(1, keepdim=True)
    axes = principal_axes(second_moment(values - mean))[:, : count - 1]
    scores = axes.mT @ (values - mean)
    radius = scores.norm(dim=0).max() if count > 1 else scores.new_ones(())
    lifted = torch.cat([scores, radius.expand(1, scores.shape[1])])
    generator = torch.Generator().manual_seed(seed)
    found = [axes @ scores[:, extreme_pixels(lifted, generator)] + mean for _ in range(runs)]
    volumes = torch.stack([torch.linalg.slogdet(e.mT @ e).logabsdet for e in found])
    return found[int(volumes.argmax())].to(pixels.dtype)


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


def band_noise(pixels: Tensor) -> Tensor:
    """The noise variance (L,) of each band: what the other bands do not explain of it linearly.

    (R^-1)_bb is the inverse of the residual power of band b on the others, R the sum of y y'. Corrected for the
    degrees of freedom the regression takes; needs more pixels than bands, else zeros (unknown).
    """
    bands, count = pixels.shape
    if count <= bands:
        return pixels.new_zeros(bands, dtype=torch.float64)
    moment = second_moment(pixels)
    ridge = RIDGE * moment.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    inverse = torch.linalg.inv(moment + ridge * torch.eye(bands, dtype=moment.dtype, device=moment.device))
    variance: Tensor = 1 / inverse.diagonal() / (count - bands + 1)
    return variance


def signal_rank(pixels: Tensor, *, most: int | None = None) -> int:
    """How many dimensions hold more signal than noise: HySime's minimum of projection error plus noise kept.

    Along eigenvector e of the signal's moment, keeping it costs 2 e'N e (noise) and saves e'R e (power).
    At least 1, at most min(L, N, most).
    """
    moment = second_moment(pixels) / pixels.shape[1]
    noise = band_noise(pixels)
    vectors = principal_axes(moment - noise.diag())
    power = ((moment @ vectors) * vectors).sum(0)
    kept = int((power > 2 * (noise @ vectors.square())).sum())
    limit: int = min(kept, *pixels.shape, most or kept)
    return max(1, limit)


def second_moment(pixels: Tensor) -> Tensor:
    """The sum of y y' over the pixels, (L, L) in float64."""
    values = pixels.to(torch.float64)
    moment: Tensor = values @ values.mT
    return moment


def principal_axes(moment: Tensor) -> Tensor:
    """The eigenvectors (L, L) of a symmetric matrix as columns, largest eigenvalue first."""
    vectors: Tensor = torch.linalg.eigh(moment).eigenvectors
    return vectors.flip(1)


def check_rank(pixels: Tensor, rank: int) -> None:
    if not 1 <= rank <= min(pixels.shape):
        raise InputError(
            f"a subspace of {rank} dimensions",
            f"1 to {min(pixels.shape)}, as many as bands and pixels",
            "ask for fewer",
        )
