"""The sample of a large scene from which what belongs to it as a whole is learned."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.pair.settings import Settings

Image = TypeVar("Image", Tensor, NDArray[Any])


MOST_COARSE = 160  # along a side of the sample


MOST_FINE = 640


WINDOWS = 4  # along a side of a sample that is not everything


SEAM_PX = 2  # coarse pixels on either side of a seam that do not count


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
    y, x = (np.concatenate([np.arange(run.start * step, run.stop * step) for run in runs]) for runs in (rows, columns))
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
