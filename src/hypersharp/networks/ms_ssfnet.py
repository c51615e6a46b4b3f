"""After MS-SSFNet: the ms becomes coarser and the hs finer level by level, fused and judged at each.

Han, Zheng, Chen, "Multi-Level and Multi-Scale Spatial and Spectral Fusion CNN for Hyperspectral Image
Super-Resolution", ICCV workshops 2019. Its text was not at hand but for the abstract, which fixes that feature sizes of
the RGB are gradually reduced, those of the hs gradually increased, and that there are costs at several levels.
Channels, kernels and what a level's estimate adds to (hs, interpolated; at first nothing) are decided here. It begins
with both images passed on to every level, so that a training need not find a way for the ms through its ReLUs first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hypersharp.networks.base import FusionNetwork, FusionOptions, check_power_of_two
from hypersharp.networks.layers import initialise, join, pass_through
from hypersharp.numerics.interpolate import upsample_bicubic

BLOCK_MEAN = torch.tensor([0.0, 0.5, 0.5]).outer(torch.tensor([0.0, 0.5, 0.5]))  # of 2 x 2, at stride 2
BILINEAR = torch.tensor([0.25, 0.75, 0.75, 0.25]).outer(torch.tensor([0.25, 0.75, 0.75, 0.25]))  # to twice the size


@dataclass(frozen=True)
class MSSSFNetOptions(FusionOptions):
    """The shape of an MS-SSFNet.

    Attributes:
        bands, ms_bands: L and l.
        ratio: fine pixels per coarse one, a power of two: a level each.
        features: channels of all inner convolutions.

    >>> MSSSFNetOptions(ratio=8).levels
    3
    """

    features: int = 64

    def __post_init__(self) -> None:
        check_power_of_two("MS-SSFNet", self.ratio)

    @property
    def levels(self) -> int:
        """How often ms is halved until it has the size of hs."""
        return self.ratio.bit_length() - 1


class MSSSFNet(FusionNetwork):
    """MS-SSFNet: hs (B, L, h, w), ms (B, l, H, W) -> estimate (B, L, H, W), all scaled to 0..1.

    Source: after Han, Zheng, Chen 2019.

    Args:
        options: its shape.

    >>> net = MSSSFNet(MSSSFNetOptions(bands=8, features=4))
    >>> [tuple(image.shape[2:]) for image in net.at_levels(torch.rand(1, 8, 4, 4), torch.rand(1, 3, 16, 16))]
    [(16, 16), (8, 8), (4, 4)]
    """

    options: MSSSFNetOptions

    def __init__(self, options: MSSSFNetOptions) -> None:
        super().__init__()
        self.options = o = options
        n, levels = o.features, range(o.levels + 1)
        self.ms_first = twice(o.ms_bands, n)
        self.ms_down = nn.ModuleList(twice(n, n, stride=2) for _ in range(o.levels))
        self.hs_first = twice(o.bands, n)
        self.fusion = nn.ModuleList(twice(2 * n, n) for _ in levels)
        self.heads = nn.ModuleList(nn.Conv2d(n, o.bands, 3, padding=1) for _ in levels)
        self.up = nn.ModuleList(nn.ConvTranspose2d(n, n, 4, 2, 1) for _ in range(o.levels))
        initialise(self, nn.init.kaiming_normal_)
        self.pass_both_images_on()
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def pass_both_images_on(self) -> None:
        """Begin with ms, its block means, and hs, interpolated, among the features that each level's head looks at."""
        n, half = self.options.features, self.options.features // 2
        for first, second in map(convolutions, (self.ms_first, self.hs_first)):
            pass_through(first)
            pass_through(second)
        for first, second in map(convolutions, self.ms_down):
            first.weight.copy_(torch.eye(n)[..., None, None] * BLOCK_MEAN)
            pass_through(second)
        for level, (first, second) in enumerate(map(convolutions, self.fusion)):
            begin = n if level == self.options.levels else n + half  # of hs, which is in the other half from there on
            first.weight[: 2 * half].zero_()
            nn.init.dirac_(first.weight[:half, :half])
            nn.init.dirac_(first.weight[half : 2 * half, begin : begin + half])
            pass_through(second)
        for kernel in (one for one in self.up.parameters() if one.ndim == 4):
            kernel.copy_(torch.eye(n)[..., None, None] * BILINEAR)

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The estimate of the finest level; a start from elsewhere has no place in this network."""
        del start
        return self.at_levels(hs, ms)[0]

    def at_levels(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> list[Tensor]:
        """The estimates (B, L, H, W), (B, L, H/2, W/2), .. (B, L, h, w)."""
        del start
        guides = [self.ms_first(ms)]
        for down in self.ms_down:
            guides.append(down(guides[-1]))
        features, estimates = self.hs_first(hs), list[Tensor]()
        for level in reversed(range(len(guides))):
            fused = self.fusion[level](join(guides[level], features))
            plain = upsample_bicubic(hs, self.options.ratio >> level) if level < self.options.levels else hs
            estimates.insert(0, plain + self.heads[level](fused).float())
            if level:
                features = torch.relu(self.up[level - 1](fused))
        return estimates


def twice(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Two convolutions of 3 x 3, the first with the stride, each with its ReLU."""
    first, second = nn.Conv2d(channels_in, channels_out, 3, stride, 1), nn.Conv2d(channels_out, channels_out, 3, 1, 1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())


def convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """Those of `twice`."""
    return [part for part in block.modules() if isinstance(part, nn.Conv2d)]
