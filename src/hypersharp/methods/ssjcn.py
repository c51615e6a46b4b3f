"""SSJCN as a method: packaged or given weights, run over the pair; where none fit, those for any sensor."""

import copy

import numpy as np
import torch

from hypersharp.errors import InputError
from hypersharp.methods.base import Apply
from hypersharp.methods.cleaned import NOISY_DB, can_clean, learn_cleaned
from hypersharp.methods.ssjcn_any import ANY_SENSOR, for_scene, learn_any
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import to_fast_layout
from hypersharp.networks.coordinates import psf_window
from hypersharp.networks.inference import (
    Inference,
    check_fit,
    choose_weights,
    for_noise,
    network_in,
    shape_of,
    with_held_means,
)
from hypersharp.networks.onnx.export import in_runtime
from hypersharp.networks.packaged import SUBSPACE, Weights, fitting_weights, named_weights, packaged_weights
from hypersharp.networks.ssjcn_v2 import SSJCN2
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import MIRRORED_PX, PSF
from hypersharp.sensor.srf import check_response

SRF_TOLERANCE = 1e-3


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The network for the pair; for parts of its scene with the means that it finds in the whole.

    Raises: InputError where the given weights do not fit.
    """
    weights = subspace_weights(pair, options)
    if weights is None:
        chosen, notes = choose_weights("ssjcn", pair, options)
        inference = for_noise(trained(chosen, notes, pair, sensor, options), pair)
        cleans = options.runtime == "torch" and can_clean(pair)
        if cleans and (inference.signal is not None or pair.ms_snr_db < NOISY_DB):
            return learn_cleaned(inference, pair, sensor_of_weights(chosen, inference.net, sensor), options)
    elif weights.any_sensor:
        inference = learn_any(weights, pair, sensor.sensor, options)
    else:
        adapted = in_runtime(network_in(weights.path, torch.device("cpu")), weights.header, options)
        net = to_fast_layout(for_scene(adapted, pair)).to(choose_device(options.device))
        inference = Inference(net, notes=(f"weights {weights.name}: adapted",), weights=weights.name)
    return with_held_means(inference, pair, options)


def trained(
    weights: Weights, notes: tuple[str, ...], pair: TensorPair, sensor: PairSensor, options: Options
) -> Inference:
    """The network of weights for such pairs, with the response, blur and closed-form start that it needs."""
    net = network_in(weights.path, choose_device(options.device))
    if sensor.given_srf is not None or sensor.given_psf is not None:
        trained_with = net.get_buffer("srf")
        srf = trained_with if sensor.given_srf is None else torch.tensor(sensor.given_srf).to(trained_with)
        check_response(srf, *trained_with.shape)
        if float((srf - trained_with).abs().max()) > SRF_TOLERANCE:
            notes = (*notes, "warning: the response differs from the one these weights were trained with")
        net = copy.deepcopy(net)  # the loaded one stays as it was trained
        net.exchange_sensor(srf, None if sensor.given_psf is None else psf_window(sensor.given_psf, pair.ratio))
    # as its protocol does and no camera: the exact agreement under a blur wider than a coarse pixel is circular
    wide = isinstance(net, SSJCN2) and net.margin_px() > 0
    net = in_runtime(net, weights.header, options)
    start_weight = float(weights.header.provenance.get("start_weight", 0.0))
    if not start_weight:
        blur = sensor.psf if sensor.is_estimated else sensor.given_psf
        margin = MIRRORED_PX if blur is None else blur.mirrored_px
        return Inference(net, notes=notes, weights=weights.name, mirrored_px=margin if wide else 0)
    return Inference(net, sensor_of_weights(weights, net, sensor), start_weight, notes, weights.name)


def sensor_of_weights(weights: Weights, net: FusionNetwork, sensor: PairSensor) -> Sensor:
    """The response that a network has, and the blur that was given or its weights were made for."""
    known = weights.header.provenance.get("psf")
    psf = sensor.given_psf or (PSF.from_dict(known) if known else sensor.psf)
    return Sensor(psf, net.get_buffer("srf").cpu().numpy().astype(np.float64), net.options.ratio)


def subspace_weights(pair: TensorPair, options: Options) -> Weights | None:
    """Weights in a subspace that the user named, or those for any sensor where no others fit; else None."""
    if options.weights is None:
        try:
            fitting_weights("ssjcn", shape_of(pair), pair.spectra.hs_nm)
        except InputError:
            return packaged_weights().get(ANY_SENSOR)
        return None
    weights = named_weights(options.weights)
    if weights.header.network != SUBSPACE:
        return None
    if not weights.any_sensor:
        check_fit(weights, SUBSPACE, pair)
    return weights
