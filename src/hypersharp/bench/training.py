"""A training on a protocol's scenes: from names and a data folder to what `train.run` and `train.record` learn from."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.errors import check_name
from hypersharp.simulation.protocols import Protocol, find_protocol
from hypersharp.train.hardware import Hardware
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import TrainingSet
from hypersharp.train.record import train_record
from hypersharp.train.record_options import RecordOptions
from hypersharp.train.run import train


def train_on_protocol(
    options: TrainOptions,
    data_dir: Path,
    out_dir: Path,
    *,
    resume: bool = False,
    hardware: Hardware = Hardware(),
    cache_dir: Path | None = None,
) -> Path:
    """Train on the protocol's training scenes, watch its validation scenes, return the weights file.

    Raises: InputError for an unknown protocol, missing scenes or options that do not fit.
    """
    data = training_set(find_protocol(options.protocol), data_dir)
    return train(options, data, out_dir, cache_dir=cache_dir, resume=resume, hardware=hardware)


def train_record_on_protocol(
    options: RecordOptions,
    data_dir: Path,
    out_dir: Path,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    minutes: float | None = None,
    finish_only: bool = False,
) -> Path:
    """A long training on the protocol's scenes; as `train_record`.

    Raises: InputError for an unknown protocol, missing scenes or options that do not fit.
    """
    data = training_set(held_out(find_protocol(options.protocol), options.validation_scenes), data_dir)
    return train_record(
        options, data, out_dir, resume=resume, start_from=start_from, minutes=minutes, finish_only=finish_only
    )


def held_out(protocol: Protocol, scenes: tuple[str, ...] | None) -> Protocol:
    """The protocol with other scenes of its training for validation.

    Raises: InputError for a scene that is not one of them.
    """
    if scenes is None:
        return protocol
    known = sorted(protocol.train + protocol.validation)
    for scene in scenes:
        check_name("training scene", scene, known)
    return replace(protocol, train=tuple(scene for scene in known if scene not in scenes), validation=scenes)


def training_set(protocol: Protocol, data_dir: Path) -> TrainingSet:
    """Readers of the protocol's training and validation scenes, and what goes with them."""
    paths = find_scenes(protocol, data_dir, protocol.train + protocol.validation)
    readers = {name: partial(read_scene, protocol, path) for name, path in paths.items()}
    return TrainingSet(
        training={name: readers[name] for name in protocol.train},
        validation={name: readers[name] for name in protocol.validation},
        sensor=protocol.sensor(),
        wavelengths_nm=protocol.wavelengths_nm,
        preset=protocol.preset,
    )


def read_scene(protocol: Protocol, path: Path) -> NDArray[np.float32]:
    """One scene (L, H, W) in 0..1."""
    return np.asarray(load_truth(protocol, path).values, dtype=np.float32)
