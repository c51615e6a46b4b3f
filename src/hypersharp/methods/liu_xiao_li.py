"""After Liu, Xiao and Li: the fractional gradients of hs's coefficients are those of the ms, similar patches low-rank.

Source: Liu, Xiao, Li 2018 (IEEE TGRS 56(3)). Its text was not at hand but for the abstract, which fixes the terms:
fidelity to hs, fractional-order total variation of the difference to the guide, the weighted nuclear norm of groups of
similar patches of the result and the interpolated hs together, by ADMM. What they compute is decided here:

    min_Z 1/2 ||Y - Z B||^2 + a ||D^v Z - D^v G X||_2,1 + t sum_j ||R_j [Z; Y up]||_w,*

Y are the strongest coefficients of hs, G their gains on the ms X, D^v the Gruenwald-Letnikov differences of order v
along rows and columns, R_j a patch of the ms and the places of its nearest, w the inverse of the singular values (Gu et
al. 2014, CVPR, whose proximal map is in closed form). The other coefficients are interpolated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Agreement, Scales, make_pair
from hypersharp.numerics.linops import BlurDecimation, mix_bands
from hypersharp.numerics.loops import shrinkage, slices
from hypersharp.numerics.signal import Subspace
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import circular_blur

MOST_DIMENSIONS = 10
ORDER, TAPS = 1.3, 16  # v, and how many of its differences are not neglected
ALIKE, LOW_RANK = 1e-3, 1e-4  # a, t
PATCH_PX, STRIDE_PX, REACH_PX, COUNT = 6, 4, 12, 30
STEPS, GROUPS_FROM, GROUP_EVERY = 50, 25, 5
FIRST_PENALTY, FASTER = 1e-2, 1.05
STRIP_PATCHES = 256  # groups whose singular values are found at once
LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Similarity(Apply):
    """E (L, p), G (p, l) and the way between the grids."""

    subspace: Subspace
    gains: Tensor
    scales: Scales

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        ms, coefficients = pair.ms.to(self.gains), self.subspace.coefficients(pair.hs)
        first, kept = self.scales.expand(coefficients), len(self.gains)
        sharp = sharpen(coefficients[:kept], ms, mix_bands(self.gains, ms), first[:kept], self.scales, progress)
        return mix_bands(self.subspace.basis, torch.cat([sharp, first[kept:]]))


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The subspace of (L, h, w) and its gains on (l, H, W); a psf is estimated where not given."""
    inside = make_pair(pair, sensor.psf, options)
    return Similarity(inside.subspace, inside.gains(inside.low)[:MOST_DIMENSIONS], inside.scales)


def sharpen(coarse: Tensor, ms: Tensor, guide: Tensor, first: Tensor, scales: Scales, progress: Progress) -> Tensor:
    """Z (p, H, W) of coarse (p, h, w), guide G X and its interpolation `first` (p, H, W), patches found in ms."""
    borders = Agreement(coarse, scales)  # mirrored, so that steps may be circular
    first, small = borders.widened(first, coarse)
    guide, ms = (borders.widened(image, coarse)[0] for image in (guide, ms))
    differences = Differences(ORDER, first)
    fidelity = Fidelity(circular_blur(scales.psf, scales.ratio, first), differences)
    groups = Groups(ms)
    wanted, pull = differences(guide), fidelity.observe.adjoint(small)
    z = kept = first  # G of the ADMM is `kept`, F is `flow`
    flow = torch.zeros_like(wanted)
    flow_dual, kept_dual, penalty = torch.zeros_like(flow), torch.zeros_like(first), FIRST_PENALTY
    for step in range(STEPS):
        z = fidelity.solve(pull, differences.adjoint(wanted + flow - flow_dual).add_(kept - kept_dual), penalty)
        flow_dual += differences(z) - wanted
        flow = flow_dual * shrinkage(flow_dual.square().sum(0).sqrt(), ALIKE / penalty)
        flow_dual -= flow
        if step < GROUPS_FROM:
            kept = z
        elif step % GROUP_EVERY == 0:
            kept_dual += z
            kept = groups.low_rank(kept_dual, first, LOW_RANK / penalty)
            kept_dual -= kept
        penalty, flow_dual, kept_dual = FASTER * penalty, flow_dual / FASTER, kept_dual / FASTER
        progress((step + 1) / STEPS)
    return borders.inside(z)


class Differences:
    """D^v by its half spectra `transfer` (2, 1, H, W//2 + 1), along columns and along rows, for images like one.

    Gruenwald-Letnikov differences sum_k c_k z(x - k), c_0 = 1, c_k = c_(k-1) (1 - (order + 1) / k), circular.
    """

    def __init__(self, order: float, like: Tensor) -> None:
        k = torch.arange(1, TAPS, dtype=torch.float64)
        taps = torch.cat([torch.ones(1, dtype=torch.float64), (1 - (order + 1) / k).cumprod(0)])
        spectra = []
        for size, frequencies in zip(like.shape[-2:], (torch.fft.fftfreq, torch.fft.rfftfreq), strict=True):
            turns = frequencies(size, dtype=torch.float64)[:, None] * torch.arange(TAPS)
            spectra.append(torch.polar(taps.expand_as(turns), -2 * torch.pi * turns).sum(1))
        shape = len(spectra[0]), len(spectra[1])
        both = torch.stack([spectra[0][:, None].expand(shape), spectra[1].expand(shape)])[:, None]
        single = like.dtype == torch.float32
        self.transfer = both.to(like.device, torch.complex64 if single else torch.complex128)

    def __call__(self, image: Tensor) -> Tensor:
        """(p, H, W) -> (2, p, H, W)."""
        fields: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * self.transfer, s=image.shape[-2:])
        return fields

    def adjoint(self, fields: Tensor) -> Tensor:
        """(2, p, H, W) -> (p, H, W)."""
        spectrum = (torch.fft.rfft2(fields) * self.transfer.conj()).sum(0)
        image: Tensor = torch.fft.irfft2(spectrum, s=fields.shape[-2:])
        return image


