"""SSJCN: shapes, size, consistency and the laws of its options."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.networks.checkpoint import count_parameters
from hypersharp.networks.ssjcn import SSJCN, SSJCNOptions
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor

SMALL = SSJCNOptions(bands=7, ms_bands=2, features=8)


def make_pair(o: SSJCNOptions, coarse_yx: tuple[int, int] = (4, 6)) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    h, w = coarse_yx
    return torch.rand(1, o.bands, h, w), torch.rand(1, o.ms_bands, h * o.ratio, w * o.ratio)


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
@pytest.mark.parametrize("coarse_yx", [(4, 6), (5, 3)])
def test_any_ratio_and_size_gives_the_fine_size(ratio: int, coarse_yx: tuple[int, int]) -> None:
    options = dataclasses.replace(SMALL, ratio=ratio)
    hs, ms = make_pair(options, coarse_yx)
    assert SSJCN(options)(hs, ms).shape == (1, 7, ratio * coarse_yx[0], ratio * coarse_yx[1])


def test_parameters_are_those_of_the_layer_table() -> None:
    """1.255 M and 0.448 M: the sizes computed for the table independently of this code."""
    assert count_parameters(SSJCN(SSJCNOptions())) == pytest.approx(1.255e6, abs=1e3)
    assert count_parameters(SSJCN(SSJCNOptions(features=32))) == pytest.approx(0.448e6, abs=1e3)


@pytest.mark.parametrize(("share", "times"), [("none", 3), ("all", 1)])
def test_sharing_divides_the_parameters(share: str, times: int) -> None:
    one = count_parameters(SSJCN(dataclasses.replace(SMALL, iterations=1)))
    three = count_parameters(SSJCN(dataclasses.replace(SMALL, iterations=3, share=share)))  # type: ignore[arg-type]
    assert three == times * one


def test_shared_degradation_is_one_block() -> None:
    net = SSJCN(dataclasses.replace(SMALL, share="degradation"))
    assert (len(net.degradation), len(net.error_fusion)) == (1, 2)


def test_zero_init_starts_at_bicubic() -> None:
    hs, ms = make_pair(SMALL)
    net = SSJCN(dataclasses.replace(SMALL, zero_init=True))
    torch.testing.assert_close(net(hs, ms), upsample_bicubic(hs, 4))


def test_bicubic_keeps_a_plane_inside() -> None:
    """Half-pixel grids: a linear ramp is upsampled to the same ramp, away from the border."""
    fine = torch.arange(64.0).repeat(64, 1)[None, None]
    coarse = fine.unflatten(2, (16, 4)).unflatten(4, (16, 4)).mean((3, 5))
    torch.testing.assert_close(upsample_bicubic(coarse, 4)[..., 12:-12, 12:-12], fine[..., 12:-12, 12:-12])


def test_spectrally_consistent_estimates_give_back_the_ms() -> None:
    hs, ms = make_pair(SMALL)
    net = SSJCN(dataclasses.replace(SMALL, spectrally_consistent=True))
    net.srf.copy_(torch.softmax(torch.rand(2, 7), 1))
    for z in net.estimates(hs, ms):
        torch.testing.assert_close(torch.einsum("lk,bkyx->blyx", net.srf, z), ms, atol=1e-5, rtol=0)


def test_consistency_is_the_least_change() -> None:
    """The change lies in the row space of the response, so none smaller can do."""
    net = SSJCN(dataclasses.replace(SMALL, spectrally_consistent=True))
    net.srf.copy_(torch.softmax(torch.rand(2, 7), 1))
    z, ms = torch.rand(1, 7, 8, 8), torch.rand(1, 2, 8, 8)
    change = (net.correct_spectra(z, ms) - z)[0].flatten(1)
    onto_rows = torch.linalg.pinv(net.srf) @ net.srf
    torch.testing.assert_close(onto_rows @ change, change, atol=1e-5, rtol=0)


def test_a_given_start_replaces_the_bicubic_one() -> None:
    hs, ms = make_pair(SMALL)
    net = SSJCN(SMALL)
    torch.testing.assert_close(net(hs, ms, upsample_bicubic(hs, 4)), net(hs, ms))


def test_unknown_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="ratios"):
        SSJCNOptions(ratio=33)


def test_degradation_gives_both_inputs_sizes() -> None:
    hs, ms = make_pair(SMALL)
    shapes = [(x.shape, y.shape) for x, y in SSJCN(SMALL).degrade(torch.rand(1, 7, 16, 24))]
    assert shapes == [(ms.shape, hs.shape)] * 2


@pytest.mark.parametrize(("compare", "image"), [("ms", "hs"), ("hs", "ms")])
def test_an_input_that_is_not_compared_has_no_error_map(compare: str, image: str) -> None:
    options = dataclasses.replace(SMALL, compare=compare)  # type: ignore[arg-type]
    hs, ms = make_pair(options)
    z = upsample_bicubic(hs, options.ratio)
    errors = dict(zip(("ms", "hs"), SSJCN(options).errors(0, z, hs, ms), strict=True))
    assert not errors[image].any()
    assert errors[compare].any()


def test_without_comparison_the_fusion_sees_the_inputs_themselves() -> None:
    options = dataclasses.replace(SMALL, compare="none")
    hs, ms = make_pair(options)
    errors = SSJCN(options).errors(0, upsample_bicubic(hs, options.ratio), hs, ms)
    assert errors[0] is ms
    assert errors[1] is hs


def test_the_sensor_as_degradation_block_is_the_sensor() -> None:
    """Away from the border, which a patch does not know."""
    sensor = Sensor(psf.gaussian(8, 2.0, ratio=4), np.full((2, 7), 1 / 7), 4)
    net = SSJCN(dataclasses.replace(SMALL, degradation="sensor", share="degradation"))
    net.take_sensor(torch.tensor(sensor.srf), lambda side: torch.tensor(sensor.psf.window(4, side)))
    z = torch.rand(1, 7, 32, 48)
    ms_hat, hs_hat = net.degrade(z)[0]
    hs, ms = sensor.observe(z[0])
    torch.testing.assert_close(ms_hat[0], ms)
    torch.testing.assert_close(hs_hat[0, :, 1:-1, 1:-1], hs[:, 1:-1, 1:-1])
