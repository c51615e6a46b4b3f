"""What a scene teaches once, ready to sharpen all of it or any part: methods, their shares, consistency with hs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.errors import CallError
from hypersharp.fusion.changed import find_changes
from hypersharp.fusion.choose.auto import CANDIDATES, TRYING, choose_best, choose_named
from hypersharp.fusion.choose.choice import Choice
from hypersharp.fusion.choose.trial import NOISY_MS_DB
from hypersharp.fusion.consistency import ConsistencyFit, consistency_floats_per_px, make_consistent
from hypersharp.fusion.ensemble import learn_method
from hypersharp.fusion.finish import finished, missing_pixels
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.table import AUTO, METHODS, find_method
from hypersharp.networks.onnx.export import SUFFIX
from hypersharp.networks.packaged import named_weights
from hypersharp.pair.options import Options, Progress, ignore, part_of
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import WARNING, Record, record_of
from hypersharp.pair.sensor import GivenPSF, GivenSRF, PairSensor, given_sensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.pair.tiling import Tile
from hypersharp.sensor.observe import Sensor

SIGNED = 0.01  # of the sum of hs's magnitudes below zero: beyond what noise does to dark pixels
CONSISTENCY_HALO = 4  # coarse pixels that a change for consistency reaches, beyond the methods' own


@dataclass(frozen=True, eq=False)
class Part:
    """A method's share in a result, and what it has learned."""

    method: str
    share: float
    apply: Apply


@dataclass(frozen=True, eq=False)
class Sharpener:
    """What makes any part of a scene sharp: the mean of its parts, made consistent with hs by `fit`, if any."""

    parts: tuple[Part, ...]
    fit: ConsistencyFit | None = None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress = ignore) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        count, blended = len(self.parts), None
        for number, part in enumerate(self.parts):
            estimate = part.apply(pair, options, part_of(progress, number / count, (number + 1) / count))
            if count > 1:
                estimate = part.share * estimate
            blended = estimate if blended is None else blended.add_(estimate.to(blended))
        assert blended is not None
        return self.fit(blended, pair) if self.fit else blended

    def halo_px(self, ratio: int) -> int:
        """How far (fine pixels) a result pixel sees."""
        return halo_px([METHODS[part.method] for part in self.parts], ratio, consistent=self.fit is not None)

    def floats_per_px(self, bands: int, ms_bands: int) -> float:
        """How many float32 are held per fine pixel at most."""
        blending = 2.0 * bands if len(self.parts) > 1 else 0.0
        most = max(METHODS[part.method].floats_per_px(bands, ms_bands) for part in self.parts) + blending
        return max(most, consistency_floats_per_px(bands)) if self.fit else most


def halo_px(methods: Iterable[Method], ratio: int, *, consistent: bool) -> int:
    """How far (fine pixels) a result pixel of any of these methods, made consistent or not, sees."""
    own = max(max(method.halo_px, method.halo_coarse * ratio) for method in methods)
    return own + (CONSISTENCY_HALO * ratio if consistent else 0)


@dataclass(frozen=True, eq=False)
class Fusion:
    """A pair and what was learned from it: what sharpens any part of the scene, and the record of how.

    `made`: what was made of the whole pair on the way, where it was.
    """

    pair: Pair
    sharpener: Sharpener
    options: Options
    choice: Choice
    sensor: PairSensor
    record: Record
    made: Tensor | None = None

    def sharpen(self, pair: TensorPair, progress: Progress = ignore) -> Tensor:
        """The estimate (L, H, W) of a part of the scene."""
        return self.sharpener(pair, self.options, progress)

    def estimate(self, tile: Tile, device: str | None = None) -> tuple[Tensor, TensorPair]:
        """What a tile sees, sharpened, and the pair there."""
        pair = self.pair.read(tile.seen)
        with torch.inference_mode():
            sharp = self.sharpener(pair, replace(self.options, device=device or self.options.device))
        return sharp.float().cpu(), pair

    def core(self, seen: Tensor, pair: TensorPair, tile: Tile, dtype: np.dtype[Any]) -> NDArray[Any]:
        """What is kept of values (L, H, W) that a tile sees: all bands of hs, in the user's unit."""
        core = tile.core_in_seen(pair.ratio)
        return finished(seen[(slice(None), *core)], missing_pixels(pair)[core], self.pair, dtype)


