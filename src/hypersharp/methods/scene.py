"""The main job on tensors: decided and learned once for a scene, then applied to all of it.

What a scene tells as a whole (sensor, subspace, gains, pooled means, which method does best) is learned from a sample
of at most `MOST_COARSE` coarse pixels a side, so that it costs the same for scenes of any size: all of a small one; of
a larger one `WINDOWS` windows evenly spaced along either axis, put side by side, the seams left out.
A scene that is sharpened in parts learns the same, and so becomes the same.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.methods.auto import decide_named
from hypersharp.methods.base import Method, Settings
from hypersharp.methods.recipe import Recipe, carry_out, learn_recipe

Image = TypeVar("Image", Tensor, NDArray[Any])
MOST_COARSE = 160  # along a side of the sample
MOST_FINE = 640
WINDOWS = 4  # along a side of a sample that is not everything
SEAM_PX = 2  # coarse pixels on either side of a seam that do not count


def run_named(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """A method the user named: (L, h, w) and (l, H, W) -> (L, H, W); a large scene learns from its sample."""
    if Sample.of((hs.shape[1], hs.shape[2]), settings.ratio).is_all:
        return carry_out(decide_named(method, hs, ms, settings), hs, ms)
    return learn_run(method, hs, ms, settings)(hs, ms, settings)


def learn_run(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Recipe:
    """What `run_named` learns of (L, h, w) and (l, H, W) before it applies it to them."""
    sample = Sample.of((hs.shape[1], hs.shape[2]), settings.ratio)
    if sample.is_all:
        return learn_recipe(decide_named(method, hs, ms, settings), hs, ms)
    told = replace(sample.settings(settings), pixels=ms[0].numel())
    return learn_named(method, sample.coarse(hs), sample.fine(ms), told)


def learn_named(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Recipe:
    """What sharpens any part of a scene, learned from hs (L, h, w) and ms (l, H, W) of its sample."""
    return learn_recipe(decide_named(method, hs, ms, for_parts(settings)), hs, ms)


def for_parts(settings: Settings) -> Settings:
    """The settings of a scene for parts of it, which have no far side to come in from."""
    psf = settings.psf
    if psf is not None and psf.boundary == "wrap":
        psf = replace(psf, boundary="reflect")
    return replace(settings, psf=psf, in_parts=True)


@dataclass(frozen=True)
class Sample:
    """Which rows and columns of the coarse grid a sample is made of."""

    rows: tuple[range, ...]
    columns: tuple[range, ...]
    ratio: int

    @classmethod
    def of(cls, shape_yx: tuple[int, int], ratio: int) -> "Sample":
        """That of a scene of so many coarse pixels."""
        most = min(MOST_COARSE, MOST_FINE // ratio)
        return cls(spread(shape_yx[0], most), spread(shape_yx[1], most), ratio)

    @property
    def is_all(self) -> bool:
        """Whether it is the whole scene."""
        return len(self.rows) == len(self.columns) == 1

    def coarse(self, image: Image) -> Image:
        """(..., h, w) -> those rows and columns."""
        return taken(image, self.rows, self.columns, 1)

    def fine(self, image: Image) -> Image:
        """(..., H, W) -> the pixels under them."""
        return taken(image, self.rows, self.columns, self.ratio)

    def settings(self, settings: Settings) -> Settings:
        """The settings of the scene for the sample: what is measured there, without the seams."""
        hs_valid, ms_valid = settings.hs_valid, settings.ms_valid
        there = replace(
            settings,
            hs_valid=None if hs_valid is None else self.coarse(hs_valid),
            ms_valid=None if ms_valid is None else self.fine(ms_valid),
        )
        return self.without_seams(there)

    def without_seams(self, settings: Settings) -> Settings:
        """Settings of the sample with the pixels at seams counted as not measured."""
        inside = self.inside()
        fine = inside.repeat_interleave(self.ratio, 0).repeat_interleave(self.ratio, 1)
        hs_valid = inside if settings.hs_valid is None else inside & settings.hs_valid
        ms_valid = fine if settings.ms_valid is None else fine & settings.ms_valid
        return replace(settings, hs_valid=hs_valid, ms_valid=ms_valid)

    def inside(self) -> Tensor:
        """(h, w) of the sample, False where a pixel lies at a seam."""
        rows, columns = (off_seams(pieces) for pieces in (self.rows, self.columns))
        return rows[:, None] & columns


def spread(size: int, most: int) -> tuple[range, ...]:
    """All of 0..size-1, or evenly spaced runs of it with about `most` members in all.

    >>> spread(5, 8), spread(100, 8)
    ((range(0, 5),), (range(0, 2), range(33, 35), range(65, 67), range(98, 100)))
    """
    if size <= most:
        return (range(size),)
    length = most // WINDOWS
    starts = (round(i * (size - length) / (WINDOWS - 1)) for i in range(WINDOWS))
    return tuple(range(start, start + length) for start in starts)


def taken(image: Image, rows: tuple[range, ...], columns: tuple[range, ...], step: int) -> Image:
    """The rows and columns (..., y, x) of these runs, each index standing for `step` of them, side by side."""
    y, x = (
        np.concatenate([np.arange(run.start * step, run.stop * step) for run in runs])
        for runs in (rows, columns)
    )
    cut: Image = image[..., y, :][..., x]
    return cut


def off_seams(runs: tuple[range, ...]) -> Tensor:
    """True where a member of the runs is not beside a seam between two of them."""
    kept = torch.ones(sum(map(len, runs)), dtype=torch.bool)
    place = 0
    for run in runs[:-1]:
        place += len(run)
        kept[place - SEAM_PX : place + SEAM_PX] = False
    return kept
