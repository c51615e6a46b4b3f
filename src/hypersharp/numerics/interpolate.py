"""Bicubic interpolation (Keys 1981) by whole ratios."""

import torch
from torch import Tensor
from torch.nn import functional as F

CUBIC = -0.5  # a of the interpolating kernel


def upsample_bicubic(hs: Tensor, ratio: int) -> Tensor:
    """Half-pixel bicubic interpolation (a = -0.5), (B, L, h, w) -> (B, L, ratio h, ratio w)."""
    return F.interpolate(hs, scale_factor=ratio, mode="bicubic", align_corners=False, antialias=True)


def interpolate_bicubic(coarse: Tensor, ratio: int, centre_yx: tuple[float, float]) -> Tensor:
    """Bicubic interpolation, (.., h, w) -> (.., ratio h, ratio w), edges repeated.

    The centre of coarse pixel (0, 0) lies at `centre_yx` in fine pixels; (ratio - 1)/2 is `upsample_bicubic`,
    borders aside.
    """
    rows, columns = (
        cubic_matrix(size, ratio, centre).to(coarse) for size, centre in zip(coarse.shape[-2:], centre_yx, strict=True)
    )
    return rows @ coarse @ columns.mT


def cubic_matrix(size: int, ratio: int, centre: float) -> Tensor:
    """(ratio size, size): the weights of the coarse pixels in each fine one, along one axis (Keys 1981, equation 4)."""
    a = CUBIC
    place = (torch.arange(ratio * size, dtype=torch.float64) - centre) / ratio
    first = place.floor().long() - 1
    matrix = torch.zeros(ratio * size, size, dtype=torch.float64)
    for tap in range(4):
        x = (place - (first + tap)).abs()  # in coarse pixels, at most 2
        near, far = ((a + 2) * x - (a + 3)) * x * x + 1, a * (((x - 5) * x + 8) * x - 4)
        weight = torch.where(x <= 1, near, far)
        matrix.scatter_add_(1, (first + tap).clamp(0, size - 1)[:, None], weight[:, None])
    return matrix
