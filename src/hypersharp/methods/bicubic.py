"""Bicubic upsampling of hs alone (Catmull-Rom, a = -0.5, half-pixel grids); the floor for every method."""

from dataclasses import dataclass

from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair


@dataclass(frozen=True, eq=False)
class Interpolation(Apply):
    """What needs to learn nothing."""

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) -> (L, ratio h, ratio w); ms lends its size only."""
        return upsample_bicubic(pair.hs[None], pair.ratio)[0]


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """Nothing."""
    return Interpolation()
