"""Running a fusion network over an image: whole, in blended tiles, or patch by patch as the paper does.

Only patches show seams: each is padded, pooled and interpolated alone.
"""

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import torch
from torch import Tensor, nn

from hypersharp.errors import CallError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import to_fast_layout
from hypersharp.networks.layers import Means
from hypersharp.networks.start import first_estimate
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import Options, Precision, Progress, choose_device, ignore
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor

PATCH_PX = 64


@dataclass(frozen=True, eq=False)
class Inference:
    """A network, and the sensor and weight of the closed-form estimate that it corrects, where it does.

    `notes` and `weights` as `methods.base.Apply` has them.
    """

    net: FusionNetwork
    sensor: Sensor | None = None
    start_weight: float = 0.0
    notes: tuple[str, ...] = ()
    weights: str | None = None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W), on the chosen device."""
        hs, ms, start = self.images(pair, options)
        return run_network(self.net, hs, ms, options, start, progress)

    def images(self, pair: TensorPair, options: Options) -> tuple[Tensor, Tensor, Tensor | None]:
        """hs, ms and the start, where the network corrects a closed-form one, on the chosen device."""
        device = choose_device(options.device)
        hs, ms = pair.hs.to(device), pair.ms.to(device)
        return hs, ms, first_estimate(hs, ms, self.sensor, self.start_weight) if self.sensor else None


def with_held_means(inference: Inference, pair: TensorPair, options: Options) -> Inference:
    """The inference with the image-wide means of the pair, where it will see parts of its scene."""
    if not pair.in_parts:
        return inference
    means, net = Means(), copy.deepcopy(inference.net)
    hs, ms, start = inference.images(pair, options)
    with torch.inference_mode(), autocast(ms.device, options.precision):
        net(batched(hs), batched(ms), None if start is None else batched(start), means=means)
    net.held = tuple(means.found)
    return replace(inference, net=net)


def run_network(
    net: FusionNetwork,
    hs: Tensor,
    ms: Tensor,
    options: Options,
    start: Tensor | None = None,
    progress: Progress = ignore,
) -> Tensor:
    """hs (L, h, w), ms (l, H, W), start (L, H, W) on net's device -> estimate (L, H, W) in float32.

    `start` is for a network that corrects an estimate made from the whole image. By `options.mode` in one pass, where
    attention sees image-wide means; in tiles with half overlap, blended with Hann weights, whose start is the whole
    image's; or in patches of 64 fine pixels, each processed alone.

    Raises: CallError for tiles whose side is no multiple of twice the ratio.
    """
    ratio, blended = net.options.ratio, options.mode == "tiles"
    coarse, fine, first = batched(hs), batched(ms), None if start is None else batched(start)
    if blended and (options.tile_px <= 0 or options.tile_px % (2 * ratio)):
        found, expected = f"tiles of {options.tile_px} pixels", f"a multiple of {2 * ratio} (twice the ratio)"
        raise CallError(found, expected, "change --tile")
    with torch.inference_mode(), autocast(ms.device, options.precision):
        if options.mode == "whole":
            estimate = net(coarse, fine, first).float()
            progress(1.0)
            return estimate[0]
        side = options.tile_px // ratio if blended else max(1, PATCH_PX // ratio)
        if blended and first is None:
            first = upsample_bicubic(coarse, ratio)
        starts = (tile_starts(size, side) if blended else range(0, size, side) for size in hs.shape[-2:])
        places = list(product(*starts))
        total, weight = ms.new_zeros(1, net.options.bands, *ms.shape[-2:]), ms.new_zeros(ms.shape[-2:])
        for done, (y, x) in enumerate(places, 1):
            window = fine_window(y, x, side, ratio)
            own_start = None if first is None else first[window]
            part = net(coarse[..., y : y + side, x : x + side], fine[window], own_start).float()
            share = hann_window(*part.shape[-2:]).to(part) if blended else torch.ones_like(part[0, 0])
            total[window] += part * share
            weight[window[-2:]] += share
            progress(done / len(places))
        return (total / weight)[0]


def batched(image: Tensor) -> Tensor:
    return image[None].contiguous(memory_format=torch.channels_last)


def fine_window(y: int, x: int, side: int, ratio: int) -> tuple[slice, slice, slice, slice]:
    """Index of the fine pixels under coarse pixels y..y+side, x..x+side."""
    rows, columns = (slice(start * ratio, (start + side) * ratio) for start in (y, x))
    return slice(None), slice(None), rows, columns


def tile_starts(length: int, side: int) -> list[int]:
    """First coarse pixels of half-overlapping tiles; the last one ends at the image's edge.

    >>> tile_starts(40, 16)
    [0, 8, 16, 24]
    >>> tile_starts(10, 16)
    [0]
    """
    return sorted({min(start, max(0, length - side)) for start in range(0, max(1, length - side // 2), side // 2)})


def hann_window(height: int, width: int) -> Tensor:
    """(height, width) weights, largest in the middle, positive everywhere."""
    rows, columns = (torch.hann_window(n + 1, periodic=True)[1:].clamp_min(1e-3) for n in (height, width))
    return rows[:, None] * columns[None, :]


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """bfloat16 convolutions where asked for or, with `auto`, where they are faster on this device."""
    low = precision == "bf16" or (precision == "auto" and bf16_is_faster(device.type))
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


@cache
def bf16_is_faster(device_type: str) -> bool:
    """Whether a small convolution takes less than 80 % of its float32 time; measured once a process."""
    conv = to_fast_layout(nn.Conv2d(64, 64, 3, padding=1).to(device_type))
    image = torch.zeros(1, 64, 96, 96, device=device_type).contiguous(memory_format=torch.channels_last)

    def convolve(low: bool) -> None:
        with torch.inference_mode(), torch.autocast(device_type, torch.bfloat16, enabled=low):
            conv(image)
        if device_type == "cuda":
            torch.cuda.synchronize()

    return shortest_s(partial(convolve, True)) < 0.8 * shortest_s(partial(convolve, False))


def shortest_s(action: Callable[[], None], times: int = 4) -> float:
    """Shortest of a few runs in seconds, the first (set-up) left out."""
    durations = []
    for _ in range(times + 1):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return min(durations[1:])