def learn_pair(
    pair: Pair,
    method: str,
    options: Options,
    *,
    psf: GivenPSF = None,
    srf: GivenSRF = None,
    in_parts: bool = False,
    progress: Progress = ignore,
) -> Fusion:
    """Know the sensor, choose, and learn, all from the pair's sample.

    Args:
        method: a name; with weights given, "auto" is the network of those.
        psf, srf: as `fuse` takes them.
        in_parts: whether parts of the scene are sharpened that were not learned from.

    Raises: InputError for a pair that cannot be fused so; CallError for a runtime or ensemble that does not suit the
            method.
    """
    if options.weights is not None and method == AUTO.name:
        method = named_weights(options.weights).method
    options = settled_options(method, options)
    sample = pair.to_learn_from(in_parts=in_parts)
    sensor, notes = sensor_of(pair, sample, psf, srf), list[str]()
    if options.coregister_with(psf) != options.coregister != Options.coregister:
        notes.append(f"coregister {options.coregister} has no effect: the psf that is given says where hs lies")
    needs_sensor = "psf" in find_method(method).needs  # others serve a pair that shows none
    if needs_sensor and not options.keep_changed and (changes := find_changes(sample, sensor)):
        before = pair.left_out["hs"]["share"]
        pair = pair.without(changes)
        sample = pair.to_learn_from(in_parts=in_parts)
        sensor = sensor_of(pair, sample, psf, srf)
        share = f"{pair.left_out['hs']['share'] - before:.1%} of hs"
        notes.append(f"{share} shows something else than ms (a cloud, a change): left out, --keep-changed keeps it")
    trying = TRYING if method == AUTO.name else 0.0
    if method == AUTO.name:
        choice = choose_best(sample, sensor, options, CANDIDATES, part_of(progress, 0, trying))
    else:
        choice = choose_named(find_method(method), sample, sensor, options)
    sharpener, made = learn(choice, sample, sensor, options, part_of(progress, trying, 1))
    notes += ["network run by onnxruntime in fp32"] if options.runtime == "onnx" else []
    notes += [note for part in sharpener.parts for note in part.apply.notes]
    sees_ms = any(METHODS[part.method].sees_ms for part in sharpener.parts)
    notes += sample_warnings(sample, sharpener, sees_ms=sees_ms)
    consistency = sharpener.fit.described() if sharpener.fit else None
    weights = [part.apply.weights for part in sharpener.parts if part.apply.weights is not None]
    learned = {"choice": choice.described(), "weights": weights, "consistency": consistency}
    record = record_of(pair, method, options, sensor, notes, sees_ms=sees_ms, **learned)
    return Fusion(pair, sharpener, options, choice, sensor, record, None if sample.in_parts else made)


def settled_options(method: str, options: Options) -> Options:
    """The options, with onnxruntime where the weights are an ONNX file.

    Raises: CallError for what only networks know, with a method that has none; bfloat16 in onnxruntime; a tile
        without tiles; a budget without `auto`.
    """
    if options.weights is not None and Path(options.weights).suffix == SUFFIX:
        options = replace(options, runtime="onnx")
    is_network = find_method(method).is_network
    if options.runtime == "onnx" and not is_network:
        networks = ", ".join(known.name for known in METHODS.values() if known.is_network)
        do = f"name --method with one of {networks}, or leave --runtime out"
        raise CallError(f"--runtime onnx with method {method}", "a method with a network", do)
    if options.runtime == "onnx" and options.precision == "bf16":
        raise CallError("--runtime onnx with --precision bf16", "fp32 or auto", "leave --precision out")
    if options.tile_px is not None and options.mode != "tiles":
        raise CallError(f"--tile with --mode {options.mode}", "--mode tiles", "leave --tile out, or add --mode tiles")
    if method == AUTO.name:
        return options
    given = {"weights": options.weights is not None, "ensemble": options.ensemble, "mode": options.mode != "whole"}
    for name in (name for name, there in given.items() if there and not is_network):
        do = f"leave --{name} out, or name such a method"
        raise CallError(f"--{name} with method {method}", "a method with a network, or auto", do)
    if options.budget_s is not None:
        raise CallError(f"--budget with method {method}", AUTO.name, "leave --budget out, or take --method auto")
    return options


