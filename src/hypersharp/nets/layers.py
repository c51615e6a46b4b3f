"""What several networks are built of: convolutions, the strided geometry of each ratio, padding, precision."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRELU_START = 0.25

# ratio -> (kernel, padding) of the strided convolution whose window is centred on a coarse pixel
STRIDED_KERNEL = {2: (4, 1), 3: (5, 1), 4: (6, 1), 8: (12, 2)}


def conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and its PReLU."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1), prelu(channels_out))


def deconv(channels_in: int, channels_out: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    """A transposed convolution that multiplies the size by `stride`, and its PReLU."""
    up = nn.ConvTranspose2d(channels_in, channels_out, kernel, stride, padding)
    return nn.Sequential(up, prelu(channels_out))


def full_precision(image: Tensor) -> torch.autocast:
    """float32 inside: where near-equal images are subtracted, bfloat16 would leave its rounding alone."""
    return torch.autocast(image.device.type, enabled=False)


def prelu(channels: int) -> nn.PReLU:
    return nn.PReLU(channels, init=PRELU_START)


def upsample_bicubic(hs: Tensor, ratio: int) -> Tensor:
    """Half-pixel bicubic interpolation (a = -0.5), (B, L, h, w) -> (B, L, ratio h, ratio w)."""
    return F.interpolate(hs, scale_factor=ratio, mode="bicubic", align_corners=False, antialias=True)


def padding_to_levels(coarse_yx: Sequence[int], ratio: int) -> list[int]:
    """Coarse pixels to add along y and x until the fine size is a whole number of 4s, for two halvings.

    >>> padding_to_levels((5, 8), ratio=2), padding_to_levels((5, 8), ratio=4)
    ([1, 0], [0, 0])
    """
    step = 4 // math.gcd(4, ratio)
    return [-length % step for length in coarse_yx]


def pad_edges(image: Tensor, pad_yx: Sequence[int]) -> Tensor:
    """The image with its last row and column repeated."""
    return F.pad(image, (0, pad_yx[1], 0, pad_yx[0]), mode="replicate") if any(pad_yx) else image
