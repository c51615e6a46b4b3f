"""SRCNN, SSF-CNN, MS-SSFNet, HAM-MFN: published sizes, what each sees, costs at every level, the RAP loss."""

from pathlib import Path

import pytest
import torch
from torch import nn

from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import NETWORKS, build_network, count_parameters, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.ms_ssfnet import MSSSFNet, MSSSFNetOptions
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import Options
from hypersharp.train.module import FusionTraining, rap_loss
from hypersharp.train.options import TrainOptions
from method_runs import Known, part_and_whole

SEED = ("srcnn", "ssf-cnn", "ms-ssfnet", "ham-mfn")
SMALL = {"bands": 7, "ms_bands": 2, "features": 8}


def small(name: str, **options: object) -> FusionNetwork:
    """With weights drawn as if it had learnt: at its start it only interpolates."""
    torch.manual_seed(0)
    net = build_network(name, {**SMALL, **options}).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("srcnn", {}, 187_679),
        ("srcnn", {"mode": "per-band"}, 8_129),
        ("ssf-cnn", {}, 62_943),
        ("ssf-cnn", {"dense": True}, 66_132),
    ],
)
def test_parameters_are_those_of_the_published_networks(name: str, options: dict[str, object], parameters: int) -> None:
    assert count_parameters(build_network(name, options)) == parameters


@pytest.mark.parametrize("ratio", [2, 4, 8])
@pytest.mark.parametrize("name", SEED)
def test_any_size_gives_the_fine_size(name: str, ratio: int) -> None:
    net = small(name, ratio=ratio)
    with torch.inference_mode():
        assert net(torch.rand(1, 7, 5, 3), torch.rand(1, 2, 5 * ratio, 3 * ratio)).shape == (1, 7, 5 * ratio, 3 * ratio)


@pytest.mark.parametrize("name", ["ms-ssfnet", "ham-mfn"])
@pytest.mark.parametrize("ratio", [0, 1, 3, 6])
def test_networks_that_halve_refuse_other_ratios(name: str, ratio: int) -> None:
    with pytest.raises(ValueError, match=f"2, 4, 8, 16 and 32, not {ratio}"):
        NETWORKS[name][1](ratio=ratio)


@pytest.mark.parametrize(
    ("name", "sees"), [("srcnn", False), ("ssf-cnn", True), ("ms-ssfnet", True), ("ham-mfn", True)]
)
def test_only_srcnn_is_blind_to_ms(name: str, sees: bool) -> None:
    net, hs = small(name), torch.rand(1, 7, 4, 4)
    with torch.inference_mode():
        dark, bright = (net(hs, ms) for ms in (torch.zeros(1, 2, 16, 16), torch.ones(1, 2, 16, 16)))
    assert bool((dark != bright).any()) is sees


def test_srcnn_per_band_treats_every_band_alone_and_alike() -> None:
    net, hs, ms = small("srcnn", mode="per-band"), torch.rand(1, 7, 4, 4), torch.rand(1, 2, 16, 16)
    order = torch.randperm(7)
    with torch.inference_mode():
        torch.testing.assert_close(net(hs[:, order], ms), net(hs, ms)[:, order])


def test_dense_connections_show_ms_to_the_last_convolution() -> None:
    net, hs = small("ssf-cnn", dense=True), torch.rand(1, 7, 4, 4)
    for layer in (net.first, net.second):
        assert isinstance(layer, nn.Conv2d)
        nn.init.zeros_(layer.weight)
    with torch.inference_mode():
        assert not torch.equal(net(hs, torch.zeros(1, 2, 16, 16)), net(hs, torch.ones(1, 2, 16, 16)))


@pytest.mark.parametrize(
    ("name", "options"), [*((name, {}) for name in SEED), ("ssf-cnn", {"dense": True}), ("srcnn", {"mode": "per-band"})]
)
def test_a_training_begins_at_the_interpolation(name: str, options: dict[str, object]) -> None:
    net, hs = build_network(name, {"bands": 7, "ms_bands": 2, **options}), torch.rand(1, 7, 4, 4)
    expected = upsample_bicubic(hs, 4).clamp(min=0)  # whose undershoots are ReLUs' to cut off
    with torch.inference_mode():
        torch.testing.assert_close(net(hs, torch.rand(1, 2, 16, 16)).clamp(min=0), expected)


def test_ms_ssfnet_begins_with_both_images_at_every_level() -> None:
    net = MSSSFNet(MSSSFNetOptions(**SMALL | {"features": 16}))
    hs, ms = torch.rand(1, 7, 6, 6), torch.rand(1, 2, 24, 24)
    seen = list[torch.Tensor]()
    for level in net.fusion:
        level.register_forward_hook(lambda module, given, fused: seen.append(fused))
    with torch.inference_mode():
        net(hs, ms)
    for fused, step in zip(seen, (4, 2, 1), strict=True):
        torch.testing.assert_close(fused[:, :2], nn.functional.avg_pool2d(ms, step))
    torch.testing.assert_close(seen[0][:, 8:15], hs)
    doubled = nn.functional.interpolate(hs, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(seen[1][:, 8:15, 1:-1, 1:-1], doubled[:, :, 1:-1, 1:-1])  # zeros beyond the border


def test_every_level_is_judged_against_means_over_blocks_of_the_truth() -> None:
    net = MSSSFNet(MSSSFNetOptions(**SMALL))
    training = FusionTraining(net, TrainOptions("small", "dian-x4", network="ms-ssfnet", loss="l1"))
    hs, ms, truth = torch.rand(2, 7, 4, 4), torch.rand(2, 2, 16, 16), torch.rand(2, 7, 16, 16)
    fine, middle, coarse = net.at_levels(hs, ms)
    blocks = truth.view(2, 7, 8, 2, 8, 2).mean((3, 5)), truth.view(2, 7, 4, 4, 4, 4).mean((3, 5))
    expected = sum((a - b).abs().mean() for a, b in zip((fine, middle, coarse), (truth, *blocks), strict=True))
    torch.testing.assert_close(training.compute_losses(hs, ms, truth)[0], expected)


def test_the_rap_loss_is_zero_at_the_truth_and_each_term_counts() -> None:
    truth = torch.rand(2, 5, 9, 8, generator=torch.Generator().manual_seed(0)) + 0.1
    assert float(rap_loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    brighter = rap_loss(1.1 * truth, truth)  # no angle; the Laplacian by hand
    wide = nn.functional.pad(0.1 * truth, (1,) * 4, mode="replicate")
    laplacian = wide[..., 1:-1, 2:] + wide[..., 1:-1, :-2] + wide[..., 2:, 1:-1] + wide[..., :-2, 1:-1] - 0.4 * truth
    assert float(brighter) == pytest.approx(0.01 + 0.1 * float(laplacian.abs().mean()), rel=1e-3)
    offset = rap_loss(truth + 0.1, truth)  # no Laplacian
    angle = 1 - torch.cosine_similarity(truth + 0.1, truth, dim=1).mean()
    assert float(offset) == pytest.approx(float(0.01 * truth.numel() / truth.square().sum() + 0.1 * angle), rel=1e-3)


@pytest.mark.parametrize("name", SEED)
def test_a_part_is_what_the_whole_image_would_be_there(name: str, tmp_path: Path) -> None:
    header = WeightsHeader(name, {**SMALL, "ratio": 4})
    save_weights(tmp_path / "own.safetensors", small(name), header)
    known = Known(options=Options(weights=tmp_path / "own.safetensors", device="cpu", precision="fp32"))
    part, whole = part_and_whole(name, known, torch.rand(7, 32, 5), torch.rand(2, 128, 20), core=6)
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-5)
