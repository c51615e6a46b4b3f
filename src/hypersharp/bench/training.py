"""A training on a protocol's scenes: from names and a data folder to what `train.run` learns from."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.simulation.protocols import Protocol, find_protocol
from hypersharp.train.hardware import Hardware
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import TrainingSet
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
    protocol = find_protocol(options.protocol)
    paths = find_scenes(protocol, data_dir, protocol.train + protocol.validation)
    readers = {name: partial(read_scene, protocol, path) for name, path in paths.items()}
    data = TrainingSet(
        training={name: readers[name] for name in protocol.train},
        validation={name: readers[name] for name in protocol.validation},
        sensor=protocol.sensor(),
        wavelengths_nm=protocol.wavelengths_nm,
        preset=protocol.preset,
    )
    return train(options, data, out_dir, cache_dir=cache_dir, resume=resume, hardware=hardware)


def read_scene(protocol: Protocol, path: Path) -> NDArray[np.float32]:
    """One scene (L, H, W) in 0..1."""
    return np.asarray(load_truth(protocol, path).values, dtype=np.float32)