class Fidelity:
    """The blur B and the differences D^v, whose sum of squares is solved for in closed form."""

    def __init__(self, observe: BlurDecimation, differences: Differences) -> None:
        self.observe = observe
        self.inverse = 1 / (1 + differences.transfer.abs().square().sum((0, 1)))  # of D'D + 1, by its half spectrum
        self.coarse_power = observe.coarse_power(self.smooth)  # eigenvalues of B (D'D + 1)^-1 B'

    def solve(self, pull: Tensor, prior: Tensor, penalty: float) -> Tensor:
        """z with (B B' + penalty (D'D + 1)) z = pull + penalty prior, all (p, H, W), as `numerics.linops` folds it."""
        rhs = pull + penalty * prior
        gap = torch.fft.rfft2(self.observe.forward(self.smooth(rhs))) / (self.coarse_power + penalty)
        coarse = torch.fft.irfft2(gap, s=self.observe.coarse_yx)
        return self.smooth(rhs.sub_(self.observe.adjoint(coarse))).div_(penalty)

    def smooth(self, image: Tensor) -> Tensor:
        """(D'D + 1)^-1 of (.., H, W)."""
        smoothed: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * self.inverse, s=self.observe.shape_yx)
        return smoothed


class Groups:
    """Around every STRIDE_PX-th patch of (l, H, W) the COUNT of least mean squared distance, itself included.

    `places` (n, COUNT): where the patches of each group begin, in an image widened to `size_yx`.
    """

    def __init__(self, image: Tensor) -> None:
        height, width = (size + (PATCH_PX - size) % STRIDE_PX for size in image.shape[1:])
        self.size_yx = height, width
        image = widened(image, self.size_yx)
        around, span, distances = F.pad(image, (REACH_PX,) * 4, value=torch.inf), 2 * REACH_PX + 1, []
        for y in range(span):
            for x in range(span):
                apart = (image - around[:, y : y + height, x : x + width]).square_().mean(0, keepdim=True)
                distances.append(F.avg_pool2d(apart[None], PATCH_PX, STRIDE_PX)[0, 0])
        distances[len(distances) // 2].fill_(-1)  # itself, however many are equal
        steps = torch.stack(distances).flatten(1).topk(COUNT, dim=0, largest=False).indices.mT  # (n, COUNT)
        rows, columns = (torch.arange(n, device=image.device) * STRIDE_PX for n in distances[0].shape)
        corners = (rows[:, None] * width + columns).flatten()
        self.places = corners[:, None] + (steps // span - REACH_PX) * width + steps % span - REACH_PX

    def low_rank(self, image: Tensor, first: Tensor, level: float) -> Tensor:
        """The mean over the groups of image (p, H, W) as each has it, its singular values and `first`'s shrunk."""
        height, width = self.size_yx
        both = torch.stack([widened(image, self.size_yx), widened(first, self.size_yx)]).flatten(2)  # (2, p, H W)
        y, x = torch.meshgrid(*(torch.arange(PATCH_PX, device=image.device),) * 2, indexing="ij")
        inside, total, counts = (y * width + x).flatten(), torch.zeros_like(both[0]), both.new_zeros(height * width)
        for part in slices(len(self.places), STRIP_PATCHES):
            pixels = self.places[part, :, None] + inside  # (n, COUNT, pixels)
            patches = both[:, :, pixels].permute(2, 0, 3, 1, 4)  # (n, 2, COUNT, p, pixels)
            rows = patches.reshape(len(pixels), 2 * COUNT, -1)
            powers, vectors = torch.linalg.eigh(rows @ rows.mT)
            kept = vectors * shrunk(powers.clamp(min=0).sqrt(), level)[:, None]
            made = kept[:, :COUNT] @ (vectors.mT @ rows)
            total.index_add_(1, pixels.flatten(), made.view(*patches[:, 0].shape).permute(2, 0, 1, 3).flatten(1))
            counts.index_add_(0, pixels.flatten(), counts.new_ones(pixels.numel()))
        mean = (total / counts).view(-1, height, width)
        return mean[:, : image.shape[1], : image.shape[2]]


def shrunk(values: Tensor, level: float) -> Tensor:
    """s^ / s of singular values s, s^ = (s - e + sqrt((s + e)^2 - 4 level sqrt(n))) / 2, or 0 (Gu et al. 2014)."""
    root = (values + LEAST).square() - 4 * level * values.shape[-1] ** 0.5
    found = (values - LEAST + root.clamp(min=0).sqrt()).div_(2).clamp_(min=0)
    return torch.where(root < 0, 0, found / values.clamp(min=LEAST))


def widened(image: Tensor, size_yx: tuple[int, int]) -> Tensor:
    """(n, H, W) with its last row and column repeated to that size."""
    return F.pad(image[None], (0, size_yx[1] - image.shape[2], 0, size_yx[0] - image.shape[1]), mode="replicate")[0]
