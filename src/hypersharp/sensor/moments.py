"""What the pair says about the sensor, gathered once: second moments of the equations R hs = B ms.

Coarse pixel i and ms band m give one equation, srf[m] . hs(i) = taps . patch_m(i), the patch being the fine pixels
around i, binned to cells of `step` pixels. For any srf and taps the sum of squared differences follows from

    bands = sum h h',   cross[m] = sum h p_m',   cells[m] = sum p_m p_m'

(h: hs at i with a 1 after it, p_m: the patch), so that a fit never goes back to the pixels. Pixels that are not
measured, and patches that reach over the border, are left out; of very many the most textured are kept.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from hypersharp.errors import InputError
from hypersharp.numerics.loops import slices
from hypersharp.sensor.observe import degraded
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.tables import FloatArray, Mask

MOST_EQUATIONS = 200_000
LEAST_EQUATIONS, WANTED_EQUATIONS = 12, 64
PIXELS_AT_ONCE = 4096
LEAST_SIDE_PX = 12
REACH = 3  # side of the support in coarse pixels: a blur of FWHM one, moved by up to half of one
WIDE_REACH = 6  # of one of sigma one
MOST_CELLS_A_PIXEL = 6
BLOCKS = 8  # the image is divided into as many blocks along a side, every fourth is held out
OTHERWISE = "check that both show the same scene, or pass psf and srf (--psf, --srf)"


@dataclass(frozen=True, eq=False)
class Support:
    """Where the taps lie: `cells` x `cells` cells of `step` fine pixels, the first at ratio i + `first`."""

    ratio: int
    cells: int
    step: int
    first: int

    @property
    def side_px(self) -> int:
        return self.cells * self.step

    def offsets_px(self) -> FloatArray:
        """The fine pixels of the support from the coarse pixel's nominal centre, along one side."""
        return np.asarray(np.arange(float(self.side_px)) + self.first - (self.ratio - 1) / 2)

    def to_cells(self, fine: FloatArray) -> FloatArray:
        """Weights of fine pixels (side, side) as weights of cell means (cells * cells,)."""
        blocks = fine.reshape(self.cells, self.step, self.cells, self.step)
        return np.asarray(blocks.sum((1, 3)).ravel())

    def to_fine(self, taps: FloatArray) -> FloatArray:
        """Weights of cell means as weights of fine pixels (side, side)."""
        square = taps.reshape(self.cells, self.cells)
        return np.asarray(np.kron(square, np.full((self.step, self.step), self.step**-2.0)))

    def as_psf(self, fine: FloatArray) -> PSF:
        """Weights in reading order (a correlation) as the convolution kernel of a PSF."""
        start = self.first + self.side_px - 1 - self.side_px // 2
        return PSF(fine[::-1, ::-1], (start, start))


