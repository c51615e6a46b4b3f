"""HySure: hs and ms explained in a spectral subspace, under vector total variation.

Source: Simoes, Bioucas-Dias, Almeida, Chanussot 2015, IEEE TGRS 53(6), "A convex formulation for
hyperspectral image superresolution via subspace-based regularization"; from its equations

    min_U 1/2 ||Y_h - E U B M||^2 + lambda_m/2 ||Y_m - R E U||^2 + lambda_phi sum_j ||(U D_h, U D_v)_j||_2

by ADMM with V1 = U B, V2 = U, V3 = U D_h, V4 = U D_v, the K_k U, as SALSA writes it (Afonso, Bioucas-Dias, Figueiredo
2011, IEEE TIP 20(3)), with scaled multipliers A_k and proximal maps prox(v) = argmin_x g(x) / mu + 1/2 ||x - v||^2:

    U <- (sum K_k'K_k)^-1 sum K_k'(V_k + A_k);  N_k = K_k U - A_k;  V_k <- prox(N_k);  A_k <- V_k - N_k

The result is E U. Three things make the same iteration light. V1 differs from U B, and A1 from 0, on sampled pixels
only, so both are kept on the coarse grid. U's spectrum stays, so that U B needs no transform of its own. And no V is
stored: the next solve needs only K'(V + A), which is summed while the rows of a strip are in the processor's cache.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Apply
from hypersharp.numerics.linops import BlurDecimation, gradient_power, mirror, mix_bands, unmirrored
from hypersharp.numerics.loops import shrinkage, slices
from hypersharp.numerics.noise import signal_rank
from hypersharp.numerics.subspace import vca
from hypersharp.pair.options import Options, Progress, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.sensor.observe import Sensor, circular_blur
from hypersharp.sensor.srf import check_response

STRIP_VALUES = 2**18  # values of U in a strip on a CPU: with its companions in the caches, and calls few (measured)
MOST_DIMENSIONS = 30
SEED = 0  # of VCA


@dataclass(frozen=True)
class HySureOptions:
    """The weights of the method; the defaults are those of the authors' demos on HS + MS."""

    lambda_phi: float = 5e-4
    lambda_m: float = 1.0
    mu: float = 0.05
    iterations: int = 200


DEFAULTS = HySureOptions()


def iterate(
    hs: Tensor,
    ms: Tensor,
    observe: BlurDecimation,
    *,
    response: Tensor,
    basis: Tensor,
    options: HySureOptions,
    progress: Callable[[float], None],
) -> Tensor:
    """U (p, H, W).

    Scaled multipliers: a1 (p, h, w), a2 and a34 (2, p, H, W). `pull`: what the next solve needs of V2..V4, the sum of
    K'(V + A); `coarse_pull` (p, h, w): V1 + A1 - U B on sampled pixels; `blurred`: U B there.
    """
    shape, threshold = (basis.shape[1], *observe.shape_yx), options.lambda_phi / options.mu
    u, pull, a2 = (hs.new_zeros(shape) for _ in range(3))
    a1, coarse_pull, blurred = (hs.new_zeros(shape[0], *hs.shape[-2:]) for _ in range(3))
    a34, spectrum = hs.new_zeros(2, *shape), torch.fft.rfft2(u)
    gain1, start1 = data_step(basis, hs, options.mu)
    gain2, start2 = data_step(response @ basis, ms, options.mu / options.lambda_m)
    blur_power = observe.transfer.abs().square()
    inverse = 1 / (blur_power + gradient_power(observe.shape_yx, u) + 1)
    # (H, W') -> (H, 2 W'): for the real and imaginary parts, which are neighbours in memory
    blur_power, inverse = blur_power.repeat_interleave(2, -1), inverse.repeat_interleave(2, -1)
    on_cpu = hs.device.type == "cpu"  # one plane, or strip, at a time fits its caches
    rows_at_once = STRIP_VALUES // (shape[0] * shape[2]) if on_cpu else shape[1]
    for number in range(2, options.iterations + 1):  # the first one finds U = 0
        n1 = blurred - a1
        v1 = mix_bands(gain1, n1).add_(start1)
        torch.sub(v1, n1, out=a1)
        torch.sub(v1.add_(a1), blurred, out=coarse_pull)
        for rows in slices(shape[1], rows_at_once):  # V2 <- gain (U - A2) + start
            n = u[:, rows] - a2[:, rows]
            v = mix_bands(gain2, n).add_(start2[:, rows])
            torch.sub(v, n, out=n)
            a2[:, rows] = n
            pull[:, rows] = v.add_(n)
        for rows in slices(shape[1], rows_at_once):
            update_variation(u, a34, pull, rows, threshold)
        for planes in slices(shape[0], 1 if on_cpu else shape[0]):  # U <- (sum K'K)^-1 sum K'(V + A)
            part = spectrum[planes]
            update = observe.add_spread(coarse_pull[planes], torch.fft.rfft2(pull[planes]))
            parts, pulled = torch.view_as_real(part).flatten(-2), torch.view_as_real(update).flatten(-2)
            torch.mul(pulled.addcmul_(parts, blur_power), inverse, out=parts)
            torch.fft.irfft2(part, s=observe.shape_yx, out=u[planes])
            blurred[planes] = observe.sample(part)
        progress(number / options.iterations)
    return u


