"""The options of a training, the same names in YAML as here."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hypersharp.errors import InputError
from hypersharp.networks.header import WeightsHeader

Whole = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config={"extra": "forbid"})
class TrainOptions:
    """What to train, on what, and for how long.

    `network_options` are those of the network's dataclass, without bands, ms_bands and ratio, which
    the protocol gives. `batch` counts patches of all devices together; `round_steps` is how often
    (in steps) the validation scenes are scored and a checkpoint is written. `lambda_deg` weighs the
    degradation loss (0: the paper's loss). `start_weight` is that of the prior in the closed-form estimate which
    the network corrects (DHSIS's eta; 0: there is none). The rate rises for `warmup_steps`, then falls as a cosine
    to `final_rate_fraction` of `learning_rate`. `compile` fuses the network's steps with torch.compile:
    nearly twice as fast on a CPU, a minute or two before the first step, needs a C++ compiler. `sensors`: the
    protocol's, or random ones, for weights that serve any (train/any_sensor.py; `batch` patches of one pair a step).
    `initial_weights`: a weights file whose tensors of the same name and shape are begun with, by default none.
    """

    name: str
    protocol: str
    network: str = "ssjcn"
    network_options: dict[str, Any] = Field(default_factory=dict)
    steps: Whole = 8000
    round_steps: Whole = 200
    batch: Whole = 16
    patch_px: Whole = 64
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    final_rate_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    loss: Literal["l1", "mse"] = "l1"
    lambda_deg: Annotated[float, Field(ge=0)] = 0.0
    start_weight: Annotated[float, Field(ge=0)] = 0.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = False
    initial_weights: str | None = None
    sensors: Literal["protocol", "random"] = "protocol"
    seed: int = 0

    def header(self, bands: int, ms_bands: int, ratio: int) -> WeightsHeader:
        """The header of the weights that this training makes, without provenance."""
        shape = {"bands": bands, "ms_bands": ms_bands, "ratio": ratio}
        return WeightsHeader(self.network, {**shape, **self.network_options})


@dataclass(frozen=True, config={"extra": "forbid"})
class RecordOptions:
    """What to train and how long; `network_options` without what the protocol gives.

    `steps` are those at the constant rate, after which a finish takes `finish_share` of all; `round_steps` is how
    often the validation scenes are scored. `mixed` and `relit` are shares of the crops (train/crops.py).
    Loss: the mean absolute error e of each band of each crop, as level log(1 + e/level) where `level` is not 0, so that
    they count by their decibels, as in the scores; + `cosine_weight` (1 - cos) of the spectral angle.
    `validation_scenes`: None, the protocol's own.
    """

    name: str
    protocol: str
    network: Literal["ssjcn-v2"] = "ssjcn-v2"
    network_options: dict[str, Any] = Field(default_factory=dict)
    validation_scenes: tuple[str, ...] | None = None
    steps: Whole = 20000
    finish_share: Annotated[float, Field(gt=0, lt=1)] = 0.12
    warmup_steps: Whole = 60
    round_steps: Whole = 200
    batch: Whole = 16
    crop_px: Whole = 64
    mixed: Share = 0.5
    relit: Share = 0.5
    muon_rate: Positive = 2e-3
    adam_rate: Positive = 5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 0.1
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.997
    level: Annotated[float, Field(ge=0)] = 0.0
    cosine_weight: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["bf16", "fp32"] = "fp32"
    compile: bool = False
    seed: int = 0

    def header(self, bands: int, ms_bands: int, ratio: int) -> WeightsHeader:
        """The header of the weights that this training makes, without provenance."""
        shape = {"bands": bands, "ms_bands": ms_bands, "ratio": ratio}
        return WeightsHeader(self.network, {**shape, **self.network_options})


def read_options(path: Path) -> TrainOptions | RecordOptions:
    """The options in a YAML file; those of a long training where its network is SSJCN's second generation.

    Raises: InputError for a missing file, malformed YAML, an unknown name or a value out of range.
    """
    try:
        fields = yaml.safe_load(path.read_text())
        second = isinstance(fields, dict) and fields.get("network") == "ssjcn-v2"
        return TypeAdapter(RecordOptions if second else TrainOptions).validate_python(fields)
    except OSError as exc:
        raise InputError(f"no readable {path}", "a YAML file of training options", "check the path") from exc
    except yaml.YAMLError as exc:
        raise InputError(f"{path}, which is no YAML", "a YAML file", "mend its syntax") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{where} in {path}: {first['msg']}", "an option of TrainOptions", "mend that line") from exc
