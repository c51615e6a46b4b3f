"""Training patches: cut on the ratio grid from scenes that were degraded whole.

Degrading a cut patch would put the boundary rule into the training data, and flipping a finished
pair would be wrong for a PSF off the centre of its coarse pixel. So each scene is degraded whole,
in its eight orientations, once, into memory-mapped files; a patch is a view of them, copied last.
Patch k depends on (seed, k) alone: any step of any run, on any number of devices, can be repeated.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hypersharp.errors import InputError
from hypersharp.networks.inference import first_estimate
from hypersharp.pair.tensors import ORIENTATIONS
from hypersharp.sensor.observe import Sensor
from hypersharp.system.atomic import make_folder, staged

Array = NDArray[np.float32]
Sample = tuple[Tensor, ...]  # hs, ms, truth and, for a network that corrects one, the start
Readers = Mapping[str, Callable[[], Array]]


@dataclass(frozen=True)
class TrainingSet:
    """What a training learns from.

    Attributes:
        training, validation: name -> reader of a scene (L, H, W) in 0..1.
        sensor: PSF, response and ratio that simulate the pairs.
        wavelengths_nm: centres of the bands (L,), stored in the weights.
        preset: the metric preset of the validation scores.

    >>> import numpy as np
    >>> from hypersharp.simulation.protocols import find_protocol
    >>> scenes = {"noise": lambda: np.random.default_rng(0).random((31, 64, 64), np.float32)}
    >>> TrainingSet(scenes, scenes, find_protocol("dian-x4").sensor()).sensor.ratio
    4
    """

    training: Readers
    validation: Readers
    sensor: Sensor
    wavelengths_nm: tuple[float, ...] | None = None
    preset: str = "dian"


def orient(image: Array, orientation: int) -> Array:
    """View of (band, y, x) turned by orientation % 4 quarter turns, then mirrored for 4..7."""
    turned = np.rot90(image, orientation % 4, axes=(1, 2))
    return turned[..., ::-1] if orientation >= 4 else turned


@dataclass(frozen=True)
class TrainingScene:
    """A scene seen by the sensor: truth (L, H, W), ms (l, H, W), hs (L, h, w) for each orientation.

    `start`, where made, (L, H, W) for each orientation: the closed-form estimate of the whole image.
    """

    truth: Array
    ms: Array
    hs: tuple[Array, ...]
    start: tuple[Array, ...] | None = None

    def patch(self, orientation: int, corner_yx: tuple[float, float], coarse_px: int, ratio: int) -> Sample:
        """(hs, ms, truth) of coarse_px coarse pixels a side, its corner at a fraction of the free play."""
        hs = self.hs[orientation]
        play_yx = (hs.shape[1] - coarse_px + 1, hs.shape[2] - coarse_px + 1)
        y, x = (int(fraction * play) for fraction, play in zip(corner_yx, play_yx, strict=True))
        coarse = hs[:, y : y + coarse_px, x : x + coarse_px]
        fine_y, fine_x = (slice(start * ratio, (start + coarse_px) * ratio) for start in (y, x))
        fine = [orient(self.ms, orientation), orient(self.truth, orientation)]
        fine += [self.start[orientation]] if self.start else []
        return copied(coarse), *(copied(image[:, fine_y, fine_x]) for image in fine)


def copied(view: Array) -> Tensor:
    return torch.from_numpy(np.array(view, dtype=np.float32, order="C"))


def cut(image: Tensor, corners: Sequence[Sequence[int]], sides: Sequence[int], factor: int = 1) -> Tensor:
    """Crops (B, n, factor h, factor w) of (n, H, W); corners (y, x) and sides (h, w) count `factor` pixels."""
    height, width = (factor * side for side in sides)
    places = [(factor * y, factor * x) for y, x in corners]
    return torch.stack([image[:, y : y + height, x : x + width] for y, x in places])


def prepare_scenes(truths: Readers, sensor: Sensor, folder: Path, start_weight: float = 0.0) -> list[TrainingScene]:
    """The scenes degraded whole, as memory maps under `folder`; those already there are reused.

    `truths` maps a scene's name to a function that reads it, (L, H, W) scaled to 0..1. With a
    `start_weight` the closed-form starts are made too.
    """

    def observed(read: Callable[[], Array]) -> dict[str, Array]:
        truth = read()
        images = {"truth": truth, "ms": sensor.ms(torch.from_numpy(truth)).numpy()}
        for k in range(ORIENTATIONS):
            images[f"hs{k}"] = sensor.hs(torch.from_numpy(np.ascontiguousarray(orient(truth, k)))).numpy()
        return images

    def explained(hs: Sequence[Array], ms: Array) -> dict[str, Array]:
        pairs = [(copied(hs[k]), copied(orient(ms, k))) for k in range(ORIENTATIONS)]
        return {f"start{k}": first_estimate(*pair, sensor, start_weight).numpy() for k, pair in enumerate(pairs)}

    scenes = []
    for name, read in truths.items():
        images, start = kept(folder / name, partial(observed, read)), None
        hs = tuple(images[f"hs{k}"] for k in range(ORIENTATIONS))
        if start_weight:
            starts = kept(folder / f"start-{start_weight:g}" / name, partial(explained, hs, images["ms"]))
            start = tuple(starts[f"start{k}"] for k in range(ORIENTATIONS))
        scenes.append(TrainingScene(images["truth"], images["ms"], hs, start))
    return scenes


def kept(folder: Path, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]:
    """Arrays by name as memory maps in `folder`, which appears with them if it is not there; others may be first."""
    if not folder.exists():
        images = make()
        with staged(make_folder(folder.parent) / folder.name, first_stays=True) as place:
            place.mkdir()
            for stem, image in images.items():
                np.save(place / f"{stem}.npy", image)
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


class Items(Dataset[Any]):
    """Item k is made from k alone when it is asked for; `length` where they end."""

    def __init__(self, make: Callable[[int], Any], length: int = sys.maxsize) -> None:
        self.make, self.length = make, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> Any:
        return self.make(k)


def patch_stream(scenes: list[TrainingScene], ratio: int, patch_px: int, seed: int) -> Items:
    """Endless samples; k (and the seed) decides all of one. Raises: InputError where patches do not fit."""
    if patch_px % ratio:
        raise InputError(f"patches of {patch_px} pixels", f"a multiple of the ratio {ratio}", "change patch_px")
    smallest = min(min(scene.truth.shape[1:]) for scene in scenes)
    if smallest < patch_px:
        raise InputError(f"a scene {smallest} pixels wide", f"{patch_px} or more", "lower patch_px")
    return Items(partial(random_patch, scenes, ratio, patch_px // ratio, seed))


def whole_scene(scenes: list[TrainingScene], k: int) -> Sample:
    scene = scenes[k]
    start = scene.start[:1] if scene.start else ()
    return tuple(copied(image) for image in (scene.hs[0], scene.ms, scene.truth, *start))


def random_patch(scenes: list[TrainingScene], ratio: int, coarse_px: int, seed: int, k: int) -> Sample:
    random = np.random.default_rng((seed, k))
    scene = scenes[random.integers(len(scenes))]
    orientation = int(random.integers(ORIENTATIONS))
    corner_yx = (random.random(), random.random())
    return scene.patch(orientation, corner_yx, coarse_px, ratio)


class RoundSampler(Sampler[int]):
    """Indices of one round of `steps` global batches, this device's share; lightning sets the round."""

    def __init__(self, steps: int, batch: int, rank: int = 0, devices: int = 1) -> None:
        self.steps, self.batch, self.rank, self.devices = steps, batch, rank, devices
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        self.round = epoch

    def __len__(self) -> int:
        return self.steps * self.batch // self.devices

    def __iter__(self) -> Iterator[int]:
        first = self.round * self.steps * self.batch
        return iter(range(first + self.rank, first + self.steps * self.batch, self.devices))


def channels_last(batch: list[Any]) -> Sample:
    """Stack patches with the channels last in memory."""
    parts = zip(*batch, strict=True)
    return tuple(torch.stack(part).contiguous(memory_format=torch.channels_last) for part in parts)
