"""SSJCN as a method: packaged or given weights, run over the pair; where none fit, those for any sensor."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.ssjcn_any import ANY_SENSOR, for_scene, pair_network
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import to_fast_layout
from hypersharp.networks.coordinates import psf_window
from hypersharp.networks.inference import Inference
from hypersharp.networks.layers import hold_means
from hypersharp.networks.load import check_fit, choose_weights, network_of
from hypersharp.networks.onnx.cache import check_pair_runtime, in_runtime
from hypersharp.networks.onnx.session import OnnxNetwork
from hypersharp.networks.packaged import Weights, fitting_weights, named_weights, packaged_weights
from hypersharp.networks.ssjcn import SensorDegradation
from hypersharp.networks.ssjcn_v2 import SSJCN2
from hypersharp.pair.sensor import find_sensor
from hypersharp.pair.settings import Settings, choose_device
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

SRF_TOLERANCE = 1e-3


def learn(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """The network for (L, h, w) and (l, H, W); for parts of their scene with the means that it finds in the whole.

    Raises: InputError where the given weights do not fit.
    """
    weights = subspace_weights(hs, ms, settings)
    if weights is None:
        inference = trained(choose_weights("ssjcn", hs, ms, settings), settings)
    else:
        inference = Inference(in_subspace(weights, hs, ms, settings))
    if settings.in_parts:
        inference = replace(inference, net=copy.deepcopy(inference.net))
        hold_means(inference.net, lambda: inference(hs, ms, replace(settings, mode="whole", progress=None)))
    return inference


def trained(weights: Weights, settings: Settings) -> Inference:
    """The network of weights for such pairs, with the closed-form start where it was trained with one."""
    net = with_response(network_of(weights, choose_device(settings.device)), settings)
    net = in_runtime(net, weights.header, settings)
    start_weight = float(weights.header.provenance.get("start_weight", 0.0))
    if not start_weight:
        return Inference(net)
    psf = settings.psf or PSF.from_dict(weights.header.provenance["psf"])
    return Inference(net, Sensor(psf, net.get_buffer("srf").cpu().numpy(), settings.ratio), start_weight)


def in_subspace(weights: Weights, hs: Tensor, ms: Tensor, settings: Settings) -> FusionNetwork:
    """The network of weights adapted to a pair, or of those for any sensor around this one's coordinates."""
    device = choose_device(settings.device)
    if not weights.any_sensor:
        settings.note(f"weights {weights.name}: adapted")
        adapted = in_runtime(network_of(weights, torch.device("cpu")), weights.header, settings)
        return to_fast_layout(for_scene(adapted, hs, ms, settings)).to(device)
    check_pair_runtime(settings)
    settings.note(
        f"weights {weights.name}: for any sensor, not trained for this one: "
        "`hypersharp adapt` makes better ones from the pair"
    )
    sensor = find_sensor(hs, ms, settings).sensor
    return to_fast_layout(pair_network(hs, ms, sensor, settings, weights=weights.path)).to(device)


def subspace_weights(hs: Tensor, ms: Tensor, settings: Settings) -> Weights | None:
    """Weights in a subspace that the user named, or those for any sensor where no others fit; else None."""
    shape = {"bands": hs.shape[0], "ms_bands": ms.shape[0], "ratio": settings.ratio}
    if settings.weights is None:
        try:
            fitting_weights("ssjcn", shape, settings.wavelengths_nm)
        except InputError:
            return packaged_weights().get(ANY_SENSOR)
        return None
    weights = named_weights(settings.weights)
    if weights.header.network != "ssjcn-subspace":
        return None
    if not weights.any_sensor:
        check_fit(weights, "ssjcn-subspace", shape, settings)
    return weights


def with_response(net: FusionNetwork, settings: Settings) -> FusionNetwork:
    """The network with the user's response and blur where they were given."""
    if settings.srf is None and settings.psf is None:
        return net
    own = net.get_buffer("srf")
    srf = own if settings.srf is None else torch.tensor(settings.srf).to(own)
    if srf.shape != own.shape:
        found, expected = tuple(srf.shape), tuple(own.shape)
        raise InputError(f"a response of shape {found}", f"{expected}", "give one row per ms band")
    if float((srf - own).abs().max()) > SRF_TOLERANCE:
        settings.note("warning: the response differs from the one these weights were trained with")
    net = copy.deepcopy(net)  # the loaded one stays as it was trained
    if isinstance(net, SSJCN2):
        window = net.psf if settings.psf is None else psf_window(settings.psf, settings.ratio)
        net.see_with(srf, window.to(net.psf))
        return net
    net.get_buffer("srf").copy_(srf)
    if isinstance(net, OnnxNetwork) and settings.psf is not None and "psf" in net.file.optional:
        net.set_window(psf_window(settings.psf, settings.ratio))
    for block in net.modules():
        if isinstance(block, SensorDegradation):
            block.srf.copy_(srf)
            if settings.psf is not None:
                block.psf = psf_window(settings.psf, settings.ratio).to(block.psf)
    return net


SSJCN_METHOD = Method(
    name="ssjcn",
    title="Spatial-Spectral Joint Correction Network",
    paper="Wang, Xu, Wu, Wei 2021",
    needs=("weights",),
    halo_px=32,
    halo_coarse=8,  # its blur and its error maps are as coarse as the ratio
    licence="Apache-2.0",
    learn=learn,
    floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 700,
)
