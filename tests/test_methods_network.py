"""DBIN and DHSIS as methods, on untrained weights: what they need, what they give, what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hypersharp.errors import InputError
from hypersharp.methods.ssjcn import learn
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.options import Options
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor
from method_runs import Known

SENSOR = Sensor(psf.gaussian(8, 2.0, ratio=4), np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]), 4)
OPTIONS = {
    "dbin": {"blocks": 1, "refinements": 1},
    "dhsis": {"layers": 3},
    **{name: {} for name in ("ms-ssfnet", "ham-mfn", "ssf-cnn", "srcnn")},
}
SECOND = {"blocks": 1, "rounds": 1, "psf_px": 8}  # of SSJCN


def weights_of(network: str, folder: Path) -> Path:
    torch.manual_seed(0)
    header = WeightsHeader(
        network, {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8, **OPTIONS.get(network, SECOND)}
    )
    net = build_network(network, header.options)
    path = folder / f"{network}.safetensors"
    save_weights(path, net, header)
    return path


def make_pair() -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.rand(4, 48, 64, generator=torch.Generator().manual_seed(1))
    return SENSOR.observe(steps.cumsum(1).cumsum(2).sqrt() / 40)


def known(network: str, folder: Path) -> Known:
    return Known(SENSOR.psf, SENSOR.srf, options=Options(weights=weights_of(network, folder)))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_network_gives_the_fine_image_and_says_which_weights(name: str, tmp_path: Path) -> None:
    hs, ms = make_pair()
    estimate, notes = known(name, tmp_path).run_and_notes(name, hs, ms)
    assert estimate.shape == (4, 48, 64)
    assert torch.isfinite(estimate).all()
    assert any("weights" in note for note in notes)


def test_dhsis_ends_with_an_image_that_explains_both_inputs(tmp_path: Path) -> None:
    """Whatever the network adds, the last step brings back."""
    hs, ms = make_pair()
    again = SENSOR.observe(known("dhsis", tmp_path).run("dhsis", hs, ms))
    assert (again[0] - hs).abs().mean() < 2e-3
    assert (again[1] - ms).abs().mean() < 2e-3


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    hs, ms = make_pair()
    with pytest.raises(InputError, match="--method dhsis"):
        known("dhsis", tmp_path).run("dbin", hs, ms)


@pytest.mark.parametrize(
    "second", [[0.5, 0.5, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], ids=["the same", "twice it", "nothing"]
)
def test_an_exact_agreement_needs_ms_bands_that_do_not_depend_on_each_other(
    second: list[float], tmp_path: Path
) -> None:
    """One line instead of a matrix without inverse."""
    weights, srf = weights_of("ssjcn-v2", tmp_path), np.array([[0.5, 0.5, 0, 0], second])
    hs, ms = make_pair()
    assert torch.isfinite(Known(SENSOR.psf, SENSOR.srf, options=Options(weights=weights)).run("ssjcn", hs, ms)).all()
    with pytest.raises(InputError, match="2 ms bands depend on each other"):
        Known(SENSOR.psf, srf, options=Options(weights=weights)).run("ssjcn", hs, ms)


def test_a_blur_wider_than_its_pixel_has_a_mirrored_margin_whatever_the_weights_had(tmp_path: Path) -> None:
    hs, ms = make_pair()
    header = WeightsHeader("ssjcn-v2", {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8, "blocks": 1, "psf_px": 4})
    net = build_network(header.network, header.options)
    net.take_sensor(torch.tensor(SENSOR.srf).float(), lambda side: torch.full((side, side), 1 / side**2))
    save_weights(tmp_path / "block.safetensors", net, header)
    options, pair = Options(weights=tmp_path / "block.safetensors"), TensorPair(hs, ms)
    blurs = None, psf.gaussian(13, 3.0, ratio=4, boundary="reflect"), psf.gaussian(13, 3.0, ratio=4, boundary="wrap")
    margins = [learn(pair, PairSensor(pair, blur), options).mirrored_px > 0 for blur in blurs]
    assert margins == [False, True, False]