def update_variation(u: Tensor, multipliers: Tensor, pull: Tensor, rows: slice, threshold: float) -> None:
    """V3, V4 <- s (D U - A): A <- (s - 1) N, and D'(V + A) = D'(2 s - 1) N added to pull."""
    a, below, height = multipliers[:, :, rows], u[:, rows.stop % u.shape[1]], u.shape[1]
    u, n = u[:, rows], a.neg()
    n[0, :, :, :-1] += u[..., :-1] - u[..., 1:]
    n[0, :, :, -1] += u[..., -1] - u[..., 0]
    n[1, :, :-1] += u[:, :-1] - u[:, 1:]
    n[1, :, -1] += u[:, -1] - below
    first, *others = n.flatten(0, 1)  # of which V3 and V4 have one norm a pixel
    power = first.square()
    for plane in others:
        power.addcmul_(plane, plane)
    kept = shrinkage(power.sqrt_(), threshold)
    torch.mul(n, kept - 1, out=a)
    n.mul_(2 * kept - 1)
    along_x, along_y = n
    pull[:, rows] += along_x
    pull[:, rows] += along_y
    pull[:, rows, 1:] -= along_x[..., :-1]
    pull[:, rows, 0] -= along_x[..., -1]
    pull[:, rows.start + 1 : rows.stop] -= along_y[:, :-1]
    pull[:, rows.stop % height] -= along_y[:, -1]


def data_step(matrix: Tensor, image: Tensor, mu: float) -> tuple[Tensor, Tensor]:
    """(gain, start) of argmin_v 1/2 ||image - matrix v||^2 + mu/2 ||v - n||^2 = gain n + start, pixel by pixel."""
    normal = matrix.mT @ matrix
    normal.diagonal().add_(mu)
    inverse = torch.linalg.inv(normal)
    return mu * inverse, mix_bands(inverse @ matrix.mT, image)


def sharpen(
    hs: Tensor,
    ms: Tensor,
    sensor: Sensor,
    *,
    basis: Tensor,
    options: HySureOptions = DEFAULTS,
    progress: Callable[[float], None] = lambda _: None,
) -> Tensor:
    """hs (L, h, w) and ms (l, H, W), values of about 0..1 in one float dtype -> estimate (L, H, W), not clipped.

    The blur is circular whatever the PSF's boundary: `mirror` images first where it is not. basis: (L, p).

    Raises: InputError for sizes, a sensor, a basis or options that do not fit.
    """
    ratio, basis = sensor.ratio, basis.to(hs)
    if tuple(ms.shape[1:]) != (hs.shape[1] * ratio, hs.shape[2] * ratio):
        sizes = f"hs of {tuple(hs.shape[1:])} and ms of {tuple(ms.shape[1:])} pixels"
        raise InputError(sizes, f"sizes of ratio {ratio}", "crop ms, or correct the sensor")
    check_response(sensor.srf, len(ms), len(hs))
    observe, response = circular_blur(sensor.psf, ratio, ms.to(hs)), torch.tensor(sensor.srf).to(hs)
    u = iterate(hs, ms, observe, response=response, basis=basis, options=options, progress=progress)
    return mix_bands(basis, u)


@dataclass(frozen=True, eq=False)
class Regularisation(Apply):
    """The sensor and E (L, p) of a scene; what ms is divided by for the unit of hs, which its response has been."""

    sensor: Sensor
    basis: Tensor
    ms_unit: float
    notes: tuple[str, ...] = ()

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        device = choose_device(options.device)
        hs, ms = pair.hs.to(device), pair.ms.to(device) / self.ms_unit
        margin = self.sensor.psf.mirrored_px
        wide, fine_margin = mirror(hs, margin), margin * pair.ratio
        u = sharpen(wide, mirror(ms, fine_margin), self.sensor, basis=self.basis, progress=progress)
        return unmirrored(u, fine_margin)


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """Sensor and E from the pair. Of a spectrum of ones, ms in the unit of hs shows ones: so the weights mean it."""
    seen, pixels = sensor.sensor, measured_pixels(pair.hs, pair.hs_valid)
    ms_unit = float(np.median(np.abs(seen.srf.sum(1)))) or 1.0
    basis = vca(pixels, signal_rank(pixels, most=MOST_DIMENSIONS), seed=SEED)
    note = f"{basis.shape[1]} dimensions, {DEFAULTS.iterations} iterations"
    return Regularisation(replace(seen, srf=seen.srf / ms_unit), basis, ms_unit, (note,))
