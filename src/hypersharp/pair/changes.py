"""Pixels of hs that show something else than the ms (a cloud, a changed field), left out as it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import binary_dilation, median_filter
from torch import Tensor

from hypersharp.pair.tensors import TensorPair, fill_gaps
from hypersharp.sensor.observe import Sensor

SMOOTHED_PX, BESIDE_PX = 3, 2  # coarse pixels: of the median that single ones do not pass; around what stands out
CHANGED_ABOVE = "changed_above"  # the name that a record has for the limit


@dataclass(frozen=True, eq=False)
class Changes:
    """Pixels where hs and ms differ by more than `limit` under a sensor, a root of the sum of squares over ms bands."""

    sensor: Sensor
    limit: float

    def left_out(self, pair: TensorPair) -> TensorPair:
        """The pair, or a part of it, with these pixels of hs as not measured."""
        far = differences(pair, self.sensor) > self.limit
        far = far if pair.ms_valid is None else far & self.sensor.sees_only(pair.ms_valid)
        far = far if pair.hs_valid is None else far & pair.hs_valid
        kept = ~torch.from_numpy(binary_dilation(far.cpu().numpy(), iterations=BESIDE_PX)).to(far.device)
        valid = kept if pair.hs_valid is None else kept & pair.hs_valid
        if not valid.any() or valid.all():
            return replace(pair, hs_valid=valid)
        filled = fill_gaps(pair.hs.masked_fill(~valid, torch.nan).cpu().numpy())
        return replace(pair, hs=torch.from_numpy(filled).to(pair.hs), hs_valid=valid)


def differences(pair: TensorPair, sensor: Sensor) -> Tensor:
    """(h, w): how far hs and ms differ under a sensor, single pixels smoothed away."""
    blurred = Sensor(sensor.psf, np.eye(len(pair.ms)), sensor.ratio).hs(pair.ms)
    gaps = (sensor.ms(pair.hs) - blurred).square().sum(0).sqrt()
    return torch.from_numpy(median_filter(gaps.cpu().numpy(), SMOOTHED_PX)).to(gaps)
