"""A network on a scene's orientations: only those that leave the PSF as it is, turned back rightly, with less error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypersharp.cube import make_cube
from hypersharp.errors import CallError
from hypersharp.fusion.ensemble import ORIENTATIONS, Ensemble, learn_method, own_orientations, turned, turned_back
from hypersharp.fusion.fuse import fuse
from hypersharp.methods.table import METHODS
from hypersharp.networks.checkpoint import build_network, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian

SRF = np.kron(np.eye(2), np.full(2, 0.5))
CENTRED, OFF = gaussian(8, 2.0, 4, boundary="reflect"), gaussian(4, 2.0, 4, start=2, boundary="reflect")


def weights(network: str, folder: Path) -> Path:
    torch.manual_seed(0)
    header = WeightsHeader(network, {"bands": 4, "ms_bands": 2, "ratio": 4, "features": 8})
    net = build_network(network, header.options)
    for parameter in net.parameters():  # else some begin as an interpolation, which is the same whichever way it lies
        parameter.data += 0.02 * torch.randn(parameter.shape)
    save_weights(folder / "own.safetensors", net, header)
    return folder / "own.safetensors"


def pair(psf: PSF) -> TensorPair:
    scene = torch.rand(4, 48, 64, generator=torch.Generator().manual_seed(1)).cumsum(1).cumsum(2).sqrt() / 40
    hs, ms = Sensor(psf, SRF, 4).observe(scene)
    seen = torch.ones(48, 64, dtype=torch.bool)
    seen[3, 5] = False
    return TensorPair(hs, ms, ms_valid=seen)


def ensemble(of: TensorPair, psf: PSF, network: str, folder: Path, *, in_parts: bool = False) -> Ensemble:
    made = TensorPair(of.hs, of.ms, of.hs_valid, of.ms_valid, in_parts=in_parts)
    options = Options(weights=weights(network, folder), ensemble=True, precision="fp32")
    learned = learn_method(METHODS[network], made, PairSensor(made, psf, SRF), options)
    assert isinstance(learned, Ensemble)
    return learned


def test_what_is_turned_is_turned_back() -> None:
    image = torch.arange(12).view(1, 3, 4)
    views = [turned(image, orientation) for orientation in range(ORIENTATIONS)]
    assert len({(tuple(view.shape), tuple(view.flatten().tolist())) for view in views}) == ORIENTATIONS
    for orientation, view in enumerate(views):
        assert torch.equal(turned_back(view, orientation), image)


def test_a_blur_counts_in_the_orientations_that_it_does_not_change() -> None:
    assert own_orientations(CENTRED, 4) == tuple(range(ORIENTATIONS))
    assert own_orientations(OFF, 4) == (0, 7)
    long = PSF(np.outer([1, 2, 2, 1], [1, 1, 1, 1]) / 24, (1, 1), "reflect")
    assert own_orientations(long, 4) == (0, 2, 4, 6)


@pytest.mark.parametrize("network", ["ssf-cnn", "ssjcn"])
def test_the_mean_is_the_same_whichever_way_the_scene_lies(network: str, tmp_path: Path) -> None:
    plain = pair(CENTRED)
    options = Options(weights=weights(network, tmp_path), precision="fp32")
    found = ensemble(plain, CENTRED, network, tmp_path)(plain, options, ignore)
    single = METHODS[network].learn(plain, PairSensor(plain, CENTRED, SRF), options)(plain, options, ignore)
    assert (found - single).abs().max() > 1e-3
    for orientation in (1, 6):
        other = TensorPair(turned(plain.hs, orientation), turned(plain.ms, orientation))
        again = ensemble(other, CENTRED, network, tmp_path)(other, options, ignore)
        torch.testing.assert_close(turned_back(again, orientation), found, rtol=0, atol=1e-5)


def test_image_wide_means_are_held_for_each_orientation(tmp_path: Path) -> None:
    """Parts of a scene are sharpened as the whole is."""
    plain, options = pair(CENTRED), Options(weights=weights("ssjcn", tmp_path), precision="fp32")
    learned = ensemble(plain, CENTRED, "ssjcn", tmp_path, in_parts=True)
    whole = learned(plain, options, ignore)
    part = TensorPair(plain.hs[:, :, :12], plain.ms[:, :, :48])
    torch.testing.assert_close(learned(part, options, ignore)[..., :8], whole[..., :8], rtol=0, atol=1e-5)


def test_the_record_says_how_many_and_progress_goes_on(tmp_path: Path) -> None:
    plain, seen = pair(OFF), list[float]()
    hs, ms = (make_cube(image.numpy()) for image in (plain.hs, plain.ms))
    told = {"psf": OFF, "srf": SRF, "scale": 1.0, "consistent": False, "weights": weights("ssjcn", tmp_path)}
    sharp = fuse(hs, ms, method="ssjcn", ensemble=True, progress=seen.append, **told)  # type: ignore[arg-type]
    assert "mean over 2 of 8 orientations: in the others the PSF is another" in sharp.attrs["hypersharp"]
    assert seen == sorted(seen)


@pytest.mark.parametrize("given", [{"ensemble": True}, {"mode": "tiles"}, {"weights": "ssjcn-any"}])
def test_a_method_without_a_network_refuses_what_only_networks_know(given: dict[str, Any]) -> None:
    plain = pair(CENTRED)
    hs, ms = (make_cube(image.numpy()) for image in (plain.hs, plain.ms))
    with pytest.raises(CallError, match=f"--{next(iter(given))} with method gsa, expected a method with a network"):
        fuse(hs, ms, method="gsa", **given)


def test_packaged_weights_gain_on_what_they_were_not_trained_with() -> None:
    """Indian Pines under the camera of the weights."""
    from hypersharp.bench.demo import load_indian_pines
    from hypersharp.simulation.pair import simulate_pair
    from hypersharp.simulation.protocols import find_protocol

    protocol = find_protocol("dian-x4")
    hs, ms, truth = simulate_pair(load_indian_pines(), protocol.sensor())
    told = {"psf": protocol.psf_spec, "srf": protocol.srf, "scale": 1.0, "consistent": False}
    single, mean = (fuse(hs, ms, method="ssjcn", ensemble=many, **told).values for many in (False, True))  # type: ignore[arg-type]
    psnr_db = [psnr_sam_ergas(made, truth.values, ratio=4, preset="float")[0] for made in (single, mean)]
    assert psnr_db[1] > psnr_db[0]
