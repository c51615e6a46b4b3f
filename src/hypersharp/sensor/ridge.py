"""HySure's own estimate of the sensor: response and blur of free signs, by ridge regression.

Source: HySure, Simoes et al. 2015 (IEEE TGRS 53(6)), section IV: both images are blurred by a box, so that the
PSF matters little, and R is fitted by ridge regression on differences of neighbouring bands; then B is fitted
to R hs, hs projected on its signal subspace, by ridge regression on differences of neighbouring taps.

The fit sees B as a correlation with patches of ms. The original program uses those weights, unflipped, as a
convolution kernel, which is right for point-symmetric blurs only; `parity` does as it does, in this, in the
box (half width 4 fine pixels at every ratio, rounded half away from zero on hs) and in the support of 10.
Pixels that are not measured are taken as they were filled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.linops import blur, decimation, embed, mix_bands
from hypersharp.numerics.subspace import signal_rank, svd_basis
from hypersharp.sensor.moments import TELL
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

BOX_PX = 4  # half width of the original program's box on ms
SUPPORT_PX = 10

Coverage = Sequence[Sequence[int]]


@dataclass(frozen=True)
class EstimateOptions:
    """How the sensor is fitted: "physical" (nothing negative, see `physical`) or "hysure" (this file).

    `support_px`: side of the kernel, None: about three coarse pixels (physical), two (hysure). The others are
    HySure's. Weights are for values of about 0..1; `start_yx`: decimation start, None: (ratio - 1) // 2;
    `subspace`: dimensions hs is projected on, None: those that stand out of the noise; `parity`: as the
    original program (see the head of this file), which implies "hysure".
    """

    fit: Literal["physical", "hysure"] = "physical"
    lambda_r: float = 10.0
    lambda_b: float = 10.0
    support_px: int | None = None
    start_yx: tuple[int, int] | None = None
    subspace: int | None = None
    parity: bool = False

    @property
    def is_physical(self) -> bool:
        return self.fit == "physical" and not self.parity


def fit_response(hs: Tensor, ms: Tensor, coverage: Coverage, gaps: Sequence[int], weight: float) -> Tensor:
    """R (l, L), row by row min ||r hs - ms||^2 + weight ||D r||^2 over the bands covered; signs are free."""
    pixels, targets = hs.flatten(1), ms.flatten(1)
    response = hs.new_zeros(len(ms), len(hs))
    for row, target, bands in zip(response, targets, coverage, strict=True):
        index = torch.as_tensor(bands)
        chosen = pixels[index]
        smooth = weight * difference_gram(bands, gaps).to(hs)
        row[index] = solve(chosen @ chosen.mT + smooth, chosen @ target)
    return response


def comparable(hs: Tensor, ms: Tensor, ratio: int, psf: PSF | None, options: EstimateOptions) -> tuple[Tensor, Tensor]:
    """hs and ms on the coarse grid under one blur: the PSF where it is known, else a box that drowns it."""
    if psf is not None:
        return hs, Sensor(psf, np.eye(len(ms)), ratio).hs(ms)
    half_fine, half_coarse = 3 * ratio // 2, 1
    if options.parity:
        half_fine, half_coarse = BOX_PX, half_away(BOX_PX / ratio)
    kept = decimation(ratio, start_of(ratio, options)).forward(box_mean(ms, half_fine))
    return box_mean(hs, half_coarse), kept


def box_mean(image: Tensor, half: int) -> Tensor:
    """The circular mean over (2 half + 1)^2 pixels."""
    side = 2 * half + 1
    kernel = image.new_full((side, side), side**-2)
    shape_yx = (image.shape[-2], image.shape[-1])
    return blur(torch.fft.rfft2(embed(kernel, shape_yx)), shape_yx).forward(image)


def difference_gram(bands: Sequence[int], gaps: Sequence[int]) -> Tensor:
    """D'D of first differences between neighbours within `bands`; none across a gap."""
    gram = torch.zeros(len(bands), len(bands), dtype=torch.float64)
    for i, (band, following) in enumerate(pairwise(bands)):
        if following == band + 1 and band not in gaps:
            gram[i : i + 2, i : i + 2] += torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    return gram