def find_support(ratio: int, support_px: int | None = None) -> Support:
    """About three coarse pixels a side, at least 12 fine ones, centred; cells of more than a pixel above ratio 6.

    >>> find_support(4).side_px, find_support(3).side_px, find_support(16).step
    (12, 13, 3)
    """
    step = -(-ratio // MOST_CELLS_A_PIXEL)
    least = support_px or max(LEAST_SIDE_PX, REACH * ratio)
    cells = -(-least // step)
    if support_px is None and (cells * step - ratio) % 2:
        cells += step % 2
    return Support(ratio, cells, step, (ratio - cells * step) // 2)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over `count` coarse pixels: bands (L+1, L+1), cross (l, L+1, K), cells (l, K, K)."""

    count: int
    bands: FloatArray
    cross: FloatArray
    cells: FloatArray

    def __add__(self, other: "Moments") -> "Moments":
        bands, cross, cells = self.bands + other.bands, self.cross + other.cross, self.cells + other.cells
        return Moments(self.count + other.count, bands, cross, cells)

    def squared_gaps(self, rows: FloatArray, taps: FloatArray) -> FloatArray:
        """(l,): the sum of (rows[m] . h - taps . p_m)^2 for rows (l, L+1), the last column an offset."""
        seen = np.einsum("ml,lk,mk->m", rows, self.bands, rows)
        both = np.einsum("ml,mlk,k->m", rows, self.cross, taps)
        return np.asarray(np.maximum(seen - 2 * both + self.target_powers(taps), 0))

    def target_powers(self, taps: FloatArray) -> FloatArray:
        """(l,): the sum of (taps . p_m)^2."""
        return np.asarray(np.einsum("k,mkj,j->m", taps, self.cells, taps))


def gather(
    hs: FloatArray, ms: FloatArray, support: Support, usable: Mask, psf: PSF | None = None
) -> tuple[Moments, Moments]:
    """The moments to fit on and those held out (every fourth block), of hs (L, h, w), ms (l, H, W), usable (h, w).

    With a `psf` the patch is the one number that it makes of it, K = 1.

    Raises: InputError where too few coarse pixels are usable.
    """
    if psf is None:
        view = patch_view(ms, support)
    else:
        view = degraded(torch.from_numpy(ms), psf, support.ratio).numpy()[..., None, None]
    usable = usable & inside_mask(usable.shape, support, psf)
    rows, columns = np.nonzero(usable)
    if len(rows) < LEAST_EQUATIONS:
        found = f"{len(rows)} coarse pixels that are measured with all the fine ones around them"
        raise InputError(found, f"at least {LEAST_EQUATIONS}", "use larger images, smaller masks, or pass psf and srf")
    most = MOST_EQUATIONS // len(ms)
    if len(rows) > most:  # the most textured
        parts = (view[:, rows[part], columns[part]] for part in slices(len(rows), PIXELS_AT_ONCE))
        texture = np.concatenate([patches.std(axis=(2, 3)).sum(0) for patches in parts])
        chosen = np.sort(np.argpartition(-texture, most)[:most])
        rows, columns = rows[chosen], columns[chosen]
    # every fourth of the blocks that pixels fall into is held out: neighbours stay together, so that it is new
    y, x = (BLOCKS * (index - index.min()) // (index.max() - index.min() + 1) for index in (rows, columns))
    held = (y + 2 * x) % 4 == 1
    if not held.any():  # four rows fall into every other block
        held = np.arange(len(rows)) % 4 == 1
    return accumulate(hs, view, rows[~held], columns[~held]), accumulate(hs, view, rows[held], columns[held])


def wide_support(ratio: int) -> Support:
    """One for wide blurs, of cells twice as wide: these are smooth.

    >>> wide_support(4)
    Support(ratio=4, cells=12, step=2, first=-10)
    """
    step = 2 * -(-ratio // MOST_CELLS_A_PIXEL)
    cells = -(-WIDE_REACH * ratio // step)
    return Support(ratio, cells, step, (ratio - cells * step) // 2)


def patch_view(ms: FloatArray, support: Support) -> FloatArray:
    """(l, h, w, cells, cells) without a copy: entry i holds the cell means around coarse pixel i.

    Entries that reach over the border are wrapped, they are there for the index alone.
    """
    step = support.step
    means = ms
    for axis in (1, 2) if step > 1 else ():
        means = uniform_filter1d(means, step, axis=axis, mode="wrap", origin=-((step - 1) // 2 + (step - 1) % 2))
    around = -support.first, max(0, support.first + support.side_px - support.ratio)
    padded = np.pad(means, ((0, 0), around, around), mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (support.side_px, support.side_px), axis=(1, 2))
    return windows[:, :: support.ratio, :: support.ratio, ::step, ::step]


def inside_mask(shape_yx: tuple[int, ...], support: Support, psf: PSF | None) -> Mask:
    """(h, w): where the patch does not reach over the border."""
    side = max(psf.kernel.shape) if psf else support.side_px
    reach = -(-max(0, side - support.ratio) // (2 * support.ratio)) if side > 1 else 0
    mask = np.zeros(shape_yx, bool)
    mask[reach : shape_yx[0] - reach, reach : shape_yx[1] - reach] = True
    return mask


def accumulate(hs: FloatArray, view: FloatArray, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Moments:
    ms_bands, taps = view.shape[0], view.shape[3] * view.shape[4]
    bands = np.zeros((len(hs) + 1, len(hs) + 1))
    cross = np.zeros((ms_bands, len(hs) + 1, taps))
    cells = np.zeros((ms_bands, taps, taps))
    for part in slices(len(rows), PIXELS_AT_ONCE):
        y, x = rows[part], columns[part]
        pixels = np.concatenate([hs[:, y, x], np.ones((1, len(y)))])
        bands += pixels @ pixels.T
        for m in range(ms_bands):
            patches = view[m, y, x].reshape(len(y), taps)
            cross[m] += pixels @ patches
            cells[m] += patches.T @ patches
    return Moments(len(rows), bands, cross, cells)
