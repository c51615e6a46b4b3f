"""After Kwon and Tai: hs interpolated along the structures of the ms, then its spectra replaced by measured ones.

Source: Kwon, Tai 2015 (ICCV), "RGB-guided hyperspectral image upsampling". Its text was not at hand but for the
abstract, which fixes two stages, guided upsampling and "spectrum substitution": sparse coding that refines upsampled
spectra "through dictionary substitution". What the stages compute is decided here:

1.  min_Z ||hs - Z B||^2 + l1 sum_i sum_j w_ij |z_i - z_j|^2 / sum_j w_ij + l2 ||Z - Z N||^2, by conjugate gradients.
    j are the eight neighbours of i; w_ij = exp(-|x_i - x_j|^2 / 2 s_c^2) exp(-(g_i + g_j)^2 / 2 s_e^2), x the ms and g
    the length of its gradient; N the mean of the ten pixels whose surroundings in the ms are most similar (Park et al.
    2011, ICCV, upsample depth so).
2.  In each coarse pixel, with the 7 x 7 around it as atoms: a code says how a fine pixel is made of the atoms as they
    look after the first stage, and of their colours; their measured spectra then take the place of that look:
    a = argmin_a>=0 |(z, w x) - (D_up, w R D) a|^2 + g sum a,   z <- z + (D - D_up) a
3.  The nearest image that agrees with hs and ms (`Agreement`), distances in the metric of hs's own detail, S^-1: what
    is corrected in the bands that the ms sees is corrected in the others as they vary together.

All on the strongest coefficients of hs; the rest are interpolated.
"""

from dataclasses import dataclass, replace
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Agreement, Match, Scales, seen_alike
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.loops import conjugate_gradients, slices
from hypersharp.numerics.neighbours import Mean, similar_pixels
from hypersharp.numerics.regression import detail
from hypersharp.numerics.signal import Subspace
from hypersharp.pair.options import Options, Progress, part_of
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor

MOST_DIMENSIONS = 10
SMOOTH, ALIKE = 0.005, 0.005  # l1, l2
COLOUR, EDGE = 0.05, 0.1  # s_c, s_e
REACH_PX, COUNT, WIDTH = 5, 10, 90 / 255**2  # of N
STEPS, TOLERANCE = 50, 1e-3
AROUND = 3  # coarse pixels on every side that are atoms
SPARSITY, COLOUR_WEIGHT = 1e-4, 2.0  # g, w
CODE_STEPS = 30
PRIOR, LEAST_DETAIL = 1e-4, 1e-4  # weight of stage 2 against both images; the least detail, of the mean
STRIP_VALUES = 2**22  # of codes at once
NEXT_YX = ((0, 1), (1, -1), (1, 0), (1, 1))  # half of the eight neighbours; the others are theirs
LEAST = 1e-6
Place = tuple[EllipsisType, slice, slice]


