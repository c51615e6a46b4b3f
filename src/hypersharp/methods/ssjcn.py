"""SSJCN as a method: packaged or given weights, run over the pair."""

import copy
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Method, Settings, choose_device
from hypersharp.methods.inference import run_network
from hypersharp.methods.packaged import Weights, fitting_weights, misfit, named_weights
from hypersharp.nets.checkpoint import load_weights, to_fast_layout
from hypersharp.nets.ssjcn import SSJCN

SRF_TOLERANCE = 1e-3


def run(hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """(L, h, w) and (l, H, W) -> (L, H, W).

    Raises: InputError where no weights fit, or the given ones do not.
    """
    device = choose_device(settings.device)
    net = prepared_network(choose_weights(hs, ms, settings), settings, device)
    return run_network(net, hs.to(device), ms.to(device), settings)


def choose_weights(hs: Tensor, ms: Tensor, settings: Settings) -> Weights:
    """The weights the user named, else the packaged ones that fit; says which, and what is doubtful."""
    shape = {"bands": hs.shape[0], "ms_bands": ms.shape[0], "ratio": settings.ratio}
    if settings.weights is None:
        weights = fitting_weights("ssjcn", shape, settings.wavelengths_nm)
        settings.note(f"weights {weights.name}: packaged, and they fit bands, ratio and wavelengths")
    else:
        weights = named_weights(settings.weights)
        reason = misfit(weights.header, shape, settings.wavelengths_nm)
        if reason:
            raise InputError(
                f"a pair with {reason}", f"one that fits {weights}", "leave --weights out or train some"
            )
        settings.note(f"weights {weights.name}: as asked")
    if settings.wavelengths_nm is None and weights.header.wavelengths_nm is not None:
        first, last = weights.header.wavelengths_nm[0], weights.header.wavelengths_nm[-1]
        settings.note(
            f"warning: hs has no wavelengths; taken to be {first:.0f} to {last:.0f} nm as in training"
        )
    return weights


def prepared_network(weights: Weights, settings: Settings, device: torch.device) -> SSJCN:
    """The network on its device, with the user's response where one was given."""
    net = loaded_network(weights.path, weights.path.stat().st_mtime_ns, device)
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


@lru_cache(maxsize=4)
def loaded_network(path: Path, mtime_ns: int, device: torch.device) -> SSJCN:  # noqa: ARG001 - a new file, a new net
    """The network of a weights file; kept, for reading it takes longer than a small fusion."""
    net, _ = load_weights(path)
    assert isinstance(net, SSJCN)
    return to_fast_layout(net).to(device)


SSJCN_METHOD = Method(
    name="ssjcn",
    title="Spatial-Spectral Joint Correction Network",
    paper="Wang, Xu, Wu, Wei 2021",
    needs=("weights",),
    halo_px=96,
    licence="Apache-2.0",
    run=run,
)
