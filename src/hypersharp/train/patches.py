"""Training patches: cut on the ratio grid from scenes that were degraded whole.

Degrading a cut patch would put the boundary rule into the training data, and flipping a finished
pair would be wrong for a PSF off the centre of its coarse pixel. So each scene is degraded whole,
in its eight orientations, once, into memory-mapped files; a patch is a view of them, copied last.
Patch k depends on (seed, k) alone: any step of any run, on any number of devices, can be made anew.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from hypersharp.errors import InputError, OutputError
from hypersharp.sensor.observe import Sensor
from hypersharp.whole import make_folder, staged

Array = NDArray[np.float32]
Triple = tuple[Tensor, Tensor, Tensor]
ORIENTATIONS = 8


def orient(image: Array, orientation: int) -> Array:
    """View of (band, y, x) turned by orientation % 4 quarter turns, then mirrored for 4..7."""
    turned = np.rot90(image, orientation % 4, axes=(1, 2))
    return turned[..., ::-1] if orientation >= 4 else turned


@dataclass(frozen=True)
class TrainingScene:
    """A scene seen by the sensor: truth (L, H, W), ms (l, H, W), hs (L, h, w) for each orientation."""

    truth: Array
    ms: Array
    hs: tuple[Array, ...]

    def patch(self, orientation: int, corner_yx: tuple[float, float], coarse_px: int, ratio: int) -> Triple:
        """(hs, ms, truth) of coarse_px coarse pixels a side, its corner at a fraction of the free play."""
        hs = self.hs[orientation]
        play_yx = (hs.shape[1] - coarse_px + 1, hs.shape[2] - coarse_px + 1)
        y, x = (int(fraction * play) for fraction, play in zip(corner_yx, play_yx, strict=True))
        coarse = hs[:, y : y + coarse_px, x : x + coarse_px]
        fine_y, fine_x = (slice(start * ratio, (start + coarse_px) * ratio) for start in (y, x))
        ms, truth = (orient(image, orientation)[:, fine_y, fine_x] for image in (self.ms, self.truth))
        return copied(coarse), copied(ms), copied(truth)

    def whole(self) -> Triple:
        return copied(self.hs[0]), copied(self.ms), copied(self.truth)


def copied(view: Array) -> Tensor:
    return torch.from_numpy(np.array(view, dtype=np.float32, order="C"))


def prepare_scenes(
    truths: Mapping[str, Callable[[], Array]], sensor: Sensor, folder: Path
) -> list[TrainingScene]:
    """The scenes degraded whole, as memory maps under `folder`; those already there are reused.

    `truths` maps a scene's name to a function that reads it, (L, H, W) scaled to 0..1.
    """
    for name, read in truths.items():
        if not (folder / name).exists():
            prepare_scene(read(), sensor, folder / name)
    return [open_scene(folder / name) for name in truths]


def prepare_scene(truth: Array, sensor: Sensor, folder: Path) -> None:
    """Write the scene's arrays into `folder`, which appears when they are whole."""
    images = {"truth": truth, "ms": sensor.ms(torch.from_numpy(truth)).numpy()}
    for orientation in range(ORIENTATIONS):
        turned = np.ascontiguousarray(orient(truth, orientation))
        images[f"hs{orientation}"] = sensor.hs(torch.from_numpy(turned)).numpy()
    make_folder(folder.parent)
    with suppress_lost_race(folder), staged(folder) as place:
        place.mkdir()
        for stem, image in images.items():
            np.save(place / f"{stem}.npy", image)


@contextmanager
def suppress_lost_race(folder: Path) -> Iterator[None]:
    """Several processes may prepare one scene; whoever is later finds it there and is content."""
    try:
        yield
    except OutputError:
        if not folder.exists():
            raise


def open_scene(folder: Path) -> TrainingScene:
    def mapped(stem: str) -> Array:
        array: Array = np.load(folder / f"{stem}.npy", mmap_mode="r")
        return array

    hs = tuple(mapped(f"hs{orientation}") for orientation in range(ORIENTATIONS))
    return TrainingScene(mapped("truth"), mapped("ms"), hs)


class PatchStream(Dataset[Triple]):
    """Patch k of an endless stream; k alone (and the seed) decides scene, orientation and place."""

    def __init__(self, scenes: list[TrainingScene], ratio: int, patch_px: int, seed: int) -> None:
        if patch_px % ratio:
            raise InputError(
                f"patches of {patch_px} pixels", f"a multiple of the ratio {ratio}", "change patch_px"
            )
        smallest = min(min(scene.truth.shape[1:]) for scene in scenes)
        if smallest < patch_px:
            raise InputError(f"a scene {smallest} pixels wide", f"{patch_px} or more", "lower patch_px")
        self.scenes, self.ratio, self.coarse_px, self.seed = scenes, ratio, patch_px // ratio, seed

    def __getitem__(self, k: int) -> Triple:
        random = np.random.default_rng((self.seed, k))
        scene = self.scenes[random.integers(len(self.scenes))]
        orientation = int(random.integers(ORIENTATIONS))
        corner_yx = (random.random(), random.random())
        return scene.patch(orientation, corner_yx, self.coarse_px, self.ratio)


class WholeScenes(Dataset[Triple]):
    """The validation scenes, each whole."""

    def __init__(self, scenes: list[TrainingScene]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, k: int) -> Triple:
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


def channels_last(batch: list[Any]) -> Triple:
    """Stack patches with the channels last in memory."""
    stacked = (
        torch.stack(part).contiguous(memory_format=torch.channels_last) for part in zip(*batch, strict=True)
    )
    hs, ms, truth = stacked
    return hs, ms, truth
