"""A pair at reduced resolution, where hs is the truth of what a method makes of it (Wald's protocol).

Source: Wald, Ranchin, Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63(6), "Fusion of satellite
images of different spatial resolutions: assessing the quality of resulting images". Of a large image the middle is
taken, which bounds the cost; of a small one several phases of the decimation (hs without its first rows and columns),
for one reduced pair of a 24 x 24 image shows too little. The ratio is kept: on Jasper Ridge, ratio 6, 2 x 2 coarse
pixels ranked methods better than 8 x 8 of ratio 2.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.pair.defects import some_bands
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.diagnosis import Noise
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

LEAST_PX = 2  # coarse pixels along a side below which a degraded hs shows nothing
MOST_PX = 160  # along a side of the truth, in pixels of hs
ENOUGH_PX = 256  # coarse pixels in all phases together
MOST_PHASES = 4
MOST_BANDS = 8  # by which a boundary rule is judged
MOSTLY = 0.5  # of what a pixel of the reduced hs sees was measured, where it counts


@dataclass(frozen=True, eq=False)
class ReducedPair(TensorPair):
    """hs (L, h/ratio, w/ratio) and ms (l, h, w) of the coarser level, and their truth (L, h, w).

    `hs_valid` is True where hs saw measured pixels for the most part (the others are filled by their neighbours, and
    too few would be left of a small hs with a gap), `ms_valid` where the ms saw measured ones only, None where all did.
    """

    truth: Tensor = field(kw_only=True)
    truth_valid: Tensor | None = field(kw_only=True, default=None)


def degrade_pair(pair: TensorPair, sensor: Sensor) -> ReducedPair:
    """hs (L, h, w) and ms (l, H, W) as the sensor's blur and decimation shows them from `ratio` times as far.

    Rows and columns on the far sides of hs that fill no pixel of the coarser level are left out, and those of
    ms over them.

    Raises: InputError for an hs of less than two such pixels along a side.
    """
    ratio = sensor.ratio
    height, width = (length // ratio * ratio for length in pair.hs.shape[1:])
    if min(height, width) < LEAST_PX * ratio:
        found = f"hs of {pair.hs.shape[1]} x {pair.hs.shape[2]} pixels at ratio {ratio}"
        expected = f"at least {LEAST_PX * ratio} x {LEAST_PX * ratio}, for its reduced resolution"
        raise InputError(found, expected, "take a larger part of the scene")
    whole = cut(pair, slice(0, height), slice(0, width))
    return ReducedPair(
        sensor.hs(whole.hs),
        sensor.hs(whole.ms),
        None if whole.hs_valid is None else sensor.hs(whole.hs_valid[None].to(whole.hs))[0] >= MOSTLY,
        None if whole.ms_valid is None else sensor.sees_only(whole.ms_valid),
        pair.spectra,
        offset_px_yx=pair.offset_px_yx,
        truth=whole.hs,
        truth_valid=whole.hs_valid,
    )


def cut(pair: TensorPair, rows: slice, columns: slice) -> TensorPair:
    """The part of a pair in these rows and columns of the coarse grid."""
    fine_rows, fine_columns = (slice(side.start * pair.ratio, side.stop * pair.ratio) for side in (rows, columns))
    return TensorPair(
        pair.hs[:, rows, columns],
        pair.ms[:, fine_rows, fine_columns],
        None if pair.hs_valid is None else pair.hs_valid[rows, columns],
        None if pair.ms_valid is None else pair.ms_valid[fine_rows, fine_columns],
        pair.spectra,
        offset_px_yx=pair.offset_px_yx,
    )


def reduced_pairs(pair: TensorPair, sensor: Sensor) -> list[ReducedPair]:
    """The pairs that methods are judged on, see the head of this file.

    Raises: InputError for an hs of less than two coarser pixels along a side.
    """
    first_y, first_x = (max(0, (size - MOST_PX) // 2) for size in pair.hs.shape[1:])
    return [
        degrade_pair(cut(pair, slice(first_y + y, first_y + MOST_PX), slice(first_x + x, first_x + MOST_PX)), sensor)
        for y, x in phases((pair.hs.shape[1], pair.hs.shape[2]), sensor.ratio)
    ]


def as_noisy_as(pair: ReducedPair, noise: Noise, psf: PSF) -> ReducedPair:
    """The reduced pair with the noise that degrading averaged out of it, of the pair's deviations by band."""
    lost = float(max(0.0, 1 - np.square(psf.kernel).sum())) ** 0.5
    generator = torch.Generator().manual_seed(0)

    def noisy(image: Tensor, deviation: NDArray[np.float64]) -> Tensor:
        drawn = torch.randn(image.shape, generator=generator) * torch.from_numpy(lost * deviation)[:, None, None]
        return image + drawn.to(image)

    return replace(pair, hs=noisy(pair.hs, noise.hs), ms=noisy(pair.ms, noise.ms))


