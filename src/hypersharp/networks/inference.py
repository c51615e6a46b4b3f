"""What every method with a network does: choose the weights that fit the pair, load them, run the network over an image
(whole, in blended tiles, or patch by patch as the paper does), from the closed-form image that some networks correct.

Only patches show seams: each is padded, pooled and interpolated alone.
"""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import product
from math import inf
from pathlib import Path
from timeit import repeat
from typing import Literal

import torch
from torch import Tensor, nn

from hypersharp.errors import CallError, InputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import load_weights, to_fast_layout
from hypersharp.networks.layers import Means
from hypersharp.networks.onnx.session import load_onnx
from hypersharp.networks.packaged import Weights, fitting_weights, misfit, named_weights
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.numerics.linops import fuse_gaussian, mirror, mix_bands, unmirrored
from hypersharp.numerics.noise import LEAST_NOISE, signal_axes, signal_to_noise_db, unshared_noise
from hypersharp.pair.options import TILE_PX, Options, Precision, Progress, choose_device, ignore
from hypersharp.pair.sensor import estimate_by
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.sensor.observe import Sensor, circular_blur
from hypersharp.simulation.protocols import PROTOCOLS
from hypersharp.system.deterministic import is_deterministic


def choose_weights(network: str, pair: TensorPair, options: Options) -> tuple[Weights, tuple[str, ...]]:
    """The weights the user named, else the packaged ones that fit; which, and what is doubtful, in words.

    Raises: InputError where no weights fit, or the given ones are of another network or do not fit.
    """
    nm = pair.spectra.hs_nm
    if options.weights is None:
        fitting = fitting_weights(network, shape_of(pair), nm)
        protocols, weights = {made_for(one) for one in fitting}, fitting[0]
        if len(protocols) > 1:  # those for the sensor which explains the pair best
            gaps = {name: inf if name is None else estimate_by(PROTOCOLS[name], pair).residual for name in protocols}
            weights = min(fitting, key=lambda one: gaps[made_for(one)])
        notes = [f"weights {weights.name}: packaged, and they fit bands, ratio and wavelengths"]
    else:
        weights = named_weights(options.weights)
        check_fit(weights, network, pair)
        notes = [f"weights {weights.name}: as asked"]
    if nm is None and weights.header.wavelengths_nm is not None:
        first, last = weights.header.wavelengths_nm[0], weights.header.wavelengths_nm[-1]
        notes.append(f"warning: hs has no wavelengths, taken to be {first:.0f} to {last:.0f} nm as in training")
    return weights, tuple(notes)


def made_for(weights: Weights) -> str | None:
    """The protocol that weights were trained for, if they were and it is known."""
    protocol = weights.header.provenance.get("protocol")
    return None if weights.any_sensor or protocol not in PROTOCOLS else str(protocol)


def shape_of(pair: TensorPair) -> dict[str, int]:
    """What weights have to fit."""
    return {"bands": len(pair.hs), "ms_bands": len(pair.ms), "ratio": pair.ratio}


def check_fit(weights: Weights, network: str, pair: TensorPair) -> None:
    """Raise InputError for weights of another network, or for another sensor than the pair's."""
    if network not in (weights.header.network, weights.method):
        found, expected = f"weights {weights.name} of {weights.header.network}", f"weights of {network}"
        raise InputError(found, expected, f"use --method {weights.method}, or leave --weights out")
    reason = misfit(weights.header, shape_of(pair), pair.spectra.hs_nm)
    if reason:
        raise InputError(f"a pair with {reason}", f"one that fits {weights}", "leave --weights out or train some")


def network_in(path: Path, device: torch.device) -> FusionNetwork:
    """The network of a weights or an ONNX file on a device, as it was trained; shared, so not to be changed."""
    return loaded_network(path, path.stat().st_mtime_ns, device)


@lru_cache(maxsize=4)
def loaded_network(path: Path, mtime_ns: int, device: torch.device) -> FusionNetwork:  # noqa: ARG001 - a new file, a new net
    """Kept, for reading it takes longer than a small fusion."""
    if path.suffix == ".onnx":
        return load_onnx(path, device)
    net, _ = load_weights(path)
    return to_fast_layout(net).to(device)


def explain(hs: Tensor, ms: Tensor, prior: Tensor, sensor: Sensor, weight: float) -> Tensor:
    """min_X ||hs - A X||^2 + ||ms - R X||^2 + weight ||X - prior||^2, (L, H, W), borders as the PSF's rule says.

    hs (L, h, w), ms (l, H, W), prior (L, H, W), values of about 0..1. DHSIS's first and last step
    (Dian et al. 2018, eqs. 6 and 9; there, borders are circular).

    Raises: InputError for a weight that is not positive, or a ratio that does not divide the image.
    """
    margin, ratio = sensor.psf.mirrored_px, sensor.ratio
    hs, ms, prior = mirror(hs, margin), mirror(ms, margin * ratio), mirror(prior, margin * ratio)
    observe, response = circular_blur(sensor.psf, ratio, prior), torch.tensor(sensor.srf).to(prior)
    found = fuse_gaussian(hs, ms, prior, observe=observe, response=response, weight=weight)
    return unmirrored(found, margin * ratio)


def first_estimate(hs: Tensor, ms: Tensor, sensor: Sensor, weight: float) -> Tensor:
    """What explains hs and ms near the bicubic hs: DHSIS's X_in, (L, H, W), which needs no training."""
    return explain(hs, ms, upsample_bicubic(hs[None], sensor.ratio)[0], sensor, weight)


