"""The sample of a scene from which what belongs to it as a whole is learned, so that scenes of any size cost the same.

All of a small scene; of a larger one windows evenly spaced along either axis, put side by side, the seams left out:
`WINDOWS`, or fewer at large ratios, where each would be but a few coarse pixels wide.
"""

from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from hypersharp.grid import Window
from hypersharp.pair.tensors import TensorPair

MOST_COARSE = 160  # coarse pixels along a side of the sample
MOST_FINE = 640
WINDOWS, LEAST_WINDOWS = 4, 2  # along a side of a sample that is not everything
LEAST_RUN = 16  # coarse pixels along a window: a blur and seams reach over some of them
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
        most = max(LEAST_WINDOWS * LEAST_RUN, min(MOST_COARSE, MOST_FINE // ratio))
        return cls(spread(shape_yx[0], most), spread(shape_yx[1], most), ratio)

    @property
    def is_all(self) -> bool:
        """Whether it is the whole scene."""
        return len(self.rows) == len(self.columns) == 1

    @property
    def windows(self) -> list[list[Window]]:
        """The windows (y0, x0, height, width) in coarse pixels, row by row."""
        return [[(y.start, x.start, len(y), len(x)) for x in self.columns] for y in self.rows]

    def without_seams(self, pair: TensorPair) -> TensorPair:
        """The pair of the sample with the pixels at seams counted as not measured."""
        if self.is_all:
            return pair
        sides = []
        for runs in (self.rows, self.columns):
            kept = torch.ones(sum(map(len, runs)), dtype=torch.bool)
            for seam in accumulate(map(len, runs[:-1])):
                kept[seam - SEAM_PX : seam + SEAM_PX] = False
            sides.append(kept)
        inside = sides[0][:, None] & sides[1]
        fine = inside.repeat_interleave(self.ratio, 0).repeat_interleave(self.ratio, 1)
        hs_valid = inside if pair.hs_valid is None else inside & pair.hs_valid
        ms_valid = fine if pair.ms_valid is None else fine & pair.ms_valid
        return replace(pair, hs_valid=hs_valid, ms_valid=ms_valid)


def spread(size: int, most: int) -> tuple[range, ...]:
    """All of 0..size-1, or evenly spaced runs of it with about `most` members in all.

    >>> spread(5, 32), spread(100, 32)
    ((range(0, 5),), (range(0, 16), range(84, 100)))
    """
    if size <= most:
        return (range(size),)
    count = min(WINDOWS, most // LEAST_RUN)
    length = most // count
    starts = (round(i * (size - length) / (count - 1)) for i in range(count))
    return tuple(range(start, start + length) for start in starts)
