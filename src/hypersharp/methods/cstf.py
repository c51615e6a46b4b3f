"""CSTF: the scene as one sparse Tucker core between dictionaries of its rows, its columns and its bands.

Source: Li, Dian, Fang, Bioucas-Dias 2018 (IEEE TIP 27(8)), "Fusing hyperspectral and multispectral images via coupled
sparse tensor factorization": Z = C x1 W x2 H x3 S, and

    min ||hs - C x1 W* x2 H* x3 S||^2 + ||ms - C x1 W x2 H x3 S*||^2 + lambda ||C||_1,   W* = P1 W, H* = P2 H, S* = R S

P1 and P2 blur and decimate rows and columns, so that the PSF has to be separable: another is replaced by its separable
part of rank 1, and what that leaves out is told. The core and each dictionary are found in turn, each near what it was
(beta). Core: ADMM with the two images' copies of C, each a system of three small Gram matrices that their eigenvectors
make diagonal. Dictionaries: conjugate gradients on

    P1'P1 W (A A') + W (B B' + beta I) = P1'Y(1) A' + M(1) B' + beta W_prev

with A = (C x2 H* x3 S)(1), B = (C x2 H x3 S*)(1), and likewise for H and S. Start, as in the authors' program: W and H
singular vectors of the ms, S endmembers (VCA) of the hs. S's start is learned from the scene; all else belongs to the
rows and columns of an image and is found for each, and for each block of a large one, since as many atoms do not do for
more rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from torch import Tensor

from hypersharp.grid import Window
from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Match, seen_alike
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.loops import conjugate_gradients, slices
from hypersharp.numerics.subspace import principal_axes, second_moment, vca
from hypersharp.pair.options import Options, Progress, part_of
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair, measured_pixels
from hypersharp.pair.tiling import tile_around
from hypersharp.sensor.observe import Sensor, read_indices
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.tables import FloatArray

ATOMS_YX, ATOMS_BANDS = 240, 12
BLOCK_PX, MARGIN_PX = 512, 32  # of images that so few atoms would not do for
# The authors have 1e-3, 1e-2, 1e-5 for 93 bands, whose endmembers are longer: at 31 bands ADMM is then far from its
# fixed point after 60 steps, and every core is held too near to the one before.
BETA, MU, LAMBDA = 1e-4, 6e-4, 1e-4
ROUNDS, CORE_STEPS, DICTIONARY_STEPS = 3, 60, 30
SEED, TOLERANCE = 0, 1e-6
SEPARABLE = 1e-3  # of the kernel's norm: less is not told


@dataclass(frozen=True, eq=False)
class Factors:
    """The dictionaries W (H, n_w), H (W, n_h), S (L, n_s), and the operators P1 (h, H), P2 (w, W), R (l, L) on them."""

    matrices: tuple[Tensor, ...]
    operators: tuple[Tensor, ...]

    @property
    def as_hs(self) -> tuple[Tensor, Tensor, Tensor]:
        """(W*, H*, S)."""
        (rows, columns, bands), (blur_rows, blur_columns, _) = self.matrices, self.operators
        return blur_rows @ rows, blur_columns @ columns, bands

    @property
    def as_ms(self) -> tuple[Tensor, Tensor, Tensor]:
        """(W, H, S*)."""
        rows, columns, bands = self.matrices
        return rows, columns, self.operators[2] @ bands


@dataclass(frozen=True, eq=False)
class Tucker(Apply):
    """P1, P2 by their taps, R, the start of S, how ms comes to the level of hs."""

    sensor: Sensor
    bands: Tensor
    match: Match
    notes: tuple[str, ...] = ()

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        hs, ms = pair.hs.to(self.bands), self.match(pair.ms.to(self.bands))
        ratio, sharp = self.sensor.ratio, hs.new_empty(len(hs), *ms.shape[1:])
        most = (-(-size // -(-size * ratio // BLOCK_PX)) for size in hs.shape[1:])  # so that blocks are about equal
        spans = [slices(size, length) for size, length in zip(hs.shape[1:], most, strict=True)]
        cores = [(y.start, x.start, y.stop - y.start, x.stop - x.start) for y, x in product(*spans)]
        if len(cores) == 1:
            return self.sharpen(hs, ms, self.sensor, progress)
        inner = replace(self.sensor, psf=replace(self.sensor.psf, boundary="reflect"))  # a block has no far side
        for number, core in enumerate(cores):
            block = tile_around(core, -(-MARGIN_PX // ratio), (hs.shape[1], hs.shape[2]))
            part = part_of(progress, number / len(cores), (number + 1) / len(cores))
            found = self.sharpen(inside(hs, block.seen), inside(ms, block.seen, ratio), inner, part)
            inside(sharp, core, ratio).copy_(found[:, *block.core_in_seen(ratio)])
        return sharp

    def sharpen(self, hs: Tensor, ms: Tensor, sensor: Sensor, progress: Progress) -> Tensor:
        """One block, (L, h, w) and (l, H, W) -> (L, H, W)."""
        # W and H: the first left singular vectors of the ms's unfoldings
        rows, columns = (principal_axes(second_moment(unfold(ms, axis)))[:, :ATOMS_YX].to(ms) for axis in (0, 1))
        blur_rows, blur_columns = (matrix.to(ms) for matrix in blur_matrices(sensor, (ms.shape[1], ms.shape[2])))
        factors = Factors((rows, columns, self.bands), (blur_rows, blur_columns, torch.tensor(sensor.srf).to(ms)))
        core = update_core(ms.new_zeros(*(one.shape[1] for one in (self.bands, rows, columns))), factors, hs, ms)
        for number in range(1, ROUNDS + 1):
            for axis in range(3):
                found, known = update_dictionary(axis, core, factors, hs, ms), factors.matrices
                factors = replace(factors, matrices=(*known[:axis], found, *known[axis + 1 :]))
            core = update_core(core, factors, hs, ms)
            progress(number / ROUNDS)
        return expand(core, *factors.matrices)


def inside(image: Tensor, window: Window, scale: int = 1) -> Tensor:
    """The part of an image that lies in a window of pixels of which one has `scale` here."""
    y, x, height, width = (scale * size for size in window)
    return image[:, y : y + height, x : x + width]


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The start of S, and the levels of ms; psf and srf are estimated where not given."""
    inside, _, levels = seen_alike(pair, sensor.sensor, options)
    pixels = measured_pixels(pair.hs, pair.hs_valid).to(inside.coefficients)
    start = vca(pixels, min(ATOMS_BANDS, *pixels.shape), seed=SEED)
    lost = separable_part(sensor.sensor.psf)[2]
    notes = (f"the separable part of the PSF leaves out {lost:.1%} of it",) if lost > SEPARABLE else ()
    return Tucker(sensor.sensor, start, levels, notes)


