"""Weights files: safetensors with the network's options and where it comes from, as JSON inside.

Never pickle: a weights file can carry no code.
"""

import dataclasses
import json
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError  # torch raises it for what it refuses
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import nn

from hypersharp.errors import CallError, InputError, unknown_name
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.dbin import DBIN, DBINOptions
from hypersharp.networks.dhsis import DHSIS, DHSISOptions
from hypersharp.networks.ham_mfn import HAMMFN, HAMMFNOptions
from hypersharp.networks.header import FORMAT, PART, WeightsHeader, read_header
from hypersharp.networks.ms_ssfnet import MSSSFNet, MSSSFNetOptions
from hypersharp.networks.srcnn import SRCNN, SRCNNOptions
from hypersharp.networks.ssf_cnn import SSFCNN, SSFCNNOptions
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions
from hypersharp.networks.ssjcn_v2 import SSJCN2, SSJCN2Options
from hypersharp.networks.subspace import SubspaceOptions, SubspaceSSJCN
from hypersharp.system.atomic import check_parent, make_folder, staged
from hypersharp.system.read_errors import READ_ERRORS, reading

STEPS = ("iterations", "blocks", "layers", "rounds", "refinements")
MOST_STEPS, MOST_CHANNELS = 256, 4096
# mostly such weights are of a version whose networks had other options or tensors
OTHER_VERSION = "make them again (`hypersharp adapt`, `hypersharp train`) or use the version that made them"
MOST_BYTES = 7_000_000  # of the tensors in one file
Net = TypeVar("Net", bound=nn.Module)
# name -> (the network, its options); both are called with the options' names only
NETWORKS: dict[str, tuple[type[FusionNetwork], Callable[..., Any]]] = {
    "dbin": (DBIN, DBINOptions),
    "dhsis": (DHSIS, DHSISOptions),
    "ham-mfn": (HAMMFN, HAMMFNOptions),
    "ms-ssfnet": (MSSSFNet, MSSSFNetOptions),
    "srcnn": (SRCNN, SRCNNOptions),
    "ssf-cnn": (SSFCNN, SSFCNNOptions),
    "ssjcn": (SSJCN, SSJCNOptions),
    "ssjcn-v2": (SSJCN2, SSJCN2Options),
    "ssjcn-subspace": (SubspaceSSJCN, SubspaceOptions),
}


def save_weights(path: Path, net: nn.Module, header: WeightsHeader) -> None:
    """Write net's tensors and the header to `path`, whole or not at all. Raises: OutputError.

    What is beyond MOST_BYTES goes into files beside it, NAME.part2.safetensors and so on, whose checksums it holds.
    """
    files, room = [dict[str, torch.Tensor]()], MOST_BYTES
    for name, value in net.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        if tensor.nbytes > room and files[-1]:
            files.append({})
            room = MOST_BYTES
        files[-1][name] = tensor
        room -= tensor.nbytes
    make_folder(path.parent)
    contents = {part_of(path, number): save(tensors, {"format": PART}) for number, tensors in enumerate(files[1:], 2)}
    parts = {part.name: sha256(content).hexdigest() for part, content in contents.items()}
    text = json.dumps(dataclasses.asdict(header), sort_keys=True)
    metadata = {"format": FORMAT, "header": text} | ({"parts": json.dumps(parts)} if parts else {})
    with staged(path) as place:  # which moves them in the order of their names, so the one that names the others last
        for file, content in {**contents, path: save(files[0], metadata)}.items():
            place.with_name(file.name).write_bytes(content)
    surplus = len(files) + 1
    while part_of(path, surplus).exists():  # of the weights that stood there
        part_of(path, surplus).unlink()
        surplus += 1


def part_of(path: Path, number: int) -> Path:
    """The file beside weights that holds their tensors of that number, from 2 on."""
    return path.with_name(f"{path.stem}{PART}{number}{path.suffix}")


