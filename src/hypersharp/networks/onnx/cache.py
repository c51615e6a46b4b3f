"""Which program runs a network: torch, or onnxruntime from an ONNX file made once of it and kept."""

import copy
import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch

from hypersharp.errors import CallError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.onnx.export import export_onnx
from hypersharp.networks.onnx.session import OnnxNetwork, load_onnx
from hypersharp.pair.options import Options, choose_device
from hypersharp.system.atomic import make_folder

SUFFIX = ".onnx"
FORM = 1  # of the files kept; another one where `export_onnx` changes what it writes


def check_pair_runtime(options: Options) -> None:
    """Raises: CallError where onnxruntime is to run a network that is made for every pair."""
    if options.runtime == "onnx":
        raise CallError(
            "--runtime onnx and no weights for this very sensor",
            "weights of one sensor",
            "run `hypersharp adapt HS MS -o WEIGHTS.safetensors` and give --weights WEIGHTS.safetensors",
        )


def in_runtime(net: FusionNetwork, header: WeightsHeader, options: Options) -> FusionNetwork:
    """The network itself, or what onnxruntime runs in its place; shared, so not to be changed.

    Raises: as `export_onnx`.
    """
    if options.runtime == "torch" or isinstance(net, OnnxNetwork):
        return net
    return opened(exported(net, header), choose_device(options.device))


@lru_cache(maxsize=4)
def opened(path: Path, device: torch.device) -> FusionNetwork:
    """Kept, for preparing a session takes longer than a small fusion."""
    return load_onnx(path, device)


def exported(net: FusionNetwork, header: WeightsHeader) -> Path:
    """The ONNX file of a network, with a start as input; made once for each content, form and version of torch."""
    made_from = sha256(f"{FORM} {header.network} {header.options} {torch.__version__}".encode())
    for name, value in net.state_dict().items():
        made_from.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    path = cache_folder() / f"{header.network}-{made_from.hexdigest()[:24]}{SUFFIX}"
    if not path.exists():
        make_folder(path.parent)
        export_onnx(copy.deepcopy(net).cpu().float(), header, path, start=True)
    return path


def cache_folder() -> Path:
    """Where what can be made again is kept: HYPERSHARP_CACHE, else hypersharp/ in the user's cache folder."""
    chosen = os.environ.get("HYPERSHARP_CACHE")
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypersharp"
    return (Path(chosen) if chosen else usual) / "onnx"
