"""SSJCN for pairs of any bands, ratio and sensor: the pair's coordinates and sensor around weights for any sensor."""

import copy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch

from hypersharp.errors import CallError, InputError
from hypersharp.methods.base import Apply
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import load_weights, to_fast_layout
from hypersharp.networks.coordinates import fit_coordinates, psf_window
from hypersharp.networks.inference import Inference
from hypersharp.networks.layers import RATIOS
from hypersharp.networks.packaged import Weights, named_weights
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import box

ANY_SENSOR = "ssjcn-any"


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The network for the pair, by the packaged weights for any sensor."""
    return learn_any(named_weights(ANY_SENSOR), pair, sensor.sensor, options)


def learn_any(weights: Weights, pair: TensorPair, sensor: Sensor, options: Options) -> Inference:
    """The network of weights for any sensor around this pair's coordinates.

    Raises: InputError as `pair_network`; CallError where onnxruntime is to run what is made for one pair.
    """
    if options.runtime == "onnx":  # which would have to be exported for every pair
        found = "--runtime onnx and no weights for this very sensor"
        do = "run `hypersharp adapt HS MS -o WEIGHTS.safetensors` and give --weights WEIGHTS.safetensors"
        raise CallError(found, "weights of one sensor", do)
    net = pair_network(pair, sensor, weights=weights.path)
    note = (
        f"weights {weights.name}: for any sensor, not trained for this one: "
        "`hypersharp adapt` may make better ones from the pair"
    )
    return Inference(to_fast_layout(net).to(choose_device(options.device)), notes=(note,), weights=weights.name)


def pair_network(
    pair: TensorPair, sensor: Sensor, *, weights: str | Path = ANY_SENSOR, own_features: int = 0
) -> SubspaceSSJCN:
    """The network for a pair, on the CPU: learnt for any sensor, the rest from the pair.

    With `own_features` it has room for corrections of its own, which are zero yet.

    Raises: InputError for a ratio beyond those of SSJCN, or weights of another network.
    """
    if sensor.ratio not in RATIOS:
        raise InputError(f"ratio {sensor.ratio}", f"one of {RATIOS.start} to {RATIOS.stop - 1}", "use --method hysure")
    source, _ = load_weights(named_weights(weights).path)
    if not isinstance(source, SubspaceSSJCN):
        raise InputError(f"weights {weights}", "weights for any sensor", "leave --weights out")
    found = fit_coordinates(pair, sensor)
    window = psf_window(sensor.psf, sensor.ratio)
    options = replace(
        source.options,
        bands=len(pair.hs),
        ms_bands=len(pair.ms),
        ratio=sensor.ratio,
        psf_px=len(window),
        dimensions=found.basis.shape[1],
        own_features=own_features,
    )
    net = SubspaceSSJCN(options)
    net.core.load_state_dict(source.core.state_dict())
    buffers = {field.name: getattr(found, field.name) for field in fields(found)}
    for name, value in {**buffers, "srf": torch.tensor(sensor.srf), "psf": window}.items():
        getattr(net, name).copy_(value)
    return net.eval()


def for_scene(net: FusionNetwork, pair: TensorPair) -> FusionNetwork:
    """A network adapted to one scene, with the means of another of the same sensors."""
    other = copy.deepcopy(net)
    block = Sensor(box(pair.ratio), np.eye(1), pair.ratio)  # the sensor's own blur is not asked for
    counted = pair.measured_under(block)
    for name, image in (("hs_mean", pair.hs), ("ms_mean", block.hs(pair.ms))):
        other.get_buffer(name).copy_(image[:, counted.to(image.device)].mean(1))
    return other.eval()
