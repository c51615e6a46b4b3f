"""SSJCN as a method: packaged or given weights, run over the pair; where none fit, those for any sensor."""

import copy

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Method, Settings, choose_device
from hypersharp.methods.inference import run_network
from hypersharp.methods.network import check_fit, choose_weights, network_of
from hypersharp.methods.packaged import Weights, fitting_weights, named_weights, packaged_weights
from hypersharp.methods.scales import find_sensor
from hypersharp.methods.subspace import ANY_SENSOR, for_scene, pair_network
from hypersharp.nets.base import FusionNetwork
from hypersharp.nets.checkpoint import to_fast_layout
from hypersharp.nets.ssjcn import SSJCN
from hypersharp.nets.subspace import SubspaceSSJCN

SRF_TOLERANCE = 1e-3


def run(hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """(L, h, w) and (l, H, W) -> (L, H, W).

    Raises: InputError where the given weights do not fit.
    """
    device = choose_device(settings.device)
    net = network_for(hs, ms, settings, device)
    return run_network(net, hs.to(device), ms.to(device), settings)


def network_for(hs: Tensor, ms: Tensor, settings: Settings, device: torch.device) -> FusionNetwork:
    """The network of weights trained for such pairs, of weights adapted to one, or that for any sensor."""
    weights = subspace_weights(hs, ms, settings)
    if weights is None:
        trained = network_of(choose_weights("ssjcn", hs, ms, settings), device)
        assert isinstance(trained, SSJCN)
        return with_response(trained, settings)
    if not weights.any_sensor:
        settings.note(f"weights {weights.name}: adapted")
        adapted = network_of(weights, torch.device("cpu"))
        assert isinstance(adapted, SubspaceSSJCN)
        return to_fast_layout(for_scene(adapted, hs, ms, settings)).to(device)
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


def with_response(net: SSJCN, settings: Settings) -> SSJCN:
    """The network with the user's response where one was given."""
    if settings.srf is None:
        return net
    srf = torch.tensor(settings.srf).to(net.srf)
    if srf.shape != net.srf.shape:
        found, expected = tuple(srf.shape), tuple(net.srf.shape)
        raise InputError(f"a response of shape {found}", f"{expected}", "give one row per ms band")
    if float((srf - net.srf).abs().max()) > SRF_TOLERANCE:
        settings.note("warning: the response differs from the one these weights were trained with")
    net = copy.deepcopy(net)  # the loaded one stays as it was trained
    net.srf = srf
    return net


SSJCN_METHOD = Method(
    name="ssjcn",
    title="Spatial-Spectral Joint Correction Network",
    paper="Wang, Xu, Wu, Wei 2021",
    needs=("weights",),
    halo_px=96,
    licence="Apache-2.0",
    run=run,
)
