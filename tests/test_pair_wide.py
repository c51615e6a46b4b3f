"""A blur wider than usual is found where the pair tells it, and only there."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from hypersharp.pair.sensor import FALLEN_BACK, PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import parse_psf

RATIO = 4


def pair(sigma: float) -> tuple[Tensor, Tensor]:
    """A textured scene at 40 dB, blurred by a Gaussian of so many coarse pixels."""
    draw = np.random.default_rng(0)
    fields = np.abs(gaussian_filter(draw.normal(size=(4, 192, 192)), (0, 1.5, 1.5)))
    truth = torch.from_numpy(np.tensordot(draw.uniform(0.1, 0.5, (6, 4)), fields / fields.max(), 1)).float()
    blur = parse_psf(f"gaussian:40:{RATIO * sigma}:boundary=reflect", RATIO)
    hs, ms = Sensor(blur, np.kron(np.eye(2), [[1 / 3] * 3]), RATIO).observe(truth)
    return add_noise(hs, 40, 1), add_noise(ms, 40, 2)


@pytest.mark.parametrize("sigma", [0.9, 1.1])
def test_a_blur_wider_than_usual_is_found_where_the_pair_tells_it(sigma: float) -> None:
    found = PairSensor(TensorPair(*pair(sigma)))
    assert found.estimate.blur != FALLEN_BACK and not found.is_doubtful
    np.testing.assert_allclose(found.psf.sigma_yx_px(), RATIO * sigma, rtol=0.06)


def test_what_no_blur_explains_gets_no_wide_one() -> None:
    hs, ms = pair(1.1)
    cover = torch.sigmoid(0.8 * (12 - (torch.cartesian_prod(*[torch.arange(-24.0, 24)] * 2).norm(dim=1)))).view(48, 48)
    cloudy = torch.lerp(hs, torch.tensor(0.9), cover)
    assert PairSensor(TensorPair(cloudy, ms)).estimate.blur == FALLEN_BACK
    flat = PairSensor(TensorPair(*(add_noise(torch.full_like(image, 0.3), 40, 3) for image in (hs, ms))))
    assert max(flat.psf.sigma_yx_px()) < RATIO
