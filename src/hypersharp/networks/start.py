"""The image that explains hs and ms under a known sensor and lies near a prior, in closed form."""

import torch
from torch import Tensor

from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.numerics.linops import BlurDecimation
from hypersharp.numerics.sylvester import fuse_gaussian
from hypersharp.sensor.observe import Sensor


def explain(hs: Tensor, ms: Tensor, prior: Tensor, sensor: Sensor, weight: float) -> Tensor:
    """min_X ||hs - A X||^2 + ||ms - R X||^2 + weight ||X - prior||^2, (L, H, W); borders are circular.

    hs (L, h, w), ms (l, H, W), prior (L, H, W), values of about 0..1. DHSIS's first and last step
    (Dian et al. 2018, eqs. 6 and 9).

    Raises: InputError for a weight that is not positive, or a ratio that does not divide the image.
    """
    kernel = torch.tensor(sensor.psf.kernel).to(prior)
    observe = BlurDecimation(kernel, (prior.shape[1], prior.shape[2]), sensor.ratio, sensor.psf.start_yx)
    response = torch.tensor(sensor.srf).to(prior)
    return fuse_gaussian(hs, ms, prior, observe=observe, response=response, weight=weight)


def first_estimate(hs: Tensor, ms: Tensor, sensor: Sensor, weight: float) -> Tensor:
    """What explains hs and ms near the bicubic hs: DHSIS's X_in, (L, H, W), which needs no training."""
    return explain(hs, ms, upsample_bicubic(hs[None], sensor.ratio)[0], sensor, weight)
