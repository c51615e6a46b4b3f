"""Bicubic upsampling of hs alone (Catmull-Rom, a = -0.5), about its pixels' centres; the floor for every method."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.numerics.interpolate import interpolate_bicubic, upsample_bicubic
from hypersharp.pair.options import Options, Progress
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

AS_GOOD_PX = 1e-3  # fine pixels off the middle that make no difference


@dataclass(frozen=True, eq=False)
class Interpolation(Apply):
    """Where the centre of coarse pixel (0, 0) lies, in fine pixels; None: in the middle."""

    centre_yx: tuple[float, float] | None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        """(L, h, w) -> (L, ratio h, ratio w); ms lends its size only."""
        if self.centre_yx is None:
            return upsample_bicubic(pair.hs[None], pair.ratio)[0]
        return interpolate_bicubic(pair.hs, pair.ratio, self.centre_yx)


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """The place of the coarse pixels: that of the given PSF, else as the pair was placed."""
    centre = pair.centre_yx if sensor.given_psf is None else sensor.given_psf.centre_yx()
    middle = (pair.ratio - 1) / 2
    return Interpolation(None if np.allclose(centre, middle, atol=AS_GOOD_PX) else centre)
