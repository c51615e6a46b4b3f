"""The rounds between a pair's coordinates: for any number of them, any ratio and sensor."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods.ssjcn_any import learn_any
from hypersharp.networks.coordinates import fit_coordinates, psf_window
from hypersharp.networks.layers import window_centre
from hypersharp.networks.packaged import named_weights
from hypersharp.networks.ssjcn_coordinates import CoordinateSSJCN, Sight
from hypersharp.numerics.linops import mix_bands
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian, gaussian_fwhm


def learnt(rounds: int = 2) -> CoordinateSSJCN:
    """Rounds of random weights, whose corrections are not zero."""
    torch.manual_seed(0)
    net = CoordinateSSJCN(8, 1, rounds)
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return net.eval()


def pair(ratio: int, coordinates: int = 4, ms_bands: int = 2, shape_yx: tuple[int, int] = (7, 5)) -> tuple[Tensor, ...]:
    fine = ratio * shape_yx[0], ratio * shape_yx[1]
    return torch.randn(1, coordinates, *shape_yx), torch.randn(1, ms_bands, *fine)


def sight(ratio: int, coordinates: int = 4, ms_bands: int = 2) -> Sight:
    psf = psf_window(gaussian_fwhm(ratio, ratio, boundary="reflect"), ratio)
    noise, spread = torch.rand(2, coordinates), torch.rand(coordinates) + 0.5
    guide, response = torch.randn(coordinates, ms_bands), torch.randn(ms_bands, coordinates)
    detail = torch.rand(ms_bands, ms_bands) + torch.eye(ms_bands)
    return Sight(guide, response, detail, psf, noise, spread, ratio, window_centre(psf, ratio))


def guide_of(x: Tensor, seen: Sight) -> Tensor:
    return torch.einsum("pl,blyx->bpyx", seen.guide, x)


@pytest.mark.parametrize("ratio", [2, 3, 8])
def test_it_begins_at_the_guide_corrected_by_hs(ratio: int) -> None:
    (c, x), seen = pair(ratio), sight(ratio)
    torch.testing.assert_close(CoordinateSSJCN(8, 1, 2)(c, x, seen), seen.start(c, guide_of(x, seen)))


def test_of_a_guide_that_hs_confirms_it_begins_there() -> None:
    (_, x), seen = pair(3), sight(3)
    guide = guide_of(x, seen)
    torch.testing.assert_close(seen.start(seen.blur(guide), guide), guide, atol=1e-5, rtol=0)


def test_other_starts_know_what_one_regression_for_all_does_not() -> None:
    """Right of the middle the coordinate follows ms the other way round; the guide knows the left half alone."""
    draw = torch.Generator().manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(1, 1, 16, 32, generator=draw), (48, 96), mode="bicubic")
    sign = torch.where(torch.arange(96) < 48, 1.0, -1.0)
    truth = sign * x
    one = torch.ones(1, 1)
    seen = replace(sight(3, 1, 1), guide=one, response=one, detail=10 * one)
    starts = seen.starts(seen.blur(truth), guide_of(x, seen), x, seen.upsampling(seen.blur(x)))
    errors = [float((start - truth)[..., 60:-6].square().mean().sqrt()) for start in starts]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.8 * errors[0], errors
    again = [float((seen.blur(start) - seen.blur(truth)).abs().mean()) for start in starts]
    assert max(again[1:]) < again[0], again


@torch.no_grad()
def test_coordinates_have_no_order() -> None:
    (c, x), seen, net = pair(3), sight(3), learnt()
    order = torch.tensor([2, 0, 3, 1])
    other = replace(
        seen,
        guide=seen.guide[order],
        response=seen.response[:, order],
        noise=seen.noise[:, order],
        spread=seen.spread[order],
    )
    torch.testing.assert_close(net(c[:, order], x, other), net(c, x, seen)[:, order], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_what_one_round_hands_on_changes_the_next() -> None:
    (c, x), seen, net = pair(2), sight(2), learnt()
    both = net(c, x, seen)
    net.bodies[0].blocks[0].second.bias.data += 1.0
    net.bodies[0].tail.weight.data.zero_()
    assert not both.allclose(net(c, x, seen), atol=1e-3)


def test_coordinates_know_their_noise_and_how_much_the_guide_varies() -> None:
    torch.manual_seed(1)
    scene = torch.einsum("ln,nyx->lyx", torch.rand(20, 4), torch.rand(4, 96, 96))
    response = torch.rand(3, 20).double().numpy()
    sensor = Sensor(gaussian_fwhm(2, 2, boundary="reflect"), response / response.sum(1, keepdims=True), 2)
    clean_hs, clean_ms = sensor.observe(scene)
    hs, ms = add_noise(clean_hs, 30.0, 2), add_noise(clean_ms, 30.0, 3)
    found = fit_coordinates(TensorPair(hs, ms), sensor)
    of_hs = mix_bands(found.analysis, hs - clean_hs).flatten(1).std(1)
    torch.testing.assert_close(found.noise[0], of_hs, rtol=0.2, atol=0)  # to which the other bands add a little
    guide = mix_bands(found.guide, ms - found.ms_mean[:, None, None]).flatten(1).std(1)
    torch.testing.assert_close(found.spread, guide, rtol=1e-3, atol=1e-5)


def test_the_guide_trusts_no_band_whose_noise_hides_its_detail() -> None:
    """Two bands show the same; a third of the noise in one leaves it most of the weight."""
    draw = torch.Generator().manual_seed(2)
    scene = torch.nn.functional.interpolate(torch.rand(1, 6, 48, 48, generator=draw), (96, 96), mode="bicubic")[0]
    sensor = Sensor(gaussian_fwhm(2, 2, boundary="reflect"), np.full((2, 6), 1 / 6), 2)
    hs, ms = sensor.observe(scene)
    noise = torch.randn(ms.shape, generator=draw) * torch.tensor([0.15, 0.05])[:, None, None]
    found, clean = (fit_coordinates(TensorPair(hs, image), sensor) for image in (ms + noise, ms))
    first, second = found.guide[0].abs()
    assert second > 5 * first
    assert found.noise[1, 0] < 0.5 * float((clean.guide[0] @ noise.flatten(1)).std())


@torch.no_grad()
def test_what_was_not_measured_in_ms_counts_for_nothing() -> None:
    """Left of column 40 there is what the nearest pixels have; it teaches nothing about the rest."""
    sensor = Sensor(gaussian(8, 2.0, 4, boundary="reflect"), np.kron(np.eye(2), np.full((1, 3), 1 / 3)), 4)
    weights, options, errors = named_weights("ssjcn-any"), Options(precision="fp32"), np.zeros(3)
    for seed in range(8):  # of single scenes some are found much worse than others
        draw = torch.Generator().manual_seed(seed)
        maps = torch.nn.functional.interpolate(torch.rand(1, 2, 32, 32, generator=draw), (96, 96), mode="bicubic")[0]
        scene = torch.einsum("bm,myx->byx", torch.rand(6, 2, generator=draw), maps)
        hs, ms = sensor.observe(scene)
        valid, filled = torch.ones(96, 96, dtype=torch.bool), ms.clone()
        valid[:, :40], filled[:, :, :40] = False, ms[:, :, 40:41]
        pairs = TensorPair(hs, ms), TensorPair(hs, filled, ms_valid=valid), TensorPair(hs, filled)
        for case, pair in enumerate(pairs):
            estimate = learn_any(weights, pair, sensor, options)(pair, options, ignore)
            errors[case] += float((estimate - scene)[:, :, 60:].square().mean())
    assert errors[1] < 3 * errors[0] < errors[2], errors
