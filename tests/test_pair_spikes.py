"""Single values of hs that stand out by far: replaced where the ms shows nothing, kept where it does."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.numerics.spikes import Spikes
from hypersharp.pair.record import Record
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

RATIO, BANDS, SIDE = 4, 8, 96
SRF = np.kron(np.eye(4), np.full((1, 2), 0.5))
SENSOR = Sensor(gaussian(8, 2.0, RATIO, boundary="reflect"), SRF, RATIO)


def scene() -> np.ndarray:
    random = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    shares = np.stack([np.sin(19 * y + 4 * x), np.cos(17 * x * y + 1), np.sin(40 * x * (1 - y))]) + 1.2
    return np.einsum("ka,ayx->kyx", random.uniform(0.05, 0.3, (BANDS, 3)), shares).astype(np.float32)


def observed(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hs, ms = SENSOR.observe(torch.from_numpy(truth))
    return hs.numpy(), ms.numpy()


def all_bands(hs: np.ndarray) -> None:
    hs[:, 5, 7] = 6.5


def some_values(hs: np.ndarray) -> None:
    hs[2, 5, 7] = hs[2, 15, 3] = 6.5
    hs[3, 9, 9] = -4


@pytest.mark.parametrize("spoil", [all_bands, some_values])
def test_a_few_values_that_stand_out_do_not_spoil_the_scene(spoil: Callable[[np.ndarray], None]) -> None:
    truth = scene()
    hs, ms = observed(truth)
    spoilt = hs.copy()
    spoil(spoilt)
    errors = {}
    for keep_changed in (False, True):
        with warnings.catch_warnings(record=True):
            sharp = fuse(make_cube(spoilt), make_cube(ms), method="gsa", keep_changed=keep_changed)
        errors[keep_changed] = float(np.square(sharp.values - truth).mean())
        told = [text for text in Record.of(sharp).warnings if "far off all around" in text]
        assert len(told) == (0 if keep_changed else 1)
    clean = float(np.square(fuse(make_cube(hs), make_cube(ms), method="gsa").values - truth).mean())
    assert errors[False] < 40 * clean < errors[True] / 100  # the pixel itself is filled, not seen


def test_what_the_ms_shows_too_stays() -> None:
    truth = scene()
    truth[:, 41:44, 30:33] = 8  # a glint that both saw
    hs, ms = observed(truth)
    assert not Spikes.of(hs, ms).find(hs, ms)[0].size
    assert Spikes.of(hs, ms).find(hs, observed(scene())[1])[0].size  # a glint that hs alone saw


def test_whole_numbers_stay_whole_and_gaps_are_nobodys_neighbours() -> None:
    hs, ms = observed(scene())
    counts = np.rint(hs * 1000).astype(np.uint16)
    counts[:, 5, 7] = 65535
    cleaned, pixels = Spikes.of(counts, ms).replaced(counts, ms)
    assert pixels == 1 and cleaned.dtype == np.uint16
    around = np.delete(counts[:, 4:7, 6:9].reshape(BANDS, 9), 4, axis=1)
    np.testing.assert_allclose(cleaned[:, 5, 7], np.median(around, axis=1), atol=100)
    np.testing.assert_allclose(cleaned[:, 5, 7], 1000 * hs[:, 5, 7], atol=50)
    gappy = hs.copy()
    gappy[:, 4, 6:9], gappy[:, 5, 7] = np.nan, 6.5
    cleaned, pixels = Spikes.of(gappy, ms).replaced(gappy, ms)
    assert pixels == 1 and np.isnan(cleaned[:, 4, 7]).all() and cleaned[:, 5, 7].max() < 1
    gappy[:, 4:7, 6:9] = np.nan
    gappy[:, 5, 7] = 6.5  # with nothing around it to tell by
    assert Spikes.of(gappy, ms).replaced(gappy, ms)[1] == 0


def test_numbers_that_take_their_place_fit_the_type() -> None:
    hs, ms = observed(scene())
    dark = np.rint((hs - hs.min()) * 1000).astype(np.uint16)
    dark[:, 4:7, 6:9] = 0
    dark[:, 5, 7] = 4000
    cleaned, _ = Spikes.of(dark, ms - ms.min()).replaced(dark, ms - ms.min())
    assert cleaned.max() <= dark.max()


def test_few_pixels_of_many_bands_are_no_spikes_and_still_show_one() -> None:
    random = np.random.default_rng(0)
    hs, ms = random.random((200, 12, 12)).astype(np.float32), random.random((3, 48, 48)).astype(np.float32)
    assert not Spikes.of(hs, ms).find(hs, ms)[0].size
    hs[:, 4, 5] = 40
    cleaned, pixels = Spikes.of(hs, ms).replaced(hs, ms)
    assert pixels == 1 and cleaned.max() < 2
    nothing = np.full_like(hs, np.nan)
    assert Spikes.of(nothing, ms).replaced(nothing, ms)[1] == 0
