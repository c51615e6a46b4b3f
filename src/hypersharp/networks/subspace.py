"""SSJCN in a spectral subspace: one set of learnt weights for every number of bands, ratio and sensor.

A pair is brought to p coordinates: those of hs are c = D^-1 E^T (y - mean), with principal axes E of hs and
units D; the ms enters as g = W (x - mean), the linear regression of c on the ms reduced by the PSF. There SSJCN
compares its estimate with c and g through the sensor's own blur B and the response W R E D, starting at
g + upsample(c - B g). What of hs stands out of its noise beyond p dimensions is upsampled and added; the noise is
not. A second SSJCN, `own`, which sees all coordinates together, may have been learnt from the pair itself: what
its scene's materials look like through this ms. Learning in a subspace of the pair's own: Dian et al.,
"Zero-shot hyperspectral sharpening", IEEE TPAMI 2023.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import Means, full_precision, mixed
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions


@dataclass(frozen=True)
class SubspaceOptions(FusionOptions):
    """The pair: `bands` L, `ms_bands` l, `ratio`, the side of the blur's window; and the shape of its SSJCN.

    `dimensions` is p; `own_features` the width of the pair's own SSJCN of one iteration, 0: there is none.
    """

    psf_px: int | None = None
    dimensions: int = 10
    features: int = 16
    iterations: int = 2
    share: Literal["none", "all"] = "none"
    own_features: int = 0

    def core(self) -> SSJCNOptions:
        shape = self.dimensions, self.dimensions, self.ratio, self.features, self.iterations, self.share
        return SSJCNOptions(*shape, "any sensor", psf_px=self.psf_px, zero_init=True, separate=True)

    def own(self) -> SSJCNOptions:
        together = replace(self.core(), separate=False, guided=True, share="none")
        return replace(together, features=self.own_features, iterations=1)


class SubspaceSSJCN(FusionNetwork):
    """SSJCN between a pair's subspace and its bands: forward(hs (B, L, h, w), ms (B, l, H, W)) -> (B, L, H, W).

    What belongs to the pair is kept in buffers: hs_mean (L), ms_mean (l), basis E D (L, p), analysis D^-1 E^T
    (p, L), guide W (p, l), beyond (L, L), the projection on what of the signal has no coordinate, srf R (l, L) and
    psf (k, k), the weights around a coarse pixel.
    """

    asks_means = True
    pair_buffers = ("hs_mean", "ms_mean")
    options: SubspaceOptions
    hs_mean: Tensor
    ms_mean: Tensor
    basis: Tensor
    analysis: Tensor
    guide: Tensor
    beyond: Tensor
    srf: Tensor
    psf: Tensor

    def __init__(self, options: SubspaceOptions) -> None:
        super().__init__()
        self.options = o = options
        self.core = SSJCN(o.core())
        self.own = SSJCN(o.own()) if o.own_features else None
        side = o.psf_px or 3 * o.ratio
        shapes = {
            "hs_mean": (o.bands,),
            "ms_mean": (o.ms_bands,),
            "basis": (o.bands, o.dimensions),
            "analysis": (o.dimensions, o.bands),
            "guide": (o.dimensions, o.ms_bands),
            "beyond": (o.bands, o.bands),
            "srf": (o.ms_bands, o.bands),
            "psf": (side, side),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(*shape))

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None) -> Tensor:
        """The estimate; a start from elsewhere has no place here."""
        del start
        self.see_with_sensor()
        with full_precision(hs):
            c, g = self.coordinates(hs.float(), ms.float())
            mean = self.hs_mean[:, None, None]
            beyond = mixed(self.beyond, hs.float() - mean)
        z = self.first_estimate(c, g, means)
        if self.own:
            z = self.own(c, g, z, means=means)
        with full_precision(hs):
            return mixed(self.basis, z.float()) + self.core.interpolate(beyond + mean)  # E D z and the rest

    def first_estimate(self, c: Tensor, g: Tensor, means: Means | None = None) -> Tensor:
        """What the weights for any sensor make of the coordinates, (B, p, H, W)."""
        return self.core(c, g, guided_start(self.core, c, g), means=means)

    def see_with_sensor(self) -> None:
        """Hand the pair's sensor to what compares with it."""
        with full_precision(self.guide):
            response = self.guide @ self.srf @ self.basis
        for net in (self.core, self.own):
            if net:
                net.see_with(response, self.psf, self.options.ratio)

    def coordinates(self, hs: Tensor, ms: Tensor) -> tuple[Tensor, Tensor]:
        """(c, g), each (B, p, .., ..)."""
        c = mixed(self.analysis, hs - self.hs_mean[:, None, None])
        return c, mixed(self.guide, ms - self.ms_mean[:, None, None])


def guided_start(core: SSJCN, c: Tensor, g: Tensor) -> Tensor:
    """g + upsample(c - B g), (B, p, H, W): the guide, corrected so that it agrees with the coordinates."""
    with full_precision(c):
        return g + core.interpolate(c - core.degrade(g)[0][1])