def phases(shape_yx: tuple[int, int], ratio: int) -> list[tuple[int, int]]:
    """The first rows and columns (y, x) left out, as many phases as an hs of that shape needs.

    >>> phases((128, 128), 4), phases((24, 24), 3)
    ([(0, 0)], [(0, 0), (1, 1), (0, 1), (1, 0)])
    """
    pixels = max(1, shape_yx[0] // ratio * (shape_yx[1] // ratio))
    half = ratio // 2
    height, width = (size - LEAST_PX * ratio for size in shape_yx)
    others = [(y, x) for y, x in ((half, half), (0, half), (half, 0)) if y <= height and x <= width]
    return [(0, 0), *others][: max(1, min(MOST_PHASES, -(-ENOUGH_PX // pixels)))]


def checkerboard(shape_yx: tuple[int, int], tile_px: int) -> Tensor:
    """(h, w): True on every other tile, so that what is fitted on some is judged on the others.

    >>> checkerboard((2, 4), 1).int().tolist()
    [[0, 1, 0, 1], [1, 0, 1, 0]]
    """
    rows, columns = (torch.arange(size) // tile_px for size in shape_yx)
    return (rows[:, None] + columns) % 2 == 1


def trusted_pixels(
    estimate: Tensor, hs: Tensor, sensor: Sensor, *, hs_valid: Tensor | None, ms_valid: Tensor | None
) -> Tensor:
    """(h, w): where a coarse pixel was measured and its blur sees nothing but measured pixels of the image.

    What lies beyond the border nobody knows. "wrap", as simulations have it, is believed where hs (some bands of it)
    agrees with it at least as well as with "nearest"; else pixels whose blur reaches there do not count.
    """
    psf, ratio, shape_yx = sensor.psf, sensor.ratio, (estimate.shape[1], estimate.shape[2])
    inside = inside_pixels(psf, ratio, shape_yx).to(hs.device)
    trusted = torch.ones_like(inside) if hs_valid is None else hs_valid.to(hs.device)
    if ms_valid is not None:
        trusted = trusted & sensor.sees_only(ms_valid.to(hs.device))
    if psf.boundary != "wrap":
        return trusted & inside if inside.any() else trusted
    if not inside.all():
        other = replace(sensor, psf=replace(psf, boundary="nearest"))
        border = trusted & ~inside
        some = some_bands(len(hs), MOST_BANDS)
        gaps = [float((hs[some] - one.hs(estimate[some]))[:, border].norm()) for one in (sensor, other)]
        trusted = trusted if gaps[0] <= gaps[1] else trusted & inside
    return trusted


def inside_pixels(psf: PSF, ratio: int, shape_yx: tuple[int, int]) -> Tensor:
    """(h, w): where the blur of a coarse pixel stays inside the fine image of `shape_yx` pixels.

    >>> inside_pixels(PSF(np.ones((8, 8)), (1, 1)), 4, (12, 12)).int().tolist()
    [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    """
    rows, columns = (
        torch.tensor([ratio * i + start + taps // 2 - (taps - 1) >= 0 for i in range(size // ratio)])
        & torch.tensor([ratio * i + start + taps // 2 < size for i in range(size // ratio)])
        for size, taps, start in zip(shape_yx, psf.kernel.shape, psf.start_yx, strict=True)
    )
    return rows[:, None] & columns