def expand(core: Tensor, rows: Tensor, columns: Tensor, bands: Tensor) -> Tensor:
    """C x1 rows x2 columns x3 bands of a core (n_s, n_w, n_h); the axes of the result are (bands, rows, columns)."""
    return mix_bands(bands, rows @ core @ columns.mT)


def separable_part(psf: PSF) -> tuple[FloatArray, FloatArray, float]:
    """Taps along y and x of the nearest separable kernel, and which share of the norm it leaves out."""
    u, values, vt = np.linalg.svd(psf.kernel)
    lost = float(np.sqrt((values[1:] ** 2).sum() / (values**2).sum()))
    return u[:, 0] / u[:, 0].sum(), vt[0] / vt[0].sum(), lost


def blur_matrices(sensor: Sensor, shape_yx: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """P1 (h, H) and P2 (w, W): blur along an axis and decimation, with the PSF's phase and boundary rule."""
    matrices = []
    for axis, (size, taps) in enumerate(zip(shape_yx, separable_part(sensor.psf)[:2], strict=True)):
        read = read_indices(size, len(taps), sensor.psf.start_yx[axis], sensor.ratio, sensor.psf.boundary)
        count = size // sensor.ratio
        places = torch.from_numpy(read)[torch.arange(len(taps)) + sensor.ratio * torch.arange(count)[:, None]]
        weights = torch.tensor(taps[::-1].copy()).expand(count, -1)
        matrices.append(torch.zeros(count, size, dtype=torch.float64).scatter_add_(1, places, weights))
    return matrices[0], matrices[1]


def unfold(image: Tensor, axis: int) -> Tensor:
    """An image (bands, rows, columns) with its rows (axis 0), columns (1) or bands (2) first, (n, N)."""
    return image.movedim((1, 2, 0)[axis], 0).flatten(1)


def update_core(core: Tensor, factors: Factors, hs: Tensor, ms: Tensor) -> Tensor:
    """About the argmin over C with lambda ||C||_1 and beta ||C - core||^2, by ADMM from 0."""
    solves = [system_solver(seen, image) for seen, image in ((factors.as_hs, hs), (factors.as_ms, ms))]
    current, before = torch.zeros_like(core), core
    multipliers = [torch.zeros_like(core) for _ in solves]
    threshold = LAMBDA / (4 * MU + 2 * BETA)
    for _ in range(CORE_STEPS):
        copies = [solve(torch.sub(current, multiplier)) for solve, multiplier in zip(solves, multipliers, strict=True)]
        for copy, multiplier in zip(copies, multipliers, strict=True):
            multiplier += copy
        mean = (multipliers[0] + multipliers[1]).mul_(MU).add_(before, alpha=BETA).div_(2 * MU + BETA)
        current = torch.nn.functional.softshrink(mean, threshold)
        for multiplier in multipliers:
            multiplier -= current
    return current


def system_solver(factors: tuple[Tensor, Tensor, Tensor], image: Tensor) -> Callable[[Tensor], Tensor]:
    """target -> argmin_C ||image - C x1 .. x2 .. x3 ..||^2 + mu ||C - target||^2, in the eigenvectors of the Grams.

    The image sees nothing along an eigenvector without power, where C stays the target: those are left out.
    """
    powers, axes = [], []
    for matrix in factors:
        power, vectors = torch.linalg.eigh((matrix.mT @ matrix).double())
        strong = power > power[-1] * torch.finfo(matrix.dtype).eps  # stands out of rounding
        powers.append(power[strong])
        axes.append(vectors[:, strong].to(image))
    scale = torch.einsum("y,x,z->zyx", *powers).add(MU).reciprocal()
    loss, (y, x, z) = (scale * MU - 1).to(image), axes
    rows, columns, bands = ((matrix @ one).mT for matrix, one in zip(factors, (y, x, z), strict=True))
    start = expand(image, rows, columns, bands).mul_(scale.to(image))
    inward_y, inward_z = y.mT.contiguous(), z.mT.contiguous()

    def solve(target: Tensor) -> Tensor:
        seen = inward_y @ mix_bands(inward_z, target) @ x
        return expand(seen.mul_(loss).add_(start), y, x, z).add_(target)

    return solve


def update_dictionary(axis: int, core: Tensor, factors: Factors, hs: Tensor, ms: Tensor) -> Tensor:
    """W (axis 0), H (1) or S (2) by conjugate gradients, near what it was."""
    before, operator = factors.matrices[axis], factors.operators[axis]
    grams, pulls = [], []
    for image, seen in ((hs, factors.as_hs), (ms, factors.as_ms)):
        identity = torch.eye(before.shape[1]).to(before)
        rows, columns, bands = (identity if axis == place else matrix for place, matrix in enumerate(seen))
        a = unfold(expand(core, rows, columns, bands), axis)
        grams.append(a @ a.mT)
        pulls.append(unfold(image, axis) @ a.mT)
    low, high = (0, 1) if axis < 2 else (1, 0)  # the image that sees the dictionary through its operator, and the other
    rhs = (operator.mT @ pulls[low]).add_(pulls[high]).add_(before, alpha=BETA)
    normal = operator.mT @ operator

    def apply(matrix: Tensor) -> Tensor:
        return normal @ (matrix @ grams[low]) + matrix @ grams[high] + BETA * matrix

    return conjugate_gradients(apply, rhs, start=before, iterations=DICTIONARY_STEPS, tolerance=TOLERANCE)