def sample_warnings(sample: TensorPair, sharpener: Sharpener, *, sees_ms: bool) -> Iterator[str]:
    """That many values are below zero (an anomaly, a difference, a score), where a method does not serve such a scene.

    And that the ms is noisy, beyond what its texture passes for.
    """
    below, share = -sample.hs.clamp(max=0), float((sample.hs < 0).float().mean())
    for part in sharpener.parts if below.sum() > SIGNED * sample.hs.abs().sum() else ():
        if METHODS[part.method].nonnegative:
            yield f"{WARNING}{share:.0%} of hs is below zero, where {part.method} sees nothing: use gsa or glp"

    if sees_ms and sample.ms_snr_db < NOISY_MS_DB:
        noise = f"ms is noisy, signal to noise about {sample.ms_snr_db:.0f} dB in its middle band"
        yield f"{WARNING}{noise}: much of that comes through into the result; denoise ms first, or average several"


def learn_again(pair: Pair, record: Record, options: Options, *, psf: GivenPSF = None, srf: GivenSRF = None) -> Fusion:
    """What a recorded result was made with, from the same pair: nothing is estimated or chosen a second time.

    What is given of psf, srf and `options.consistent` counts instead of what the record has.

    Raises: InputError where a method of the record cannot serve the pair.
    """
    sample = pair.to_learn_from(in_parts=record.tiles is not None)
    sensor, (known_psf, known_srf) = sensor_of(pair, sample, psf, srf), record.known_psf_and_srf()
    given = {name for name, value in (("psf", sensor.given_psf), ("srf", sensor.given_srf)) if value is not None}
    given.update(record.sensor["given"] if record.sensor else ())
    blur, response = sensor.given_psf or known_psf, known_srf if sensor.given_srf is None else sensor.given_srf
    if blur is not None and response is not None:
        seer = Sensor(blur, response, pair.ratio)
        sensor = PairSensor.known(sample, seer, given)
    else:
        sensor = PairSensor(sample, blur, response)
    consistent = record.choice["consistent"] if options.consistent is None else options.consistent
    choice = Choice(record.choice["shares"], consistent)
    sharpener, _ = learn(choice, sample, sensor, options)
    return Fusion(pair, sharpener, options, choice, sensor, record)


def sensor_of(pair: Pair, sample: TensorPair, psf: GivenPSF, srf: GivenSRF) -> PairSensor:
    """The sensor of a pair's sample, as far as the user gave it. Raises: InputError as `given_sensor`."""
    return PairSensor(sample, *given_sensor(pair, psf, srf))


def learn(
    choice: Choice, pair: TensorPair, sensor: PairSensor, options: Options, progress: Progress = ignore
) -> tuple[Sharpener, Tensor | None]:
    """What sharpens the scene of a pair as chosen; what it makes of that pair, where that had to be found out.

    Raises: InputError where a method cannot serve the pair.
    """
    learned = (
        (name, share, learn_method(METHODS[name], pair, sensor, options)) for name, share in choice.shares.items()
    )
    sharpener = Sharpener(tuple(Part(*one) for one in learned))
    if not choice.consistent:
        return sharpener, None
    image, fit = make_consistent(sharpener(pair, options, progress), pair, sensor.psf)
    return replace(sharpener, fit=fit), image
