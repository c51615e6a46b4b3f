"""Running a fusion network over an image: whole, in blended tiles, or patch by patch as the paper does.

Only `patches` shows seams: each patch is padded, pooled and interpolated alone. In `tiles` the
bicubic start is that of the whole image and overlapping tiles are blended with Hann weights.
"""

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import Tensor, nn

from hypersharp.errors import CallError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import to_fast_layout
from hypersharp.networks.layers import Means
from hypersharp.networks.start import first_estimate
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import Mode, Options, Precision, Progress, choose_device, ignore
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

    `start` is for a network that corrects an estimate made from the whole image.
    """
    run = MODES[options.mode]
    first = None if start is None else batched(start)
    with torch.inference_mode(), autocast(ms.device, options.precision):
        return run(net, batched(hs), batched(ms), first, options.tile_px, progress)[0]


def batched(image: Tensor) -> Tensor:
    return image[None].contiguous(memory_format=torch.channels_last)


def run_whole(net: FusionNetwork, hs: Tensor, ms: Tensor, start: Tensor | None, _: int, progress: Progress) -> Tensor:
    """The image in one pass; attention sees image-wide means."""
    estimate = net(hs, ms, start).float()
    progress(1.0)
    return estimate


def run_patches(net: FusionNetwork, hs: Tensor, ms: Tensor, start: Tensor | None, _: int, progress: Progress) -> Tensor:
    """Patches of 64 fine pixels, each processed alone and pasted."""
    ratio = net.options.ratio
    side = max(1, PATCH_PX // ratio)
    windows = [(y, x) for y in range(0, hs.shape[-2], side) for x in range(0, hs.shape[-1], side)]
    estimate = ms.new_empty(1, net.options.bands, *ms.shape[-2:])
    for done, (y, x) in enumerate(windows, 1):
        fine = fine_window(y, x, side, ratio)
        own_start = None if start is None else start[fine]
        estimate[fine] = net(hs[..., y : y + side, x : x + side], ms[fine], own_start).float()
        progress(done / len(windows))
    return estimate


def run_tiles(
    net: FusionNetwork, hs: Tensor, ms: Tensor, start: Tensor | None, tile_px: int, progress: Progress
) -> Tensor:
    """Tiles with half overlap, blended with Hann weights; the start is the whole image's, by default bicubic."""
    ratio = net.options.ratio
    side = check_tile(tile_px, ratio)
    start = upsample_bicubic(hs, ratio) if start is None else start
    total = torch.zeros_like(start)
    weight = ms.new_zeros(ms.shape[-2:])
    windows = [(y, x) for y in tile_starts(hs.shape[-2], side) for x in tile_starts(hs.shape[-1], side)]
    for done, (y, x) in enumerate(windows, 1):
        fine = fine_window(y, x, side, ratio)
        tile = net(hs[..., y : y + side, x : x + side], ms[fine], start[fine]).float()
        hann = hann_window(tile.shape[-2], tile.shape[-1]).to(tile)
        total[fine] += tile * hann
        weight[fine[-2:]] += hann
        progress(done / len(windows))
    return total / weight


MODES: dict[Mode, Callable[[FusionNetwork, Tensor, Tensor, Tensor | None, int, Progress], Tensor]] = {
    "whole": run_whole,
    "tiles": run_tiles,
    "patches": run_patches,
}


def check_tile(tile_px: int, ratio: int) -> int:
    """Coarse pixels on the side of a tile.

    Raises: CallError unless tile_px is a positive multiple of twice the ratio.
    """
    if tile_px <= 0 or tile_px % (2 * ratio):
        raise CallError(f"tiles of {tile_px} pixels", f"a multiple of {2 * ratio} (twice the ratio)", "change --tile")
    return tile_px // ratio


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
