"""SSJCN's second generation: exact agreement with both inputs, its operators, any sensor."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from hypersharp.networks.checkpoint import build_network
from hypersharp.networks.inference import Inference
from hypersharp.networks.layers import Means, window_centre
from hypersharp.networks.ssjcn_v2 import SSJCN2, SSJCN2Options
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian
from hypersharp.simulation.protocols import PROTOCOLS, find_protocol

PSF_PX = {"dian-x4": 8, "harvard-x4": 8}  # the others lie within their own coarse pixel
every_protocol = pytest.mark.parametrize("name", PROTOCOLS)


def network(sensor: Sensor, **options: object) -> SSJCN2:
    """A small network with the sensor, whose bodies change something."""
    torch.manual_seed(0)
    small = SSJCN2Options(ratio=sensor.ratio, **{"features": 16, "blocks": 1, **options})  # type: ignore[arg-type]
    net = SSJCN2(small)
    net.take_sensor(torch.tensor(sensor.srf), lambda side: torch.tensor(sensor.psf.window(sensor.ratio, side)))
    for body in net.bodies:
        nn.init.normal_(body.tail.weight, std=0.05)
    return net.eval()


def of_protocol(name: str, **options: object) -> tuple[SSJCN2, Sensor]:
    sensor = find_protocol(name).sensor()
    return network(sensor, psf_px=PSF_PX.get(name), **options), sensor


def scene(side: int = 48) -> Tensor:
    return torch.rand(2, 31, side, side, generator=torch.Generator().manual_seed(1))


@every_protocol
@torch.no_grad()
def test_an_estimate_agrees_with_both_inputs(name: str) -> None:
    net, sensor = of_protocol(name)
    hs, ms = sensor.observe(scene())
    estimate = net(hs, ms)
    assert float((estimate - scene()).abs().max()) > 0.1
    for seen, given in zip(sensor.observe(estimate), (hs, ms), strict=True):
        torch.testing.assert_close(seen, given, rtol=0, atol=1e-5)


@pytest.mark.parametrize("start", ["bicubic", ["bicubic", "likeness"]])
@pytest.mark.parametrize("name", ["uestc-x4", "dian-x4"])
@torch.no_grad()
def test_values_below_zero_are_raised_by_what_the_inputs_leave_open(name: str, start: str | list[str]) -> None:
    net, sensor = of_protocol(name, start=start)
    truth = scene().pow(8)  # dark in most places
    hs, ms = sensor.observe(truth)
    chains = [*net.estimates(hs, ms)]
    before, after = sum(chains) / len(chains), net(hs, ms)
    assert float(after.clamp(max=0).square().sum()) < 0.2 * float(before.clamp(max=0).square().sum())
    assert float((after - truth).square().sum()) < float((before - truth).square().sum())
    for seen, given in zip(sensor.observe(after), (hs, ms), strict=True):
        torch.testing.assert_close(seen, given, rtol=0, atol=1e-5)


@pytest.mark.parametrize("error", [None, torch.full((2, 1, 48, 48), 0.01)])
@torch.no_grad()
def test_raising_leaves_out_what_has_no_values_near_zero(error: Tensor | None) -> None:
    net, _ = of_protocol("uestc-x4")
    estimate = 0.3 + 0.5 * scene()
    estimate[..., 10:20, 30:] -= 0.6
    raised = net.raised(estimate, error)
    torch.testing.assert_close(raised, net.raised_everywhere(estimate, error), rtol=0, atol=1e-6)
    assert float((raised - estimate)[..., 8:20, 28:].abs().max()) > 0.1
    torch.testing.assert_close(raised[..., 20:, :], estimate[..., 20:, :], rtol=0, atol=0)


@torch.no_grad()
def test_a_scene_with_values_below_zero_keeps_them() -> None:
    net, sensor = of_protocol("uestc-x4")
    hs, ms = sensor.observe(scene() - 0.5)
    torch.testing.assert_close(net(hs, ms), next(net.estimates(hs, ms)), rtol=0, atol=0)


@torch.no_grad()
def test_a_scene_whose_borders_are_no_neighbours_is_mirrored_around() -> None:
    protocol = find_protocol("dian-x4").sensor()
    camera = replace(protocol, psf=replace(protocol.psf, boundary="reflect"))
    net, truth = network(protocol, psf_px=8), smooth_scene()
    hs, ms = camera.observe(truth)
    differs = {}
    for margin in (0, 8):
        made = Inference(net, mirrored_px=margin)(TensorPair(hs, ms), Options(precision="fp32"), ignore)
        assert made.shape == truth.shape
        gaps = (camera.hs(made) - hs).abs()
        assert float(gaps[:, 1:-1, 1:-1].max()) < 1e-4
        differs[margin] = float(gaps.max())
    assert differs[8] < 0.3 * differs[0]


def smooth_scene() -> Tensor:
    """(31, 48, 48), bright on one side and dark on the other."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
    return torch.stack([0.1 + 0.8 * (y + x * band / 31) / (1 + band / 31) for band in range(31)])


