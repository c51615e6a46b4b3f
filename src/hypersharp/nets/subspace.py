"""SSJCN in a spectral subspace: one set of learnt weights for every number of bands, ratio and sensor.

A pair is brought to p whitened coordinates: those of hs are c = A (y - mean), A = D^-1 E^T with the first p
principal axes E of hs and the coordinates' standard deviations D; the ms enters as g = W (x - mean), the linear
regression of c on the ms reduced by the PSF. There SSJCN compares its estimate with c and g through the sensor's
own blur B and the response W R E D, starting at g + upsample(c - B g). What of hs lies outside the subspace is
upsampled and added. The idea of learning in a subspace of the pair's own: Dian et al., "Zero-shot hyperspectral
sharpening", IEEE TPAMI 2023.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.nets.base import FusionNetwork
from hypersharp.nets.layers import full_precision
from hypersharp.nets.ssjcn import SSJCN, SSJCNOptions


@dataclass(frozen=True)
class SubspaceOptions:
    """The pair: `bands` L, `ms_bands` l, `ratio`, the side of the blur's window; and the shape of its SSJCN.

    `dimensions` is p, the coordinates the SSJCN has room for; a pair may use fewer.
    """

    bands: int
    ms_bands: int
    ratio: int
    psf_px: int | None = None
    dimensions: int = 10
    features: int = 16
    iterations: int = 2
    share: Literal["none", "all"] = "none"

    def core(self) -> SSJCNOptions:
        return SSJCNOptions(
            bands=self.dimensions,
            ms_bands=self.dimensions,
            ratio=self.ratio,
            features=self.features,
            iterations=self.iterations,
            share=self.share,
            degradation="sensor",
            align="bicubic",
            psf_px=self.psf_px,
            zero_init=True,
            separate=True,
        )


class SubspaceSSJCN(FusionNetwork):
    """SSJCN between a pair's subspace and its bands: forward(hs (B, L, h, w), ms (B, l, H, W)) -> (B, L, H, W).

    What belongs to the pair is kept in buffers: hs_mean (L), ms_mean (l), basis E D (L, p), analysis D^-1 E^T
    (p, L), guide W (p, l), srf R (l, L) and psf (k, k), the weights around a coarse pixel.
    """

    options: SubspaceOptions
    hs_mean: Tensor
    ms_mean: Tensor
    basis: Tensor
    analysis: Tensor
    guide: Tensor
    srf: Tensor
    psf: Tensor

    def __init__(self, options: SubspaceOptions) -> None:
        super().__init__()
        self.options = o = options
        self.core = SSJCN(o.core())
        side = o.psf_px or 3 * o.ratio
        shapes = {
            "hs_mean": (o.bands,),
            "ms_mean": (o.ms_bands,),
            "basis": (o.bands, o.dimensions),
            "analysis": (o.dimensions, o.bands),
            "guide": (o.dimensions, o.ms_bands),
            "srf": (o.ms_bands, o.bands),
            "psf": (side, side),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(*shape))

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None) -> Tensor:
        """The estimate; a start from elsewhere has no place here."""
        del start
        with full_precision(hs):
            c, g = self.coordinates(hs.float(), ms.float())
            rest = hs.float() - self.bands(c)  # what the subspace leaves, means included
            self.core.see_with(self.guide @ self.srf @ self.basis, self.psf, self.options.ratio)
            first = guided_start(self.core, c, g)
        z = self.core(c, g, first)
        with full_precision(hs):
            return self.bands(z.float()) + self.core.interpolate(rest)

    def coordinates(self, hs: Tensor, ms: Tensor) -> tuple[Tensor, Tensor]:
        """(c, g), each (B, p, .., ..)."""
        c = mixed(self.analysis, hs - self.hs_mean[:, None, None])
        return c, mixed(self.guide, ms - self.ms_mean[:, None, None])

    def bands(self, z: Tensor) -> Tensor:
        """E D z, (B, L, .., ..): the bands of coordinates, without the mean."""
        return mixed(self.basis, z)


def guided_start(core: SSJCN, c: Tensor, g: Tensor) -> Tensor:
    """g + upsample(c - B g), (B, p, H, W): the guide where it tells, the coordinates where it does not."""
    return g + core.interpolate(c - core.degrade(g)[0][1])


def mixed(matrix: Tensor, image: Tensor) -> Tensor:
    return F.conv2d(image, matrix[:, :, None, None])
