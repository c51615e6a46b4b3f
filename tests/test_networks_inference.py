"""The three ways of running a network, on random weights: each agrees with `whole` where it must."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hypersharp.errors import CallError
from hypersharp.networks.inference import (
    Inference,
    autocast,
    choose_weights,
    for_noise,
    hann_window,
    made_for,
    run_network,
    tile_starts,
)
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions
from hypersharp.pair.options import Options
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import add_noise
from hypersharp.simulation.protocols import find_protocol

OPTIONS = SSJCNOptions(bands=5, ms_bands=2, features=8, iterations=1)


@pytest.fixture
def net() -> SSJCN:
    torch.manual_seed(0)
    return SSJCN(OPTIONS).eval()


def make_pair(coarse_yx: tuple[int, int]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    h, w = coarse_yx
    return torch.rand(5, h, w), torch.rand(2, 4 * h, 4 * w)


def options(**changes: object) -> Options:
    return Options(**{"precision": "fp32", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["patches", "tiles"])
def test_an_image_of_one_piece_is_that_of_whole(net: SSJCN, mode: str) -> None:
    hs, ms = make_pair((16, 16))
    estimate = run_network(net, hs, ms, options(mode=mode, tile_px=64))
    torch.testing.assert_close(estimate, net(hs[None], ms[None])[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mode", ["whole", "patches", "tiles"])
@pytest.mark.parametrize("coarse_yx", [(19, 37), (5, 20)])
def test_any_size_comes_back_whole_and_finite(net: SSJCN, mode: str, coarse_yx: tuple[int, int]) -> None:
    hs, ms = make_pair(coarse_yx)
    seen: list[float] = []
    estimate = run_network(net, hs, ms, options(mode=mode, tile_px=32), progress=seen.append)
    assert estimate.shape == (5, 4 * coarse_yx[0], 4 * coarse_yx[1])
    assert torch.isfinite(estimate).all()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_each_patch_is_processed_alone(net: SSJCN) -> None:
    hs, ms = make_pair((32, 32))
    estimate = run_network(net, hs, ms, options(mode="patches"))
    window = (..., slice(64, 128), slice(0, 64))
    alone = net(hs[None, :, 16:, :16], ms[None][window])
    torch.testing.assert_close(estimate[None][window], alone, atol=1e-5, rtol=1e-4)


def test_blended_tiles_have_no_seams_but_patches_do(net: SSJCN) -> None:
    """Across a patch border the step is larger than elsewhere; across a tile border it is not."""
    hs, ms = make_pair((48, 48))
    ms = torch.nn.functional.avg_pool2d(ms, 9, 1, 4)  # smooth, so that steps are seams
    hs = torch.nn.functional.avg_pool2d(hs, 5, 1, 2)

    def seam(mode: str) -> float:
        step = run_network(net, hs, ms, options(mode=mode, tile_px=64)).diff(dim=-1).abs().mean((0, 1))
        return float(step[63::64].mean() / step.median())

    assert seam("patches") > 2 * seam("tiles")
    assert seam("tiles") < 1.3


@pytest.mark.parametrize("tile_px", [0, -8, 4, 20])
def test_tiles_that_cannot_overlap_by_half_are_refused(net: SSJCN, tile_px: int) -> None:
    with pytest.raises(CallError, match="multiple of 8"):
        run_network(net, *make_pair((8, 8)), options(mode="tiles", tile_px=tile_px))


@pytest.mark.parametrize("length", [3, 16, 17, 24, 31, 100])
def test_tiles_cover_every_pixel(length: int) -> None:
    covered = {pixel for start in tile_starts(length, 16) for pixel in range(start, start + 16)}
    assert covered >= set(range(length))


def test_hann_weights_are_positive_and_symmetric() -> None:
    weights = hann_window(6, 8)
    assert (weights > 0).all()
    torch.testing.assert_close(weights, weights.flip((0, 1)))


def test_bfloat16_stays_close_to_float32(net: SSJCN) -> None:
    hs, ms = make_pair((16, 16))
    low, full = (run_network(net, hs, ms, options(precision=p)) for p in ("bf16", "fp32"))
    assert float((low - full).norm() / full.norm()) < 0.02
    assert not torch.equal(low, full)


@pytest.mark.parametrize(("precision", "enabled"), [("fp32", False), ("bf16", True)])
def test_a_chosen_precision_is_used(precision: str, enabled: bool) -> None:
    with autocast(torch.device("cpu"), precision):  # type: ignore[arg-type]
        assert torch.is_autocast_enabled("cpu") is enabled


@pytest.mark.parametrize("protocol", ["dian-x4", "uestc-x4"])
def test_networks_run_the_weights_of_the_sensor_that_explains_the_pair(protocol: str) -> None:
    sensor = find_protocol(protocol).sensor()
    draw = torch.Generator().manual_seed(0)
    maps = torch.nn.functional.interpolate(torch.rand(1, 4, 16, 16, generator=draw), (64, 64), mode="bicubic")[0]
    hs, ms = sensor.observe(torch.einsum("bm,myx->byx", torch.rand(31, 4, generator=draw), maps) + 0.2)
    made = TensorPair(hs, ms)
    assert PairSensor(made).estimate.protocol == protocol
    weights, _ = choose_weights("ssjcn", made, Options())
    assert made_for(weights) == protocol
    noisy = TensorPair(hs, ms + 0.1 * torch.rand(ms.shape, generator=draw))
    assert PairSensor(replace(noisy, ms=noisy.ms.flip(0))).estimate.protocol is None


def smooth_pair() -> TensorPair:
    """Twelve bands of three materials that change slowly."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 40), torch.linspace(0, 2, 40), indexing="ij")
    shares = torch.stack([y.sin() ** 2, x.cos() ** 2, (x * y).sin() ** 2])
    spectra = torch.rand(12, 3, generator=torch.Generator().manual_seed(3))
    return TensorPair(torch.einsum("lk,khw->lhw", spectra, shares), torch.rand(2, 160, 160))


def test_noise_is_left_out_before_a_network_that_has_not_learned_it(net: SSJCN) -> None:
    clean = smooth_pair()
    noisy = replace(clean, hs=add_noise(clean.hs, 30, 1))
    found = for_noise(Inference(net), noisy)
    assert re.fullmatch(r"hs has noise at about (28|29|30) dB: 3 of 12 spectral dimensions .*", found.notes[-1])
    before, after = ((image - clean.hs).square().mean() for image in (noisy.hs, found.hs_of(noisy)))
    assert float(after / before) == pytest.approx(3 / 12, rel=0.1)  # that share of white noise lies in three dimensions


def test_what_is_measured_nowhere_counts_for_no_noise(net: SSJCN) -> None:
    pair, valid = smooth_pair(), torch.ones(40, 40, dtype=torch.bool)
    valid[:28] = False
    spoiled = torch.cat([add_noise(pair.hs[:, :28], 20, 1), pair.hs[:, 28:]], 1)
    assert for_noise(Inference(net), replace(pair, hs=spoiled)).signal is not None
    assert for_noise(Inference(net), replace(pair, hs=spoiled, hs_valid=valid)).signal is None


def test_an_hs_without_noise_or_of_few_pixels_stays_as_it_is(net: SSJCN) -> None:
    inference, clean = Inference(net), smooth_pair()
    few = TensorPair(torch.rand(12, 9, 10), torch.rand(2, 36, 40))
    for pair in (clean, few, replace(clean, hs=torch.zeros_like(clean.hs))):
        assert for_noise(inference, pair) is inference
