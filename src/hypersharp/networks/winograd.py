"""3 x 3 convolutions with a quarter of the multiplications on a CPU in float32: Winograd's F(4 x 4, 3 x 3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the kernels are in `winograd.cpp`, which
is compiled on first use by the C++ compiler at hand. With kernels g, U = G g G'; its gradient comes back as G' dU G.
A convolution that does not fit (stride, size, precision, device) runs as torch's own.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hypersharp.system.folders import cache_folder

SOURCE = Path(__file__).with_name("winograd.cpp")
MATHS = ("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math")
# not -ffast-math: a library linked with that makes the whole process flush subnormal numbers to zero
FLAGS = ("-O3", "-march=native", *MATHS, "-fopenmp", "-shared", "-fPIC")
LANES, TILE = 16, 4
G = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
GG = torch.kron(G, G).float()  # (36, 9)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where there is no compiler or it fails."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return None
    cpu = Path("/proc/cpuinfo")  # what this processor can do, so that no other's code is run
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    key = hashlib.sha256(SOURCE.read_bytes() + (" ".join(FLAGS) + flags).encode()).hexdigest()[:16]
    folder = cache_folder()
    path = folder / f"winograd-{key}.so"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                made = Path(place) / path.name
                subprocess.run([compiler, *FLAGS, "-o", made, SOURCE], check=True, capture_output=True)
                os.replace(made, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError):
        return None


def use_winograd(net: nn.Module) -> bool:
    """Let net's 3 x 3 convolutions of stride 1 run so, on their own parameters; whether they can on this machine."""
    if library() is None:
        return False
    for module in net.modules():
        if (
            type(module) is nn.Conv2d
            and (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
            and (module.groups, module.dilation) == (1, (1, 1))
        ):
            module.__class__ = WinogradConv2d
    return True


class WinogradConv2d(nn.Conv2d):
    """A 3 x 3 convolution with a border of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        if not fits(x) or self.out_channels % LANES or self.bias is None:
            return super().forward(x)
        missing = -x.shape[1] % LANES
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, missing)) if missing else self.weight
        x = F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
        convolved: Tensor = Convolution.apply(x, weight, self.bias)  # type: ignore[no-untyped-call]
        return convolved


def residual(x: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """x + second(relu(first(x))), in four passes where both are Winograd's."""
    fast = isinstance(first, WinogradConv2d) and isinstance(second, WinogradConv2d)
    if not fast or not fits(x) or x.shape[1] % LANES or first.out_channels % LANES:
        plain: Tensor = x + second(F.relu(first(x)))
        return plain
    parameters = (first.weight, first.bias, second.weight, second.bias)
    changed: Tensor = Residual.apply(x, *parameters)  # type: ignore[no-untyped-call]
    return changed


def fits(x: Tensor) -> bool:
    """Whether an image is of the kind that the compiled kernels take."""
    plain = x.dtype == torch.float32 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return plain and x.shape[-1] % TILE == 0 and x.shape[-2] % TILE == 0


class Convolution(torch.autograd.Function):
    """x (N, C, H, W), kernels (K, C, 3, 3), bias (K) -> (N, K, H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return convolve(x, transformed(weight), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        to_x = convolve(gradients[0], turned(weight)) if ctx.needs_input_grad[0] else None
        return to_x, *kernel_gradient(x, gradients[0])


class Residual(torch.autograd.Function):
    """x + conv(relu(conv(x))): what is done pixel by pixel is done while a convolution is written."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        hidden = convolve(x, transformed(weight1), bias1, relu=True)
        ctx.save_for_backward(x, hidden, weight1, weight2)
        return convolve(hidden, transformed(weight2), bias2, added=x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        x, hidden, weight1, weight2 = ctx.saved_tensors
        to_hidden = convolve(gradients[0], turned(weight2), gate=hidden)
        to_x = convolve(to_hidden, turned(weight1), added=gradients[0])
        return to_x, *kernel_gradient(x, to_hidden), *kernel_gradient(hidden, gradients[0])


def transformed(weight: Tensor) -> Tensor:
    """U = G g G', (36, C, K), of kernels (K, C, 3, 3)."""
    by_place = weight.permute(2, 3, 1, 0).reshape(9, -1)  # (9, C K)
    return torch.mm(GG, by_place).view(36, *weight.shape[1::-1])


def turned(weight: Tensor) -> Tensor:
    """U of the kernels that take a gradient back: from outputs to inputs, turned by half a circle."""
    return transformed(weight.flip(2, 3).transpose(0, 1))


def convolve(
    x: Tensor,
    u: Tensor,
    bias: Tensor | None = None,
    *,
    added: Tensor | None = None,
    gate: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """The convolution with u, + bias, + an image; zero where `gate` is not positive, or with `relu` where it is not."""
    n, channels, height, width = x.shape
    y = x.new_empty(n, height, width, u.shape[-1]).permute(0, 3, 1, 2)
    arrays = (together(x), u, bias, together(added), together(gate), y)
    call("convolve", arrays, (int(relu), n, height, width, channels, u.shape[-1]))
    return y


def kernel_gradient(x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """(K, C, 3, 3) and (K), of kernels and bias, from an input (N, C, H, W) and the output's gradient (N, K, H, W)."""
    inside, outside = together(x), together(gradient)
    n, channels, height, width = x.shape
    outputs = gradient.shape[1]
    u, bias = x.new_zeros(36, channels, outputs), x.new_zeros(outputs)
    call("kernel_gradient", (inside, outside, u, bias), (n, height, width, channels, outputs))
    return (GG.mT @ u.view(36, -1)).view(3, 3, channels, outputs).permute(3, 2, 0, 1), bias


def together(image: Tensor | None) -> Tensor | None:
    """The image with its channels together in memory."""
    return None if image is None else image.contiguous(memory_format=torch.channels_last)


def call(name: str, arrays: tuple[Tensor | None, ...], sizes: tuple[int, ...]) -> None:
    places = [ctypes.c_void_p(None if array is None else array.data_ptr()) for array in arrays]
    getattr(library(), name)(*places, *(ctypes.c_int64(size) for size in sizes))
