"""The residual network of DHSIS, between its two closed-form steps.

Dian, Li, Guo, Fang, "Deep Hyperspectral Image Sharpening", IEEE TNNLS 29(11), 2018. The start is the
closed-form estimate of eq. 6 with the bicubic hs as its prior; the network adds what it learnt of the
difference to the truth (section III-C): 3x3 convolutions, ReLU after all but the last, batch
normalisation in all but the first and the last.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import full_precision, initialise

# Keras's defaults, in which the authors trained; its momentum 0.99 is torch's 0.01
MOMENTUM, EPSILON = 0.01, 1e-3


@dataclass(frozen=True)
class DHSISOptions(FusionOptions):
    """The shape of a DHSIS network.

    Attributes:
        bands, ms_bands, ratio: L, l and fine pixels per coarse one, of the pair.
        features: channels of the inner convolutions.
        layers: convolutions of 3 x 3.
        zero_init: start as the identity (ours), so that a short training begins at its start.

    >>> DHSISOptions(bands=8).layers
    16
    """

    features: int = 64
    layers: int = 16
    zero_init: bool = False


class DHSIS(FusionNetwork):
    """DHSIS: start (B, L, H, W) -> start + learned correction (B, L, H, W), scaled to 0..1.

    Source: Dian, Li, Guo, Fang 2018, section III-C, X_cnn = X_in + f(X_in).

    Args:
        options: its shape.

    >>> import torch
    >>> image = torch.rand(1, 8, 16, 16)
    >>> DHSIS(DHSISOptions(bands=8, features=4, layers=3))(image, image, image).shape
    torch.Size([1, 8, 16, 16])
    """

    start = "needed"
    options: DHSISOptions

    def __init__(self, options: DHSISOptions) -> None:
        super().__init__()
        self.options = o = options
        n, inner = o.features, list[nn.Module]()
        for _ in range(o.layers - 2):
            inner += [nn.Conv2d(n, n, 3, padding=1), nn.BatchNorm2d(n, EPSILON, MOMENTUM), nn.ReLU()]
        self.first = nn.Conv2d(o.bands, n, 3, padding=1)
        self.body = nn.Sequential(nn.ReLU(), *inner)
        self.last = nn.Conv2d(n, o.bands, 3, padding=1)
        initialise(self, nn.init.xavier_uniform_)
        if o.zero_init:
            nn.init.zeros_(self.last.weight)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The corrected start; it already holds what hs and ms show, so they are not used again."""
        del hs, ms
        if start is None:
            raise ValueError("DHSIS corrects a start and needs one")
        with full_precision(start):  # what is to be found is smaller than bfloat16's rounding of the start
            features = self.first(start.float())
        correction: Tensor = self.last(self.body(features))
        return start + correction.float()
