"""What lies beyond the border: nothing is taken from the far side of a real scene, nor held to what nobody measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian

RATIO, BANDS, COARSE, AROUND = 4, 8, 20, 6  # coarse pixels of the scene, and of what lies around it
SRF = np.kron(np.eye(4), np.full((1, 2), 0.5))
CIRCULAR = gaussian(8, 2.0, RATIO)


def world() -> torch.Tensor:
    """A scene and what lies around it, whose opposite sides are not alike."""
    side = (COARSE + 2 * AROUND) * RATIO
    draw = torch.Generator().manual_seed(4)
    maps = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12, generator=draw), (side, side), mode="bicubic")[0]
    slope = torch.linspace(0.2, 1.0, side)[:, None] * torch.linspace(1.0, 0.3, side)
    return torch.einsum("bm,myx->byx", torch.rand(BANDS, 3, generator=draw), maps) * slope + 0.05


def cropped() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """HS, MS and truth of the scene, as instruments see it: HS at its border sees what lies around."""
    hs, ms = Sensor(CIRCULAR, SRF, RATIO).observe(world())
    coarse, fine = (slice(unit * AROUND, -unit * AROUND) for unit in (1, RATIO))
    return hs[:, coarse, coarse], ms[:, fine, fine], world()[:, fine, fine]


def circular() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    truth = cropped()[2]
    return (*Sensor(CIRCULAR, SRF, RATIO).observe(truth), truth)


def rmse_at_border(image: np.ndarray, truth: torch.Tensor) -> float:
    border = np.ones(truth.shape[1:], bool)
    border[2 * RATIO : -2 * RATIO, 2 * RATIO : -2 * RATIO] = False
    return float(np.square(image - truth.numpy()).mean(0)[border].mean() ** 0.5)


@pytest.mark.parametrize("method", ["fuse", "gsa", "glp"])
@pytest.mark.parametrize("consistent", [False, True])
def test_a_scene_has_no_far_side(method: str, consistent: bool) -> None:
    """Though the user's PSF wraps around, as the short form of one does."""
    hs, ms, truth = cropped()
    cubes, known = (
        (make_cube(hs.numpy()), make_cube(ms.numpy())),
        {"psf": CIRCULAR, "srf": SRF, "consistent": consistent},
    )
    errors = [rmse_at_border(fuse(*cubes, method=one, **known).values, truth) for one in (method, "bicubic")]  # type: ignore[arg-type]
    assert errors[0] < 0.3 * errors[1]


@pytest.mark.parametrize(("pair", "rule"), [(cropped, "reflect"), (circular, "wrap")])
def test_the_pair_shows_whether_its_blur_wraps_around(pair: object, rule: str) -> None:
    hs, ms, _ = pair()  # type: ignore[operator]
    for scale in (1, 1000):
        sensor = PairSensor(TensorPair(scale * hs, scale * ms), CIRCULAR, SRF)
        assert sensor.given_psf == replace(CIRCULAR, boundary=rule) and sensor.psf.boundary == rule
    parts = PairSensor(TensorPair(hs, ms, in_parts=True), CIRCULAR, SRF)
    assert isinstance(parts.given_psf, PSF) and parts.given_psf.boundary == "reflect"
