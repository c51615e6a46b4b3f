"""DBIN: the published sizes, shared weights, and what a refinement sees."""

import dataclasses

import pytest
import torch

from hypersharp.networks.checkpoint import count_parameters
from hypersharp.networks.dbin import DBIN, DBINOptions

SMALL = DBINOptions(bands=7, ms_bands=2, features=8, refinements=2, blocks=1)


@pytest.mark.parametrize(("refinements", "parameters"), [(5, 1_585_306), (3, 1_568_008)])
def test_parameters_are_those_of_the_published_networks(refinements: int, parameters: int) -> None:
    """CAVE and Harvard at ratio 8, counted in the authors' programs."""
    assert count_parameters(DBIN(DBINOptions(ratio=8, refinements=refinements))) == parameters


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
def test_any_ratio_and_size_gives_the_fine_size(ratio: int) -> None:
    net = DBIN(dataclasses.replace(SMALL, ratio=ratio))
    estimate = net(torch.rand(1, 7, 5, 3), torch.rand(1, 2, 5 * ratio, 3 * ratio))
    assert estimate.shape == (1, 7, 5 * ratio, 3 * ratio)


def test_refinements_share_all_weights() -> None:
    """More refinements widen the aggregation only, by bands x bands x 3 x 3 each."""
    two, three = (count_parameters(DBIN(dataclasses.replace(SMALL, refinements=k))) for k in (2, 3))
    assert three - two == 7 * 7 * 9


def test_without_refinement_the_first_estimate_is_aggregated() -> None:
    net = DBIN(dataclasses.replace(SMALL, refinements=0))
    hs, ms = torch.rand(1, 7, 4, 4), torch.rand(1, 2, 16, 16)
    torch.testing.assert_close(net(hs, ms), net.aggregation(net.fusion(ms, hs)))


def test_a_ratio_without_a_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="ratios"):
        DBINOptions(ratio=33)
