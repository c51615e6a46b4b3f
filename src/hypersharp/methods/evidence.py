"""What a pair degraded once more tells of a method: reduced pairs of a sensible size, what counts on them, scores.

Wald's protocol (see `wald`) on the middle of a large image, which bounds its cost, and on several phases of the
decimation of a small one: hs without its first rows and columns is seen by other coarse pixels, so that r^2 reduced
pairs tell of the same scene, and more than one of a 24 x 24 image does. The ratio is kept: on Jasper Ridge, ratio 6,
2 x 2 coarse pixels ranked methods better than 8 x 8 of ratio 2.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.methods.wald import LEAST_PX, ReducedPair, degrade_pair
from hypersharp.metrics import psnr_sam_ergas
from hypersharp.sensor.noise import Noise
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

MOST_PX = 160  # along a side of the truth, in pixels of hs
ENOUGH_PX = 256  # coarse pixels in all phases together
MOST_PHASES = 4
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


def reduced_pairs(
    hs: Tensor, ms: Tensor, sensor: Sensor, *, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None
) -> list[ReducedPair]:
    """The pairs that hs (L, h, w) and ms (l, H, W) are judged on, see the head of this file.

    Raises: InputError for an hs of less than two coarser pixels along a side.
    """
    ratio = sensor.ratio
    first_y, first_x = (max(0, (size - MOST_PX) // 2) for size in hs.shape[1:])
    pairs = []
    for y, x in phases((hs.shape[1], hs.shape[2]), ratio):
        rows, columns = (
            slice(first + start, first + MOST_PX) for first, start in ((first_y, y), (first_x, x))
        )
        fine_rows, fine_columns = (slice(side.start * ratio, side.stop * ratio) for side in (rows, columns))
        pairs.append(
            degrade_pair(
                hs[:, rows, columns],
                ms[:, fine_rows, fine_columns],
                sensor,
                hs_valid=None if hs_valid is None else hs_valid[rows, columns],
                ms_valid=None if ms_valid is None else ms_valid[fine_rows, fine_columns],
            )
        )
    return pairs


def as_noisy_as(pair: ReducedPair, noise: Noise, psf: PSF) -> ReducedPair:
    """The reduced pair with the noise of the pair itself (standard deviations by band), which degrading averaged out.

    That of a single ms band is left out: its texture counts as noise.
    """
    lost = float(max(0.0, 1 - np.square(psf.kernel).sum())) ** 0.5
    generator = torch.Generator().manual_seed(0)

    def noisy(image: Tensor, deviation: NDArray[np.float64]) -> Tensor:
        drawn = (
            torch.randn(image.shape, generator=generator) * torch.from_numpy(lost * deviation)[:, None, None]
        )
        return image + drawn.to(image)

    ms = noisy(pair.ms, noise.ms) if len(pair.ms) > 1 else pair.ms
    return replace(pair, hs=noisy(pair.hs, noise.hs), ms=ms)


def phases(shape_yx: tuple[int, int], ratio: int) -> list[tuple[int, int]]:
    """The first rows and columns (y, x) left out, as many phases as an hs of that shape needs.

    >>> phases((128, 128), 4), phases((24, 24), 3)
    ([(0, 0)], [(0, 0), (1, 1), (0, 1), (1, 0)])
    """
    pixels = max(1, shape_yx[0] // ratio * (shape_yx[1] // ratio))
    half = ratio // 2
    others = [
        (y, x)
        for y, x in ((half, half), (0, half), (half, 0))
        if min(shape_yx[0] - y, shape_yx[1] - x) >= LEAST_PX * ratio
    ]
    return [(0, 0), *others][: max(1, min(MOST_PHASES, -(-ENOUGH_PX // pixels)))]


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
            (image[:, counted] / top).cpu().numpy()[..., None]
            for image in (estimate, pair.truth.to(estimate))
        )
        rows.append(psnr_sam_ergas(found, truth, ratio=ratio, preset="float"))
    return Quality(*np.mean(rows, axis=0).tolist())
