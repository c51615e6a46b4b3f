"""The options of a long training of SSJCN's second generation, the same names in YAML as here."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from hypersharp.networks.header import WeightsHeader

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
class RecordOptions(NetworkOptions):
    """What to train and how long.

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
