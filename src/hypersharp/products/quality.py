"""Quality layers: which pixels a product itself speaks against, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypersharp.grid import Window
from hypersharp.stored import MaskPixels, Part, Pixels

REASONS = ("cloud", "near-cloud", "shadow", "cirrus", "haze", "snow", "saturated", "defective", "unusable")
SAMPLED_PX, STRIP_PX = 1024, 512  # along a side, of a large image whose shares are counted; rows read at once


@dataclass(frozen=True)
class Layer:
    """A quality layer (1, y, x) of whole numbers: for each reason the values, or the bits, that leave a pixel out."""

    pixels: Any
    reasons: Mapping[str, Sequence[int]]
    bits: bool = False


def unmasked(layer: Any, name: str) -> tuple[str, ...]:
    """What is said where a product comes without its quality layer of that name."""
    return () if layer else (f"no {name} beside it: clouds are not left out",)


class Around(Pixels):
    """(1, y, x) 1 for pixels within `reach_px` of those that have one of the values in a layer of classes."""

    def __init__(self, classes: Any, values: Sequence[int], reach_px: int) -> None:
        super().__init__(classes.shape, "u1")
        self.classes, self.values, self.reach_px = classes, tuple(values), reach_px

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        from scipy.ndimage import maximum_filter

        y, x = (max(0, part.start - self.reach_px) for part in (rows, columns))
        seen = self.classes[0:1, y : rows.stop + self.reach_px, x : columns.stop + self.reach_px][0]
        inside = np.isin(seen, self.values)
        near = maximum_filter(inside, 2 * self.reach_px + 1) & ~inside
        return np.asarray(near[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x][np.newaxis], "u1")


class Said(Pixels):
    """(reason, y, x) True where quality layers leave a pixel out, for each of `reasons`."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.reasons = tuple(dict.fromkeys(reason for layer in layers for reason in layer.reasons))
        super().__init__((len(self.reasons), *layers[0].pixels.shape[1:]), bool)
        self.layers = tuple(layers)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        found = np.zeros((len(bands), rows.stop - rows.start, columns.stop - columns.start), bool)
        for layer in self.layers:
            asked = [i for i, band in enumerate(bands) if self.reasons[band] in layer.reasons]
            if asked:
                values = np.asarray(layer.pixels[0:1, rows, columns])[0]
                for i in asked:
                    told = layer.reasons[self.reasons[bands[i]]]
                    if layer.bits:
                        found[i] |= values.astype(np.int64) & sum(1 << bit for bit in told) != 0
                    else:
                        found[i] |= np.isin(values, told)
        return found


class Flags(Pixels):
    """(reason, y, x) True where a product itself leaves a pixel out, for each of `reasons`."""

    def __init__(self, reasons: Sequence[str], said: Any) -> None:
        super().__init__(said.shape, bool)
        self.reasons, self.said = tuple(reasons), said

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Flags | None:
        """What quality layers say; None without any."""
        said = Said(layers) if layers else None
        return None if said is None else cls(said.reasons, said)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return np.asarray(self.said.read(bands, rows, columns))

    def part(self, window: Window) -> Flags:
        """The flags of a window alone."""
        return Flags(self.reasons, Part(self.said, window))

    def without(self, keep: Sequence[str]) -> list[int]:
        """The reasons, by number, that are not among those to keep."""
        return [i for i, reason in enumerate(self.reasons) if reason not in keep]

    def shares(self, keep: Sequence[str] = ()) -> dict[str, float]:
        """The share of pixels for each reason that is not kept, of a large image by its middle rows and columns."""
        _, height, width = self.shape
        step = max(1, -(-max(height, width) // SAMPLED_PX))
        wanted, total, count = self.without(keep), np.zeros(len(self.reasons)), 0
        for top in range(0, height, STRIP_PX):
            part = self.read(wanted, slice(top, min(height, top + STRIP_PX)), slice(0, width))
            part = part[:, (step // 2 - top) % step :: step, step // 2 :: step]
            total[wanted] += part.sum((1, 2))
            count += part[0].size if wanted else 1
        return {self.reasons[i]: float(total[i] / count) for i in wanted if total[i]}


class Kept(MaskPixels):
    """(1, y, x) False where a pixel is missing, or left out for one of the reasons."""

    def __init__(self, valid: Any, flags: Flags, reasons: Sequence[int]) -> None:
        super().__init__(flags.shape[1:])
        self.valid, self.flags, self.reasons = valid, flags, list(reasons)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        flagged: np.ndarray = self.flags.read(self.reasons, rows, columns)
        kept = ~np.any(flagged, axis=0, keepdims=True)
        return kept if self.valid is None else np.asarray(kept & self.valid[:, rows, columns])
