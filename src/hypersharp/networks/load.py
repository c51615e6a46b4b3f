"""What every method with a network does first: choose the weights that fit the pair and load them."""

from functools import lru_cache
from pathlib import Path

import torch

from hypersharp.errors import InputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import load_weights, to_fast_layout
from hypersharp.networks.onnx.session import load_onnx
from hypersharp.networks.packaged import Weights, fitting_weights, misfit, named_weights
from hypersharp.pair.options import Options
from hypersharp.pair.tensors import TensorPair


def choose_weights(network: str, pair: TensorPair, options: Options) -> tuple[Weights, tuple[str, ...]]:
    """The weights the user named, else the packaged ones that fit; which, and what is doubtful, in words.

    Raises: InputError where no weights fit, or the given ones are of another network or do not fit.
    """
    nm = pair.spectra.hs_nm
    if options.weights is None:
        weights = fitting_weights(network, shape_of(pair), nm)
        notes = [f"weights {weights.name}: packaged, and they fit bands, ratio and wavelengths"]
    else:
        weights = named_weights(options.weights)
        check_fit(weights, network, pair)
        notes = [f"weights {weights.name}: as asked"]
    if nm is None and weights.header.wavelengths_nm is not None:
        first, last = weights.header.wavelengths_nm[0], weights.header.wavelengths_nm[-1]
        notes.append(f"warning: hs has no wavelengths, taken to be {first:.0f} to {last:.0f} nm as in training")
    return weights, tuple(notes)


def shape_of(pair: TensorPair) -> dict[str, int]:
    """What weights have to fit."""
    return {"bands": len(pair.hs), "ms_bands": len(pair.ms), "ratio": pair.ratio}


def check_fit(weights: Weights, network: str, pair: TensorPair) -> None:
    """Raise InputError for weights of another network, or for another sensor than the pair's."""
    if network not in (weights.header.network, weights.method):
        raise InputError(
            f"weights {weights.name} of {weights.header.network}",
            f"weights of {network}",
            f"use --method {weights.header.network}, or leave --weights out",
        )
    reason = misfit(weights.header, shape_of(pair), pair.spectra.hs_nm)
    if reason:
        raise InputError(f"a pair with {reason}", f"one that fits {weights}", "leave --weights out or train some")


def network_of(weights: Weights, device: torch.device) -> FusionNetwork:
    """The network of a weights file on its device, as it was trained; shared, so not to be changed."""
    return loaded_network(weights.path, weights.path.stat().st_mtime_ns, device)


@lru_cache(maxsize=4)
def loaded_network(path: Path, mtime_ns: int, device: torch.device) -> FusionNetwork:  # noqa: ARG001 - a new file, a new net
    """Kept, for reading it takes longer than a small fusion."""
    if path.suffix == ".onnx":
        return load_onnx(path, device)
    net, _ = load_weights(path)
    return to_fast_layout(net).to(device)
