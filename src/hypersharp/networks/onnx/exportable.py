"""The networks said in what ONNX knows: the same numbers, for images of any size.

ONNX has no pseudo-inverse, and a graph cannot decide by an image's size whether to pad it. So the gain of the
spectral correction is worked out by elimination, edges are repeated by index, and a sensor's centre is a constant.
"""

import torch
from torch import Tensor

from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.layers import Means
from hypersharp.networks.ssjcn import SSJCN, SensorDegradation
from hypersharp.networks.ssjcn_coordinates import Sight
from hypersharp.networks.subspace import SubspaceSSJCN


def exportable(net: FusionNetwork) -> FusionNetwork:
    """The network, or a copy of it, that `torch.onnx.export` can follow."""
    if isinstance(net, SSJCN):
        return ExportableSSJCN(net).eval()
    if isinstance(net, SubspaceSSJCN):
        return ExportableSubspace(net).eval()
    return net


def repeat_by_index(image: Tensor, multiple: int) -> Tensor:
    """As `repeat_to_multiple`, whatever the size is."""
    if multiple == 1:
        return image
    for axis in (-2, -1):
        size = image.shape[axis]
        places = torch.arange(multiple * ((size + multiple - 1) // multiple), device=image.device)
        image = image.index_select(axis, places.clamp(max=size - 1))
    return image


class ExportableSSJCN(SSJCN):
    """SSJCN with the sensor it has now, for any size of image."""

    fill = staticmethod(repeat_by_index)

    def __init__(self, net: SSJCN) -> None:
        super().__init__(net.options)
        self.load_state_dict(net.state_dict())
        self.centre = (0.0, 0.0)
        block = net.degradation[0]
        if isinstance(block, SensorDegradation):
            super().see_with(net.srf, block.psf, block.ratio)
            self.centre = net.centre_yx()

    def see_with(self, srf: Tensor, psf_window: Tensor, ratio: int) -> None:
        """The sensor is settled."""

    def centre_yx(self) -> tuple[float, float]:
        return self.centre

    def spectral_gain(self) -> Tensor:
        return right_inverse(self.srf)


class ExportableSubspace(SubspaceSSJCN):
    """The network of a pair with the sensor it has now, for any size of image."""

    def __init__(self, net: SubspaceSSJCN) -> None:
        super().__init__(net.options)
        self.load_state_dict(net.state_dict())
        self.settled = super().sight()
        self.own = ExportableSSJCN(self.own) if self.own else None
        self.core.correct = lambda body, seen, features: body(seen, features)  # type: ignore[method-assign]
        for body in self.core.bodies:
            body.fill = repeat_by_index  # type: ignore[assignment] # which nn.Module takes for a module

    def sight(self) -> Sight:
        return self.settled


class OptionalMeans(Means):
    """Means of which those that are not a number are the image's own."""

    def __call__(self, x: Tensor) -> Tensor:
        mean = x.mean((-2, -1), keepdim=True)
        if self.given:
            held = self.given[len(self.found)]
            mean = torch.where(torch.isnan(held), mean, held)
        self.found.append(mean)
        return mean


def right_inverse(matrix: Tensor) -> Tensor:
    """P^T (P P^T)^-1 of P (l, L) with independent rows, by Gauss-Jordan elimination in float64.

    >>> right_inverse(torch.tensor([[3.0, 4.0]]))
    tensor([[0.1200],
            [0.1600]])
    """
    p = matrix.double()
    unit = torch.eye(len(p), dtype=p.dtype, device=p.device)
    system = torch.cat([p @ p.mT, p], 1)  # (l, l + L)
    for k in range(len(p)):
        pivot = system[k] / system[k, k]
        system = system - torch.outer(system[:, k] - unit[:, k], pivot)
    return system[:, len(p) :].mT.to(matrix.dtype)
