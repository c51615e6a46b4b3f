"""SSF-CNN and PDCon-SSF: three convolutions on the interpolated hs beside the ms.

Han, Shi, Zheng, "SSF-CNN: Spatial and Spectral Fusion with CNN for Hyperspectral Image Super-Resolution", ICIP 2018.
PDCon-SSF, with partial dense connections, shows the ms to every convolution. Kernels and channels are those under which
62,943 and 66,132 parameters result at 31 bands and three ms bands. It begins as the interpolation, which its ReLUs let
pass, so that a training need not find that first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import initialise, join, pass_through
from hypersharp.numerics.interpolate import upsample_bicubic


@dataclass(frozen=True)
class SSFCNNOptions(FusionOptions):
    """The shape of an SSF-CNN.

    Attributes:
        bands, ms_bands: L and l.
        ratio: fine pixels per coarse one.
        features, inner: channels after the first and after the second convolution.
        dense: PDCon-SSF: the ms comes again before the second and the third.

    >>> SSFCNNOptions(dense=True).inner
    32
    """

    features: int = 64
    inner: int = 32
    dense: bool = False


class SSFCNN(FusionNetwork):
    """SSF-CNN: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    Source: Han, Shi, Zheng 2018.

    Args:
        options: its shape.

    >>> SSFCNN(SSFCNNOptions(bands=8))(torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    options: SSFCNNOptions

    def __init__(self, options: SSFCNNOptions) -> None:
        super().__init__()
        self.options = o = options
        again = o.ms_bands if o.dense else 0
        self.first = nn.Conv2d(o.bands + o.ms_bands, o.features, 3, padding=1)
        self.second = nn.Conv2d(o.features + again, o.inner, 3, padding=1)
        self.third = nn.Conv2d(o.inner + again, o.bands, 5, padding=2)
        initialise(self, nn.init.kaiming_normal_)
        for layer in (self.first, self.second, self.third):
            pass_through(layer)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The estimate; a start from elsewhere has no place in this network."""
        del start
        again = [ms] if self.options.dense else []
        features = torch.relu(self.first(join(upsample_bicubic(hs, self.options.ratio), ms)))
        features = torch.relu(self.second(join(features, *again)))
        estimate: Tensor = self.third(join(features, *again))
        return estimate
