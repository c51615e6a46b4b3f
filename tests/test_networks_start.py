"""The closed-form estimate: agrees with what it must explain, and stays near its prior elsewhere."""

import numpy as np
import pytest
import torch

from hypersharp.networks.inference import explain, first_estimate
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor

SENSOR = Sensor(psf.gaussian(8, 2.0, ratio=4), np.array([[0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.3, 0.7]]), 4)


def scene() -> torch.Tensor:
    return torch.rand(4, 24, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_light_prior_leaves_both_inputs_explained() -> None:
    hs, ms = SENSOR.observe(scene())
    estimate = explain(hs, ms, torch.zeros(4, 24, 32, dtype=torch.float64), SENSOR, 1e-9)
    again = SENSOR.observe(estimate)
    torch.testing.assert_close(again[0], hs, atol=1e-4, rtol=0)
    torch.testing.assert_close(again[1], ms, atol=1e-4, rtol=0)


def test_a_prior_that_explains_everything_is_kept() -> None:
    hs, ms = SENSOR.observe(scene())
    torch.testing.assert_close(explain(hs, ms, scene(), SENSOR, 5e-4), scene())


@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_first_estimate_is_nearer_than_its_bicubic_prior_at_every_phase(start: int) -> None:
    sensor = Sensor(psf.gaussian(8, 2.0, ratio=4, start=start), SENSOR.srf, 4)
    hs, ms = sensor.observe(scene())
    gap = [(first_estimate(hs, ms, sensor, weight) - scene()).norm() for weight in (1e6, 5e-4)]
    assert gap[1] < 0.8 * gap[0]
