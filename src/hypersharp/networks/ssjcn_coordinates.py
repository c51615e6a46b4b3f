"""SSJCN, second generation, between a pair's coordinates: learnt once for any bands, ratio and sensor.

The principle is that of the Spatial-Spectral Joint Correction Network (Wang, Xu, Wu, Wei 2021): rounds of what both
inputs disagree with, and a correction. With ms x, response A of the coordinates, guide g = W x and coordinates c of hs
the estimate z begins at the guide made to agree with hs, g + up(c - D g). What the guide leaves open there, c - D g,
is also told in two ways that know materials which one regression for all does not: as it follows the detail of ms
around each pixel (regression), and as coarse pixels have it that are near and look alike in ms (likeness). Each round's
body sees, of one coordinate at a time and with the same weights for all,

    up(c - D z)    what hs has and the estimate has not, on the fine grid,
    W (x - A z)    the same of ms, as the guide takes it for coordinates,
    z - g, and g at unit contrast,
    what the estimates by regression and by likeness have and z has not,
    the standard deviations of the noise of hs in that coordinate, and of that of ms in the guide.

Bodies and features handed from round to round are those of `ssjcn_v2`, at half the resolution.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hypersharp.networks.layers import full_precision, mixed
from hypersharp.networks.ssjcn import blurred
from hypersharp.networks.ssjcn_v2 import UNSHUFFLE, Body
from hypersharp.numerics.interpolate import cubic_matrices, upsample_by_likeness
from hypersharp.numerics.regression import regress_locally

CHANNELS = 8  # that a body sees of a coordinate
LEAST_CONTRAST = 1e-6
RIDGE = 1.0  # of the regressions around each pixel, where the detail of ms is 1


@dataclass(frozen=True, eq=False)
class Sight:
    """How a pair sees its coordinates.

    guide W (p, l), response A (l, p), detail (l, l), which brings ms to units of its detail; psf (k, k) around a coarse
    pixel, whose centre of mass lies at centre_yx (fine pixels); noise (2, p): the standard deviations of the noise of
    hs in each coordinate and of that of ms in the guide, spread (p): those of the guide.
    """

    guide: Tensor
    response: Tensor
    detail: Tensor
    psf: Tensor
    noise: Tensor
    spread: Tensor
    ratio: int
    centre_yx: tuple[float, float]

    def to(self, device: torch.device, **options: Any) -> "Sight":
        """The same there."""
        names = ("guide", "response", "detail", "psf", "noise", "spread")
        return replace(self, **{name: getattr(self, name).to(device, **options) for name in names})

    def upsampling(self, coarse: Tensor) -> Callable[[Tensor], Tensor]:
        """What brings images (B, n, h, w) of coarse's size to (B, n, H, W), bicubic from where the blur is centred."""
        rows, columns = cubic_matrices(coarse.float(), self.ratio, self.centre_yx)
        return lambda image: rows @ image.float() @ columns.mT

    def blur(self, fine: Tensor) -> Tensor:
        """D: (B, n, H, W) -> (B, n, h, w)."""
        with full_precision(fine):
            return blurred(fine.float(), self.psf, self.ratio)

    def start(self, c: Tensor, g: Tensor) -> Tensor:
        """g + up(c - D g), (B, p, H, W): the guide, corrected so that it agrees with the coordinates."""
        with full_precision(c):
            return g + self.upsampling(c)(c - self.blur(g))

    def starts(self, c: Tensor, g: Tensor, x: Tensor, up: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """`start`, and two others that agree with the coordinates too, by regression and by likeness; (B, p, H, W)."""
        fine, missing = mixed(self.detail, x), c - self.blur(g)
        coarse = self.blur(fine)
        start = followed = g + up(missing)
        slopes = regress_locally(missing, coarse, RIDGE)  # (B, p, l, h, w)
        for slope, band in zip(slopes.unbind(2), (fine - up(coarse)).unbind(1), strict=True):
            followed = torch.addcmul(followed, up(slope), band[:, None])
        deviation = fine.shape[1] ** 0.25  # of a distance in so many directions
        alike = g + upsample_by_likeness(missing, coarse, fine, self.ratio, self.centre_yx, deviation)
        followed, alike = (other + up(c - self.blur(other)) for other in (followed, alike))
        return start, followed, alike


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
            up = sight.upsampling(c)
            z, *others = sight.starts(c, g, x, up)
            contrast = g / sight.spread.clamp(min=LEAST_CONTRAST)[:, None, None]
            noise = [each[:, None, None].expand_as(z) for each in sight.noise]
        features = None
        for body in self.bodies:
            with full_precision(c):
                unseen = x - mixed(sight.response, z)
                errors = up(c - sight.blur(z)), mixed(sight.guide, unseen)
                seen = torch.stack([*errors, z - g, contrast, *noise, *(other - z for other in others)], 2)
            seen = seen.flatten(0, 1)  # (B p, 8, H, W)
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