@dataclass(frozen=True, eq=False)
class Substitution(Apply):
    """E (L, p), how ms comes to the level of hs, both images' agreement, and its metric S^-1 (p, p)."""

    subspace: Subspace
    match: Match
    agreement: Agreement
    precision: Tensor

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        coefficients = self.subspace.coefficients(pair.hs)
        ms = self.match(pair.ms.to(coefficients))
        hs_valid, ms_valid = (None if mask is None else mask.to(ms.device) for mask in (pair.hs_valid, pair.ms_valid))
        strongest = coefficients[:MOST_DIMENSIONS]
        scales, seen = self.agreement.scales, self.agreement.seen[:, :MOST_DIMENSIONS]
        first = guided(strongest, ms, scales, hs_valid, ms_valid)
        progress(0.5)
        # (2 p + l, h, w): a coarse pixel's measured spectrum, how it looks after stage 1, and its weighted colour
        atoms = torch.cat([strongest, at_centres(first, scales), COLOUR_WEIGHT * mix_bands(seen, strongest)])
        atoms = atoms if hs_valid is None else atoms * hs_valid  # an atom of zeros takes no part
        second = substitute(first, ms, atoms, scales.ratio, part_of(progress, 0.5, 0.9))
        whole = torch.cat([second, scales.expand(coefficients[MOST_DIMENSIONS:])])
        sharp = mix_bands(self.subspace.basis, self.agreement(whole, coefficients, ms, weight=PRIOR * self.precision))
        progress(1.0)
        return sharp


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The subspace of (L, h, w), and the levels of (l, H, W); psf and srf are estimated where not given."""
    inside, seen, levels = seen_alike(pair, sensor.sensor, options)
    texture = detail(inside.coefficients, inside.valid)
    power = texture @ texture.mT
    power /= power.diagonal().mean().clamp(min=torch.finfo(power.dtype).tiny)
    power.diagonal().add_(LEAST_DETAIL)
    precision = torch.linalg.inv(power).to(seen)
    return Substitution(inside.subspace, levels, Agreement(seen, inside.scales), (precision + precision.mT) / 2)


def guided(
    coarse: Tensor, ms: Tensor, scales: Scales, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None
) -> Tensor:
    """Stage 1: Z (p, H, W) of coarse (p, h, w), guided by ms (l, H, W)."""
    sensor = Sensor(scales.psf, np.eye(len(coarse)), scales.ratio)
    counts = coarse.new_ones(coarse.shape[1:]) if hs_valid is None else hs_valid.to(coarse)
    alike = similar_pixels(ms, reach=REACH_PX, count=COUNT, valid=ms_valid)
    mean = Mean(alike.places, alike.weights(WIDTH).to(ms))
    ties = [SMOOTH * tie for tie in neighbour_ties(ms)]

    def apply(image: Tensor) -> Tensor:
        result = sensor.hs_adjoint(sensor.hs(image).mul_(counts))
        for tie, step in zip(ties, NEXT_YX, strict=True):
            here, there = overlap(step, image.shape)
            flow = (image[here] - image[there]).mul_(tie)
            result[here] += flow
            result[there] -= flow
        pixels = image.flatten(1).mT.contiguous()
        left = pixels - mean(pixels)
        left -= mean.adjoint(left)
        return result.add_(left.mT.view_as(image), alpha=ALIKE)

    # the diagonal of these equations, (H, W)
    squared = replace(sensor, psf=replace(scales.psf, kernel=scales.psf.kernel**2))
    diagonal = squared.hs_adjoint(counts[None])[0] * float((scales.psf.kernel**2).sum())
    for tie, step in zip(ties, NEXT_YX, strict=True):
        here, there = overlap(step, diagonal.shape)
        diagonal[here] += tie
        diagonal[there] += tie
    own = Mean(mean.places, mean.weights.square()).adjoint(ms.new_ones(len(mean.places), 1))
    diagonal += ALIKE * (1 + own.view_as(diagonal))
    return conjugate_gradients(
        apply,
        sensor.hs_adjoint(coarse * counts),
        start=scales.expand(coarse),
        precondition=lambda residual: residual / diagonal,
        iterations=STEPS,
        tolerance=TOLERANCE,
    )


def neighbour_ties(ms: Tensor) -> list[Tensor]:
    """w_ij (1 / sum_j w_ij + 1 / sum_i w_ij) of each pixel and its neighbour at each of NEXT_YX."""
    y, x = torch.gradient(F.pad(ms[None], (1,) * 4, mode="replicate")[0], dim=(1, 2))
    edges = (y.square() + x.square()).mean(0).sqrt()[1:-1, 1:-1]
    weights, sums = [], torch.zeros_like(edges)
    for step in NEXT_YX:
        here, there = overlap(step, edges.shape)
        colours = (ms[here] - ms[there]).square().mean(0)
        weight = torch.exp(-colours / (2 * COLOUR**2) - (edges[here] + edges[there]).square() / (2 * EDGE**2)) + LEAST
        weights.append(weight)
        sums[here] += weight
        sums[there] += weight
    inverse = 1 / sums.clamp(min=LEAST)
    places = (overlap(step, edges.shape) for step in NEXT_YX)
    return [w * (inverse[here] + inverse[there]) for w, (here, there) in zip(weights, places, strict=True)]


def overlap(step_yx: tuple[int, int], shape: tuple[int, ...]) -> tuple[Place, Place]:
    """Where in (.., H, W) the pixels lie that have a neighbour a step on, and where those neighbours."""
    (step_y, step_x), (height, width) = step_yx, shape[-2:]
    here = slice(max(0, -step_y), height - max(0, step_y)), slice(max(0, -step_x), width - max(0, step_x))
    there = slice(max(0, step_y), height - max(0, -step_y)), slice(max(0, step_x), width - max(0, -step_x))
    return (..., *here), (..., *there)


def substitute(first: Tensor, ms: Tensor, measured: Tensor, ratio: int, progress: Progress) -> Tensor:
    """Stage 2: in the pixels of `first` (p, H, W), the spectra around them (2 p + l, h, w) as they were measured."""
    bands, (height, width), side = len(first), measured.shape[1:], 2 * AROUND + 1
    around = F.pad(measured[None], (AROUND,) * 4, mode="replicate")
    atoms = F.unfold(around, side)[0].view(len(measured), side**2, height, width)
    blocks = torch.cat([first, COLOUR_WEIGHT * ms]).view(-1, height, ratio, width, ratio)
    result = first.new_empty(bands, height, ratio, width, ratio)
    for rows in slices(height, STRIP_VALUES // (side**2 * ratio**2 * width)):
        near = atoms[:, :, rows].permute(2, 3, 0, 1).flatten(0, 1)
        targets = blocks[:, rows].permute(1, 3, 0, 2, 4).flatten(3).flatten(0, 1)
        changes = (near[:, :bands] - near[:, bands : 2 * bands]) @ codes(near[:, bands:], targets)
        result[:, rows] = (targets[:, :bands] + changes).view(-1, width, bands, ratio, ratio).permute(2, 0, 3, 1, 4)
        progress(rows.stop / height)
    return result.flatten(3).flatten(1, 2)


def codes(atoms: Tensor, targets: Tensor) -> Tensor:
    """argmin_a>=0 |targets - atoms a|^2 + 2 g sum a, about: (n, f, K) and (n, f, N) -> (n, K, N), by FISTA.

    Source: Beck, Teboulle 2009 (SIAM J. Imaging Sciences 2(1)); the start favours atoms that look like the target.
    """
    gram, pull = atoms.mT @ atoms, (atoms.mT @ targets).sub_(SPARSITY)
    powers = gram.diagonal(dim1=1, dim2=2)
    step = 1 / gram.abs().sum(2).amax(1).clamp(min=LEAST)[:, None, None]
    distances = powers[:, :, None] - 2 * pull
    distances = distances.masked_fill(powers[:, :, None] == 0, torch.inf)
    scale = (distances - distances.amin(1, keepdim=True)) / (COLOUR**2)
    code = torch.softmax(-scale, 1).nan_to_num_(0.0)
    ahead, pace = code, 1.0
    for _ in range(CODE_STEPS):
        better = torch.baddbmm(pull, gram, ahead, alpha=-1).mul_(step).add_(ahead).clamp_(min=0)
        faster = (1 + (1 + 4 * pace**2) ** 0.5) / 2
        ahead = torch.lerp(code, better, 1 + (pace - 1) / faster)
        code, pace = better, faster
    return code


def at_centres(fine: Tensor, scales: Scales) -> Tensor:
    """(p, H, W) -> (p, h, w): the values where coarse pixels have their centres, linearly interpolated."""
    for axis, centre in zip((1, 2), scales.psf.centre_yx(), strict=True):
        size = fine.shape[axis]
        places = (centre + scales.ratio * torch.arange(size // scales.ratio, dtype=torch.float64)).clamp_(0, size - 1)
        low = places.floor().long()
        share = (places - low).to(fine).view((-1, 1) if axis == 1 else (-1,))
        low, high = low.to(fine.device), (low + 1).clamp_(max=size - 1).to(fine.device)
        fine = torch.lerp(fine.index_select(axis, low), fine.index_select(axis, high), share)
    return fine
