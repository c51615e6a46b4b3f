"""Bicubic upsampling of hs alone (Catmull-Rom, a = -0.5, half-pixel grids); the floor for every method."""

from torch import Tensor

from hypersharp.methods.base import Method, local
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.settings import Settings


def interpolate(hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:  # noqa: ARG001 - ms lends its size only
    """(L, h, w) -> (L, ratio h, ratio w)."""
    return upsample_bicubic(hs[None], settings.ratio)[0]


BICUBIC = Method(
    name="bicubic",
    title="Bicubic interpolation",
    paper="Keys 1981, IEEE TASSP 29(6)",
    needs=(),
    halo_px=8,
    licence="Apache-2.0",
    learn=local(interpolate),
    floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 20,
)
