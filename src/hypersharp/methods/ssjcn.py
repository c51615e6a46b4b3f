"""SSJCN as a method: packaged or given weights, run over the pair."""

import copy

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Method, Settings, choose_device
from hypersharp.methods.inference import run_network
from hypersharp.methods.network import choose_weights, network_of
from hypersharp.nets.ssjcn import SSJCN

SRF_TOLERANCE = 1e-3


def run(hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """(L, h, w) and (l, H, W) -> (L, H, W).

    Raises: InputError where no weights fit, or the given ones do not.
    """
    device = choose_device(settings.device)
    net = network_of(choose_weights("ssjcn", hs, ms, settings), device)
    assert isinstance(net, SSJCN)
    return run_network(with_response(net, settings), hs.to(device), ms.to(device), settings)


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
