"""The Deep Blind Iterative fusion Network, whole.

Wang, Zeng, Fu, Huang, Ding, "Deep Blind Hyperspectral Image Fusion", ICCV 2019. One fusion network makes
the first estimate X0 from hs and ms; each of K refinements degrades the estimate with two learnt convolutions,
puts what is left of both inputs through the same fusion network and adds the outcome; a last convolution
aggregates X0 .. XK. Every refinement shares all weights. `features` is 128 in the paper; 64 (0.47 M
parameters) is the size that later tables give.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import STRIDED_KERNEL, ResidualBlock, full_precision, initialise, join

SLOPE = 0.2  # of every leaky ReLU


@dataclass(frozen=True)
class DBINOptions(FusionOptions):
    """The shape of a DBIN.

    Attributes:
        bands, ms_bands, ratio: L, l and fine pixels per coarse one, of the pair.
        features: channels of the fusion network; 128 in the paper.
        refinements: K, how often the estimate is refined.
        blocks: residual blocks of the fusion network.

    >>> DBINOptions(features=64).refinements
    5
    """

    features: int = 128
    refinements: int = 5
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.ratio not in STRIDED_KERNEL:
            raise ValueError(f"DBIN has ratios {sorted(STRIDED_KERNEL)}, not {self.ratio}")


class DBIN(FusionNetwork):
    """DBIN: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    Source: Wang, Zeng, Fu, Huang, Ding 2019, X_{k+1} = X_k + F(M - D_spe(X_k), Y - D_spa(X_k)).

    Args:
        options: its shape.

    >>> import torch
    >>> net = DBIN(DBINOptions(bands=8, ms_bands=3, features=4, refinements=1, blocks=1))
    >>> net(torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    options: DBINOptions

    def __init__(self, options: DBINOptions) -> None:
        super().__init__()
        self.options = o = options
        kernel, padding = STRIDED_KERNEL[o.ratio]
        self.fusion = Fusion(o)
        self.spectral = nn.Conv2d(o.bands, o.ms_bands, 3, padding=1)
        self.spatial = nn.Conv2d(o.bands, o.bands, kernel, o.ratio, padding)
        self.aggregation = nn.Conv2d(o.bands * (o.refinements + 1), o.bands, 3, padding=1)
        initialise(self, partial(nn.init.kaiming_normal_, nonlinearity="linear"))  # of variance 1/fan-in

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The aggregated estimate; a start from elsewhere has no place in this network."""
        del start
        estimates = [self.fusion(ms, hs).float()]
        for _ in range(self.options.refinements):
            x = estimates[-1]
            ms_hat, hs_hat = self.degrade(x)[0]
            estimates.append(x + self.fusion(ms - ms_hat, hs - hs_hat))
        with full_precision(ms):
            aggregated: Tensor = self.aggregation(join(*estimates))
        return aggregated

    def degrade(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(ms, hs) as the learnt degradation, the same in every refinement, makes them of z."""
        with full_precision(z):
            z = z.float()
            return [(leaky(self.spectral(z)), leaky(self.spatial(z)))]


class Fusion(nn.Module):
    """One correction (B, L, H, W) from ms and hs, or from what is left of them."""

    def __init__(self, o: DBINOptions) -> None:
        super().__init__()
        kernel, padding = STRIDED_KERNEL[o.ratio]
        self.up = nn.ConvTranspose2d(o.bands, o.bands, kernel, o.ratio, padding)
        self.head = nn.Conv2d(o.ms_bands + o.bands, o.features, 3, padding=1)
        self.body = nn.Sequential(*(LeakyBlock(o.features) for _ in range(o.blocks)))
        self.tail = nn.Conv2d(o.features, o.bands, 3, padding=1)

    def forward(self, ms: Tensor, hs: Tensor) -> Tensor:
        both = join(ms, self.up(hs).to(ms.dtype))  # (B, l + L, H, W)
        return leaky(self.tail(self.body(leaky(self.head(both)))))


class LeakyBlock(ResidualBlock):
    """Each convolution is followed by a leaky ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return x + leaky(self.second(leaky(self.first(x))))


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)
