"""A network in an ONNX file, run by onnxruntime under the same call as any other network.

The file carries the header of the weights it was made from. A response or means that belong to a pair are optional
inputs with a default; here they are buffers, so that a method may set them as it does in a network of torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.errors import InputError, needs
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import NETWORKS
from hypersharp.networks.header import FORMAT, WeightsHeader, decode_header
from hypersharp.networks.layers import Means
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.system.read_errors import READ_ERRORS, check_regular, reading

QUIET = 3  # onnxruntime's level "error": it warns of every optional input


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """What an ONNX file of ours holds: its bytes, header, the names of its images, the default of what is optional."""

    model: bytes
    header: WeightsHeader
    images: tuple[str, ...]
    optional: dict[str, Tensor]


def read_onnx(path: Path) -> OnnxFile:
    """An ONNX file that `hypersharp export` wrote.

    Raises: InputError for a missing or broken file, or one of another program; MissingExtraError.
    """
    try:
        check_regular(path)
        content = path.read_bytes()
    except OSError as exc:
        raise InputError(f"no readable file {path} ({exc})", "a file by `hypersharp export`", "export it") from exc
    return decode_onnx(content, str(path))


def decode_onnx(content: bytes, name: str) -> OnnxFile:
    """What `read_onnx` reads, from the content of a file of that name. Raises: as `read_onnx`."""
    with needs("ONNX", "onnx"):
        import onnx
        from google.protobuf.message import DecodeError
    try:
        model = onnx.load_model_from_string(content)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        header = decode_header(metadata["header"]) if metadata.get("format") == FORMAT else None
    except (DecodeError, *READ_ERRORS) as exc:
        raise InputError(f"{name}, no whole ONNX file ({exc})", "a file by `hypersharp export`", "export it") from exc
    if header is None:
        raise InputError(f"{name}, an ONNX file of another program", "one by `hypersharp export`", "export it")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors_of(model.graph)):
        raise InputError(f"{name}, whose numbers lie in another file", "all in the file itself", "export it again")
    names = [value.name for value in model.graph.input]
    given = {entry.name: entry for entry in model.graph.initializer if entry.name in names}
    optional = {name: torch.tensor(onnx.numpy_helper.to_array(entry)) for name, entry in given.items()}
    return OnnxFile(content, header, tuple(name for name in names if name not in given), optional)


def tensors_of(graph: Any) -> Iterator[Any]:
    """All tensors that a graph holds, also those of its nodes and of graphs within them."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from tensors_of(inner)


def load_onnx(path: Path, device: torch.device | None = None) -> "OnnxNetwork":
    """The network of an ONNX file, on the CPU or, where onnxruntime has CUDA, the device. Raises: as `read_onnx`."""
    file = read_onnx(path)
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    with reading(path, "a whole ONNX file by `hypersharp export`", *READ_ERRORS, *own):
        return OnnxNetwork(file, Session(file.model, device or torch.device("cpu")))


class Session:
    """onnxruntime on a model: shared by copies of a network, as it cannot change."""

    def __init__(self, model: bytes, device: torch.device) -> None:
        with needs("ONNX", "onnx"):
            import onnxruntime
        self.device = device
        options = onnxruntime.SessionOptions()
        options.log_severity_level = QUIET
        options.intra_op_num_threads = torch.get_num_threads()
        there_are, wanted = onnxruntime.get_available_providers(), list[Any](["CPUExecutionProvider"])
        if device.type == "cuda" and "CUDAExecutionProvider" in there_are:
            wanted.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
        self.inference = onnxruntime.InferenceSession(model, options, providers=wanted)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Session":
        return self


class OnnxNetwork(FusionNetwork):
    """FusionNetwork of an ONNX file: forward(hs (B, L, h, w), ms (B, l, H, W), start) -> (B, L, H, W), float32."""

    asks_means = True

    def __init__(self, file: OnnxFile, session: Session) -> None:
        super().__init__()
        self.file, self.session = file, session
        self.options = NETWORKS[file.header.network][1](**file.header.options)
        for name, value in file.optional.items():
            if not name.startswith("held_"):
                self.register_buffer(name, value.clone())

    def exchange_sensor(self, srf: Tensor, psf_window: Tensor | None) -> None:
        """The blur in the window (k, k) that the file has room for, if any. Raises: InputError for a wider one."""
        super().exchange_sensor(srf, psf_window)
        if psf_window is None or "psf" not in self.file.optional:
            return
        beyond = (len(self.get_buffer("psf")) - len(psf_window)) // 2
        if beyond < 0:
            found = f"a blur of {len(psf_window)} fine pixels"
            expected = f"one of {len(self.get_buffer('psf'))} at most, as the ONNX file has it"
            raise InputError(found, expected, "give the .safetensors weights it was made from")
        self.get_buffer("psf").copy_(F.pad(psf_window, [beyond] * 4))

    def forward(self, hs: Tensor, ms: Tensor, start: Tensor | None = None, means: Means | None = None) -> Tensor:
        """The estimate, on the device of ms. Raises: InputError for a start where the file makes its own."""
        network, images = self.file.header.network, {"hs": hs, "ms": ms}
        use = NETWORKS[network][0].start
        if "start" in self.file.images:
            if start is None and use == "needed":
                raise ValueError(f"{network} corrects a start and needs one")
            images["start"] = upsample_bicubic(hs, self.options.ratio) if start is None else start
        elif start is not None and use != "none":
            found = "an ONNX file that makes its own start"
            raise InputError(found, "one that takes it, for tiles", "export it with --start, or use --mode whole")
        feeds = {name: images[name] for name in self.file.images} | dict(self.named_buffers())
        if means is not None:
            feeds |= {f"held_{k}": mean for k, mean in enumerate(means.given)}
        arrays = {name: value.detach().float().contiguous().cpu().numpy() for name, value in feeds.items()}
        estimate, *made = (torch.from_numpy(value).to(ms.device) for value in self.session.inference.run(None, arrays))
        if means is not None:
            means.found += made
        return estimate
