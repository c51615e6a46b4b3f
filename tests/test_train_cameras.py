"""Random cameras of a long training: what they show of crops, and what the network is told of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.ssjcn_v2 import SSJCN2, SSJCN2Options
from hypersharp.simulation.protocols import find_protocol
from hypersharp.train import cameras
from hypersharp.train.record import train_record
from test_train_record import OPTIONS, SENSOR, log_of, small_set

CAMERA = find_protocol("dian-x4").sensor()


def network() -> SSJCN2:
    net = SSJCN2(SSJCN2Options(psf_px=12, features=8, blocks=1, start="regression"))
    net.take_sensor(torch.tensor(CAMERA.srf), lambda side: torch.tensor(CAMERA.psf.window(4, side)))
    return net


def crops() -> Tensor:
    """Two crops of five materials."""
    shares, spectra = torch.rand(2, 5, 8, 8), torch.rand(31, 5)
    return torch.einsum("lk,bkhw->blhw", spectra / 5, shares.repeat_interleave(8, -1).repeat_interleave(8, -2))


@torch.no_grad()
def test_the_network_is_told_the_blur_that_crops_are_seen_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "HS_DB", (150.0, 151.0))
    torch.manual_seed(0)
    net, truth = network(), crops()
    before = net.psf
    hs, ms = cameras.see(net, truth, CAMERA, np.random.default_rng(1))
    assert float((net.psf - before).abs().max()) > 1e-3
    assert float(net.psf.sum()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(net.blur(truth), hs, rtol=0, atol=1e-4)
    torch.testing.assert_close(torch.einsum("kl,blhw->bkhw", net.srf, truth), ms, rtol=0, atol=1e-4)


@torch.no_grad()
def test_what_stands_out_of_the_noise_is_left_and_the_rest_of_it_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "HS_DB", (40.0, 40.0))
    monkeypatch.setattr(cameras, "KNOWN_TO", 0.0)
    torch.manual_seed(0)
    net, truth = network(), crops()
    hs, ms = cameras.see(net, truth, CAMERA, np.random.default_rng(1))
    clean = net.blur(truth)
    left = torch.einsum("ln,blhw->bnhw", net.basis, hs - clean).square().mean((2, 3)).sum(1)
    assert net.noise is not None and net.noise.shape == (2, 28)
    assert (left / net.noise.sum(1)).tolist() == pytest.approx([1, 1], rel=0.35)
    all_of_it = clean.square().mean((1, 2, 3)) / 1e4 * 31  # white, in 31 dimensions
    assert bool(((hs - clean).square().mean((2, 3)).sum(1) < 0.4 * all_of_it).all())
    agreed = net(hs, ms)
    assert float((net.blur(agreed) - hs).norm()) > 1e-4 * float(hs.norm())  # it is not bent to the noise


def test_a_training_under_cameras_ends_with_the_sensor_of_its_protocol_and_goes_on(tmp_path: Path) -> None:
    options = replace(OPTIONS, network_options={**OPTIONS.network_options, "psf_px": 12}, cameras=0.6)
    torch.manual_seed(0)
    net, _ = load_weights(train_record(options, small_set(), tmp_path / "whole"))
    torch.testing.assert_close(net.get_buffer("psf"), torch.tensor(SENSOR.psf.window(4, 12)).float())
    train_record(replace(options, steps=4), small_set(), tmp_path / "parts")
    train_record(options, small_set(), tmp_path / "parts", resume=True)
    whole, parts = (log_of(tmp_path / name) for name in ("whole", "parts"))
    assert [line for line in parts if line["rate"] == 1.0][-1] == [line for line in whole if line["rate"] == 1.0][-1]
