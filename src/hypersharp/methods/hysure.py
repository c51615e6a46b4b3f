"""HySure: hs and ms explained in a spectral subspace, under vector total variation.

Source: Simoes, Bioucas-Dias, Almeida, Chanussot 2015, IEEE TGRS 53(6), "A convex formulation for
hyperspectral image superresolution via subspace-based regularization"; from its equations

    min_U 1/2 ||Y_h - E U B M||^2 + lambda_m/2 ||Y_m - R E U||^2 + lambda_phi sum_j ||(U D_h, U D_v)_j||_2

by ADMM with V1 = U B, V2 = U, V3 = U D_h, V4 = U D_v; the result is E U. Three things make the same
iteration light. V1 differs from U B, and A1 from 0, on sampled pixels only, so both are kept on the coarse
grid. U's spectrum stays, so that U B needs no transform of its own. And no V is stored: the next solve
needs only K'(V + A), which is summed while the rows of a strip are in the processor's cache.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.methods.base import Apply
from hypersharp.numerics.linops import BlurDecimation, gradient, gradient_adjoint, gradient_power, mix_bands
from hypersharp.numerics.loops import Outcome, Residuals, admm, joint_norm, relative, shrinkage
from hypersharp.numerics.noise import signal_rank
from hypersharp.numerics.subspace import svd_basis, vca
from hypersharp.pair.options import Options, Progress, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor

STRIP_VALUES = 2**18  # values of U in a strip on a CPU: with its companions in the caches, and calls few (measured)
MOST_DIMENSIONS = 30


@dataclass(frozen=True)
class HySureOptions:
    """The weights and choices of the method; the defaults are those of the authors' demos on HS + MS.

    `subspace` is the number of dimensions p, None: from the data. The iteration ends after `iterations`, or
    when primal and dual residual, both relative, are below `tolerance` (0: never). `seed` is VCA's.
    """

    lambda_phi: float = 5e-4
    lambda_m: float = 1.0
    mu: float = 0.05
    iterations: int = 200
    tolerance: float = 0.0
    subspace: int | None = None
    basis: Literal["vca", "svd"] = "vca"
    seed: int = 0


@dataclass(eq=False)
class Iteration:
    """The variables of the iteration, (p, H, W) unless said otherwise, and its two steps.

    u, and its half spectrum; a1 (p, h, w), a2, a34 (2, p, H, W): scaled multipliers; pull: what the next
    solve needs of V2..V4, sum K'(V + A); coarse_pull (p, h, w): V1 + A1 - U B on sampled pixels.
    """

    hs: Tensor
    ms: Tensor
    observe: BlurDecimation
    response: Tensor
    basis: Tensor
    options: HySureOptions
    u: Tensor = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.basis.shape[1], *self.observe.shape_yx)
        self.u, self.pull, self.a2 = (self.hs.new_zeros(shape) for _ in range(3))
        self.a34 = self.hs.new_zeros(2, *shape)
        self.spectrum = torch.fft.rfft2(self.u)
        self.a1 = self.coarse_pull = self.hs.new_zeros(shape[0], *self.hs.shape[-2:])
        options, seen = self.options, self.response @ self.basis
        self.gain1, self.start1 = data_step(self.basis, self.hs, options.mu)
        self.gain2, self.start2 = data_step(seen, self.ms, options.mu / options.lambda_m)
        self.threshold = options.lambda_phi / options.mu
        blur_power = self.observe.transfer.abs().square()
        inverse = 1 / (blur_power + gradient_power(self.observe.shape_yx, self.u) + 1)
        self.blur_power, self.inverse = doubled(blur_power), doubled(inverse)
        self.blurred = torch.zeros_like(self.a1)

    def solve(self) -> None:
        """u, its spectrum, of which U B gives V1 + A1 but for the sampled pixels, and those of U B."""
        for planes in together(self.u):
            spectrum = self.spectrum[planes]
            update = self.observe.add_spread(self.coarse_pull[planes], torch.fft.rfft2(self.pull[planes]))
            parts, pulled = torch.view_as_real(spectrum).flatten(-2), torch.view_as_real(update).flatten(-2)
            torch.mul(pulled.addcmul_(parts, self.blur_power), self.inverse, out=parts)
            torch.fft.irfft2(spectrum, s=self.observe.shape_yx, out=self.u[planes])
            self.blurred[planes] = self.observe.sample(spectrum)

    def update(self) -> None:
        """The proximal steps and multipliers, and with them what the next solve needs."""
        n1 = self.blurred - self.a1
        v1 = mix_bands(self.gain1, n1).add_(self.start1)
        self.a1 = v1 - n1
        self.coarse_pull = v1.add_(self.a1).sub_(self.blurred)
        for rows in strips(self.u):
            self.update_ms_term(rows)
        for rows in strips(self.u):
            self.update_variation(rows)

    def update_ms_term(self, rows: slice) -> None:
        """V2 <- gain (U - A2) + start: A2, and V2 + A2 as the first part of pull."""
        n = self.u[:, rows] - self.a2[:, rows]
        v = mix_bands(self.gain2, n).add_(self.start2[:, rows])
        torch.sub(v, n, out=n)
        self.a2[:, rows] = n
        self.pull[:, rows] = v.add_(n)

    def update_variation(self, rows: slice) -> None:
        """V3, V4 <- s (D U - A): A <- (s - 1) N, and D'(V + A) = D'(2 s - 1) N added to pull."""
        u, a, pull = self.u[:, rows], self.a34[:, :, rows], self.pull
        below = self.u[:, rows.stop % self.u.shape[1]]
        n = a.neg()
        n[0, :, :, :-1] += u[..., :-1] - u[..., 1:]
        n[0, :, :, -1] += u[..., -1] - u[..., 0]
        n[1, :, :-1] += u[:, :-1] - u[:, 1:]
        n[1, :, -1] += u[:, -1] - below
        kept = shrinkage(vector_lengths(n), self.threshold)
        torch.mul(n, kept - 1, out=a)
        n.mul_(2 * kept - 1)
        along_x, along_y = n
        pull[:, rows] += along_x
        pull[:, rows] += along_y
        pull[:, rows, 1:] -= along_x[..., :-1]
        pull[:, rows, 0] -= along_x[..., -1]
        pull[:, rows.start + 1 : rows.stop] -= along_y[:, :-1]
        pull[:, rows.stop % self.u.shape[1]] -= along_y[:, -1]

    def measured_update(self) -> Residuals:
        """`update`, and how far the constraints and the stationarity of u are from holding."""
        before = [self.a1, self.a2.clone(), self.a34.clone()]
        self.update()
        gaps = [old - new for old, new in zip(before, (self.a1, self.a2, self.a34), strict=True)]
        seen = [self.blurred, self.u, gradient(self.u)]
        forces = [self.observe.adjoint(self.a1), self.a2, gradient_adjoint(self.a34)]
        primal = relative(joint_norm(gaps), joint_norm(seen))
        return Residuals(primal, relative(joint_norm([torch.stack(forces).sum(0)]), joint_norm(forces)))


def data_step(matrix: Tensor, image: Tensor, mu: float) -> tuple[Tensor, Tensor]:
    """(gain, start) of argmin_v 1/2 ||image - matrix v||^2 + mu/2 ||v - n||^2 = gain n + start, pixel by pixel."""
    normal = matrix.mT @ matrix
    normal.diagonal().add_(mu)
    inverse = torch.linalg.inv(normal)
    return mu * inverse, mix_bands(inverse @ matrix.mT, image)


def vector_lengths(n: Tensor) -> Tensor:
    """(2, p, rows, W) -> (rows, W): one norm over both directions and all coefficients."""
    first, *others = n.flatten(0, 1)
    total: Tensor = first.square()
    for plane in others:
        total.addcmul_(plane, plane)
    return total.sqrt_()


def doubled(factor: Tensor) -> Tensor:
    """(H, W') -> (H, 2 W'): a real factor for the real and imaginary parts that lie beside each other."""
    return factor.repeat_interleave(2, -1)


def together(u: Tensor) -> Iterator[slice]:
    """Planes of which one spectrum and its factors fit a large cache; on an accelerator all at once."""
    at_once = 1 if u.device.type == "cpu" else len(u)
    return (slice(first, first + at_once) for first in range(0, len(u), at_once))


def strips(u: Tensor) -> Iterator[slice]:
    """Rows that fit the cache together; on an accelerator all rows at once."""
    planes, height, width = u.shape
    rows = max(1, STRIP_VALUES // (planes * width)) if u.device.type == "cpu" else height
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def sharpen(
    hs: Tensor,
    ms: Tensor,
    sensor: Sensor,
    *,
    basis: Tensor | None = None,
    options: HySureOptions | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Tensor, Outcome]:
    """hs (L, h, w) and ms (l, H, W), values of about 0..1 in one float dtype -> estimate (L, H, W), not clipped.

    The blur is circular whatever the PSF's boundary. basis: (L, p); by default found in hs as options say.

    Raises: InputError for sizes, a sensor, a basis or options that do not fit.
    """
    chosen = options or HySureOptions()
    check_sensor(hs, ms, sensor)
    kernel, response = (torch.tensor(table).to(hs) for table in (sensor.psf.kernel, sensor.srf))
    found = find_basis(hs, chosen) if basis is None else basis.to(hs)
    observe = BlurDecimation(kernel, (ms.shape[1], ms.shape[2]), sensor.ratio, sensor.psf.start_yx)
    state = Iteration(hs, ms, observe, response, found, chosen)
    outcome = admm(
        state.solve,
        state.update,
        state.measured_update,
        iterations=chosen.iterations,
        tolerance=chosen.tolerance,
        progress=progress,
    )
    coefficients = state.u
    del state
    return mix_bands(found, coefficients), outcome


def find_basis(hs: Tensor, options: HySureOptions) -> Tensor:
    """(L, p): endmembers or singular vectors of hs."""
    pixels = hs.flatten(1)
    rank = options.subspace or signal_rank(pixels, most=MOST_DIMENSIONS)
    return vca(pixels, rank, seed=options.seed) if options.basis == "vca" else svd_basis(pixels, rank)


def check_sensor(hs: Tensor, ms: Tensor, sensor: Sensor) -> None:
    ratio = sensor.ratio
    if tuple(ms.shape[1:]) != (hs.shape[1] * ratio, hs.shape[2] * ratio):
        found = f"hs of {tuple(hs.shape[1:])} and ms of {tuple(ms.shape[1:])} pixels"
        raise InputError(found, f"sizes of ratio {ratio}", "crop ms, or mend the sensor")
    if sensor.srf.shape != (len(ms), len(hs)):
        raise InputError(f"a response of shape {sensor.srf.shape}", f"{(len(ms), len(hs))}", "give one row per ms band")


@dataclass(frozen=True, eq=False)
class Regularisation(Apply):
    """The sensor and E (L, p) of a scene."""

    sensor: Sensor
    basis: Tensor
    options: HySureOptions
    notes: tuple[str, ...] = ()

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        device = choose_device(options.device)
        hs, ms = pair.hs.to(device), pair.ms.to(device)
        return sharpen(hs, ms, self.sensor, basis=self.basis, options=self.options, progress=progress)[0]


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """Sensor and E from the pair."""
    chosen = HySureOptions()
    counted = pair.hs if pair.hs_valid is None else pair.hs[:, pair.hs_valid, None]
    basis = find_basis(counted, chosen)
    return Regularisation(sensor.sensor, basis, chosen, (f"{basis.shape[1]} dimensions",))
