"""After HAM-MFN: network-in-network units at every scale from the hs to the ms, which joins at each.

Xu, Amira, Liu, Zhang, Zhang, Li, "HAM-MFN: Hyperspectral and Multispectral Image Multiscale Fusion Network With RAP
Loss", IEEE TGRS 58(7), 2020. Its text was not at hand but for the abstract, which fixes network-in-network units, batch
normalisation, skips, fusion at several scales and the loss of relative error, angle and Laplacian (`loss: rap`).
Channels and kernels are decided here; batch normalisation is an option, for it hurts on the small batches of a CPU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.networks.base import FusionNetwork, FusionOptions, check_power_of_two
from hypersharp.networks.layers import initialise, join
from hypersharp.numerics.interpolate import upsample_bicubic


@dataclass(frozen=True)
class HAMMFNOptions(FusionOptions):
    """The shape of a HAM-MFN.

    Attributes:
        bands, ms_bands: L and l.
        ratio: fine pixels per coarse one, a power of two: a scale for each halving and one more.
        features: channels of all inner convolutions.
        norm: batch normalisation after every convolution of a unit.

    >>> HAMMFNOptions(ratio=8).scales
    4
    """

    features: int = 64
    norm: bool = False

    def __post_init__(self) -> None:
        check_power_of_two("HAM-MFN", self.ratio)

    @property
    def scales(self) -> int:
        """How many sizes there are from that of hs to that of ms, both included."""
        return self.ratio.bit_length()


class HAMMFN(FusionNetwork):
    """HAM-MFN: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    Source: after Xu et al. 2020.

    Args:
        options: its shape.

    >>> net = HAMMFN(HAMMFNOptions(bands=8, features=4))
    >>> net(torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    options: HAMMFNOptions

    def __init__(self, options: HAMMFNOptions) -> None:
        super().__init__()
        self.options = o = options
        n = o.features
        channels = [o.bands, *[n] * (o.scales - 1)]
        self.joins = nn.ModuleList(nn.Conv2d(before + o.ms_bands, n, 3, padding=1) for before in channels)
        self.units = nn.ModuleList(Unit(n, o.norm) for _ in range(o.scales))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(n, n, 4, 2, 1) for _ in range(o.scales - 1))
        self.last = nn.Conv2d(n, o.bands, 3, padding=1)
        initialise(self, nn.init.kaiming_normal_)
        nn.init.zeros_(self.last.weight)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """Interpolated hs and what the scales add to it; a start from elsewhere has no place in this network."""
        del start
        features = hs
        for scale, (joined, unit) in enumerate(zip(self.joins, self.units, strict=True)):
            if scale:
                features = torch.relu(self.ups[scale - 1](features))
            step = self.options.ratio >> scale
            features = unit(torch.relu(joined(join(features, F.avg_pool2d(ms, step) if step > 1 else ms))))
        correction: Tensor = self.last(features)
        return upsample_bicubic(hs, self.options.ratio) + correction.float()


class Unit(nn.Module):
    """Twice a convolution of 3 x 3 and one of 1 x 1, each with its ReLU, added to what came in."""

    def __init__(self, features: int, norm: bool) -> None:
        super().__init__()
        layers = list[nn.Module]()
        for kernel in (3, 1, 3, 1):
            norms = [nn.BatchNorm2d(features)] if norm else []
            layers += [nn.Conv2d(features, features, kernel, padding=kernel // 2), *norms, nn.ReLU()]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.body(x)
        return x + changed
