"""A network as an ONNX file: any height and width, checked against torch before it is written.

Inputs are `hs` (B, L, h, w), `ms` (B, l, H, W) and, where wanted, `start` (B, L, H, W), scaled to about 0..1; DHSIS
takes `start` alone. What belongs to a pair, not to what was learnt, is an optional input with a default: `srf`
(l, L) and, for the sensor's own degradation, `psf` (k, k) of an SSJCN, `hs_mean` (L) and `ms_mean` (l) of one adapted
to a pair. The output is `estimate` (B, L, H, W). The means over the image that a network asks for are outputs too,
`found_0`, `found_1`, .. (n, c, 1, 1), and optional inputs `held_0`, `held_1`, .. of the same shape: a part of a scene
that is given those of the whole becomes what it is in the whole; not-a-number, the default, means the image's own.
The metadata hold `format` and `header`, as in a weights file. What onnxruntime runs in a network's place is made once
of it and kept.
"""

import copy
import dataclasses
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.func import functional_call

from hypersharp.errors import InputError, OutputError, needs
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import check_suffix
from hypersharp.networks.header import FORMAT, WeightsHeader
from hypersharp.networks.inference import network_in
from hypersharp.networks.onnx.exportable import OptionalMeans, exportable
from hypersharp.networks.onnx.session import OnnxNetwork, load_onnx
from hypersharp.networks.packaged import packaged_weights
from hypersharp.pair.options import Options, choose_device
from hypersharp.system.atomic import make_folder, staged
from hypersharp.system.folders import cache_folder

LARGEST_DIFFERENCE = 1e-4  # of the range of torch's estimate
CHECKED_YX = ((6, 8), (9, 7), (13, 16))  # coarse pixels, odd ones too
EXAMPLE_YX = (6, 10)
SUFFIX = ".onnx"
FORM = 1  # of the files kept; another one where `export_onnx` changes what it writes


def export_onnx(net: FusionNetwork, header: WeightsHeader, path: Path, *, start: bool = False) -> float:
    """Write net as ONNX and return the largest difference from torch, as a share of the range of values.

    With `start` an SSJCN takes its start as a third input, which tiles need; else the file makes the bicubic one.

    Raises: CallError for another suffix; InputError for weights that are complete only with a pair; OutputError where
        onnxruntime gives something else than torch (nothing is written then); MissingExtraError.
    """
    check_exportable(header, path)
    with_start = net.start == "optional" and (start or bool(header.provenance.get("start_weight")))
    images: tuple[str, ...] = ("hs", "ms", "start") if with_start else ("hs", "ms")
    with staged(path) as place:
        place.write_bytes(as_onnx(net, header, ("start",) if net.start == "needed" else images))
        other, differences = load_onnx(place), []
        with torch.inference_mode():
            for coarse_yx in CHECKED_YX:
                hs, ms, first = random_images(net, coarse_yx).values()
                inputs = (hs, ms, first if "start" in other.file.images else None)
                expected = net(*inputs)
                span = max(1.0, float(expected.max() - expected.min()))
                differences.append(float((other(*inputs) - expected).abs().max()) / span)
        difference = max(differences)
        if not difference <= LARGEST_DIFFERENCE:  # nan too
            found = f"a difference of {difference:.2g} of the range between onnxruntime and torch"
            raise OutputError(found, f"{LARGEST_DIFFERENCE:g} at most", "report it; nothing was written")
    return difference


def check_exportable(header: WeightsHeader, path: Path) -> None:
    check_suffix(path, SUFFIX)
    if header.network == "ssjcn-v2":
        known = packaged_weights().values()
        others = [w.name for w in known if w.header.network != header.network and not w.any_sensor]
        do = f"run them with torch, or take {' or '.join(others)}"
        raise InputError(f"weights of {header.network}, which runs in torch alone", "weights of another network", do)
    if header.provenance.get("any_sensor"):
        found = "weights for any sensor, which are a network only together with a pair"
        do = "run `hypersharp adapt HS MS -o WEIGHTS.safetensors` and export those"
        raise InputError(found, "weights of one sensor", do)


def buffers_named(net: nn.Module, name: str) -> list[str]:
    """The full names of the buffers of net and its parts that have this name."""
    return [full for full, _ in net.named_buffers() if full.split(".")[-1] == name]