PATCH_PX = 64
NOISY_DB = 46.0  # signal to noise below which hs is: above, the fine texture of a clean one passes for noise as well
PIXELS_A_BAND = 8  # at least, for noise to be told from spectra


@dataclass(frozen=True, eq=False)
class Inference:
    """A network; sensor and weight of the closed-form estimate it corrects, if any; else as `methods.base.Apply`.

    `mirrored_px`: coarse pixels by which the images are mirrored around, for a network that wraps around its images.
    `signal`: (L, L), the projection on what stands out of the noise of hs, where that is noisy.
    """

    net: FusionNetwork
    sensor: Sensor | None = None
    start_weight: float = 0.0
    notes: tuple[str, ...] = ()
    weights: str | None = None
    mirrored_px: int = 0
    signal: Tensor | None = None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W), on the chosen device."""
        hs, ms, start = self.images(pair, options)
        found, margin = run_network(self.net, hs, ms, options, start, progress), self.mirrored_px * pair.ratio
        return unmirrored(found, margin)

    def images(self, pair: TensorPair, options: Options) -> tuple[Tensor, Tensor, Tensor | None]:
        """hs, ms and the start, where the network corrects a closed-form one, on the chosen device."""
        device = choose_device(options.device)
        hs, ms = (
            mirror(image.to(device), margin)
            for image, margin in ((self.hs_of(pair), self.mirrored_px), (pair.ms, self.mirrored_px * pair.ratio))
        )
        return hs, ms, first_estimate(hs, ms, self.sensor, self.start_weight) if self.sensor else None

    def hs_of(self, pair: TensorPair) -> Tensor:
        """What of the pair's hs stands out of its noise, (L, h, w)."""
        return pair.hs if self.signal is None else mix_bands(self.signal.to(pair.hs), pair.hs)


def for_noise(inference: Inference, pair: TensorPair) -> Inference:
    """The inference for an hs as noisy as the pair's, by weights that were learned without noise.

    Of each spectrum only what stands out of the noise is given to the network, and the covariance of the noise in it.
    """
    pixels = measured_pixels(pair.hs, pair.hs_valid)
    if pixels.shape[1] < PIXELS_A_BAND * len(pixels):
        return inference
    variance = unshared_noise(pair.hs, pair.hs_valid).to(torch.float64).square().clamp(min=LEAST_NOISE)
    axes = signal_axes(pixels, variance)
    bands, dimensions = axes.shape
    if not 0 < dimensions < bands:
        return inference
    variance = variance * (1 - dimensions / bands)  # what the regression on the other bands adds is taken off
    snr_db = signal_to_noise_db(pixels, variance)
    if snr_db > NOISY_DB:
        return inference
    signal = axes @ axes.mT
    net = inference.net.expecting_noise(signal * variance @ signal)
    note = f"hs has noise at about {snr_db:.0f} dB: {dimensions} of {bands} spectral dimensions stand out of it"
    return replace(inference, net=net, signal=signal, notes=(*inference.notes, note))


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
    tile_px = TILE_PX if options.tile_px is None else options.tile_px
    coarse, fine, first = batched(hs), batched(ms), None if start is None else batched(start)
    if blended and (tile_px <= 0 or tile_px % (2 * ratio)):
        found, expected = f"tiles of {tile_px} pixels", f"a multiple of {2 * ratio} (twice the ratio)"
        raise CallError(found, expected, "change --tile")
    with torch.inference_mode(), autocast(ms.device, options.precision):
        if options.mode == "whole":
            estimate = net(coarse, fine, first).float()
            progress(1.0)
            return estimate[0]
        side = tile_px // ratio if blended else max(1, PATCH_PX // ratio)
        if blended and first is None:
            first = upsample_bicubic(coarse, ratio)
        starts = (tile_starts(size, side) if blended else range(0, size, side) for size in hs.shape[-2:])
        places = list(product(*starts))
        total, weight = ms.new_zeros(1, net.options.bands, *ms.shape[-2:]), ms.new_zeros(ms.shape[-2:])
        for done, (y, x) in enumerate(places, 1):
            rows, columns = (slice(first_px * ratio, (first_px + side) * ratio) for first_px in (y, x))
            window = (..., rows, columns)
            own_start = None if first is None else first[window]
            part = net(coarse[..., y : y + side, x : x + side], fine[window], own_start).float()
            share = hann_window(*part.shape[-2:]).to(part) if blended else torch.ones_like(part[0, 0])
            total[window] += part * share
            weight[rows, columns] += share
            progress(done / len(places))
        return (total / weight)[0]


def batched(image: Tensor) -> Tensor:
    return image[None].contiguous(memory_format=torch.channels_last)


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


def settled_precision(device: torch.device, precision: Precision) -> Literal["bf16", "fp32"]:
    """What "auto" means on this device: bfloat16 where that is faster; the others are what they are."""
    if precision == "auto":
        return "bf16" if not is_deterministic() and bf16_is_faster(device.type) else "fp32"
    return precision


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """bfloat16 convolutions where they are taken."""
    return torch.autocast(device.type, torch.bfloat16, enabled=settled_precision(device, precision) == "bf16")


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

    low_s, full_s = (min(repeat(partial(convolve, low), number=1, repeat=5)[1:]) for low in (True, False))
    return low_s < 0.8 * full_s
