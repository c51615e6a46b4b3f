"""Training crops that are scenes of their own: cut, turned, mixed, recoloured and relit first, and only then observed.

Whatever is done to a crop before it is observed, both observations are those of a scene again: these augmentations are
exact. They matter, for what a network makes of a material hangs on whether it saw its like. Crop k depends on (seed, k)
alone, so any step of any run can be made anew. A blur wider than its coarse pixel wraps around the crop: that margin
takes no part in the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.networks.coordinates import reach_px
from hypersharp.pair.tensors import ORIENTATIONS
from hypersharp.sensor.observe import Sensor
from hypersharp.train.patches import Array, orient

NODES = 4  # of a curve over the bands
GAIN_RANGE = (0.6, 1.2)


@dataclass(frozen=True, eq=False)
class CropStream:
    """An endless stream of crops of `side_px` from scenes (L, H, W).

    `mixed`, `recoloured` and `relit` are shares of them: summed with another crop, by a share that may change with the
    wavelength; spectra moved along the bands by up to `shift_bands`, by an amount that changes with the wavelength;
    under another light.

    Raises: InputError for crops that are no multiple of the ratio or larger than a scene.
    """

    scenes: Sequence[Array]
    sensor: Sensor
    side_px: int
    seed: int = 0
    mixed: float = 0.0
    recoloured: float = 0.0
    shift_bands: float = 0.0
    relit: float = 0.0

    def __post_init__(self) -> None:
        smallest = min(min(scene.shape[1:]) for scene in self.scenes)
        if self.side_px % self.sensor.ratio or self.side_px > smallest:
            found = f"crops of {self.side_px} pixels"
            expected = f"a multiple of the ratio {self.sensor.ratio}, at most {smallest}"
            raise InputError(found, expected, "change crop_px")

    def batch(self, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """(hs, ms, truth) of crops first, first + 1, ..."""
        truth = torch.from_numpy(np.stack([self.truth(k) for k in range(first, first + count)]))
        return *self.sensor.observe(truth), truth

    def truth(self, k: int) -> Array:
        """Crop k, (L, side, side)."""
        random = np.random.default_rng((self.seed, k))
        crop = self.cut(random)
        if random.random() < self.mixed:
            share = np.full(len(crop), random.random(), np.float32)
            if random.random() < self.recoloured:
                share = smooth_curve(random, len(crop), 0, 1)
            crop = share[:, None, None] * crop + (1 - share)[:, None, None] * self.cut(random)
        if random.random() < self.recoloured:
            crop = moved_along_bands(crop, smooth_curve(random, len(crop), -self.shift_bands, self.shift_bands))
        if random.random() < self.relit:
            crop = crop * smooth_curve(random, len(crop), *GAIN_RANGE)[:, None, None]
        return np.ascontiguousarray(crop)

    def cut(self, random: Generator) -> Array:
        """A crop anywhere in any scene, in any of its eight orientations."""
        scene = orient(self.scenes[int(random.integers(len(self.scenes)))], int(random.integers(ORIENTATIONS)))
        y, x = (int(random.integers(size - self.side_px + 1)) for size in scene.shape[1:])
        return scene[:, y : y + self.side_px, x : x + self.side_px]


def smooth_curve(random: Generator, bands: int, lowest: float, highest: float) -> Array:
    """A value of each band, (bands,), between these."""
    nodes = random.uniform(lowest, highest, NODES)
    places = np.linspace(0, NODES - 1, bands)
    return np.interp(places, np.arange(NODES), nodes).astype(np.float32)


def moved_along_bands(crop: Array, by: Array) -> Array:
    """The spectra (L, h, w) read at other bands, so many further on each, (L,)."""
    places = np.clip(np.arange(len(crop), dtype=np.float32) + by, 0, len(crop) - 1)
    before = np.minimum(places.astype(np.intp), len(crop) - 2)
    share = (places - before).astype(np.float32)[:, None, None]
    moved: Array = (1 - share) * crop[before] + share * crop[before + 1]
    return moved


def wrapped_margin_px(sensor: Sensor) -> int:
    """How far from the border of a crop the hs is not that of the scene, in fine pixels: whole coarse ones."""
    return -(-reach_px(sensor.psf, sensor.ratio) // sensor.ratio) * sensor.ratio
