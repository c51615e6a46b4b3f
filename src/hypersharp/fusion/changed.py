"""Changes between hs and ms that no sensor explains, a cloud or a changed field, found by the sensor and left out.

Where no sensor explains a pair (`pair.sensor`), pixels whose difference R hs - A ms stands out of the others' are left
out, and the sensor is estimated again, until it stays. They are changes if a sensor explains the rest within its noise,
haze aside; else nothing is left out, for then it is not a few pixels that are wrong but the pair.
"""

from dataclasses import replace

import torch

from hypersharp.errors import InputError
from hypersharp.pair.changes import Changes, gaps_of, lengths
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

FAR = 4.0  # times the median difference
LEAST_LEFT = 0.5  # of the pixels; where more are left out, it is the pair
STEPS = 8


def find_changes(pair: TensorPair, sensor: PairSensor) -> Changes | None:
    """The changes of a pair that no sensor explains; None where a sensor does, or leaving pixels out does not help."""
    if not sensor.is_doubtful:
        return None
    measured = torch.ones_like(pair.hs[0], dtype=torch.bool) if pair.hs_valid is None else pair.hs_valid
    found, kept = sensor, measured
    try:
        for _ in range(STEPS):
            usual = Changes.of(pair, found.sensor, 0.0)
            gaps = lengths(gaps_of(pair, found.sensor) - usual.offsets[:, None, None])
            changes = replace(usual, limit=FAR * float(gaps[kept].median()))
            left = changes.left_out(pair)
            before, kept = kept, left.hs_valid if left.hs_valid is not None else measured
            if kept.sum() < LEAST_LEFT * measured.sum():
                return None
            found = PairSensor(left, srf=sensor.given_srf)
            if torch.equal(before, kept):
                break
        if found.is_doubtful:
            haze = Changes.of(left, found.sensor, 0.0).offsets[:, None, None]
            found = PairSensor(replace(left, ms=left.ms + haze), srf=sensor.given_srf)
        return None if found.is_doubtful or torch.equal(kept, measured) else changes
    except InputError:
        return None
