"""A training from scenes to a weights file, with pytorch-lightning.

One "epoch" of lightning is a round of `round_steps` steps; each ends with the validation scores
and a checkpoint from which `resume` goes on exactly. Writes into out_dir: `NAME.safetensors`,
`last.ckpt`, `logs/` (CSV and TensorBoard); and the degraded scenes into cache_dir.

Nothing here detects a lost process by itself: a killed one closes its connections, which the others see at once, and
one that is silent (a frozen or unplugged machine) makes them wait no longer than the strategy's timeout.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import StrategyRegistry
from torch.distributed import DistError
from torch.utils.data import DataLoader

from hypersharp.errors import HypersharpError, InputError, noted_on_stop
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import (
    adopt_weights,
    build_network,
    load_checkpoint,
    save_checkpoint,
    save_weights,
    to_fast_layout,
    what_is_kept,
)
from hypersharp.networks.inference import settled_precision
from hypersharp.system.atomic import output_error
from hypersharp.system.build_info import commit
from hypersharp.train.any_sensor import lessons_for_any_sensor
from hypersharp.train.cost import made_with, training_pflop
from hypersharp.train.module import FusionTraining, Loaders
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Items, TrainingSet, channels_last, patch_stream, prepare_scenes, whole_scene

GLOO = "gloo/transport/"  # in the text of gloo's errors, which have no type of their own


@dataclass(frozen=True)
class Hardware:
    """Where a training runs; lightning's own words. `timeout_s`: how long to wait for a process that is silent."""

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    timeout_s: float = 600.0

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def lightning_strategy(self) -> Any:
        """The strategy by its name, with our timeout where it is one of DDP's."""
        name = "ddp" if self.strategy == "auto" and self.processes > 1 else self.strategy
        if not name.startswith("ddp") or name not in StrategyRegistry:
            return name
        row, timeout = StrategyRegistry[name], timedelta(seconds=self.timeout_s)
        return row["strategy"](**row["init_params"], timeout=timeout)

    @contextmanager
    def lost_process(self) -> Iterator[None]:
        """Turn a broken or silent connection into one error that says how to continue. Raises: HypersharpError."""
        try:
            yield
        except RuntimeError as exc:
            if self.processes == 1 or not (isinstance(exc, DistError) or GLOO in str(exc)):
                raise
            reason = str(exc).rpartition("] ")[2].partition(". ")[0].splitlines()[0]
            raise HypersharpError(
                f"a lost process of this training ({reason})",
                f"all {self.processes} alive, none silent for more than {self.timeout_s:.0f} s",
                "see why it ended, then repeat the command on all machines with --resume: it continues from the last "
                "checkpoint",
            ) from exc


CHECKPOINT = "last.ckpt"
LIGHTNING_PRECISION: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}
# of lightning's on loaders and loggers, which a user of ours cannot act on
ADVICE = (".*does not have many workers.*", ".*Checkpoint directory.*", ".*isinstance.treespec.*", ".*LeafSpec.*")


