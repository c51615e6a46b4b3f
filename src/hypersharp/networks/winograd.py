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

SOURCE = Path(__file__).with_name("winograd.cpp")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC")
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
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode() + cpu_flags()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hypersharp"
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


def cpu_flags() -> bytes:
    """What this processor can do, so that no other's code is run."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return b""
    return next((line for line in lines if line.startswith("flags")), "").encode()


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
        if x.dtype != torch.float32 or x.is_cuda or torch.is_autocast_enabled("cpu") or self.out_channels % LANES:
            return super().forward(x)
        if x.shape[-1] % TILE or x.shape[-2] % TILE:
            return super().forward(x)
        missing = -x.shape[1] % LANES
        weight = F.pad(self.weight, (0, 0, 0, 0, 0, missing)) if missing else self.weight
        x = F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x
        convolved: Tensor = Winograd.apply(x, weight, self.bias)  # type: ignore[no-untyped-call]
        return convolved


class Winograd(torch.autograd.Function):
    """x (N, C, H, W), kernels (K, C, 3, 3), bias (K) -> (N, K, H, W)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return convolve(x, transformed(weight), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        turned = transformed(weight.flip(2, 3).transpose(0, 1))
        to_x = convolve(gradient, turned, None) if ctx.needs_input_grad[0] else None
        return to_x, kernel_gradient(x, gradient), gradient.sum((0, 2, 3))


def transformed(weight: Tensor) -> Tensor:
    """U = G g G', (36, C, K), of kernels (K, C, 3, 3)."""
    outputs, inputs = weight.shape[:2]
    return (GG @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, inputs, outputs)


def convolve(x: Tensor, u: Tensor, bias: Tensor | None) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    n, channels, height, width = x.shape
    y = x.new_empty(n, height, width, u.shape[-1]).permute(0, 3, 1, 2)
    call("convolve", (x, u, bias, y), (n, height, width, channels, u.shape[-1]))
    return y


def kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """(K, C, 3, 3) from an input (N, C, H, W) and the gradient of the output (N, K, H, W)."""
    x, gradient = (image.contiguous(memory_format=torch.channels_last) for image in (x, gradient))
    n, channels, height, width = x.shape
    outputs = gradient.shape[1]
    u = x.new_zeros(36, channels, outputs)
    call("kernel_gradient", (x, gradient, u), (n, height, width, channels, outputs))
    return (GG.mT @ u.view(36, -1)).view(3, 3, channels, outputs).permute(3, 2, 0, 1)


def call(name: str, arrays: tuple[Tensor | None, ...], sizes: tuple[int, ...]) -> None:
    places = [ctypes.c_void_p(None if array is None else array.data_ptr()) for array in arrays]
    getattr(library(), name)(*places, *(ctypes.c_int64(size) for size in sizes))
