"""The network of DHSIS: the published size, residual learning, a start it cannot do without."""

import dataclasses

import pytest
import torch
from torch import nn

from hypersharp.networks.checkpoint import count_parameters
from hypersharp.networks.dhsis import DHSIS, DHSISOptions

SMALL = DHSISOptions(bands=5, ms_bands=2, features=8, layers=4)


def test_parameters_are_those_of_the_published_network() -> None:
    """0.555 M trainable ones."""
    assert count_parameters(DHSIS(DHSISOptions())) == pytest.approx(0.555e6, abs=500)


def test_normalisation_stands_in_all_layers_but_the_first_and_the_last() -> None:
    net = DHSIS(SMALL)
    kinds = [type(layer) for part in (net.first, net.body, net.last) for layer in leaves(part)]
    inner = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert kinds == [nn.Conv2d, nn.ReLU, *inner, *inner, nn.Conv2d]


def leaves(part: nn.Module) -> list[nn.Module]:
    return [layer for layer in part.modules() if not list(layer.children())]


def test_a_net_of_zeros_adds_nothing_to_its_start() -> None:
    net = DHSIS(dataclasses.replace(SMALL, zero_init=True)).eval()
    start = torch.rand(1, 5, 16, 16)
    torch.testing.assert_close(net(torch.rand(1, 5, 4, 4), torch.rand(1, 2, 16, 16), start), start)


def test_without_a_start_it_refuses() -> None:
    with pytest.raises(ValueError, match="start"):
        DHSIS(SMALL)(torch.rand(1, 5, 4, 4), torch.rand(1, 2, 16, 16))