def fit_kernel(hs: Tensor, ms: Tensor, ratio: int, response: Tensor, options: EstimateOptions) -> tuple[PSF, float]:
    """The blur for a response (l, L), and the sum of its taps before they were scaled to one."""
    start_yx, side = start_of(ratio, options), support_of(ratio, options)
    basis = svd_basis(hs.flatten(1), options.subspace or signal_rank(hs.flatten(1)))
    target = mix_bands(response @ basis @ basis.mT, hs)
    taps = fit_taps(target, ms, start_yx, side, options.lambda_b)
    gain = float(taps.sum())
    if not np.isfinite(gain) or gain <= 0:
        raise InputError(f"a blur of sum {gain:.3g}", "hs and ms that brighten together", TELL)
    return PSF(as_kernel(taps / gain, options.parity).numpy(), start_yx), gain


def fit_taps(target: Tensor, ms: Tensor, start_yx: tuple[int, int], side: int, weight: float) -> Tensor:
    """b (side, side): target(i) is about the sum of b times the patch of ms around ratio i + start.

    Patches that reach over the border are left out; an even side reaches one pixel further down and right.
    """
    before, ratio = (side - 1) // 2, ms.shape[1] // target.shape[1]
    kept_y, kept_x = (
        [i for i in range(length // ratio) if 0 <= ratio * i + start - before <= length - side]
        for length, start in zip(ms.shape[1:], start_yx, strict=True)
    )
    if not kept_y or not kept_x:
        raise InputError(f"ms of {ms.shape[1]} x {ms.shape[2]} pixels", f"room for a blur of {side} x {side}", TELL)
    gram = weight * tap_smoothness(side).to(ms)
    rhs = ms.new_zeros(side * side)
    first_x = ratio * kept_x[0] + start_yx[1] - before
    for row in kept_y:  # row by row: all patches at once would need side^2 images
        top = ratio * row + start_yx[0] - before
        windows = ms[:, top : top + side, first_x:].unfold(2, side, ratio)[:, :, : len(kept_x)]
        patches = windows.permute(0, 2, 1, 3).reshape(-1, side * side)
        gram += patches.mT @ patches
        rhs += target[:, row, kept_x].flatten() @ patches
    return solve(gram, rhs).view(side, side)


def tap_smoothness(side: int) -> Tensor:
    """D'D of first differences along both axes of a (side, side) kernel, flattened."""
    line = difference_gram(range(side), ())
    identity = torch.eye(side, dtype=line.dtype)
    return torch.kron(line, identity) + torch.kron(identity, line)


def as_kernel(taps: Tensor, parity: bool) -> Tensor:
    """Correlation weights as a convolution kernel around tap floor(k/2); `parity` leaves out the flip."""
    if not parity:
        return taps.flip(0, 1)
    odd = 1 - taps.shape[0] % 2
    return torch.nn.functional.pad(taps, (odd, 0, odd, 0))


def start_of(ratio: int, options: EstimateOptions) -> tuple[int, int]:
    centred = (ratio - 1) // 2
    return options.start_yx or ((1 % ratio, 1 % ratio) if options.parity else (centred, centred))


def support_of(ratio: int, options: EstimateOptions) -> int:
    """Of the ratio's parity, so that the support's middle is the coarse pixel's."""
    if options.support_px or options.parity:
        return options.support_px or SUPPORT_PX
    least = max(SUPPORT_PX, 2 * ratio)
    return least + (least - ratio) % 2


def half_away(value: float) -> int:
    """Rounded half away from zero, for positive values.

    >>> half_away(0.5), half_away(1.33), half_away(2.5)
    (1, 1, 3)
    """
    return int(np.floor(value + 0.5))


def solve(gram: Tensor, rhs: Tensor) -> Tensor:
    try:
        solution: Tensor = torch.linalg.solve(gram, rhs)
    except RuntimeError as exc:  # torch.linalg.LinAlgError is one
        raise InputError("images too flat to tell the sensor", "texture that both show", TELL) from exc
    return solution