class Exported(nn.Module):
    """The network as a function of images (a start that is needed stands alone) and of what has a default, by name."""

    def __init__(self, net: FusionNetwork, images: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.images = copy.deepcopy(exportable(net)), images
        self.optional = tuple(name for name in net.pair_buffers if buffers_named(net, name))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The estimate and the means, from images, what is optional and held means."""
        names = self.images + self.optional
        given = dict(zip(names, inputs, strict=False))
        of_pair = {full: given[name] for name in self.optional for full in buffers_named(self.net, name)}
        means = OptionalMeans(inputs[len(names) :])
        images = given.get("hs"), given.get("ms"), given.get("start")
        estimate: Tensor = functional_call(self.net, of_pair, images, {"means": means})
        return estimate, *means.found


def as_onnx(net: FusionNetwork, header: WeightsHeader, inputs: tuple[str, ...]) -> bytes:
    """The bytes of the ONNX file with these images as inputs."""
    with needs("ONNX", "onnx"):
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    exported = Exported(net, inputs).eval()
    images = {name: image for name, image in random_images(net, EXAMPLE_YX, 2).items() if name in inputs}
    defaults = {name: net.get_buffer(buffers_named(net, name)[0]).detach().clone() for name in exported.optional}
    with torch.no_grad():
        found = exported(*images.values(), *defaults.values())[1:]
    defaults |= {f"held_{k}": torch.full_like(mean[:1], torch.nan) for k, mean in enumerate(found)}
    batch, h, w, ratio = Dim("batch"), Dim("h"), Dim("w"), net.options.ratio
    # a start that stands alone may have any size; the other fine images have ratio times that of hs
    alone = inputs == ("start",)
    fine = (Dim("height"), Dim("width")) if alone else (ratio * h, ratio * w)
    sizes = [{0: batch, 2: h, 3: w} if name == "hs" else {0: batch, 2: fine[0], 3: fine[1]} for name in inputs]
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            exported,
            (*images.values(), *defaults.values()),
            dynamo=True,
            dynamic_shapes=((*sizes, *({} for _ in defaults)),),
            input_names=[*images, *defaults],
            output_names=["estimate", *(f"found_{k}" for k in range(len(found)))],
            verbose=False,
        )
    assert program is not None
    model: Any = program.model_proto
    for name, value in defaults.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value.cpu().numpy(), name))
    names = ("height", "width") if alone else (f"{ratio}*{side}" for side in "hw")
    for dimension, name in zip(model.graph.output[0].type.tensor_type.shape.dim[2:], names, strict=True):
        dimension.dim_param = name  # for which the exporter writes out the padding
    for entry in model.graph.input:
        if entry.name.startswith("held_"):  # one of each, or one of each image or band
            entry.type.tensor_type.shape.dim[0].dim_param = "n"
    model.producer_name, model.doc_string = "hypersharp", str(__doc__)
    metadata = {"format": FORMAT, "header": json.dumps(dataclasses.asdict(header), sort_keys=True)}
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def random_images(net: FusionNetwork, coarse_yx: tuple[int, int], batch: int = 1) -> dict[str, Tensor]:
    """hs, ms and start in 0..1."""
    o, random = net.options, torch.Generator().manual_seed(0)
    fine_yx = [o.ratio * side for side in coarse_yx]
    shapes = {"hs": (o.bands, *coarse_yx), "ms": (o.ms_bands, *fine_yx), "start": (o.bands, *fine_yx)}
    return {name: torch.rand(batch, *shape, generator=random) for name, shape in shapes.items()}


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Without the exporter's remarks on torchvision, names of sizes and its own deprecations."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def in_runtime(net: FusionNetwork, header: WeightsHeader, options: Options) -> FusionNetwork:
    """The network, or what onnxruntime runs in its place; shared, not to be changed. Raises: as `export_onnx`."""
    if options.runtime == "torch" or isinstance(net, OnnxNetwork):
        return net
    return network_in(exported(net, header), choose_device(options.device))


def exported(net: FusionNetwork, header: WeightsHeader) -> Path:
    """The ONNX file of a network, with a start as input; made once for each content, form and version of torch."""
    made_from = sha256(f"{FORM} {header.network} {header.options} {torch.__version__}".encode())
    for name, value in net.state_dict().items():
        made_from.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    path = cache_folder() / "onnx" / f"{header.network}-{made_from.hexdigest()[:24]}{SUFFIX}"
    if not path.exists():
        make_folder(path.parent)
        export_onnx(copy.deepcopy(net).cpu().float(), header, path, start=True)
    return path