def load_weights(path: Path) -> tuple[FusionNetwork, WeightsHeader]:
    """Load a network from a weights file: safetensors with options and provenance as JSON inside, never pickle.

    Args:
        path: the .safetensors file.

    Returns:
        The network in evaluation mode on the CPU, and the header (options, wavelengths, provenance).

    Raises:
        InputError: the file is missing, truncated, of another kind, or does not fit its own options.

    >>> from hypersharp.networks.packaged import named_weights
    >>> net, header = load_weights(named_weights("ssjcn-dian-x4").path)
    >>> header.network, net.options.bands, net.options.ratio
    ('ssjcn', 31, 4)
    """
    header = read_header(path)
    # a network cannot be much larger than its file
    numbers = {name: value for name, value in header.options.items() if isinstance(value, int | float)}
    most = {name: MOST_STEPS if name in STEPS else MOST_CHANNELS for name in numbers}
    odd = [name for name, value in numbers.items() if not -1 <= value <= most[name]]
    if numbers.get("features", 0) ** 2 > path.stat().st_size:  # a convolution has so many numbers at least
        odd.append("features")
    if odd:
        found = f"{path} with {odd[0]} = {str(numbers[odd[0]])[:20]}"
        raise InputError(found, f"no more than {most[odd[0]]}, and tensors of that size", "download it again")
    try:
        net = build_network(header.network, header.options)
    except InputError as exc:
        raise InputError(f"{path}: {exc.found}", exc.expected, OTHER_VERSION) from exc
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            parts = json.loads(file.metadata().get("parts", "{}"))
        for name, checksum in parts.items():
            content = path.with_name(name).read_bytes()
            if sha256(content).hexdigest() != checksum:
                raise ValueError(f"{name} beside it is of other weights")
            tensors |= load(content)
        shapes = {name: value.shape for name, value in net.state_dict().items()}
        if unlike := sorted(shapes.items() ^ {name: value.shape for name, value in tensors.items()}.items()):
            name, shape = unlike[0]
            found = f"{path} whose tensors do not fit ({name} of {' x '.join(map(str, shape))})"
            raise InputError(found, "those of its options", OTHER_VERSION)
        net.load_state_dict(tensors)
    except (AttributeError, OSError, SafetensorError, RuntimeError, TypeError, ValueError) as exc:
        found = f"{path} whose tensors do not fit ({exc})"
        raise InputError(found, "those of its options", "download it again") from exc
    return net.eval(), header


def save_checkpoint(content: dict[str, Any], path: Path) -> None:
    """What a training goes on from, whole or not at all. Raises: OutputError for a full disk."""
    buffer = BytesIO()  # torch's own writer does not say that a disk is full
    torch.save(content, buffer)
    make_folder(path.parent)
    with staged(path) as place:
        place.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What a training left to go on from: tensors and plain values, and nothing that could run.

    Raises: InputError for a broken file, or one that holds anything else.
    """
    expected = "a checkpoint of tensors and plain values, by `hypersharp train`"
    with reading(path, expected, *READ_ERRORS, UnpicklingError):
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def check_suffix(out: Path, suffix: str) -> None:
    """Raise CallError for a file to write whose name does not end so, OutputError where it cannot be written."""
    if out.suffix != suffix:
        raise CallError(f"--out {out}", f"a file that ends in {suffix}", "rename it")
    check_parent(out)


def what_is_kept(checkpoint: Path) -> str:
    """What a training that is stopped leaves, formatted for display."""
    return f"{checkpoint} is kept: repeat the command with --resume to go on" if checkpoint.exists() else ""


def adopt_weights(net: nn.Module, path: Path) -> None:
    """Begin with what a weights file has of net's names and shapes. Raises: InputError where that is none."""
    found, own = load_weights(path)[0].state_dict(), net.state_dict()
    common = {name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape}
    if not common:
        raise InputError(f"{path} without one tensor of this network", "weights of its kind", "choose others")
    net.load_state_dict(common, strict=False)


def build_network(name: str, options: dict[str, Any]) -> FusionNetwork:
    """A freshly initialised network by name. Raises: InputError for an unknown network or option."""
    if name not in NETWORKS:
        raise unknown_name("network", name, NETWORKS)
    network, options_type = NETWORKS[name]
    try:
        return network(options_type(**options))
    except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as exc:
        raise InputError(f"network options {options} ({exc})", f"those of {name}", "correct network_options") from exc


def count_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def to_fast_layout(net: Net) -> Net:
    """The same network with channels last in memory, which convolutions in bfloat16 want."""
    converted: Net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return converted
