"""The options of a training, the same names in YAML as here."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hypersharp.errors import InputError
from hypersharp.networks.header import WeightsHeader
from hypersharp.system.read_errors import check_regular

Whole = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config={"extra": "forbid"})
class NetworkOptions:
    """What any training says of its network; `network_options` without what the protocol gives."""

    name: str
    protocol: str
    network: str = "ssjcn"
    network_options: dict[str, Any] = Field(default_factory=dict)

    def header(self, bands: int, ms_bands: int, ratio: int) -> WeightsHeader:
        """The header of the weights that this training makes, without provenance."""
        shape = {"bands": bands, "ms_bands": ms_bands, "ratio": ratio}
        return WeightsHeader(self.network, {**shape, **self.network_options})


@dataclass(frozen=True, config={"extra": "forbid"})
class TrainOptions(NetworkOptions):
    """What to train, on what, and for how long.

    Attributes:
        name: of the weights file.
        protocol: gives scenes, PSF, response and ratio.
        network: a name of `NETWORKS`.
        network_options: fields of its dataclass, without bands, ms_bands and ratio, which the protocol gives.
        steps: how many in all.
        round_steps: how often, in steps, the validation scenes are scored and a checkpoint is written.
        batch: patches a step, of all devices together.
        patch_px: side of a patch in fine pixels.
        learning_rate, warmup_steps, final_rate_fraction: the rate rises for `warmup_steps`, then falls as a cosine to
            `final_rate_fraction` of `learning_rate`.
        kernel_rate: that of convolution kernels under Muon instead of Adam (0: all under Adam).
        clip_norm: largest norm of the gradient.
        loss: mean absolute error, mean squared error, or HAM-MFN's of relative error, angle and Laplacian.
        lambda_deg: weight of the degradation loss (0: the paper's loss).
        start_weight: weight of the prior in the closed-form estimate that is corrected (DHSIS's eta; 0: there is none).
        ema_decay: of the running mean of the weights.
        precision: of the forward pass; auto takes bf16 where this machine is fast at it.
        compile: fuse the network's steps with torch.compile: nearly twice as fast on a CPU, a minute or two before the
            first step, needs a C++ compiler.
        initial_weights: a weights file to start from, where names and shapes of tensors agree.
        sensors: the protocol's, or random ones, for weights that serve any (`batch` patches of one pair a step).
        textures: with random sensors, images of few bands whose structures, in random spectra, are scenes as well.
        seed: of patches, sensors and initial weights.

    >>> TrainOptions("small", "dian-x4", steps=60).learning_rate
    0.0005
    """

    steps: Whole = 8000
    round_steps: Whole = 200
    batch: Whole = 16
    patch_px: Whole = 64
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    final_rate_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    kernel_rate: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    loss: Literal["l1", "mse", "rap"] = "l1"
    lambda_deg: Annotated[float, Field(ge=0)] = 0.0
    start_weight: Annotated[float, Field(ge=0)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    initial_weights: str | None = None
    sensors: Literal["protocol", "random"] = "protocol"
    textures: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, config={"extra": "forbid"})
class RecordOptions(NetworkOptions):
    """A long training of SSJCN's second generation: what to train and how long.

    `steps` are those at the constant rate, after which a finish takes `finish_share` of all; `round_steps` is how
    often the validation scenes are scored. `mixed`, `recoloured` and `relit` are shares of the crops (train/crops.py).
    Loss: the mean absolute error e of each band of each crop, as level log(1 + e/level) where `level` is not 0, so that
    they count by their decibels, as in the scores; + `cosine_weight` (1 - cos) of the spectral angle.
    Twice these rates learn a little faster at first but diverge when constant; after 50,000 crops half of them gain
    more, and fewer crops a step lose: what is left to lower is the noise of the gradients, which are clipped at twice
    their usual norm. `ema_decay` is that of the weights' moving average, which is what is scored and written.
    `validation_scenes`: None, the protocol's own; none at all ([]), once nothing is left to choose, learns from all.
    """

    network: Literal["ssjcn-v2"] = "ssjcn-v2"
    validation_scenes: tuple[str, ...] | None = None
    steps: Whole = 20000
    finish_share: Annotated[float, Field(gt=0, lt=1)] = 0.12
    warmup_steps: Whole = 60
    round_steps: Whole = 200
    batch: Whole = 16
    crop_px: Whole = 64
    mixed: Share = 0.5
    recoloured: Share = 0.0
    shift_bands: Annotated[float, Field(ge=0)] = 3.0
    relit: Share = 0.5
    muon_rate: Positive = 1e-3
    adam_rate: Positive = 2.5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 0.03
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.997
    level: Annotated[float, Field(ge=0)] = 0.0
    cosine_weight: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    seed: int = 0


def read_options(path: Path) -> TrainOptions | RecordOptions:
    r"""Read a recipe: the options of a training from a YAML file.

    Args:
        path: the .yaml file; its names are those of `TrainOptions`, or of `RecordOptions` where network is ssjcn-v2.

    Returns:
        The options, checked.

    Raises:
        InputError: a missing file, malformed YAML, an unknown name or a value out of range.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "small.yaml"
    >>> _ = path.write_text("name: small\nprotocol: dian-x4\nsteps: 60\nround_steps: 20")
    >>> read_options(path).steps
    60
    """
    try:
        check_regular(path)
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        second = isinstance(fields, dict) and fields.get("network") == "ssjcn-v2"
        return TypeAdapter(RecordOptions if second else TrainOptions).validate_python(fields)
    except OSError as exc:
        raise InputError(f"no readable {path}", "a YAML file of training options", "check the path") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OverflowError) as exc:
        raise InputError(f"{path}, which is no YAML", "a YAML file", "fix its syntax") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{where} in {path}: {first['msg']}", "an option of TrainOptions", "fix that line") from exc
