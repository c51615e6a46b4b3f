"""The sensor: a fine scene seen as (hs, ms), and the exact adjoint.

hs = D B Z (blur with the PSF, keep every ratio-th pixel), ms = R Z (spectral response).
Blur and decimation are done together, so only pixels that are kept are computed: a kernel of
rank 1 as two passes of strided additions, first along y, then along x; any other as a strided
convolution. The adjoint is the transpose of exactly these steps for every boundary rule.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.errors import InputError
from hypersharp.numerics.linops import BlurDecimation, mix_bands
from hypersharp.sensor.psf import PSF, Boundary
from hypersharp.sensor.tables import FloatArray

RANK_TOLERANCE = 1e-12
UNTOUCHED = 1e-3  # share of a blur that may come from pixels that were not measured


@dataclass(frozen=True, eq=False)
class Sensor:
    """What maps a fine scene Z (..., L, H, W) to hs = D B Z (..., L, h, w) and ms = R Z (..., l, H, W).

    Source: Wei, Dobigeon, Tourneret 2015, eq. 1. `hs_adjoint` is the exact transpose of `hs`.

    Attributes:
        psf: the blur B, its phase and its boundary rule.
        srf: the spectral response R (l, L), finite.
        ratio: fine pixels per coarse one, above every phase of the PSF.

    >>> from hypersharp.sensor.psf import box
    >>> hs, ms = Sensor(box(2), np.full((1, 4), 0.25), ratio=2).observe(torch.ones(4, 6, 6))
    >>> hs.shape, ms.shape
    (torch.Size([4, 3, 3]), torch.Size([1, 6, 6]))
    """

    psf: PSF
    srf: FloatArray
    ratio: int

    def __post_init__(self) -> None:
        srf = np.array(self.srf, dtype=np.float64)
        if srf.ndim != 2 or srf.size == 0 or not np.isfinite(srf).all():
            raise InputError(f"a response of shape {srf.shape}", "(ms bands, hs bands), finite", "check the table")
        if max(self.psf.start_yx) >= self.ratio:
            raise InputError(
                f"decimation start {self.psf.start_yx} at ratio {self.ratio}",
                f"0 to {self.ratio - 1}",
                "build the PSF for this ratio",
            )
        srf.setflags(write=False)
        object.__setattr__(self, "srf", srf)

    def observe(self, scene: Tensor) -> tuple[Tensor, Tensor]:
        """(hs, ms) of a scene (..., L, H, W). Raises InputError where H or W is no multiple of the ratio."""
        return self.hs(scene), self.ms(scene)

    def hs(self, scene: Tensor) -> Tensor:
        """D B Z: the scene (..., H, W) blurred and decimated to (..., H/ratio, W/ratio), band by band."""
        rows, columns = self._windows(scene.shape[-2], scene.shape[-1])
        if self._factors is None:
            padded = _gather(_gather(scene, -2, rows), -1, columns)
            planes = padded.reshape(-1, 1, *padded.shape[-2:])
            coarse = F.conv2d(planes, self._weights(scene), stride=self.ratio)
            return coarse.reshape(*scene.shape[:-2], *coarse.shape[-2:])
        taps_y, taps_x = self._factors
        coarse_rows = _strided_sum(_gather(scene, -2, rows), -2, taps_y, self.ratio)
        return _strided_sum(_gather(coarse_rows, -1, columns), -1, taps_x, self.ratio)

    def sees_only(self, valid: Tensor) -> Tensor:
        """(H, W) -> (h, w), bool: where a coarse pixel's blur reads next to nothing of pixels that are not valid."""
        if valid.all():
            return valid.new_ones(valid.shape[0] // self.ratio, valid.shape[1] // self.ratio)
        reach = replace(self, psf=replace(self.psf, kernel=np.abs(self.psf.kernel)))
        return reach.hs((~valid).to(torch.float32)[None])[0] < UNTOUCHED

    def ms(self, scene: Tensor) -> Tensor:
        """R Z: the scene (..., L, H, W) seen through the spectral response, (..., l, H, W)."""
        bands = self.srf.shape[1]
        if scene.ndim < 3 or scene.shape[-3] != bands:
            expected = f"{bands} bands, (..., {bands}, H, W)"
            raise InputError(f"an image of shape {tuple(scene.shape)}", expected, "give a fitting srf")
        return mix_bands(torch.tensor(self.srf).to(scene), scene)

    def hs_adjoint(self, hs: Tensor) -> Tensor:
        """B' D' Y: the transpose of `hs`, (..., h, w) -> (..., h*ratio, w*ratio)."""
        height, width = hs.shape[-2] * self.ratio, hs.shape[-1] * self.ratio
        rows, columns = self._windows(height, width)
        if self._factors is None:
            planes = hs.reshape(-1, 1, *hs.shape[-2:])
            padded = F.conv_transpose2d(planes, self._weights(hs), stride=self.ratio)
            padded = padded.reshape(*hs.shape[:-2], *padded.shape[-2:])
            return _scatter(_scatter(padded, -1, columns, width), -2, rows, height)
        taps_y, taps_x = self._factors
        wide = _scatter(_strided_sum_adjoint(hs, -1, taps_x, self.ratio), -1, columns, width)
        return _scatter(_strided_sum_adjoint(wide, -2, taps_y, self.ratio), -2, rows, height)

    @cached_property
    def _factors(self) -> tuple[list[float], list[float]] | None:
        """The taps along y and x of a kernel of rank 1, flipped into reading order; None for another."""
        u, s, vt = np.linalg.svd(self.psf.kernel[::-1, ::-1])
        if s.size > 1 and s[1] > RANK_TOLERANCE * s[0]:
            return None
        scale = np.sign(u[:, 0].sum()) * np.sqrt(s[0])
        return (scale * u[:, 0]).tolist(), (scale * vt[0]).tolist()

    def _windows(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The fine rows and columns that the coarse pixels read, in order, those beyond the border folded."""
        if height % self.ratio or width % self.ratio or not height or not width:
            raise InputError(
                f"a scene of {height} x {width} pixels",
                f"multiples of the ratio {self.ratio}",
                f"crop it to {height - height % self.ratio} x {width - width % self.ratio}",
            )
        rows, columns = (
            read_indices(size, taps, start, self.ratio, self.psf.boundary)
            for size, taps, start in zip((height, width), self.psf.kernel.shape, self.psf.start_yx, strict=True)
        )
        return torch.from_numpy(rows), torch.from_numpy(columns)

    def _weights(self, like: Tensor) -> Tensor:
        flipped = np.ascontiguousarray(self.psf.kernel[::-1, ::-1])
        return torch.from_numpy(flipped).to(like)[None, None]


def circular_blur(psf: PSF, ratio: int, like: Tensor) -> BlurDecimation:
    """Blur and decimation with circular borders, whatever the PSF's boundary, on images of the size of `like`."""
    return BlurDecimation(torch.tensor(psf.kernel).to(like), (like.shape[-2], like.shape[-1]), ratio, psf.start_yx)


def degraded(fine: Tensor, psf: PSF, ratio: int) -> Tensor:
    """D B of an image (..., H, W) of whichever bands, (..., h, w)."""
    return Sensor(psf, np.ones((1, 1)), ratio).hs(fine)


def read_indices(size: int, taps: int, start: int, ratio: int, boundary: Boundary) -> np.ndarray:
    """The fine indices, folded into 0..size-1, from coarse pixel 0's first tap to the last pixel's last."""
    first = start + taps // 2 - (taps - 1)
    beyond = np.arange(first, first + ratio * (size // ratio - 1) + taps)
    if boundary == "wrap":
        return beyond % size
    if boundary == "nearest":
        return np.clip(beyond, 0, size - 1)
    folded = beyond % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def add_noise(image: Tensor, snr_db: float, seed: int, *, per_band: bool = False) -> Tensor:
    """The image (..., L, H, W) plus white Gaussian noise of the given signal-to-noise ratio in dB.

    SNR = 10 log10(mean square of the image / noise variance), the mean over all bands and pixels of one
    image, or, `per_band`, over each band. The same seed gives the same noise. NaN stays NaN.
    """
    if not np.isfinite(snr_db):
        raise InputError(f"an SNR of {snr_db} dB", "a finite number", "leave the noise out instead")
    axes = (-2, -1) if per_band else tuple(range(-min(3, image.ndim), 0))
    power = torch.nanmean(image.detach().square(), dim=axes, keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(image.shape, generator=generator, dtype=image.dtype).to(image.device)
    return image + noise * (power / 10 ** (snr_db / 10)).sqrt()


def _every(image: Tensor, axis: int, first: int, ratio: int, count: int) -> Tensor:
    """Pixels first, first + ratio, ... of one of the last two axes, `count` of them, as a view."""
    picked = slice(first, first + ratio * (count - 1) + 1, ratio)
    return image[..., picked, :] if axis == -2 else image[..., picked]


def _strided_sum(padded: Tensor, axis: int, taps: list[float], ratio: int) -> Tensor:
    count = (padded.shape[axis] - len(taps)) // ratio + 1
    total = _every(padded, axis, 0, ratio, count) * taps[0]
    for offset, tap in enumerate(taps[1:], start=1):
        total = torch.add(total, _every(padded, axis, offset, ratio, count), alpha=tap)
    return total


def _strided_sum_adjoint(coarse: Tensor, axis: int, taps: list[float], ratio: int) -> Tensor:
    count = coarse.shape[axis]
    shape = list(coarse.shape)
    shape[axis] = ratio * (count - 1) + len(taps)
    padded = coarse.new_zeros(shape)
    for offset, tap in enumerate(taps):
        _every(padded, axis, offset, ratio, count).add_(coarse, alpha=tap)
    return padded


def _longest_run(indices: Tensor) -> tuple[int, int]:
    """First and end of the longest stretch of `indices` that counts up by one: all but what was folded at the borders.

    >>> _longest_run(torch.tensor([1, 0, 0, 1, 2, 3, 3, 2]))
    (2, 6)
    """
    breaks = [0, *(torch.nonzero(indices.diff() != 1).flatten() + 1).tolist(), len(indices)]
    return max(pairwise(breaks), key=lambda run: run[1] - run[0])


def _gather(image: Tensor, axis: int, indices: Tensor) -> Tensor:
    """index_select along -1 or -2, which copies the long run in the middle as a whole."""
    first, end = _longest_run(indices)
    middle = image.narrow(axis, int(indices[first]), end - first)
    if end - first == len(indices):
        return middle
    before, after = (image.index_select(axis, some.to(image.device)) for some in (indices[:first], indices[end:]))
    return torch.cat([before, middle, after], axis)


def _scatter(padded: Tensor, axis: int, indices: Tensor, size: int) -> Tensor:
    """The transpose of `_gather`: adds every padded row (or column) to the one it was read from."""
    first, end = _longest_run(indices)
    shape = list(padded.shape)
    shape[axis] = size
    image = padded.new_zeros(shape)
    image.narrow(axis, int(indices[first]), end - first).copy_(padded.narrow(axis, first, end - first))
    for start, stop in ((0, first), (end, len(indices))):
        part = padded.narrow(axis, start, stop - start)
        image.index_add_(axis, indices[start:stop].to(padded.device), part)
    return image
