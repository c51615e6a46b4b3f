"""Bands that others tell: those of ms are left out, and cost nothing; nor do those of hs."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.pair.record import Record
from hypersharp.pair.redundant import telling_bands
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian_fwhm
from hypersharp.simulation.protocols import find_protocol

Floats = NDArray[np.float32]
RATIO, SIDE = 4, 64


def pair() -> tuple[Floats, Floats]:
    """hs of 9 bands and a noisy ms of 3."""
    draw = np.random.default_rng(0)
    fields = gaussian_filter(draw.normal(size=(5, SIDE, SIDE)), (0, 1.5, 1.5))
    scene = np.tensordot(draw.uniform(0.1, 0.5, (9, 5)), np.abs(fields) / np.abs(fields).max(), 1).astype(np.float32)
    sensor = Sensor(gaussian_fwhm(RATIO, RATIO, boundary="reflect"), np.kron(np.eye(3), [[1 / 3] * 3]), RATIO)
    hs, ms = sensor.observe(torch.from_numpy(scene))
    return add_noise(hs, 40, 1).numpy(), add_noise(ms, 24, 2).numpy()


def with_more(ms: Floats, kind: str) -> Floats:
    more = {
        "copy": ms[1],
        "line": 0.4 * ms[1] + 0.1,
        "nearly": ms[1] * (1 + 1e-5 * np.random.default_rng(1).normal(size=ms[1].shape)),
        "mean": ms.mean(0),
        "constant": np.full_like(ms[0], 0.3),
    }
    return np.concatenate([ms, more[kind][None]]).astype(np.float32)


KINDS = [("copy", "gsa"), ("line", "gsa"), ("nearly", "gsa"), ("mean", "gsa"), ("constant", "fuse")]


@pytest.mark.parametrize(("kind", "method"), KINDS)
def test_a_band_that_others_tell_costs_nothing(kind: str, method: str) -> None:
    hs, ms = pair()
    run = partial(fuse, make_cube(hs), method=method, coregister="none")
    alone, beside = run(make_cube(ms)), run(make_cube(with_more(ms, kind)))
    assert np.abs(beside.values - alone.values).max() < 1e-3
    assert any("left out: constant, or a copy or sum of others" in text for text in Record.of(beside).warnings)


def test_rows_of_a_response_go_with_their_bands() -> None:
    hs, ms = pair()
    rows = np.kron(np.eye(3), [[1 / 3] * 3])
    given = np.concatenate([rows, rows[1:2]])
    run = partial(fuse, make_cube(hs), method="fuse", psf=f"fwhm:{RATIO}")
    sharp, alone = run(make_cube(with_more(ms, "copy")), srf=given), run(make_cube(ms), srf=rows)
    np.testing.assert_allclose(sharp.values, alone.values, atol=1e-4)


def test_what_a_band_tells_keeps_it() -> None:
    ms = pair()[1]
    assert telling_bands(ms).tolist() == [0, 1, 2]
    assert telling_bands(np.concatenate([ms.mean(0)[None], ms])).tolist() == [1, 2, 3]
    assert telling_bands(np.stack([ms[0], ms[0], ms[1], ms[0], ms[1]])).tolist() == [0, 2]
    counts = (255 * ms / ms.max()).astype(np.uint8)
    rounded = np.concatenate([counts, (0.5 * counts[:1] + 9).round().astype(np.uint8)])
    assert telling_bands(rounded).tolist() == [0, 1, 2]
    assert telling_bands(np.full((2, 9, 9), 0.3)).tolist() == [0, 1]
    assert telling_bands(ms[:, :2, :2]).tolist() == [0, 1, 2]
    holed = ms.copy()
    holed[0, :9] = np.nan
    assert telling_bands(np.concatenate([holed, holed[:1]])).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["copy", "constant"])
def test_a_protocol_is_recognised_beside_a_band_of_hs_that_tells_nothing(kind: str) -> None:
    """Its sensor is better than one fitted to the pair, which is what a copy cost."""
    protocol = find_protocol("uestc-x4")
    draw = np.random.default_rng(0)
    fields = np.abs(gaussian_filter(draw.normal(size=(40, 2 * SIDE, 2 * SIDE)), (0, 1.5, 1.5)))
    scene = np.tensordot(draw.uniform(0.1, 0.5, (31, 40)), fields / fields.max(), 1).astype(np.float32)
    seen = protocol.sensor().observe(torch.from_numpy(scene))
    hs, ms = (add_noise(image, 40, number).numpy() for number, image in enumerate(seen))
    more = hs[15] if kind == "copy" else np.full_like(hs[0], 0.3)
    pair = TensorPair(torch.from_numpy(np.insert(hs, 16, more, 0)), torch.from_numpy(ms))
    found = PairSensor(pair)
    assert found.estimate.protocol == protocol.name
    assert found.sensor.srf.shape == (3, 32)
