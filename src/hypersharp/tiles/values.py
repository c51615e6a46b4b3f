"""What was learned of a scene, on disk: tensors and arrays as safetensors, the rest as JSON in that file's header.

Values are plain ones, the package's own frozen dataclasses, and its networks. Reading makes those again and runs
nothing else, whoever wrote the file: no pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hypersharp.errors import InputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import NETWORKS, build_network, to_fast_layout
from hypersharp.networks.onnx.session import OnnxNetwork, Session, decode_onnx
from hypersharp.pair.options import choose_device
from hypersharp.system.read_errors import READ_ERRORS, reading

FORMAT = "hypersharp-values-1"
EXPECTED = "what this version of hypersharp wrote"
ROOMS = "fusion|io|methods|networks|numerics|pair|quality|sensor|tiles|uncertainty"  # whose dataclasses may be made
OURS = re.compile(rf"hypersharp\.({ROOMS})(\.[a-z]\w*)*:[A-Z]\w*")
TAG = "is"  # the key of what JSON has no form of its own for


def encode_values(value: Any, **metadata: str) -> bytes:
    """The file's content; metadata: what else its header says, in clear text."""
    tensors = dict[str, Tensor]()
    text = json.dumps(Encoder(tensors).plain(value))
    return save(tensors, {"format": FORMAT, "value": text, **metadata})


def read_metadata(path: Path) -> dict[str, str]:
    """What the header of a file says. Raises: InputError for one of another program, or a broken one."""
    with reading(path, EXPECTED, OSError, SafetensorError), safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} unreadable (of another version)", EXPECTED, f"remove {path.parent}")
    return metadata


def read_values(path: Path, device: str | None = None) -> Any:
    """What `encode_values` was given; tensors on the device that they were on, or on another one.

    Raises: InputError for a file of another program, or a broken one.
    """
    text = read_metadata(path)["value"]
    with reading(path, EXPECTED, *READ_ERRORS, SafetensorError), safe_open(path, framework="pt") as file:
        return Decoder(file.get_tensor, device).value(json.loads(text))


class Encoder:
    """Turns values into what JSON holds; their tensors go into `tensors`."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def plain(self, value: Any) -> Any:
        """Raises: TypeError for what cannot be kept."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list):
            return [self.plain(one) for one in value]
        kind, of = self.tagged(value)
        return {TAG: kind, "of": of}

    def tagged(self, value: Any) -> tuple[str, Any]:
        """What JSON has no form for: of which kind it is, and what makes it again."""
        match value:
            case tuple():
                return "tuple", [self.plain(one) for one in value]
            case Mapping():
                return "dict", [[self.plain(key), self.plain(one)] for key, one in value.items()]
            case Path() | np.dtype():
                return "path" if isinstance(value, Path) else "dtype", str(value)
            case Tensor():
                return "tensor", [self.kept(value), str(value.device)]
            case np.ndarray() | np.generic():
                return "array", self.kept(torch.from_numpy(np.array(value)))
            case FusionNetwork():
                return "network", self.network(value)
        name = f"{type(value).__module__}:{type(value).__qualname__}"
        if not (is_dataclass(value) and OURS.fullmatch(name)):
            raise TypeError(f"a {name} cannot be kept")
        return name, {field.name: self.plain(getattr(value, field.name)) for field in fields(value)}

    def kept(self, tensor: Tensor) -> str:
        """The name of a tensor in the file."""
        name = str(len(self.tensors))
        self.tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        return name

    def network(self, net: FusionNetwork) -> dict[str, Any]:
        """A network as its options, everything it has learned or was given, and the means that it holds."""
        if isinstance(net, OnnxNetwork):
            model = torch.frombuffer(bytearray(net.file.model), dtype=torch.uint8)
            made: Any = {"model": self.kept(model), "device": str(net.session.device)}
        else:
            name = next(name for name, (network, _) in NETWORKS.items() if type(net) is network)
            made = [name, asdict(net.options)]
        state = {name: self.plain(value.detach()) for name, value in (*net.named_parameters(), *net.named_buffers())}
        return {"made": made, "state": state, "held": [self.plain(mean) for mean in net.held]}


class Decoder:
    """The way back; `tensor` gives one by its name."""

    def __init__(self, tensor: Callable[[str], Tensor], device: str | None) -> None:
        self.tensor, self.device = tensor, device
        self.makers: dict[str, Callable[[Any], Any]] = {
            "tuple": lambda of: tuple(self.value(one) for one in of),
            "dict": lambda of: {self.value(key): self.value(one) for key, one in of},
            "path": Path,
            "dtype": np.dtype,
            "tensor": lambda of: self.tensor(of[0]).to(choose_device(self.placed(of[1]))),
            "array": lambda of: self.tensor(of).numpy(),
            "network": self.network,
        }

    def value(self, plain: Any) -> Any:
        """Raises: ValueError and the like for what `Encoder` never writes."""
        if isinstance(plain, list):
            return [self.value(one) for one in plain]
        if not isinstance(plain, dict):
            return plain
        kind, of = plain[TAG], plain["of"]
        if kind in self.makers:
            return self.makers[kind](of)
        return class_of(kind)(**{name: self.value(one) for name, one in of.items()})

    def placed(self, device: str) -> str:
        """Where a tensor goes that was on a device."""
        return device if self.device is None or device == "cpu" else self.device

    def network(self, plain: dict[str, Any]) -> FusionNetwork:
        state = {name: self.value(one) for name, one in plain["state"].items()}
        made = plain["made"]
        if isinstance(made, dict):
            file = decode_onnx(self.tensor(made["model"]).numpy().tobytes(), "the network of a tiled run")
            net: FusionNetwork = OnnxNetwork(file, Session(file.model, choose_device(self.placed(made["device"]))))
        else:
            net = to_fast_layout(build_network(*made).eval())
        for name, value in state.items():
            place(net, name, value)
        net.held = tuple(self.value(mean) for mean in plain["held"])
        return net


def place(net: nn.Module, name: str, value: Tensor) -> None:
    """Set a parameter or a buffer, of another shape too: some buffers follow the pair."""
    path, _, leaf = name.rpartition(".")
    module = net.get_submodule(path)
    if leaf in module._parameters:
        like = module.get_parameter(leaf)
        layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format  # as `to_fast_layout`
        module._parameters[leaf] = nn.Parameter(
            value.to(like.dtype).contiguous(memory_format=layout), like.requires_grad
        )
    else:
        module.get_buffer(leaf)
        setattr(module, leaf, value)


def class_of(name: str) -> Callable[..., Any]:
    """A dataclass of this package by name. Raises: ValueError for anything else."""
    if not isinstance(name, str) or not OURS.fullmatch(name):
        raise ValueError(f"'{str(name)[:80]}' is no kind of value")
    module, _, leaf = name.partition(":")
    try:
        kind = getattr(import_module(module), leaf)
    except ImportError as exc:
        raise ValueError(f"no {name}") from exc
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module):
        raise ValueError(f"{name} is no value")
    return kind