@torch.no_grad()
def test_the_joint_projection_can_be_left_out() -> None:
    """ms alone: P Z = X only; off: neither, and all 31 coordinates are the network's."""
    for joint, agrees in (("ms", (False, True)), ("off", (False, False))):
        net, sensor = of_protocol("uestc-x4", joint=joint)
        pair = sensor.observe(scene())
        seen = sensor.observe(net(*pair))
        errors = [float((a - b).abs().max()) for a, b in zip(seen, pair, strict=True)]
        assert tuple(error < 1e-5 for error in errors) == agrees


@every_protocol
@torch.no_grad()
def test_blur_is_the_sensors_and_spread_its_transpose(name: str) -> None:
    net, sensor = of_protocol(name)
    fine = scene()[:, :5]
    coarse = torch.randn_like(net.blur(fine))
    torch.testing.assert_close(net.blur(fine), sensor.hs(fine), rtol=0, atol=1e-5)
    inner, outer = (net.blur(fine) * coarse).sum(), (fine * net.spread(coarse)).sum()
    torch.testing.assert_close(inner, outer, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["uestc-x4", "dian-x4"])
@torch.no_grad()
def test_inverse_gram_undoes_blur_and_spread(name: str) -> None:
    net, _ = of_protocol(name)
    coarse = torch.rand(1, 2, 9, 12)
    torch.testing.assert_close(net.inverse_gram(net.blur(net.spread(coarse))), coarse, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["uestc-x4", "dian-x4"])
@torch.no_grad()
def test_noise_leaves_some_of_the_disagreement(name: str) -> None:
    """The more noise, the less an estimate is bent to hs; ms it meets as before."""
    net, sensor = of_protocol(name)
    hs, ms = sensor.observe(scene())
    misses: list[float] = []
    for variance in (0.0, 1e-4, 1e-3, 1e-1):
        seen_hs, seen_ms = sensor.observe(net.expecting_noise(variance * torch.eye(31))(hs, ms))
        misses.append(float((seen_hs - hs).norm()))
        torch.testing.assert_close(seen_ms, ms, rtol=0, atol=1e-4)
    assert all(less < more for less, more in pairwise(misses))
    assert net.noise is None
    torch.testing.assert_close(sensor.observe(net(hs, ms))[0], hs, rtol=0, atol=1e-4)


@torch.no_grad()
def test_noise_is_weighed_by_the_means_of_the_whole_where_parts_are_seen() -> None:
    net = of_protocol("uestc-x4")[0].expecting_noise(1e-3 * torch.eye(31))
    hs, ms = of_protocol("uestc-x4")[1].observe(scene())
    means = Means()
    whole = net(hs, ms, means=means)
    net.held = tuple(means.found)
    torch.testing.assert_close(net(hs, ms), whole, rtol=0, atol=0)
    net.held = (*net.held[:-1], net.held[-1] / 2)
    assert float((net(hs, ms) - whole).abs().max()) > 1e-4


@pytest.mark.parametrize("resolution", ["full", "half", "quarter"])
@torch.no_grad()
def test_any_size_and_ratio(resolution: str) -> None:
    """At ratio 3 the fine size is no multiple of the bodies' pixels."""
    net = network(Sensor(gaussian(3, 1.0, ratio=3), find_protocol("dian-x4").sensor().srf, 3), resolution=resolution)
    assert net(torch.rand(1, 31, 5, 7), torch.rand(1, 3, 15, 21)).shape == (1, 31, 15, 21)


