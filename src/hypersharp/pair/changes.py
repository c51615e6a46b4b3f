"""Pixels of hs that show something else than the ms (a cloud, a changed field), left out as it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.ndimage import binary_dilation, median_filter
from torch import Tensor
from torch.nn import functional as F

from hypersharp.pair.tensors import TensorPair, fill_gaps
from hypersharp.sensor.observe import Sensor

SMOOTHED_PX, BESIDE_PX = 3, 2  # coarse pixels: of the median that single ones do not pass; around what stands out
AT_EDGES = 0.05  # of the range of the ms's neighbours
CHANGED_ABOVE = "changed_above"  # the name that a record has for the limit


@dataclass(frozen=True, eq=False)
class Changes:
    """Pixels where hs and ms differ by more than `limit` under a sensor, a root of the sum of squares over ms bands.

    `offsets` (l,): how far R hs lies above the ms for the most part, as under haze, which is no change. `gains`
    (L, l + 1): what hs is elsewhere of the ms degraded and a constant; what is left out is filled by that and by
    interpolating what it leaves, for methods look beyond a border.
    """

    sensor: Sensor
    limit: float
    offsets: Tensor
    gains: Tensor | None = None

    @classmethod
    def of(cls, pair: TensorPair, sensor: Sensor, limit: float) -> Changes:
        """Those of a pair."""
        return cls(sensor, limit, gaps_of(pair, sensor)[:, pair.measured_under(sensor)].median(1).values)

    def learned_from(self, pair: TensorPair) -> Changes:
        """With the gains that the pixels show which are kept."""
        left = self.left_out(pair)
        kept = torch.ones_like(left.hs[0], dtype=torch.bool) if left.hs_valid is None else left.hs_valid
        seen = self.seen_of(pair.ms)[:, kept].double()
        gains = torch.linalg.lstsq(seen.T, left.hs[:, kept].double().T, driver="gelsd").solution.T
        return replace(self, gains=gains.to(pair.hs))

    def seen_of(self, ms: Tensor) -> Tensor:
        """(l + 1, h, w): the ms (l, H, W) degraded, and ones."""
        blurred = self.sensor.hs(ms)
        return torch.cat([blurred, torch.ones_like(blurred[:1])])

    def left_out(self, pair: TensorPair) -> TensorPair:
        """The pair, or a part of it, with these pixels of hs as not measured.

        Single pixels are smoothed away, and from a difference goes what a blur a little wrong does at an edge: a share
        of the range of the ms among neighbours.
        """
        around = F.pad(self.sensor.hs(pair.ms)[None], (1,) * 4, mode="replicate")
        ranges = (F.max_pool2d(around, 3, 1) + F.max_pool2d(-around, 3, 1))[0]
        differ = lengths(gaps_of(pair, self.sensor) - self.offsets.to(pair.hs)[:, None, None])
        beyond = (differ - AT_EDGES * lengths(ranges)).clamp(min=0)
        far = torch.from_numpy(median_filter(beyond.cpu().numpy(), SMOOTHED_PX)).to(beyond) > self.limit
        far = far if pair.ms_valid is None else far & self.sensor.sees_only(pair.ms_valid)
        far = far if pair.hs_valid is None else far & pair.hs_valid
        kept = ~torch.from_numpy(binary_dilation(far.cpu().numpy(), iterations=BESIDE_PX)).to(far.device)
        valid = kept if pair.hs_valid is None else kept & pair.hs_valid
        if not valid.any() or valid.all():
            return replace(pair, hs_valid=valid)
        told = 0.0 if self.gains is None else torch.einsum("bm,myx->byx", self.gains, self.seen_of(pair.ms))
        filled = fill_gaps((pair.hs - told).masked_fill(~valid, torch.nan).cpu().numpy())
        hs = torch.where(valid, pair.hs, torch.from_numpy(filled).to(pair.hs) + told)
        return replace(pair, hs=hs, hs_valid=valid)


def gaps_of(pair: TensorPair, sensor: Sensor) -> Tensor:
    """(l, h, w): how far R hs lies above the ms degraded."""
    return sensor.ms(pair.hs) - sensor.hs(pair.ms)


def lengths(image: Tensor) -> Tensor:
    """(n, h, w) -> (h, w), the root of the sum of squares over bands."""
    return image.square().sum(0).sqrt()
