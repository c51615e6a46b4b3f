"""SSJCN, second generation, between a pair's coordinates: learnt once for any bands, ratio and sensor.

The principle is that of the Spatial-Spectral Joint Correction Network (Wang, Xu, Wu, Wei 2021): rounds of what both
inputs disagree with, and a correction. With ms x, response A of the coordinates, guide g = W x and coordinates c of hs
the estimate z begins at the guide made to agree with hs, g + up(c - D g). Each round's body sees, of one coordinate at
a time and with the same weights for all,

    up(c - D z)    what hs has and the estimate has not, on the fine grid,
    W (x - A z)    the same of ms, as the guide takes it for coordinates,
    z - g, and g at unit contrast,
    the standard deviations of the noise of hs in that coordinate, and of that of ms in the guide.

Bodies and features handed from round to round are those of `ssjcn_v2`, at half the resolution.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hypersharp.networks.layers import full_precision, mixed
from hypersharp.networks.ssjcn import blurred
from hypersharp.networks.ssjcn_v2 import UNSHUFFLE, Body
from hypersharp.numerics.interpolate import interpolate_bicubic

CHANNELS = 6  # that a body sees of a coordinate
LEAST_CONTRAST = 1e-6


@dataclass(frozen=True, eq=False)
class Sight:
    """How a pair sees its coordinates.

    guide W (p, l), response A (l, p), psf (k, k) around a coarse pixel, whose centre of mass lies at centre_yx (fine
    pixels); noise (2, p): the standard deviations of the noise of hs in each coordinate and of that of ms in the guide,
    spread (p): those of the guide.
    """

    guide: Tensor
    response: Tensor
    psf: Tensor
    noise: Tensor
    spread: Tensor
    ratio: int
    centre_yx: tuple[float, float]

    def to(self, device: torch.device, **options: Any) -> "Sight":
        """The same there."""
        names = ("guide", "response", "psf", "noise", "spread")
        return replace(self, **{name: getattr(self, name).to(device, **options) for name in names})

    def upsample(self, coarse: Tensor) -> Tensor:
        """(B, p, h, w) -> (B, p, H, W), bicubic from where the blur is centred."""
        with full_precision(coarse):
            return interpolate_bicubic(coarse.float(), self.ratio, self.centre_yx)

    def blur(self, fine: Tensor) -> Tensor:
        """D: (B, n, H, W) -> (B, n, h, w)."""
        with full_precision(fine):
            return blurred(fine.float(), self.psf, self.ratio)

    def start(self, c: Tensor, g: Tensor) -> Tensor:
        """g + up(c - D g), (B, p, H, W): the guide, corrected so that it agrees with the coordinates."""
        return g + self.upsample(c - self.blur(g))


class CoordinateSSJCN(nn.Module):
    """c (B, p, h, w), x (B, l, H, W) -> z (B, p, H, W), for any pair's sight.

    Source: after Wang, Xu, Wu, Wei 2021; what a round sees at the head of this file.
    """

    def __init__(self, features: int, blocks: int, rounds: int) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(Body(CHANNELS, 1, features, blocks, UNSHUFFLE["half"]) for _ in range(rounds))

    def forward(self, c: Tensor, x: Tensor, sight: Sight) -> Tensor:
        with full_precision(c):
            g = mixed(sight.guide, x)
            z = sight.start(c, g)
            contrast = g / sight.spread.clamp(min=LEAST_CONTRAST)[:, None, None]
            noise = [each[:, None, None].expand_as(z) for each in sight.noise]
        features = None
        for body in self.bodies:
            with full_precision(c):
                unseen = x - mixed(sight.response, z)
                errors = sight.upsample(c - sight.blur(z)), mixed(sight.guide, unseen)
                seen = torch.stack([*errors, z - g, contrast, *noise], 2).flatten(0, 1)  # (B p, 6, H, W)
            change, features = self.correct(body, seen.contiguous(memory_format=torch.channels_last), features)
            z = z + change.float().view(z.shape)
        return z

    def correct(self, body: nn.Module, seen: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Changes (B p, 1, H, W) and features; one after the other on a CPU: faster in a cache, and in less memory."""
        if seen.device.type != "cpu" or torch.is_grad_enabled():
            changed: tuple[Tensor, Tensor] = body(seen, features)
            return changed
        before = [None] * len(seen) if features is None else torch.split(features, 1)
        changes, after = zip(*map(body, torch.split(seen, 1), before), strict=True)
        return torch.cat(changes), torch.cat(after)
