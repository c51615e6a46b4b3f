"""Training crops that are scenes of their own: cut, turned, mixed and relit first, and only then observed.

Both observations are linear, so a convex sum of two crops, or a crop whose spectra are multiplied by a gain, is
a valid scene again: these augmentations are exact. Crop k depends on (seed, k) alone, so any step of any run can
be made anew. A blur wider than its coarse pixel wraps around the crop: that margin takes no part in the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.networks.coordinates import reach_px
from hypersharp.sensor.observe import Sensor
from hypersharp.train.patches import ORIENTATIONS, Array, orient

GAIN_NODES = 4
GAIN_RANGE = (0.6, 1.2)


@dataclass(frozen=True, eq=False)
class CropStream:
    """An endless stream of crops of `side_px` from scenes (L, H, W); `mixed` and `relit` are shares of them.

    Raises: InputError for crops that are no multiple of the ratio or larger than a scene.
    """

    scenes: Sequence[Array]
    sensor: Sensor
    side_px: int
    seed: int = 0
    mixed: float = 0.0
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
            share = np.float32(random.random())
            crop = share * crop + (1 - share) * self.cut(random)
        if random.random() < self.relit:
            crop = crop * spectral_gain(random, len(crop))[:, None, None]
        return np.ascontiguousarray(crop)

    def cut(self, random: Generator) -> Array:
        """A crop anywhere in any scene, in any of its eight orientations."""
        scene = orient(self.scenes[int(random.integers(len(self.scenes)))], int(random.integers(ORIENTATIONS)))
        y, x = (int(random.integers(size - self.side_px + 1)) for size in scene.shape[1:])
        return scene[:, y : y + self.side_px, x : x + self.side_px]


def spectral_gain(random: Generator, bands: int) -> Array:
    """A smooth gain of each band, (bands,): another light."""
    nodes = random.uniform(*GAIN_RANGE, GAIN_NODES)
    places = np.linspace(0, GAIN_NODES - 1, bands)
    return np.interp(places, np.arange(GAIN_NODES), nodes).astype(np.float32)


def wrapped_margin_px(sensor: Sensor) -> int:
    """How far from the border of a crop the hs is not that of the scene, in fine pixels: whole coarse ones."""
    return -(-reach_px(sensor.psf, sensor.ratio) // sensor.ratio) * sensor.ratio
