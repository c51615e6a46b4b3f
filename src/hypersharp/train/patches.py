"""Training patches: cut on the ratio grid from scenes that were degraded whole.

Degrading a cut patch would put the boundary rule into the training data, and flipping a finished
pair would be wrong for a PSF off the centre of its coarse pixel. So each scene is degraded whole,
in its eight orientations, once, into memory-mapped files; a patch is a view of them, copied last.
Patch k depends on (seed, k) alone: any step of any run, on any number of devices, can be made anew.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hypersharp.errors import InputError, OutputError
from hypersharp.networks.start import first_estimate
from hypersharp.sensor.observe import Sensor
from hypersharp.system.atomic import make_folder, staged

Array = NDArray[np.float32]
Sample = tuple[Tensor, ...]  # hs, ms, truth and, for a network that corrects one, the start
ORIENTATIONS = 8


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

    def whole(self) -> Sample:
        start = self.start[:1] if self.start else ()
        return tuple(copied(image) for image in (self.hs[0], self.ms, self.truth, *start))


def copied(view: Array) -> Tensor:
    return torch.from_numpy(np.array(view, dtype=np.float32, order="C"))


def prepare_scenes(
    truths: Mapping[str, Callable[[], Array]], sensor: Sensor, folder: Path, start_weight: float = 0.0
) -> list[TrainingScene]:
    """The scenes degraded whole, as memory maps under `folder`; those already there are reused.

    `truths` maps a scene's name to a function that reads it, (L, H, W) scaled to 0..1. With a
    `start_weight` the closed-form starts are made too.
    """
    for name, read in truths.items():
        if not (folder / name).exists():
            prepare_scene(read(), sensor, folder / name)
    scenes = {name: open_scene(folder / name) for name in truths}
    if not start_weight:
        return list(scenes.values())
    starts = folder / f"start-{start_weight:g}"
    return [with_start(scene, sensor, starts / name, start_weight) for name, scene in scenes.items()]


def prepare_scene(truth: Array, sensor: Sensor, folder: Path) -> None:
    """Write the scene's arrays into `folder`, which appears when they are whole."""
    images = {"truth": truth, "ms": sensor.ms(torch.from_numpy(truth)).numpy()}
    for orientation in range(ORIENTATIONS):
        turned = np.ascontiguousarray(orient(truth, orientation))
        images[f"hs{orientation}"] = sensor.hs(torch.from_numpy(turned)).numpy()
    write_arrays(images, folder)


@contextmanager
def suppress_lost_race(folder: Path) -> Iterator[None]:
    """Several processes may prepare one scene; whoever is later finds it there and is content."""
    try:
        yield
    except OutputError:
        if not folder.exists():
            raise


def write_arrays(images: Mapping[str, Array], folder: Path) -> None:
    """One .npy an array in `folder`, which appears when they are whole."""
    make_folder(folder.parent)
    with suppress_lost_race(folder), staged(folder) as place:
        place.mkdir()
        for stem, image in images.items():
            np.save(place / f"{stem}.npy", image)


def with_start(scene: TrainingScene, sensor: Sensor, folder: Path, weight: float) -> TrainingScene:
    """The scene and what explains each orientation's hs and ms, near the bicubic hs."""
    if not folder.exists():
        starts = (closed_form_start(scene, sensor, k, weight) for k in range(ORIENTATIONS))
        write_arrays({f"start{k}": start for k, start in enumerate(starts)}, folder)
    return replace(scene, start=tuple(mapped(folder, f"start{k}") for k in range(ORIENTATIONS)))


def closed_form_start(scene: TrainingScene, sensor: Sensor, orientation: int, weight: float) -> Array:
    hs, ms = copied(scene.hs[orientation]), copied(orient(scene.ms, orientation))
    start: Array = first_estimate(hs, ms, sensor, weight).numpy()
    return start


def open_scene(folder: Path) -> TrainingScene:
    hs = tuple(mapped(folder, f"hs{orientation}") for orientation in range(ORIENTATIONS))
    return TrainingScene(mapped(folder, "truth"), mapped(folder, "ms"), hs)


def mapped(folder: Path, stem: str) -> Array:
    array: Array = np.load(folder / f"{stem}.npy", mmap_mode="r")
    return array


class PatchStream(Dataset[Sample]):
    """Patch k of an endless stream; k alone (and the seed) decides scene, orientation and place."""

    def __init__(self, scenes: list[TrainingScene], ratio: int, patch_px: int, seed: int) -> None:
        if patch_px % ratio:
            raise InputError(f"patches of {patch_px} pixels", f"a multiple of the ratio {ratio}", "change patch_px")
        smallest = min(min(scene.truth.shape[1:]) for scene in scenes)
        if smallest < patch_px:
            raise InputError(f"a scene {smallest} pixels wide", f"{patch_px} or more", "lower patch_px")
        self.scenes, self.ratio, self.coarse_px, self.seed = scenes, ratio, patch_px // ratio, seed

    def __getitem__(self, k: int) -> Sample:
        random = np.random.default_rng((self.seed, k))
        scene = self.scenes[random.integers(len(self.scenes))]
        orientation = int(random.integers(ORIENTATIONS))
        corner_yx = (random.random(), random.random())
        return scene.patch(orientation, corner_yx, self.coarse_px, self.ratio)


class WholeScenes(Dataset[Sample]):
    """The validation scenes, each whole."""

    def __init__(self, scenes: list[TrainingScene]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, k: int) -> Sample:
        return self.scenes[k].whole()


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
