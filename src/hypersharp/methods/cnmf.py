"""CNMF: hs and ms unmixed in turn, one set of endmembers, one set of abundances.

Source: Yokoya, Yairi, Iwasaki 2012 (IEEE TGRS 50(2)): hs ~ W H_h and ms ~ W_m H with non-negative factors, coupled by
H_h = H D B and W_m = R W; the result is W H. Its updates (equations 7 to 12, Lee and Seung's) keep both non-negative:

    H <- H * (W' Y) / (W' W H),    W <- W * (Y H') / (W H H')

Abundances sum to about one: a row of weight delta, as bright as the image, enters every update of H.
Start: endmembers by VCA on hs in the subspace that stands out of its noise; H on hs alone, interpolated for the ms.
Where ms has more than LEAST_BANDS bands W_m is refined too, else it is R W. What is learned from a scene is W and
W_m; the abundances of any part of it are then found from the same start.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.methods.detail import Match, Scales, seen_alike
from hypersharp.numerics.linops import mix_bands
from hypersharp.numerics.loops import slices
from hypersharp.numerics.signal import Subspace
from hypersharp.numerics.subspace import vca
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

MOST_ENDMEMBERS = 30  # and one a band, one for two pixels
START, HS_UPDATES, MS_UPDATES = 400, 200, 100  # of abundances alone; of both factors on hs; on ms
ROUNDS = 2
SUM_WEIGHT = 0.3  # delta; 1: as much as the image itself
SEED = 0  # of VCA
LEAST_BANDS = 3
LEAST = 1e-9  # a factor that is zero would stay so
PIECE_VALUES = 2**16  # of H in a piece on a CPU: with its companions they fill a second-level cache


@dataclass(frozen=True, eq=False)
class Unmixing(Apply):
    """How any part of the scene is unmixed.

    E (L, p), how ms comes to the level of hs; W of hs alone and at last (L, M), W_m (l, M) of every stage, delta's
    power for each image.
    """

    subspace: Subspace
    match: Match
    scales: Scales
    start: Tensor
    endmembers: Tensor
    seen: tuple[Tensor, ...]
    hs_power: float
    ms_power: float

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """W H (L, H, W) of (L, h, w) and (l, H, W)."""
        pixels = mix_bands(self.subspace.basis, self.subspace.coefficients(pair.hs)).flatten(1).clamp_(min=0)
        fine = self.match(pair.ms.to(self.start)).flatten(1).clamp_(min=0)
        abundances = pixels.new_full((self.start.shape[1], pixels.shape[1]), 1 / self.start.shape[1])
        abundances = update_abundances(pixels, self.start, abundances, START + HS_UPDATES, self.hs_power)
        abundances = self.scales.expand(abundances.view(-1, *pair.hs.shape[1:])).flatten(1).clamp_(min=LEAST)
        for number, seen in enumerate(self.seen, 1):
            abundances = update_abundances(fine, seen, abundances, MS_UPDATES, self.ms_power)
            progress(number / len(self.seen))
        return mix_bands(self.endmembers, abundances.view(-1, *pair.ms.shape[1:]))


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The materials of (L, h, w) and (l, H, W); psf and srf are estimated where not given."""
    inside, _, levels = seen_alike(pair, sensor.sensor, options)
    response = torch.tensor(sensor.sensor.srf).to(inside.coefficients)
    pixels = mix_bands(inside.subspace.basis, inside.coefficients).flatten(1).clamp_(min=0)
    fine, valid = levels(inside.ms).flatten(1).clamp(min=0), inside.valid.flatten()
    counted = None if inside.ms_valid is None else inside.ms_valid.flatten()
    seen_hs, hs_power = pixels[:, valid], sum_power(pixels[:, valid])  # hs alone first, from extreme pixels
    most = max(1, min(MOST_ENDMEMBERS, len(seen_hs), seen_hs.shape[1] // 2))
    start = vca(seen_hs, most, seed=SEED).clamp(min=LEAST)
    abundances = pixels.new_full((start.shape[1], pixels.shape[1]), 1 / start.shape[1])
    abundances = update_abundances(pixels, start, abundances, START, hs_power)
    partly = None if valid.all() else valid
    start, abundances = alternate(pixels, start, abundances, HS_UPDATES, hs_power, counted=partly)
    power = sum_power(fine if counted is None else fine[:, counted])
    abundances = inside.scales.expand(abundances.view(-1, *inside.valid.shape)).flatten(1).clamp_(min=LEAST)
    endmembers, stages = start, []
    for _ in range(ROUNDS):
        seen = (response @ endmembers).clamp(min=LEAST)
        abundances = update_abundances(fine, seen, abundances, MS_UPDATES, power)
        stages.append(seen)
        if len(fine) > LEAST_BANDS:
            seen, abundances = alternate(fine, seen, abundances, MS_UPDATES, power, counted=counted)
            stages.append(seen)
        low = inside.scales.reduce(abundances.view(-1, *inside.ms.shape[1:])).flatten(1)[:, valid].clamp(min=LEAST)
        endmembers = update_endmembers(seen_hs, endmembers, low, HS_UPDATES)
    return Unmixing(inside.subspace, levels, inside.scales, start, endmembers, tuple(stages), hs_power, power)


def sum_power(pixels: Tensor) -> float:
    """The square of the row for the abundances' sum, as bright as delta times the pixels (n, N)."""
    return SUM_WEIGHT**2 * len(pixels) * float(pixels.square().mean())


def alternate(
    pixels: Tensor,
    endmembers: Tensor,
    abundances: Tensor,
    updates: int,
    sum_power: float,
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
    at_once = PIECE_VALUES // len(abundances) if abundances.device.type == "cpu" else abundances.shape[1]
    for part in slices(abundances.shape[1], at_once):
        current = abundances[:, part].clone(memory_format=torch.contiguous_format)
        pull, seen = (endmembers.mT @ pixels[:, part]).add_(sum_power), torch.empty_like(current)
        for _ in range(updates):
            torch.mm(gram, current, out=seen)
            current.mul_(torch.div(pull, seen.clamp_(min=LEAST), out=seen))
        found[:, part] = current
    return found.clamp_(min=LEAST)
