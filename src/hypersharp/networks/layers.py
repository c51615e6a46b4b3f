"""What several networks are built of: convolutions, the strided geometry of each ratio, padding, precision."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRELU_START = 0.25  # torch's own
RATIOS = range(2, 33)
# ratio -> (kernel, padding) of the strided convolution whose window is centred on a coarse pixel
STRIDED_KERNEL = {ratio: (ratio + 2 * max(1, ratio // 4), max(1, ratio // 4)) for ratio in RATIOS}


def conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and its PReLU."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, stride, 1), PReLU(channels_out))


def deconv(channels_in: int, channels_out: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    """A transposed convolution that multiplies the size by `stride`, and its PReLU."""
    return nn.Sequential(nn.ConvTranspose2d(channels_in, channels_out, kernel, stride, padding), PReLU(channels_out))


class Means:
    """The image-wide means that a network asks for in one pass, in that order: those given, else the image's own.

    A network that sees a part of a scene is given those of all of it, so that the part becomes what it is in the whole.
    """

    def __init__(self, given: Sequence[Tensor] = ()) -> None:
        self.given, self.found = given, list[Tensor]()

    def __call__(self, x: Tensor) -> Tensor:
        """(B, n, H, W) -> (B, n, 1, 1)."""
        mean = self.given[len(self.found)] if self.given else x.mean((-2, -1), keepdim=True)
        self.found.append(mean)
        return mean


def image_mean(x: Tensor, means: Means | None) -> Tensor:
    """The mean over the image of each channel, (B, n, H, W) -> (B, n, 1, 1); one that is given where it is."""
    return x.mean((-2, -1), keepdim=True) if means is None else means(x)


def initialise(net: nn.Module, draw: Callable[..., Tensor]) -> None:
    """Weights of all convolutions as `draw` fills them, zero biases."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def pass_through(conv: nn.Conv2d) -> None:
    """Start a convolution as one whose first channels are those that come in; the rest stay as they are."""
    passed = conv.weight.detach()[: conv.in_channels]
    nn.init.dirac_(passed)


def full_precision(image: Tensor) -> torch.autocast:
    """float32 inside: where near-equal images are subtracted, bfloat16 would leave its rounding alone."""
    return torch.autocast(image.device.type, enabled=False)


class PReLU(nn.PReLU):
    """PReLU, row by row where channels lie together: torch's own takes few of them one after the other there."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.compiler.is_compiling() or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch * height, width * channels)
        changed = F.prelu(rows, self.weight.repeat(width))
        return changed.view(batch, height, width, channels).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two convolutions whose outcome is added to what came in; `forward` says how."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)


def window_centre(psf: Tensor, ratio: int) -> tuple[float, float]:
    """Where the centre of mass of coarse pixel (0, 0) lies in fine pixels, y and x, by the weights (k, k) around it."""
    places = torch.arange(len(psf)).to(psf) - (len(psf) - ratio) // 2
    y, x = (float(psf.sum(axis) @ places / psf.sum()) for axis in (1, 0))
    return y, x


def join(*images: Tensor) -> Tensor:
    """(B, n, H, W), .. one after the other along their channels, which lie together in memory.

    torch.cat would spread them where one image has a single channel, and the next convolution gather them again.
    """
    return torch.cat([image.permute(0, 2, 3, 1) for image in images], -1).permute(0, 3, 1, 2)


def repeat_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """The image (.., y, x) with its last row and column repeated until both sides are multiples."""
    below, beside = (-size % multiple for size in image.shape[-2:])
    return F.pad(image, (0, beside, 0, below), mode="replicate") if below or beside else image


def mixed(matrix: Tensor, image: Tensor) -> Tensor:
    """matrix (m, n) on the bands of an image, (B, n, H, W) -> (B, m, H, W)."""
    return F.conv2d(image, matrix[:, :, None, None])
