"""A training from scenes to a weights file, with pytorch-lightning.

One "epoch" of lightning is a round of `round_steps` steps; each ends with the validation scores
and a checkpoint from which `resume` goes on exactly. Writes into out_dir: `NAME.safetensors`,
`last.ckpt`, `logs/` (CSV and TensorBoard); and the degraded scenes into cache_dir.
"""

import dataclasses
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from hypersharp.errors import InputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import adopt_weights, build_network, save_weights, to_fast_layout
from hypersharp.networks.header import WeightsHeader
from hypersharp.sensor.observe import Sensor
from hypersharp.system.build_info import commit, machine
from hypersharp.train.hardware import Hardware
from hypersharp.train.module import FusionTraining
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import (
    Array,
    PatchStream,
    RoundSampler,
    Sample,
    TrainingScene,
    WholeScenes,
    channels_last,
    prepare_scenes,
)

CHECKPOINT = "last.ckpt"
LIGHTNING_PRECISION: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}
Readers = Mapping[str, Callable[[], Array]]


@dataclass(frozen=True)
class TrainingSet:
    """What a training learns from: readers of the scenes (L, H, W in 0..1), and how they are observed."""

    training: Readers
    validation: Readers
    sensor: Sensor
    wavelengths_nm: tuple[float, ...] | None = None
    preset: str = "dian"


def train(
    options: TrainOptions,
    data: TrainingSet,
    out_dir: Path,
    *,
    cache_dir: Path | None = None,
    resume: bool = False,
    hardware: Hardware = Hardware(),
) -> Path:
    """Train a network and return the path of its weights file.

    Raises: InputError where `resume` finds no checkpoint, batch or steps do not divide, or options do not fit;
        HypersharpError where another process of this training is lost.
    """
    check_options(options, hardware, out_dir, resume)
    commit()  # asked now and kept: the checkout may change while a training runs
    pl.seed_everything(options.seed, verbose=False)
    bands, ms_bands = data.sensor.srf.shape[1], data.sensor.srf.shape[0]
    header = options.header(bands, ms_bands, data.sensor.ratio)
    net = build_network(header.network, header.options)
    if options.initial_weights:
        adopt_weights(net, Path(options.initial_weights))
    take_sensor(net, data.sensor)
    module = FusionTraining(net, options, data.preset)
    to_fast_layout(module)
    scenes = (cache_dir or out_dir / "scenes") / options.protocol  # which fixes sensor, crop and scaling
    training = prepare_scenes(data.training, data.sensor, scenes, options.start_weight)
    validation = prepare_scenes(data.validation, data.sensor, scenes, options.start_weight)
    with quiet_lightning(), hardware.lost_process():
        trainer = make_trainer(options, out_dir, hardware)
        loaders = Loaders(options, training, validation, data.sensor.ratio)
        trainer.fit(module, loaders, ckpt_path=out_dir / CHECKPOINT if resume else None)
    provenance = describe(options, data, trainer, module.minutes())
    path = out_dir / f"{options.name}.safetensors"
    if trainer.is_global_zero:
        save_weights(path, net, finished(header, data, provenance))
    return path


def take_sensor(net: FusionNetwork, sensor: Sensor) -> None:
    """Tell the network what is known of the sensor; it keeps what it uses."""
    srf, ratio = torch.tensor(sensor.srf), sensor.ratio
    net.take_sensor(srf, lambda side: torch.tensor(sensor.psf.window(ratio, side)))


def check_options(options: TrainOptions, hardware: Hardware, out_dir: Path, resume: bool) -> None:
    if options.batch % hardware.processes:
        raise InputError(
            f"a batch of {options.batch} on {hardware.processes} devices", "a multiple of the devices", "change batch"
        )
    if options.steps % options.round_steps:
        raise InputError(
            f"{options.steps} steps in rounds of {options.round_steps}", "whole rounds", "change steps or round_steps"
        )
    if resume and not (out_dir / CHECKPOINT).exists():
        raise InputError(f"no {CHECKPOINT} in {out_dir}", "an interrupted training", "train without --resume")


def make_trainer(options: TrainOptions, out_dir: Path, hardware: Hardware) -> pl.Trainer:
    checkpoints = ModelCheckpoint(
        out_dir, Path(CHECKPOINT).stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [checkpoints]
    if options.ema_decay:
        callbacks.append(EMAWeightAveraging(use_buffers=False, decay=options.ema_decay))
    return pl.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.nodes,
        strategy=hardware.lightning_strategy(),
        precision=LIGHTNING_PRECISION[options.precision],
        max_epochs=options.steps // options.round_steps,
        gradient_clip_val=options.clip_norm,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        callbacks=callbacks,
        logger=[
            CSVLogger(out_dir / "logs", "csv", flush_logs_every_n_steps=min(100, options.round_steps)),
            TensorBoardLogger(out_dir / "logs", "tensorboard"),
        ],
    )


class Loaders(pl.LightningDataModule):
    """The patches of this device and the validation scenes; lightning asks once it knows the device."""

    def __init__(
        self, options: TrainOptions, training: list[TrainingScene], validation: list[TrainingScene], ratio: int
    ) -> None:
        super().__init__()
        self.options, self.training, self.validation, self.ratio = options, training, validation, ratio

    def train_dataloader(self) -> DataLoader[Sample]:
        assert self.trainer is not None
        o, devices = self.options, self.trainer.world_size
        sampler = RoundSampler(o.round_steps, o.batch, self.trainer.global_rank, devices)
        stream = PatchStream(self.training, self.ratio, o.patch_px, o.seed)
        return DataLoader(stream, o.batch // devices, sampler=sampler, collate_fn=channels_last)

    def val_dataloader(self) -> DataLoader[Sample]:
        return DataLoader(WholeScenes(self.validation), collate_fn=channels_last)


def describe(options: TrainOptions, data: TrainingSet, trainer: pl.Trainer, minutes: float) -> dict[str, Any]:
    """The provenance that a weights file carries."""
    scores = {
        name: round(float(value), 4) for name, value in trainer.callback_metrics.items() if name.startswith("val_")
    }
    return {
        **dataclasses.asdict(options),
        **scores,
        "training_scenes": sorted(data.training),
        "validation_scenes": sorted(data.validation),
        "psf": data.sensor.psf.to_dict(),
        "commit": commit(),
        "machine": machine(),
        "minutes": round(minutes, 1),
        "torch": torch.__version__,
    }


def finished(header: WeightsHeader, data: TrainingSet, provenance: dict[str, Any]) -> WeightsHeader:
    return dataclasses.replace(header, wavelengths_nm=data.wavelengths_nm, provenance=provenance)


class quiet_lightning(warnings.catch_warnings):  # noqa: N801 - a context manager, used like a function
    """Without lightning's advice on loaders and loggers, which a user of ours cannot act on."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        for advice in (
            ".*does not have many workers.*",
            ".*Checkpoint directory.*",
            ".*isinstance.treespec.*",
            ".*LeafSpec.*",
        ):
            warnings.filterwarnings("ignore", advice)
