"""DBIN and DHSIS as methods, on untrained weights: what they need, what they give, what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hypersharp.errors import InputError
from hypersharp.methods import dbin, dhsis
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.settings import Settings
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor

SENSOR = Sensor(psf.gaussian(8, 2.0, ratio=4), np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]), 4)
OPTIONS = {"dbin": {"blocks": 1, "refinements": 1}, "dhsis": {"layers": 3}}


def weights_of(network: str, folder: Path) -> Path:
    torch.manual_seed(0)
    header = WeightsHeader(network, {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8, **OPTIONS[network]})
    net = build_network(network, header.options)
    path = folder / f"{network}.safetensors"
    save_weights(path, net, header)
    return path


def make_pair() -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.rand(4, 48, 64, generator=torch.Generator().manual_seed(1))
    return SENSOR.observe(steps.cumsum(1).cumsum(2).sqrt() / 40)


@pytest.mark.parametrize("method", [dbin.DBIN_METHOD, dhsis.DHSIS_METHOD], ids=lambda method: str(method.name))
def test_a_network_gives_the_fine_image_and_says_which_weights(method: dbin.Method, tmp_path: Path) -> None:
    hs, ms = make_pair()
    settings = Settings(ratio=4, weights=weights_of(method.name, tmp_path), psf=SENSOR.psf, srf=SENSOR.srf)
    estimate = method.run(hs, ms, settings)
    assert estimate.shape == (4, 48, 64)
    assert torch.isfinite(estimate).all()
    assert any("weights" in note for note in settings.notes)


def test_dhsis_ends_with_an_image_that_explains_both_inputs(tmp_path: Path) -> None:
    """Whatever the network adds, the last step brings back."""
    hs, ms = make_pair()
    settings = Settings(ratio=4, weights=weights_of("dhsis", tmp_path), psf=SENSOR.psf, srf=SENSOR.srf)
    again = SENSOR.observe(dhsis.DHSIS_METHOD.run(hs, ms, settings))
    assert (again[0] - hs).abs().mean() < 2e-3
    assert (again[1] - ms).abs().mean() < 2e-3


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    hs, ms = make_pair()
    with pytest.raises(InputError, match="--method dhsis"):
        dbin.DBIN_METHOD.run(hs, ms, Settings(ratio=4, weights=weights_of("dhsis", tmp_path)))
