"""What a pair degraded once more tells of a method: reduced pairs of a sensible size, what counts on them, scores.

Wald's protocol (see `wald`) on the middle of a large image, which bounds its cost, and on several phases of the
decimation of a small one: hs without its first rows and columns is seen by other coarse pixels, so that r^2 reduced
pairs tell of the same scene, and more than one of a 24 x 24 image does. The ratio is kept: on Jasper Ridge, ratio 6,
2 x 2 coarse pixels ranked methods better than 8 x 8 of ratio 2.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypersharp.pair.reduced import ReducedPair
from hypersharp.quality.metrics import psnr_sam_ergas

BORDER = 1 / 8  # of a side of the truth is the most that is left out as border
PSNR_SHARE = 0.75  # of the quality; the rest is SAM's


@dataclass(frozen=True)
class Quality:
    """PSNR in dB, SAM in degrees and ERGAS, the mean over the reduced pairs."""

    psnr_db: float
    sam_deg: float
    ergas: float

    @property
    def db(self) -> float:
        """What is ranked: both errors in dB, 3/4 PSNR - 1/4 20 log10(SAM)."""
        return PSNR_SHARE * self.psnr_db - (1 - PSNR_SHARE) * 20 * float(np.log10(max(self.sam_deg, 1e-6)))


def counted_pixels(pair: ReducedPair, ratio: int) -> Tensor:
    """(h, w): measured pixels of the truth without its border, of all where none are left."""
    height, width = pair.truth.shape[1:]
    margin = min(ratio, int(BORDER * min(height, width)))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[margin : height - margin, margin : width - margin] = True
    counted = inside if pair.truth_valid is None else inside & pair.truth_valid.cpu()
    return counted if counted.any() else torch.ones_like(counted)


def checkerboard(shape_yx: tuple[int, int], tile_px: int) -> Tensor:
    """(h, w): True on every other tile, so that what is fitted on some is judged on the others.

    >>> checkerboard((2, 4), 1).int().tolist()
    [[0, 1, 0, 1], [1, 0, 1, 0]]
    """
    rows, columns = (torch.arange(size) // tile_px for size in shape_yx)
    return (rows[:, None] + columns) % 2 == 1


def judge(estimates: list[Tensor], pairs: list[ReducedPair], ratio: int) -> Quality:
    """The scores of one estimate (L, h, w) of each pair's truth."""
    rows = []
    for estimate, pair in zip(estimates, pairs, strict=True):
        counted = counted_pixels(pair, ratio).to(estimate.device)
        top = max(1.0, float(pair.truth.abs().max()))
        found, truth = (
            (image[:, counted] / top).cpu().numpy()[..., None] for image in (estimate, pair.truth.to(estimate))
        )
        rows.append(psnr_sam_ergas(found, truth, ratio=ratio, preset="float"))
    return Quality(*np.mean(rows, axis=0).tolist())
