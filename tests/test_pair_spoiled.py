"""An hs that no blur of the ms explains is noticed, said, and held to nothing; the result is better than bicubic's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.pair.changes import Changes
from hypersharp.pair.record import Record
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian_fwhm

Floats = NDArray[np.float32]
RATIO, SIDE = 4, 128


def truth() -> Floats:
    draw = np.random.default_rng(0)
    shares = np.exp(4 * (fields := gaussian_filter(draw.normal(size=(4, SIDE, SIDE)), (0, 2, 2))) / fields.std())
    return np.tensordot(draw.uniform(0.05, 0.9, (8, 4)), shares / shares.sum(0), 1).astype(np.float32)


def ms_of(scene: Floats) -> Floats:
    sensor = Sensor(gaussian_fwhm(RATIO, RATIO, boundary="reflect"), np.kron(np.eye(4), [[0.5, 0.5]]), RATIO)
    return add_noise(sensor.ms(torch.from_numpy(scene)), 40, 2).numpy()


def resampled(scene: Floats, order: int) -> Floats:
    """hs as a swath of another direction shows it, brought to the map by interpolation of that order."""
    blurred = np.stack([gaussian_filter(band, RATIO / 2.355) for band in scene])
    count, middle, turn = SIDE // RATIO, (SIDE - 1) / 2, np.deg2rad(12)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wide = 2 * count
    swath_places = np.indices((wide, wide)).reshape(2, -1) - (wide - 1) / 2
    swath = np.stack([map_coordinates(band, middle + RATIO * turned @ swath_places, mode="mirror") for band in blurred])
    noisy = add_noise(torch.from_numpy(swath.reshape(len(scene), wide, wide).astype(np.float32)), 35, 1).numpy()
    map_places = np.indices((count, count)).reshape(2, -1) - (count - 1) / 2
    there = turned.T @ map_places + (wide - 1) / 2
    return np.stack([map_coordinates(band, there, order=order) for band in noisy]).reshape(-1, count, count)


def error(values: NDArray[np.floating], scene: Floats) -> float:
    inside = (slice(None), slice(8, -8), slice(8, -8))
    return float(np.sqrt(np.square(values[inside] - scene[inside]).mean()))


@pytest.mark.parametrize("order", [0, 1])
def test_an_hs_that_was_resampled_is_noticed_and_not_enforced(order: int) -> None:
    scene = truth()
    cubes = make_cube(resampled(scene, order)), make_cube(ms_of(scene))
    found = fuse(*cubes, method="gsa")
    record = Record.of(found)
    assert record.choice["consistent"] is False
    assert "times their noise" in str(record)
    forced = fuse(*cubes, method="gsa", consistent=True)
    assert error(found.values, scene) < error(forced.values, scene)


@pytest.mark.parametrize("spoiled", ["nearest", "bilinear", "striped", "clouded"])
def test_auto_is_better_than_bicubic_on_a_spoiled_hs(spoiled: str) -> None:
    scene = truth()
    hs = resampled(scene, 0 if spoiled == "nearest" else 1)
    count = SIDE // RATIO
    if spoiled == "striped":
        hs = hs * (1 + 0.05 * np.random.default_rng(1).standard_normal((8, 1, count)).astype(np.float32))
    if spoiled == "clouded":
        y, x = np.mgrid[:count, :count]
        cloud = np.exp(-((y - 10) ** 2 + (x - 18) ** 2) / 30)
        hs = (hs * (1 - 0.9 * cloud) + 0.9 * cloud).astype(np.float32)
    cubes = make_cube(hs), make_cube(ms_of(scene))
    made, floor = (fuse(*cubes, method=method) for method in ("auto", "bicubic"))
    there = np.isfinite(made.values).all(0)  # under the cloud nothing is made
    assert there.mean() > 0.5
    assert np.square((made.values - scene)[:, there]).mean() < np.square((floor.values - scene)[:, there]).mean()


def test_what_a_cloud_hides_is_filled_by_what_ms_tells() -> None:
    scene = truth()
    sensor = Sensor(gaussian_fwhm(RATIO, RATIO, boundary="reflect"), np.kron(np.eye(4), [[0.5, 0.5]]), RATIO)
    hs, ms = sensor.observe(torch.from_numpy(scene))
    y, x = np.mgrid[: SIDE // RATIO, : SIDE // RATIO]
    cloudy = torch.where(torch.from_numpy((y - 10) ** 2 + (x - 18) ** 2 < 20), 0.9, hs)
    pair = TensorPair(cloudy, ms)
    changes = Changes.of(pair, sensor, 0.2)
    plain, told = (one.left_out(pair) for one in (changes, changes.learned_from(pair)))
    assert plain.hs_valid is not None and told.hs_valid is not None
    assert torch.equal(plain.hs_valid, told.hs_valid) and not told.hs_valid[10, 18]
    hidden = ~told.hs_valid
    assert torch.equal(told.hs[:, ~hidden], cloudy[:, ~hidden])
    errors = [float((one.hs - hs)[:, hidden].square().mean()) for one in (plain, told)]
    assert errors[1] < 0.1 * errors[0]


def test_a_pair_that_its_sensor_explains_is_not_doubted() -> None:
    scene = truth()
    hs = Sensor(gaussian_fwhm(RATIO, RATIO, boundary="reflect"), np.eye(8)[:1], RATIO).hs(torch.from_numpy(scene))
    record = Record.of(fuse(make_cube(add_noise(hs, 35, 1).numpy()), make_cube(ms_of(scene)), method="gsa"))
    assert "times their noise" not in str(record)


def test_a_pair_that_no_sensor_explains_and_a_noisy_ms_are_warned_of() -> None:
    scene = truth()
    hs, ms = resampled(scene, 3), ms_of(scene)
    turned, noisy = ms[:, ::-1], add_noise(torch.from_numpy(ms), 10, 3).numpy()
    for spoiled, said in ((turned, "no blur explains the pair"), (noisy, "ms is noisy")):
        warned = Record.of(fuse(make_cube(hs), make_cube(spoiled), method="gsa")).warnings
        assert any(said in line for line in warned), (said, warned)
    assert not any("noisy" in line for line in Record.of(fuse(make_cube(hs), make_cube(ms), method="gsa")).warnings)
    assert not Record.of(fuse(make_cube(hs), make_cube(noisy), method="bicubic")).warnings
