"""CNMF: hs and ms unmixed in turn, one set of endmembers, one set of abundances.

Source: Yokoya, Yairi, Iwasaki 2012 (IEEE TGRS 50(2)): hs ~ W H_h and ms ~ W_m H with non-negative factors, coupled by
H_h = H D B and W_m = R W; the result is W H. Its updates (equations 7 to 12, Lee and Seung's) keep both non-negative:

    H <- H * (W' Y) / (W' W H),    W <- W * (Y H') / (W H H')

Abundances sum to about one: a row of weight delta, as bright as the image, says so in every update of H.
Start: endmembers by VCA on hs in the subspace that stands out of its noise; H on hs alone, interpolated for the ms.
Where ms has more than LEAST_BANDS bands W_m is refined too, else it is R W. What is learned from a scene is W and
W_m; the abundances of any part of it are then found anew, from the same start.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Match, Scales, SubspacePair, make_pair, match
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.subspace import vca
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

LEAST_BANDS = 3
LEAST = 1e-9  # a factor that is zero would stay so
PIECE_VALUES = 2**16  # of H in a piece on a CPU: with its companions they fill a second-level cache


@dataclass(frozen=True)
class CNMFOptions:
    """`endmembers` at most (and at most one a band, one for two pixels); updates of abundances on their own at
    the `start`, then `hs_updates` of both factors on hs and `ms_updates` on ms in each of `rounds`; `sum_weight` is
    delta (1: as much as the image itself); `seed` is VCA's.
    """

    endmembers: int = 30
    start: int = 400
    hs_updates: int = 200
    ms_updates: int = 100
    rounds: int = 2
    sum_weight: float = 0.3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Materials:
    """What unmixing learns: W of hs alone and at last (L, M), W_m (l, M) of every stage, delta's power for each."""

    start: Tensor
    endmembers: Tensor
    seen: tuple[Tensor, ...]
    hs_power: float
    ms_power: float
    options: CNMFOptions


@dataclass(frozen=True, eq=False)
class Unmixing(Apply):
    """How any part of the scene is unmixed: E (L, p), how ms comes to the level of hs, and the materials."""

    basis: Tensor
    match: Match
    scales: Scales
    materials: Materials

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """W H (L, H, W) of (L, h, w) and (l, H, W)."""
        found, o = self.materials, self.materials.options
        pixels = mix_bands(self.basis @ self.basis.mT, pair.hs.to(self.basis)).flatten(1).clamp_(min=0)
        fine = self.match(pair.ms.to(self.basis)).flatten(1).clamp_(min=0)
        abundances = pixels.new_full((found.start.shape[1], pixels.shape[1]), 1 / found.start.shape[1])
        updates = o.start + o.hs_updates
        abundances = update_abundances(pixels, found.start, abundances, updates, found.hs_power)
        abundances = self.scales.expand(abundances.view(-1, *pair.hs.shape[1:])).flatten(1).clamp_(min=LEAST)
        for number, seen in enumerate(found.seen, 1):
            abundances = update_abundances(fine, seen, abundances, o.ms_updates, found.ms_power)
            progress(number / len(found.seen))
        return mix_bands(found.endmembers, abundances.view(-1, *pair.ms.shape[1:]))


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The materials of (L, h, w) and (l, H, W); estimates of psf and srf what the user did not give."""
    seer = sensor.sensor
    inside = make_pair(pair, seer.psf, options)
    response = torch.tensor(seer.srf).to(inside.basis)
    levels = match(inside, mix_bands(response @ inside.basis, inside.coefficients))
    materials = unmix(replace(inside, ms=levels(inside.ms)), response, CNMFOptions())
    return Unmixing(inside.basis, levels, inside.scales, materials)


def unmix(pair: SubspacePair, response: Tensor, options: CNMFOptions) -> Materials:
    """The materials of the pair, for a response (l, L)."""
    pixels, fine = (mix_bands(pair.basis, pair.coefficients).flatten(1).clamp_(min=0), pair.ms.flatten(1).clamp(min=0))
    valid = pair.valid.flatten()
    counted = None if pair.ms_valid is None else pair.ms_valid.flatten()
    start, abundances = unmix_hs(pixels, valid, options)
    power = sum_power(fine if counted is None else fine[:, counted], options)
    abundances = pair.scales.expand(abundances.view(-1, *pair.valid.shape)).flatten(1).clamp_(min=LEAST)
    endmembers, stages = start, []
    for _ in range(options.rounds):
        seen = (response @ endmembers).clamp(min=LEAST)
        abundances = update_abundances(fine, seen, abundances, options.ms_updates, power)
        stages.append(seen)
        if len(fine) > LEAST_BANDS:
            seen, abundances = alternate(fine, seen, abundances, options.ms_updates, power, counted=counted)
            stages.append(seen)
        low = pair.scales.reduce(abundances.view(-1, *pair.ms.shape[1:])).flatten(1)[:, valid].clamp(min=LEAST)
        endmembers = update_endmembers(pixels[:, valid], endmembers, low, options.hs_updates)
    return Materials(start, endmembers, tuple(stages), sum_power(pixels[:, valid], options), power, options)


def unmix_hs(pixels: Tensor, valid: Tensor, options: CNMFOptions) -> tuple[Tensor, Tensor]:
    """W (L, M) and H (M, N) of hs alone, W from the valid ones of its pixels (L, N)."""
    endmembers = start_endmembers(pixels[:, valid], options)
    abundances = pixels.new_full((endmembers.shape[1], pixels.shape[1]), 1 / endmembers.shape[1])
    power = sum_power(pixels[:, valid], options)
    abundances = update_abundances(pixels, endmembers, abundances, options.start, power)
    counted = None if valid.all() else valid
    return alternate(pixels, endmembers, abundances, options.hs_updates, power, counted=counted)


def start_endmembers(spectra: Tensor, options: CNMFOptions) -> Tensor:
    """(L, M): extreme pixels of spectra (L, N)."""
    most = max(1, min(options.endmembers, len(spectra), spectra.shape[1] // 2))
    return vca(spectra, most, seed=options.seed).clamp(min=LEAST)


def sum_power(pixels: Tensor, options: CNMFOptions) -> float:
    """The square of the row that says the abundances' sum, as bright as delta times the pixels (n, N)."""
    return options.sum_weight**2 * len(pixels) * float(pixels.square().mean())


