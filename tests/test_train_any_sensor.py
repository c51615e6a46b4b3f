"""Weights for any sensor: pairs that are drawn, and a training on them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.coordinates import psf_window
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.numerics.interpolate import interpolate_bicubic, upsample_bicubic
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian
from hypersharp.train.any_sensor import Pair, random_response, training_batch
from hypersharp.train.options import TrainOptions
from hypersharp.train.patches import Array, TrainingSet
from hypersharp.train.run import train

OPTIONS = TrainOptions(
    name="any",
    protocol="dian-x4",
    network="ssjcn-subspace",
    sensors="random",
    steps=2,
    round_steps=1,
    batch=2,
    network_options={"features": 4},
    patch_px=24,
    warmup_steps=0,
    ema_decay=0,
    precision="fp32",
)


def make_scene() -> Array:
    random = np.random.default_rng(0)
    walk = random.random((12, 96, 96), dtype=np.float32).cumsum(1).cumsum(2)
    scene: Array = np.sqrt(walk / walk.max())
    return scene


def test_a_batch_depends_on_its_number_alone() -> None:
    first, again = (training_batch([make_scene()], [], OPTIONS, 10, 3) for _ in range(2))
    torch.testing.assert_close(first.c, again.c, rtol=0, atol=0)
    assert (first.sight.psf == again.sight.psf).all()


@pytest.mark.parametrize("number", range(4))
def test_a_pair_fits_together(number: int) -> None:
    pair: Pair = training_batch([make_scene()], [], OPTIONS, 10, number)
    crops, dimensions, *coarse_yx = pair.c.shape
    sight, ms_bands = pair.sight, pair.x.shape[1]
    assert crops == 2 and sight.response.shape == (ms_bands, dimensions) and len(pair.weight) == dimensions
    assert pair.truth.shape[:2] == (2, dimensions)
    assert pair.x.shape[2:] == pair.truth.shape[2:] == tuple(sight.ratio * size for size in coarse_yx)
    assert float(sight.psf.sum()) == pytest.approx(1, abs=1e-5)


def test_responses_are_means() -> None:
    for seed in range(20):
        response = random_response(np.random.default_rng(seed), 31)
        assert 1 <= len(response) <= 8 and response.min() > 0
        np.testing.assert_allclose(response.sum(1), 1)


def test_it_trains_and_writes_weights_that_serve_any_sensor(tmp_path: Path) -> None:
    data = TrainingSet({"a": make_scene}, {"b": make_scene}, Sensor(gaussian(8, 2, 4), np.full((3, 12), 1 / 12), 4))
    net, header = load_weights(train(OPTIONS, data, tmp_path))
    assert isinstance(net, SubspaceSSJCN)
    assert header.provenance["any_sensor"] and "val_gain_db" in header.provenance
    last = net.core.state_dict()["bodies.0.tail.weight"]
    assert last.any()  # which began at zero


@pytest.mark.parametrize("ratio", [2, 3, 4, 7])
def test_interpolation_is_bicubic_from_where_the_blur_is_centred(ratio: int) -> None:
    image = torch.rand(1, 2, 9, 11)
    middle = (ratio - 1) / 2
    inside = (..., slice(3 * ratio, -3 * ratio), slice(3 * ratio, -3 * ratio))
    found = interpolate_bicubic(image, ratio, (middle, middle))
    torch.testing.assert_close(found[inside], upsample_bicubic(image, ratio)[inside], atol=1e-5, rtol=0)
    moved = interpolate_bicubic(image, ratio, (middle + 1, middle))
    torch.testing.assert_close(moved[..., 1:, :][inside], found[..., :-1, :][inside], atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [3, 5, 10])
def test_the_window_holds_the_blur(size: int) -> None:
    psf = PSF(np.random.default_rng(size).random((size, size)), (0, 1))
    window = psf_window(psf, 3)
    assert float(window.sum()) == pytest.approx(1, abs=1e-5)
    assert (window > 0).sum() == size**2
    assert (len(window) - 3) % 2 == 0
