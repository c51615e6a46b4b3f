"""The sensor from the pair itself: response, blur and gain that make hs and ms agree.

Source: HySure, Simoes et al. 2015 (IEEE TGRS 53(6)), section IV: both images are blurred by a box, so that the
PSF matters little, and R is fitted by ridge regression on differences of neighbouring bands; then B is fitted
to R hs, hs projected on its signal subspace, by ridge regression on differences of neighbouring taps.

The fit sees B as a correlation with patches of ms. The original program uses those weights, unflipped, as a
convolution kernel, which is right for point-symmetric blurs only; `parity` does as it does, in this, in the
box (half width 4 fine pixels at every ratio, rounded half away from zero on hs) and in the support of 10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.tables import FloatArray
from hypersharp.solve.linops import blur, decimation, embed, mix_bands
from hypersharp.solve.subspace import signal_rank, svd_basis

BOX_PX = 4  # half width of the original program's box on ms
SUPPORT_PX = 10
GAP = 1.5  # times the median spacing: bands further apart are no neighbours
TELL = "give the psf and the srf"

Coverage = Sequence[Sequence[int]]


@dataclass(frozen=True)
class EstimateOptions:
    """How the sensor is fitted; the regularisation weights are for values of about 0..1.

    `support_px`: side of the kernel, None: about two coarse pixels, at least 10, of the ratio's parity.
    `start_yx`: decimation start, None: (ratio - 1) // 2. `subspace`: dimensions hs is projected on,
    None: those that stand out of the noise. `parity`: as the original program (see the head of this file).
    """

    lambda_r: float = 10.0
    lambda_b: float = 10.0
    support_px: int | None = None
    start_yx: tuple[int, int] | None = None
    subspace: int | None = None
    parity: bool = False


@dataclass(frozen=True, eq=False)
class Estimate:
    """A fitted sensor and how well it fits.

    `gain` is the sum of the kernel before it was scaled to 1 (R was divided by it too): how much brighter hs
    is, seen through the first R, than ms. `residual` is ||R hs - D B ms|| / ||R hs|| over pixels that the border
    does not touch: below 0.02 on simulated pairs, 0.03 to 0.1 on real ones. `shift_px_yx` is how far the
    coarse pixels' centre of mass lies from where the sizes say: what is left of misregistration, fine pixels.
    """

    sensor: Sensor
    gain: float
    residual: float
    shift_px_yx: tuple[float, float]


def estimate_sensor(
    hs: Tensor,
    ms: Tensor,
    ratio: int,
    *,
    coverage: Coverage | None = None,
    gaps: Sequence[int] = (),
    options: EstimateOptions | None = None,
) -> Estimate:
    """Response, blur and phase of a pair hs (L, h, w), ms (l, H, W), values of about 0..1.

    coverage: for every ms band the indices of the hs bands it may see; by default all. gaps: bands i that
    have no neighbour i + 1, e.g. next to removed ones (`spectral_gaps`).

    Raises: InputError for sizes that do not match, or images that do not tell (flat, or too small).
    """
    chosen = options or EstimateOptions()
    coarse, fine = check_pair(hs, ms, ratio)
    seen = comparable(coarse, fine, ratio, None, chosen)
    response = fit_response(*seen, check_coverage(coverage, coarse, fine), gaps, chosen.lambda_r)
    return with_kernel(coarse, fine, ratio, response, chosen, rescale=True)


def complete_sensor(
    hs: Tensor,
    ms: Tensor,
    ratio: int,
    *,
    psf: PSF | None,
    srf: FloatArray | None,
    gaps: Sequence[int] = (),
    options: EstimateOptions | None = None,
) -> Estimate:
    """The sensor with what is known of it left as it is and the rest estimated; shapes as `estimate_sensor`.

    Raises: InputError as there, and for a psf or srf that does not fit the pair.
    """
    chosen = options or EstimateOptions()
    coarse, fine = check_pair(hs, ms, ratio)
    if srf is not None and srf.shape != (len(fine), len(coarse)):
        raise InputError(
            f"a response of shape {srf.shape}", f"{(len(fine), len(coarse))}", "give one row per ms band"
        )
    if srf is None:
        everything = check_coverage(None, coarse, fine)
        seen = comparable(coarse, fine, ratio, psf, chosen)
        response = fit_response(*seen, everything, gaps, chosen.lambda_r)
    else:
        response = torch.tensor(srf)
    if psf is None:
        return with_kernel(coarse, fine, ratio, response, chosen, rescale=srf is None)
    sensor = Sensor(psf, response.numpy(), ratio)
    return Estimate(sensor, 1.0, misfit(sensor, coarse, fine), shift_px_yx(sensor))


def spectral_gaps(wavelengths_nm: FloatArray | None) -> list[int]:
    """Bands i after which the spacing exceeds 1.5 times the median one; none where wavelengths are not known.

    >>> spectral_gaps(np.array([400.0, 410, 420, 500, 510]))
    [2]
    """
    if wavelengths_nm is None or len(wavelengths_nm) < 3:
        return []
    steps = np.abs(np.diff(wavelengths_nm))
    return [int(i) for i in np.flatnonzero(steps > GAP * np.median(steps))]


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


def comparable(
    hs: Tensor, ms: Tensor, ratio: int, psf: PSF | None, options: EstimateOptions
) -> tuple[Tensor, Tensor]:
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


def with_kernel(
    hs: Tensor, ms: Tensor, ratio: int, response: Tensor, options: EstimateOptions, *, rescale: bool
) -> Estimate:
    """The blur for a response (l, L), which is divided by the gain where it was estimated itself."""
    start_yx, side = start_of(ratio, options), support_of(ratio, options)
    basis = svd_basis(hs.flatten(1), options.subspace or signal_rank(hs.flatten(1)))
    target = mix_bands(response @ basis @ basis.mT, hs)
    taps = fit_taps(target, ms, start_yx, side, options.lambda_b)
    gain = float(taps.sum())
    if not np.isfinite(gain) or gain <= 0:
        raise InputError(f"a blur of sum {gain:.3g}", "hs and ms that brighten together", TELL)
    kernel = as_kernel(taps / gain, options.parity)
    srf = (response / gain if rescale else response).numpy()
    sensor = Sensor(PSF(kernel.numpy(), start_yx), srf, ratio)
    return Estimate(sensor, gain, misfit(sensor, hs, ms), shift_px_yx(sensor))


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
        raise InputError(
            f"ms of {ms.shape[1]} x {ms.shape[2]} pixels", f"room for a blur of {side} x {side}", TELL
        )
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


def misfit(sensor: Sensor, hs: Tensor, ms: Tensor) -> float:
    """||R hs - D B ms|| / ||R hs||, pixels whose blur reaches over the border left out where others remain."""
    seen = sensor.ms(hs)
    gap = seen - Sensor(sensor.psf, np.eye(len(ms)), sensor.ratio).hs(ms)
    edge = -(-max(sensor.psf.kernel.shape) // (2 * sensor.ratio))
    if min(hs.shape[1:]) > 2 * edge:
        inside = (slice(None), slice(edge, -edge), slice(edge, -edge))
        seen, gap = seen[inside], gap[inside]
    return float(gap.norm() / seen.norm())


def shift_px_yx(sensor: Sensor) -> tuple[float, float]:
    """From the centre that the sizes imply, (ratio - 1)/2, to the kernel's centre of mass."""
    y, x = sensor.psf.centre_yx()
    middle = (sensor.ratio - 1) / 2
    return y - middle, x - middle