@torch.no_grad()
def test_the_basis_spans_what_the_response_does_not_see() -> None:
    net, _ = of_protocol("uestc-x4")
    spectra = torch.rand(31, 200)
    net.turn_basis(spectra @ spectra.mT)
    torch.testing.assert_close(net.basis.mT @ net.basis, torch.eye(28), rtol=0, atol=1e-5)
    torch.testing.assert_close(net.srf @ net.basis, torch.zeros(3, 28), rtol=0, atol=1e-6)
    power = net.basis.mT @ spectra @ spectra.mT @ net.basis
    assert float((power - power.diag().diag()).abs().max()) < 1e-3 * float(power.max())
    assert bool((power.diag().diff() < 1e-3).all())


@torch.no_grad()
def test_another_sensor_keeps_what_is_learnt() -> None:
    """A slightly other response and a wider blur: exact again, in coordinates next to the old ones."""
    net, sensor = of_protocol("uestc-x4")
    before = net.basis.clone()
    other = Sensor(find_protocol("dian-x4").psf, 0.98 * sensor.srf + 0.02 / 31, 4)
    net.see_with(torch.tensor(other.srf).float(), torch.tensor(other.psf.window(4, 8)).float())
    hs, ms = other.observe(scene())
    for seen, given in zip(other.observe(net(hs, ms)), (hs, ms), strict=True):
        torch.testing.assert_close(seen, given, rtol=0, atol=1e-5)
    assert float((net.basis - before).abs().max()) < 0.05


def test_an_untrained_network_is_its_start() -> None:
    """Last layers begin at zero, so that rounds change nothing."""
    sensor = find_protocol("uestc-x4").sensor()
    two, none = (SSJCN2(SSJCN2Options(features=16, blocks=1, rounds=rounds)) for rounds in (2, 0))
    for net in (two, none):
        net.take_sensor(torch.tensor(sensor.srf), lambda side: torch.tensor(sensor.psf.window(4, side)))
    pair = sensor.observe(scene())
    torch.testing.assert_close(two(*pair), none(*pair), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["uestc-x4", "dspnet-x8", "dian-x4"])
@torch.no_grad()
def test_a_start_by_regression_knows_how_bands_follow_the_ms(name: str) -> None:
    """Where all bands follow the ms by one matrix it is the truth."""
    sharp, slopes = torch.rand(1, 3, 96, 96), torch.rand(28, 3)
    errors = {}
    for start in ("bicubic", "regression"):
        net, sensor = of_protocol(name, rounds=0, start=start)
        spectra = torch.linalg.pinv(net.srf) + net.basis @ slopes
        truth = torch.einsum("lk,bkyx->blyx", spectra, sharp)
        errors[start] = float((net(*sensor.observe(truth)) - truth).abs().mean())
    assert errors["regression"] < 0.01 * errors["bicubic"]


@pytest.mark.parametrize("name", ["uestc-x4", "dspnet-x8", "dian-x4"])
@torch.no_grad()
def test_a_start_by_likeness_knows_where_a_material_ends(name: str) -> None:
    """Two materials that the ms tells apart."""
    second = (torch.arange(96)[:, None] + 2 * torch.arange(96)) % 96 > 48
    spectra = torch.rand(2, 31) * torch.tensor([[1.0], [0.3]])
    truth = torch.where(second, *(spectrum[:, None, None] for spectrum in spectra))[None]
    errors = {}
    for start in ("bicubic", "likeness"):
        net, sensor = of_protocol(name, rounds=0, start=start)
        errors[start] = float((net(*sensor.observe(truth)) - truth).abs().mean())
    assert errors["likeness"] < 0.3 * errors["bicubic"]


@pytest.mark.parametrize(
    "options",
    [{"psf_px": 5}, {"psf_px": 2}, {"joint": "hs"}, {"resolution": "third"}, {"start": "zero"}, {"start": []}],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(Exception, match="network options"):
        build_network("ssjcn-v2", options)


def test_window_centre_is_the_blurs() -> None:
    for name in ("uestc-x4", "dian-x4", "dspnet-x8"):
        psf, ratio = find_protocol(name).psf, find_protocol(name).ratio
        window = torch.tensor(psf.window(ratio, max(8, ratio)))
        assert window_centre(window, ratio) == pytest.approx(psf.centre_yx())
