"""SSJCN in a spectral subspace: one set of learnt weights for every number of bands, ratio and sensor.

A pair is brought to p coordinates: those of hs are c = D^-1 E+ (y - mean), with the axes E of hs that stand out of its
noise most and units D; the ms enters as g = W (x - mean), the linear regression of c on the ms reduced by the PSF.
There the rounds of `CoordinateSSJCN` compare an estimate with c and with the ms through the sensor's own blur B and the
response R E D, starting at g + upsample(c - B g). What of hs stands out of its noise beyond p dimensions is upsampled
and added; the noise is not. An SSJCN, `own`, which sees all coordinates together, may have been learnt from the pair
itself: what its scene's materials look like through this ms. Learning in a subspace of the pair's own: Dian et al.,
"Zero-shot hyperspectral sharpening", IEEE TPAMI 2023.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.networks.base import FusionNetwork, FusionOptions
from hypersharp.networks.layers import Means, full_precision, mixed, window_centre
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions
from hypersharp.networks.ssjcn_coordinates import CoordinateSSJCN, Sight


@dataclass(frozen=True)
class SubspaceOptions(FusionOptions):
    """The pair: `bands` L, `ms_bands` l, `ratio`, the side of the blur's window; and the shape of what is learnt.

    `dimensions` is p; `features`, `blocks` and `rounds` those of the weights for any sensor; `own_features` the width
    of the pair's own SSJCN of one iteration, 0: there is none.
    """

    psf_px: int | None = None
    dimensions: int = 10
    features: int = 32
    blocks: int = 3
    rounds: int = 2
    own_features: int = 0

    def own(self) -> SSJCNOptions:
        """The shape of the pair's own SSJCN."""
        return SSJCNOptions(
            self.dimensions,
            self.dimensions,
            self.ratio,
            features=self.own_features,
            iterations=1,
            degradation="any sensor",
            psf_px=self.psf_px,
            zero_init=True,
            guided=True,
        )


class SubspaceSSJCN(FusionNetwork):
    """SSJCN between a pair's subspace and its bands: forward(hs (B, L, h, w), ms (B, l, H, W)) -> (B, L, H, W).

    What belongs to the pair is kept in buffers: its `Coordinates`, srf R (l, L) and psf (k, k), the weights around a
    coarse pixel.
    """

    asks_means = True
    pair_buffers = ("hs_mean", "ms_mean")
    options: SubspaceOptions
    hs_mean: Tensor
    ms_mean: Tensor
    basis: Tensor
    analysis: Tensor
    guide: Tensor
    detail: Tensor
    beyond: Tensor
    noise: Tensor
    spread: Tensor
    srf: Tensor
    psf: Tensor

    def __init__(self, options: SubspaceOptions) -> None:
        super().__init__()
        self.options = o = options
        self.core = CoordinateSSJCN(o.features, o.blocks, o.rounds)
        self.own = SSJCN(o.own()) if o.own_features else None
        side = o.psf_px or 3 * o.ratio
        shapes = {
            "hs_mean": (o.bands,),
            "ms_mean": (o.ms_bands,),
            "basis": (o.bands, o.dimensions),
            "analysis": (o.dimensions, o.bands),
            "guide": (o.dimensions, o.ms_bands),
            "detail": (o.ms_bands, o.ms_bands),
            "beyond": (o.bands, o.bands),
            "noise": (2, o.dimensions),
            "spread": (o.dimensions,),
            "srf": (o.ms_bands, o.bands),
            "psf": (side, side),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(*shape))

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None) -> Tensor:
        """The estimate; a start from elsewhere has no place here."""
        del start
        sight = self.sight()
        with full_precision(hs):
            c, x = self.coordinates(hs.float(), ms.float())
            mean = self.hs_mean[:, None, None]
            beyond = mixed(self.beyond, hs.float() - mean)
        z = self.core(c, x, sight)
        if self.own:
            z = self.own(c, mixed(sight.guide, x), z, means=means)
        with full_precision(hs):
            return mixed(self.basis, z.float()) + sight.upsampling(c)(beyond + mean)  # E D z and the rest

    def sight(self) -> Sight:
        """How the pair sees its coordinates; its own SSJCN is told."""
        with full_precision(self.guide):
            seen = self.srf @ self.basis
            if self.own:
                self.own.see_with(self.guide @ seen, self.psf, self.options.ratio)
        ratio = self.options.ratio
        centre_yx = window_centre(self.psf, ratio)
        return Sight(self.guide, seen, self.detail, self.psf, self.noise, self.spread, ratio, centre_yx)

    def coordinates(self, hs: Tensor, ms: Tensor) -> tuple[Tensor, Tensor]:
        """c (B, p, h, w), and the ms less its mean (B, l, H, W)."""
        c = mixed(self.analysis, hs - self.hs_mean[:, None, None])
        return c, ms - self.ms_mean[:, None, None]