def alternate(
    pixels: Tensor,
    endmembers: Tensor,
    abundances: Tensor,
    updates: int,
    sum_power: float,
    *,
    counted: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Both factors, one update of each in turn; `counted` (N,): the pixels endmembers are taken from, None: all."""
    for _ in range(updates):
        seen = (pixels, abundances) if counted is None else (pixels[:, counted], abundances[:, counted])
        endmembers = update_endmembers(seen[0], endmembers, seen[1], 1)
        abundances = update_abundances(pixels, endmembers, abundances, 1, sum_power)
    return endmembers, abundances


def update_endmembers(pixels: Tensor, endmembers: Tensor, abundances: Tensor, updates: int) -> Tensor:
    """W (n, M) after some updates, for pixels (n, N) and abundances (M, N)."""
    pull, gram = pixels @ abundances.mT, abundances @ abundances.mT
    for _ in range(updates):
        endmembers = endmembers * (pull / (endmembers @ gram).clamp_(min=LEAST))
    return endmembers.clamp(min=LEAST)


def update_abundances(pixels: Tensor, endmembers: Tensor, abundances: Tensor, updates: int, sum_power: float) -> Tensor:
    """H (M, N) after some updates, for pixels (n, N) and endmembers (n, M), drawn to a sum of one."""
    gram, found = endmembers.mT @ endmembers + sum_power, torch.empty_like(abundances)
    for part in pieces(abundances):
        current = abundances[:, part].clone(memory_format=torch.contiguous_format)
        pull, seen = (endmembers.mT @ pixels[:, part]).add_(sum_power), torch.empty_like(current)
        for _ in range(updates):
            torch.mm(gram, current, out=seen)
            current.mul_(torch.div(pull, seen.clamp_(min=LEAST), out=seen))
        found[:, part] = current
    return found.clamp_(min=LEAST)


def pieces(abundances: Tensor) -> Iterator[slice]:
    """Pixels of (M, N) that fit the cache together; on an accelerator all at once."""
    materials, count = abundances.shape
    pixels = PIECE_VALUES // materials if abundances.device.type == "cpu" else count
    return (slice(first, first + pixels) for first in range(0, count, pixels))
