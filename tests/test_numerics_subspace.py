"""Subspaces: against NumPy's SVD and pure pixels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.subspace import vca


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(bands: int, count: int, pixels: int) -> tuple[Tensor, Tensor]:
    """(endmembers (L, p), pixels (L, N)): smooth positive spectra, mixed; the first p pixels are pure."""
    spectra = torch.rand(bands, count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shares = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(count), pixels).T)
    shares[:, :count] = torch.eye(count)
    return spectra, spectra @ shares


@pytest.mark.parametrize("count", [1, 2, 5])
def test_vca_finds_the_pure_pixels(count: int) -> None:
    spectra, pixels = mixture(20, count, 400)
    found = vca(pixels, count)
    distances = torch.cdist(spectra.mT, found.mT)
    assert float(distances.min(1).values.max()) < 1e-6


def test_vca_repeats_itself_for_one_seed_and_keeps_the_dtype() -> None:
    pixels = random(10, 200).float()
    assert torch.equal(vca(pixels, 4, seed=3), vca(pixels, 4, seed=3))
    assert vca(pixels, 4).dtype == torch.float32


def test_more_runs_never_give_a_smaller_volume() -> None:
    pixels = random(10, 200)
    volumes = [float(torch.linalg.det((e := vca(pixels, 4, runs=runs)).mT @ e)) for runs in (1, 5, 20)]
    assert volumes == sorted(volumes)


@pytest.mark.parametrize("rank", [0, 9])
def test_a_rank_the_pixels_cannot_carry_is_refused(rank: int) -> None:
    with pytest.raises(InputError, match="1 to 8"):
        vca(random(8, 30), rank)