def train(
    options: TrainOptions,
    data: TrainingSet,
    out_dir: Path,
    *,
    cache_dir: Path | None = None,
    resume: bool = False,
    hardware: Hardware = Hardware(),
) -> Path:
    """Train a network on simulated pairs; a checkpoint is written after every round of validation.

    Args:
        options: what to train and for how long, as a recipe holds it; `sensors="random"` makes weights for any sensor.
        data: the scenes and the sensor.
        out_dir: gets weights, checkpoints and logs (CSV and TensorBoard).
        cache_dir: where simulated pairs are kept; by default `out_dir / "scenes"`.
        resume: continue from the last checkpoint, with the losses of an uninterrupted training.
        hardware: devices, nodes and strategy.

    Returns:
        The path of the weights file.

    Raises:
        InputError: `resume` finds no checkpoint, batch or steps do not divide, or options do not fit.
        HypersharpError: another process of this training is lost.

    >>> import numpy as np, tempfile
    >>> from hypersharp.simulation.protocols import find_protocol
    >>> scenes = {"noise": lambda: np.random.default_rng(0).random((31, 64, 64), np.float32)}
    >>> from hypersharp.train.patches import TrainingSet
    >>> data = TrainingSet(scenes, scenes, find_protocol("dian-x4").sensor())
    >>> small = {"features": 4, "iterations": 1}
    >>> options = TrainOptions("small", "dian-x4", network_options=small, steps=1, round_steps=1, batch=1, patch_px=32)
    >>> print("weights:", train(options, data, Path(tempfile.mkdtemp())).name)  # doctest: +ELLIPSIS
    Epoch...weights: small.safetensors
    """
    if options.batch % hardware.processes:
        found = f"a batch of {options.batch} on {hardware.processes} devices"
        raise InputError(found, "a multiple of the devices", "change batch")
    if options.steps % options.round_steps:
        found = f"{options.steps} steps in rounds of {options.round_steps}"
        raise InputError(found, "whole rounds", "change steps or round_steps")
    if resume:
        if not (out_dir / CHECKPOINT).exists():
            raise InputError(f"no {CHECKPOINT} in {out_dir}", "an interrupted training", "train without --resume")
        load_checkpoint(out_dir / CHECKPOINT)  # said in one line where it cannot be
    commit()  # asked now and kept: the checkout may change while a training runs
    cuda = hardware.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    options = replace(options, precision=settled_precision(device, options.precision))
    pl.seed_everything(options.seed, verbose=False)
    header = options.header(data.sensor.srf.shape[1], data.sensor.srf.shape[0], data.sensor.ratio)
    net = build_network(header.network, header.options)
    if options.initial_weights:
        adopt_weights(net, Path(options.initial_weights))
    make_lessons = lessons_for_any_sensor if options.sensors == "random" else lessons_for_sensor
    module, loaders = make_lessons(options, data, net, cache_dir or out_dir / "scenes")
    trainer = fit(options, to_fast_layout(module), loaders, out_dir, hardware, resume=resume)
    path = out_dir / f"{options.name}.safetensors"
    if trainer.is_global_zero:
        metrics, any_sensor = trainer.callback_metrics, options.sensors == "random"
        provenance = {
            **asdict(options),
            **{name: round(float(value), 4) for name, value in metrics.items() if name.startswith("val_")},
            "training_scenes": sorted(data.training),
            "validation_scenes": sorted(data.validation),
            **({"any_sensor": True} if any_sensor else {"psf": data.sensor.psf.to_dict()}),
            "minutes": round(module.minutes(), 1),
            **made_with(),
        }
        made = replace(header, wavelengths_nm=None if any_sensor else data.wavelengths_nm, provenance=provenance)
        provenance["pflop"] = training_pflop(made)
        save_weights(path, net, made)
    return path


def lessons_for_sensor(
    options: TrainOptions, data: TrainingSet, net: FusionNetwork, cache: Path
) -> tuple[FusionTraining, Loaders]:
    """The network, given what it uses of the sensor, and patches of the scenes that the sensor sees."""
    ratio, srf = data.sensor.ratio, torch.tensor(data.sensor.srf)
    net.take_sensor(srf, lambda side: torch.tensor(data.sensor.psf.window(ratio, side)))
    folder = cache / options.protocol  # which fixes sensor, crop and scaling
    prepared = partial(prepare_scenes, sensor=data.sensor, folder=folder, start_weight=options.start_weight)
    scenes, watched = prepared(data.training), prepared(data.validation)
    patches = patch_stream(scenes, ratio, options.patch_px, options.seed)
    whole = Items(partial(whole_scene, watched), len(watched))
    loaders = Loaders(patches, DataLoader(whole, collate_fn=channels_last), options.round_steps, options.batch)
    return FusionTraining(net, options, data.preset), loaders


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, on whatever disk, and are read as tensors and plain values only.

    Lightning's own are made in the system's folder for temporary files: moved from there to another disk, they replace
    the last one byte by byte.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises: OutputError for a full disk; what stood there is as it was."""
        del storage_options
        save_checkpoint(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> Any:
        """Raises: InputError for a broken file, or one that holds anything else."""
        del map_location, weights_only
        return load_checkpoint(Path(path))


def fit(
    options: TrainOptions, module: FusionTraining, loaders: Loaders, out_dir: Path, hardware: Hardware, *, resume: bool
) -> pl.Trainer:
    """Lightning's run, without its advice. Raises: HypersharpError for a lost process, OutputError for a full disk."""
    checkpoint, logs = out_dir / CHECKPOINT, out_dir / "logs"
    callbacks: list[Callback] = [
        ModelCheckpoint(out_dir, checkpoint.stem, save_on_train_epoch_end=True, enable_version_counter=False)
    ]
    if options.ema_decay:
        callbacks.append(EMAWeightAveraging(use_buffers=False, decay=options.ema_decay))
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings(), hardware.lost_process(), noted_on_stop(partial(what_is_kept, checkpoint)):
        for advice in ADVICE:
            warnings.filterwarnings("ignore", advice)
        trainer = pl.Trainer(
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
            plugins=[WholeCheckpoints()],
            logger=[
                CSVLogger(logs, "csv", flush_logs_every_n_steps=min(100, options.round_steps)),
                TensorBoardLogger(logs, "tensorboard"),
            ],
        )
        try:
            trainer.fit(module, loaders, ckpt_path=checkpoint if resume else None, weights_only=True)
        except OSError as error:  # of its logs
            raise output_error(out_dir, error) from error
    return trainer
