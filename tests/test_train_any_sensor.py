"""Weights for any sensor: pairs that are drawn, and a training on them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.io import save_cube
from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.coordinates import psf_window
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.numerics.interpolate import interpolate_bicubic, upsample_bicubic
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian
from hypersharp.train.any_sensor import TEXTURE_SHARE, Pair, random_materials, random_response, texture, training_batch
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
    first, again = (training_batch([make_scene()], [], OPTIONS, 3) for _ in range(2))
    torch.testing.assert_close(first.c, again.c, rtol=0, atol=0)
    assert (first.sight.psf == again.sight.psf).all()


@pytest.mark.parametrize("number", range(4))
def test_a_pair_fits_together(number: int) -> None:
    pair: Pair = training_batch([make_scene()], [], OPTIONS, number)
    crops, dimensions, *coarse_yx = pair.c.shape
    sight, ms_bands = pair.sight, pair.x.shape[1]
    assert crops == 2 and sight.response.shape == (ms_bands, dimensions) and len(pair.weight) == dimensions
    assert pair.truth.shape[:2] == (2, dimensions)
    assert pair.x.shape[2:] == pair.truth.shape[2:] == tuple(sight.ratio * size for size in coarse_yx)
    assert float(sight.psf.sum()) == pytest.approx(1, abs=1e-5)


def test_an_image_of_few_bands_becomes_a_scene_of_random_spectra() -> None:
    image = torch.from_numpy(make_scene()[:4])
    first, other = (random_materials(image, np.random.default_rng(seed)) for seed in (0, 1))
    assert 31 <= len(first) <= 100 and first.shape[1:] == image.shape[1:] and bool((first >= 0).all())
    assert 1 < int(torch.linalg.matrix_rank(first.flatten(1), rtol=1e-4)) <= 12
    assert len(first) != len(other) or not first.allclose(other)
    pair = training_batch([make_scene()], [image.numpy()], OPTIONS, next(k for k in range(9) if textured(k)))
    assert torch.isfinite(pair.c).all() and pair.truth.abs().max() > 0


def textured(number: int) -> bool:
    """Whether that batch is made of textures."""
    return np.random.default_rng((OPTIONS.seed, number)).random() < TEXTURE_SHARE


def test_textures_are_images_of_few_bands(tmp_path: Path) -> None:
    few = save_cube(make_cube(5 * make_scene()[:4]), tmp_path / "few.tif")
    many = save_cube(make_cube(make_scene()), tmp_path / "many.tif")
    assert float(np.quantile(texture(few), 0.999)) == pytest.approx(1, abs=1e-3)
    with pytest.raises(InputError, match=r"12 bands in .*many"):
        texture(many)


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
