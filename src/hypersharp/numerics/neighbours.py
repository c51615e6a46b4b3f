"""The pixels of an image that resemble a pixel most, within a window around it, by the patches around both.

Non-local means (Buades, Coll, Morel 2005, CVPR) without its means. A search is one pass over the image for each shift
of the window: difference, box filter, and an insertion into the sorted lists of the best. A distance and the number of
its shift share one whole number, so that a minimum sorts both: a distance is kept to 12 bits of its fraction.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from hypersharp.numerics.loops import slices

PATCH_PX = 3
STRIP_PX = 2**15  # of the image in a strip on a CPU: with its lists in a second-level cache
SHIFT_BITS = 11  # of a distance's fraction, for the number of its shift
MOST_REACH = 22  # (2 * 22 + 1)^2 shifts are told apart


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of N pixels, row by row, `places` (N, n) of others among them, and their `distances` (N, n).

    The nearest come first. A distance is infinite where there are no n others; its place is then the pixel's own.
    """

    places: Tensor
    distances: Tensor

    def weights(self, width: float) -> Tensor:
        """exp(-distance / width), (N, n), of sum 1; that of the pixel itself where it has no other."""
        nearest = self.distances[:, :1].where(self.distances[:, :1].isfinite(), 0)
        weights = torch.exp((nearest - self.distances) / width)
        weights = weights.masked_fill(weights.sum(1, keepdim=True) == 0, 1)
        return weights / weights.sum(1, keepdim=True)

    def with_itself(self) -> "Neighbours":
        """Each pixel in front of its own list, as near as the nearest of the others; the last of those is dropped."""
        own = torch.arange(len(self.places), device=self.places.device)[:, None]
        nearest = self.distances[:, :1].where(self.distances[:, :1].isfinite(), 0)
        places = torch.cat([own.to(self.places), self.places[:, :-1]], 1)
        return Neighbours(places, torch.cat([nearest, self.distances[:, :-1]], 1))


@dataclass(frozen=True, eq=False)
class Mean:
    """N: the weighted mean (N, p) over the neighbours of each pixel of an image (N, p), and its transpose."""

    places: Tensor
    weights: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        return F.embedding_bag(self.places, pixels, per_sample_weights=self.weights.to(pixels), mode="sum")

    def adjoint(self, pixels: Tensor) -> Tensor:
        places, weights, rows = self._transposed
        found = torch.zeros_like(pixels)
        found.index_add_(0, places, pixels[rows] * weights.to(pixels)[:, None])
        return found

    @cached_property
    def _transposed(self) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.arange(len(self.places), device=self.places.device).repeat_interleave(self.places.shape[1])
        return self.places.flatten(), self.weights.flatten(), rows


def similar_pixels(image: Tensor, *, reach: int, count: int, valid: Tensor | None = None) -> Neighbours:
    """The `count` pixels within `reach` rows and columns of each pixel of (l, H, W) with the likest patches.

    Distances are mean squares over the 3 x 3 patches and the bands, which the border mirrors. Pixels that are not
    `valid` (H, W) are no neighbours.
    """
    assert 0 < reach <= MOST_REACH
    height, width = image.shape[1:]
    around = F.pad(image.float()[None], (1,) * 4, mode="replicate")[0]
    wide = F.pad(around, (reach,) * 4)
    blocked = image.new_zeros(height, width, dtype=torch.float32)
    if valid is not None:
        blocked.masked_fill_(~valid, torch.inf)
    blocked = F.pad(blocked, (reach,) * 4, value=torch.inf)
    shifts = [(y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1) if (y, x) != (reach, reach)]
    found = torch.full((count, height, width), torch.iinfo(torch.int32).max, dtype=torch.int32, device=image.device)
    on_cpu = image.device.type == "cpu"
    for rows in slices(height, STRIP_PX // width if on_cpu else height):
        best = [found[place, rows] for place in range(count)]
        seen = slice(rows.start, rows.stop + PATCH_PX - 1)
        own, scale = around[:, seen], 1 / (PATCH_PX**2 * len(image))
        spare = torch.empty_like(best[0])
        for number, (y, x) in enumerate(shifts):
            other = wide[:, seen.start + y : seen.stop + y, x : x + width + PATCH_PX - 1]
            distance = box_sum((own - other).square_().sum(0)).mul_(scale)
            distance += blocked[rows.start + y : rows.stop + y, x : x + width]
            key = distance.view(torch.int32).bitwise_and_(-(2**SHIFT_BITS)).bitwise_or_(number)
            for kept in best:
                torch.maximum(kept, key, out=spare)
                torch.minimum(kept, key, out=kept)
                key, spare = spare, key
    # a key is a distance's bits and the number of a shift
    numbers, distances = found & (2**SHIFT_BITS - 1), (found & -(2**SHIFT_BITS)).view(torch.float32)
    distances = distances.nan_to_num(torch.inf, torch.inf)
    step = torch.tensor([(y - reach) * width + x - reach for y, x in shifts], device=image.device)
    steps = step[numbers.clamp_(max=len(step) - 1)].masked_fill_(distances.isinf(), 0)
    own = torch.arange(height * width, device=image.device).view(height, width)
    return Neighbours((own + steps).flatten(1).mT.contiguous(), distances.flatten(1).mT.contiguous())


def box_sum(image: Tensor) -> Tensor:
    """The sums over 3 x 3 pixels that lie in (H + 2, W + 2)."""
    rows = image[:-2] + image[1:-1]
    rows += image[2:]
    total = rows[:, :-2] + rows[:, 1:-1]
    total += rows[:, 2:]
    return total
