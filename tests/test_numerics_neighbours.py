"""The most similar pixels against a search by hand, and the mean over them against its matrix."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.numerics import neighbours
from hypersharp.numerics.neighbours import Mean, similar_pixels

SHAPE, REACH, COUNT = (13, 11), 3, 4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(image: Tensor, valid: Tensor) -> Tensor:
    """(N, N): the distances of all pixels' patches, infinite to those that are no neighbours."""
    padded = F.pad(image[None].double(), (1,) * 4, mode="replicate")
    patches = F.unfold(padded, 3)[0].mT
    distances = (patches[:, None] - patches).square().mean(-1)
    y, x = (axis.flatten() for axis in torch.meshgrid(*(torch.arange(n) for n in SHAPE), indexing="ij"))
    near = ((y[:, None] - y).abs() <= REACH) & ((x[:, None] - x).abs() <= REACH) & valid.flatten()
    return distances.masked_fill(~near, torch.inf).fill_diagonal_(torch.inf)


@pytest.mark.parametrize("strip_px", [2**15, 25])
def test_it_finds_those_that_a_search_by_hand_finds(monkeypatch: pytest.MonkeyPatch, strip_px: int) -> None:
    monkeypatch.setattr(neighbours, "STRIP_PX", strip_px)
    image, valid = random(2, *SHAPE), random(*SHAPE, seed=1) > 0.2
    found, distances = similar_pixels(image, reach=REACH, count=COUNT, valid=valid), by_hand(image, valid)
    expected = distances.topk(COUNT, largest=False).values
    torch.testing.assert_close(found.distances.double(), expected, rtol=2**-11, atol=0)
    torch.testing.assert_close(distances.gather(1, found.places), expected, rtol=2**-11, atol=0)
    assert valid.flatten()[found.places].all()


def test_a_pixel_without_others_is_its_own_mean() -> None:
    valid = torch.zeros(SHAPE, dtype=torch.bool)
    valid[0, 0] = True
    found = similar_pixels(random(1, *SHAPE), reach=REACH, count=COUNT, valid=valid)
    last = SHAPE[0] * SHAPE[1] - 1
    assert found.distances[last].isinf().all() and (found.places[last] == last).all()
    assert found.places[1].tolist() == [0, 1, 1, 1]
    for some in (found, found.with_itself()):
        pixels = random(last + 1, 2)
        mean = Mean(some.places, some.weights(1.0))(pixels)
        torch.testing.assert_close(mean[last], pixels[last])
        assert mean.isfinite().all()


def test_the_pixel_itself_counts_as_its_nearest() -> None:
    found = similar_pixels(random(3, *SHAPE), reach=REACH, count=COUNT)
    own = found.with_itself()
    assert (own.places[:, 0] == torch.arange(len(own.places))).all()
    torch.testing.assert_close(own.distances[:, 0], found.distances[:, 0])
    torch.testing.assert_close(own.places[:, 1:], found.places[:, :-1])
    weights = found.weights(0.1)
    torch.testing.assert_close(weights, torch.softmax(-found.distances / 0.1, 1))


def test_the_mean_is_its_matrix_and_the_adjoint_the_transpose() -> None:
    found = similar_pixels(random(1, *SHAPE), reach=REACH, count=COUNT)
    mean = Mean(found.places, found.weights(0.05).double())
    identity = torch.eye(len(found.places), dtype=torch.float64)
    matrix = torch.zeros_like(identity).scatter_(1, found.places, mean.weights)
    torch.testing.assert_close(mean(identity), matrix)
    torch.testing.assert_close(mean.adjoint(identity), matrix.mT)
