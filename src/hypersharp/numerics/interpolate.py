"""Interpolation by whole ratios: bicubic (Keys 1981), and by likeness of a fine image (Kopf et al. 2007)."""

import torch
from torch import Tensor
from torch.nn import functional as F

CUBIC = -0.5  # a of the interpolating kernel
# of interpolation by likeness: coarse pixels along a side of the window; the deviation, in coarse pixels, of nearness,
# and that of likeness as a share of a fine pixel's norm, and at least this
SIDE_PX, NEAR, ALIKE, LEAST_ALIKE = 5, 0.9, 0.05, 1e-3


def upsample_bicubic(hs: Tensor, ratio: int) -> Tensor:
    """Half-pixel bicubic interpolation (a = -0.5), (B, L, h, w) -> (B, L, ratio h, ratio w)."""
    return F.interpolate(hs, scale_factor=ratio, mode="bicubic", align_corners=False, antialias=True)


def interpolate_bicubic(coarse: Tensor, ratio: int, centre_yx: tuple[float, float]) -> Tensor:
    """Bicubic interpolation, (.., h, w) -> (.., ratio h, ratio w), edges repeated.

    The centre of coarse pixel (0, 0) lies at `centre_yx` in fine pixels; (ratio - 1)/2 is `upsample_bicubic`,
    borders aside.
    """
    rows, columns = cubic_matrices(coarse, ratio, centre_yx)
    return rows @ coarse @ columns.mT


def cubic_matrices(coarse: Tensor, ratio: int, centre_yx: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """What interpolates rows, from the left, and columns, from the right and transposed, of images of coarse's size."""
    rows, columns = (
        cubic_matrix(size, ratio, centre).to(coarse) for size, centre in zip(coarse.shape[-2:], centre_yx, strict=True)
    )
    return rows, columns


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


def upsample_by_likeness(
    coarse: Tensor,
    coarse_guide: Tensor,
    guide: Tensor,
    ratio: int,
    centre_yx: tuple[float, float],
    deviation: float | None = None,
) -> Tensor:
    """(B, n, h, w) -> (B, n, ratio h, ratio w): means of the coarse pixels around, the nearer and the more alike first.

    Alike is a coarse pixel whose `coarse_guide` (B, l, h, w) is near the fine pixel's `guide` (B, l, ratio h, ratio w),
    within about `deviation`; by default a share of the pixel's norm, for values about 0..1. Centres as in
    `interpolate_bicubic`. Source: joint bilateral upsampling, Kopf, Cohen, Lischinski, Uyttendaele 2007, ACM TOG 26(3),
    equation 4.
    """
    (batch, bands), (height, width) = guide.shape[:2], coarse.shape[-2:]
    values, likes = (windows(image, SIDE_PX) for image in (coarse, coarse_guide))  # (B, h w, k k, n) and l
    fine = F.pixel_unshuffle(guide, ratio).view(batch, bands, ratio**2, height * width).permute(0, 3, 2, 1)
    alike = ALIKE * fine.norm(dim=3, keepdim=True) + LEAST_ALIKE if deviation is None else deviation
    far_y, far_x = (
        (torch.arange(ratio)[:, None] - centre) / ratio - torch.arange(SIDE_PX) + SIDE_PX // 2 for centre in centre_yx
    )
    far = far_y.square()[:, None, :, None] + far_x.square()[None, :, None, :]  # (ratio, ratio, k, k)
    near = far.flatten(2).flatten(0, 1).to(fine) / (2 * NEAR**2)
    unlike = likes.square().sum(3)[:, :, None] - 2 * fine @ likes.mT  # squared distances, but for what all have
    weights = torch.softmax(-unlike / (2 * alike**2) - near, 3)  # (B, h w, ratio ratio, k k)
    mean = (weights @ values).permute(0, 3, 2, 1).reshape(batch, -1, height, width)
    return F.pixel_shuffle(mean, ratio)


def windows(image: Tensor, side_px: int) -> Tensor:
    """(B, n, h, w) -> (B, h w, side_px side_px, n): the pixels around each, edges repeated."""
    padded = F.pad(image, (side_px // 2,) * 4, mode="replicate")
    around = F.unfold(padded, side_px).view(*image.shape[:2], side_px**2, -1)
    return around.permute(0, 3, 2, 1).contiguous()  # else each product of matrices is made alone
