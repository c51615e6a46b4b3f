"""Images turned by quarters and mirrored: which part of one lies where in the other, and the pixels themselves."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """Rows and columns change places, then rows, then columns are reversed: how a lying image is put upright."""

    swaps: bool = False
    from_below: bool = False
    from_right: bool = False

    def shape_yx(self, lying_yx: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the upright image; of the lying one for those of the upright."""
        return (lying_yx[1], lying_yx[0]) if self.swaps else lying_yx

    def lying(self, rows: slice, columns: slice, upright_yx: tuple[int, int]) -> tuple[slice, slice]:
        """Where a window (step 1) of the upright image of so many rows and columns lies in the other.

        >>> Turn(swaps=True, from_right=True).lying(slice(0, 2), slice(0, 3), (8, 10))
        (slice(7, 10, None), slice(0, 2, None))
        """
        height, width = upright_yx
        rows = slice(height - rows.stop, height - rows.start) if self.from_below else rows
        columns = slice(width - columns.stop, width - columns.start) if self.from_right else columns
        return (columns, rows) if self.swaps else (rows, columns)

    def upright(self, values: np.ndarray) -> np.ndarray:
        """The pixels (..., y, x) of a lying image as a view of them upright."""
        values = values.swapaxes(-2, -1) if self.swaps else values
        return values[..., :: -1 if self.from_below else 1, :: -1 if self.from_right else 1]
