"""SRCNN for hyperspectral images: three convolutions on the interpolated hs, which never see the ms.

Dong, Loy, He, Tang, "Image Super-Resolution Using Deep Convolutional Networks", IEEE TPAMI 38(2), 2016. What spatial
knowledge alone can do, beside networks that fuse. "joint" takes all bands at once (187,679 parameters at 31 bands),
"per-band" one after the other, with the same weights. It begins as the interpolation, which its ReLUs let pass.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import initialise, pass_through
from hypersharp.numerics.interpolate import upsample_bicubic


@dataclass(frozen=True)
class SRCNNOptions(FusionOptions):
    """The shape of an SRCNN.

    Attributes:
        bands, ms_bands: L and l; it looks at no ms.
        ratio: fine pixels per coarse one.
        mode: all bands together, or each alone with the same weights.
        features, inner: channels after the first and after the second convolution.

    >>> SRCNNOptions(bands=8).mode
    'joint'
    """

    mode: Literal["joint", "per-band"] = "joint"
    features: int = 64
    inner: int = 32


class SRCNN(FusionNetwork):
    """SRCNN: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1; ms is not used.

    Source: Dong, Loy, He, Tang 2016, eqs. 1 to 3: kernels of 9, 1 and 5 pixels, ReLU between them.

    Args:
        options: its shape.

    >>> import torch
    >>> SRCNN(SRCNNOptions(bands=8))(torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    options: SRCNNOptions

    def __init__(self, options: SRCNNOptions) -> None:
        super().__init__()
        self.options = o = options
        bands = o.bands if o.mode == "joint" else 1
        first, second = nn.Conv2d(bands, o.features, 9, padding=4), nn.Conv2d(o.features, o.inner, 1)
        third = nn.Conv2d(o.inner, bands, 5, padding=2)
        self.body = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        initialise(self, nn.init.kaiming_normal_)
        for layer in (first, second, third):
            pass_through(layer)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The estimate of hs alone."""
        del ms, start
        image = upsample_bicubic(hs, self.options.ratio)
        planes = image if self.options.mode == "joint" else image.flatten(0, 1)[:, None]
        estimate: Tensor = self.body(planes)
        return estimate.view_as(image)
