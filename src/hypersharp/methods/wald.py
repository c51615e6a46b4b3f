"""A pair degraded once more, so that hs is the truth of what a method makes of it (Wald's protocol).

Source: Wald, Ranchin, Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63(6), "Fusion of satellite
images of different spatial resolutions: assessing the quality of resulting images".
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF

LEAST_PX = 2  # coarse pixels along a side below which a degraded hs shows nothing
UNTOUCHED = 1e-3  # share of a blur that may come from pixels that were not measured


@dataclass(frozen=True, eq=False)
class ReducedPair:
    """hs (L, h/ratio, w/ratio) and ms (l, h, w) of the coarser level, and their truth (L, h, w).

    hs_valid, ms_valid and truth_valid are True where a pixel saw measured ones only, None where all did.
    """

    hs: Tensor
    ms: Tensor
    truth: Tensor
    hs_valid: Tensor | None = None
    ms_valid: Tensor | None = None
    truth_valid: Tensor | None = None


def degrade_pair(
    hs: Tensor, ms: Tensor, sensor: Sensor, *, hs_valid: Tensor | None = None, ms_valid: Tensor | None = None
) -> ReducedPair:
    """hs (L, h, w) and ms (l, H, W) as the sensor's blur and decimation shows them from `ratio` times as far.

    Rows and columns on the far sides of hs that fill no pixel of the coarser level are left out, and those of
    ms over them.

    Raises: InputError for an hs of less than two such pixels along a side.
    """
    ratio = sensor.ratio
    height, width = (length // ratio * ratio for length in hs.shape[1:])
    if min(height, width) < LEAST_PX * ratio:
        raise InputError(
            f"hs of {hs.shape[1]} x {hs.shape[2]} pixels at ratio {ratio}",
            f"at least {LEAST_PX * ratio} x {LEAST_PX * ratio}, to be degraded once more",
            "take a larger part of the scene",
        )
    truth = hs[:, :height, :width]
    truth_valid = None if hs_valid is None else hs_valid[:height, :width]
    fine = ms[:, : height * ratio, : width * ratio]
    fine_valid = None if ms_valid is None else ms_valid[: height * ratio, : width * ratio]
    return ReducedPair(
        sensor.hs(truth),
        sensor.hs(fine),
        truth,
        degraded_valid(truth_valid, sensor),
        degraded_valid(fine_valid, sensor),
        truth_valid,
    )


def degraded_valid(valid: Tensor | None, sensor: Sensor) -> Tensor | None:
    """(H, W) -> (h, w): True where the blur reads next to nothing of pixels that are not valid."""
    if valid is None:
        return None
    weights = np.abs(sensor.psf.kernel)
    reach = Sensor(PSF(weights, sensor.psf.start_yx, sensor.psf.boundary), sensor.srf, sensor.ratio)
    return reach.hs((~valid).to(torch.float32)[None])[0] < UNTOUCHED
