"""Bicubic interpolation: planes stay where the coarse pixels say."""

import pytest
import torch

from hypersharp.numerics.interpolate import cubic_matrix


@pytest.mark.parametrize("shift_px", [-1.7, 0.0, 0.4])
def test_interpolation_keeps_planes_where_the_coarse_pixels_are(shift_px: float) -> None:
    ratio, count = 4, 9
    centre = (ratio - 1) / 2 + shift_px
    weights = cubic_matrix(count, ratio, centre)
    torch.testing.assert_close(weights.sum(1), torch.ones(36, dtype=torch.float64))
    centres = ratio * torch.arange(count, dtype=torch.float64) + centre
    fine = torch.arange(36, dtype=torch.float64)
    torch.testing.assert_close((weights @ centres)[2 * ratio : -2 * ratio], fine[2 * ratio : -2 * ratio])