def half_away(value: float) -> int:
    """Rounded half away from zero, for positive values.

    >>> half_away(0.5), half_away(1.33), half_away(2.5)
    (1, 1, 3)
    """
    return int(np.floor(value + 0.5))


def check_pair(hs: Tensor, ms: Tensor, ratio: int) -> tuple[Tensor, Tensor]:
    """Both in float64 on the CPU, where the small systems are solved."""
    expected = (hs.shape[1] * ratio, hs.shape[2] * ratio)
    if tuple(ms.shape[1:]) != expected:
        raise InputError(
            f"ms of {tuple(ms.shape[1:])} pixels", f"{expected}, ratio {ratio} times hs", "crop it"
        )
    if not (hs.isfinite().all() and ms.isfinite().all()):
        raise InputError("values that are not finite", "finite ones", "fill the gaps first")
    return hs.to("cpu", torch.float64), ms.to("cpu", torch.float64)


def check_coverage(coverage: Coverage | None, hs: Tensor, ms: Tensor) -> Coverage:
    if coverage is None:
        return [range(len(hs))] * len(ms)
    bands = [band for row in coverage for band in row]
    fits = len(coverage) == len(ms) and all(len(row) for row in coverage)
    if not fits or min(bands) < 0 or max(bands) >= len(hs):
        raise InputError(
            f"coverage of {len(coverage)} ms bands by hs bands {min(bands, default=0)} to {max(bands, default=0)}",
            f"{len(ms)} rows, none empty, of indices 0 to {len(hs) - 1}",
            "mend it",
        )
    return coverage


def solve(gram: Tensor, rhs: Tensor) -> Tensor:
    try:
        solution: Tensor = torch.linalg.solve(gram, rhs)
    except RuntimeError as exc:  # torch.linalg.LinAlgError is one
        raise InputError("images too flat to tell the sensor", "texture that both show", TELL) from exc
    return solution
