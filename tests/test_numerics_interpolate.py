"""Bicubic interpolation: planes stay where the coarse pixels say. By likeness: materials end where the guide does."""

import pytest
import torch

from hypersharp.numerics.interpolate import cubic_matrix, interpolate_bicubic, upsample_by_likeness


@pytest.mark.parametrize("shift_px", [-1.7, 0.0, 0.4])
def test_interpolation_keeps_planes_where_the_coarse_pixels_are(shift_px: float) -> None:
    ratio, count = 4, 9
    centre = (ratio - 1) / 2 + shift_px
    weights = cubic_matrix(count, ratio, centre)
    torch.testing.assert_close(weights.sum(1), torch.ones(36, dtype=torch.float64))
    centres = ratio * torch.arange(count, dtype=torch.float64) + centre
    fine = torch.arange(36, dtype=torch.float64)
    torch.testing.assert_close((weights @ centres)[2 * ratio : -2 * ratio], fine[2 * ratio : -2 * ratio])


def test_by_likeness_each_pixel_has_the_values_of_its_material() -> None:
    """Two materials whose border runs across coarse pixels, which see mixtures there."""
    ratio = 4
    second = torch.arange(40)[:, None] + 2 * torch.arange(40) > 61
    guide, truth = (
        torch.where(second, *(torch.tensor(values)[:, None, None] for values in both))[None]
        for both in ([(0.8, 0.1), (0.2, 0.5)], [(0.1, 0.3, 0.9), (0.7, 0.4, 0.2)])
    )
    coarse, coarse_guide = (torch.nn.functional.avg_pool2d(image, ratio) for image in (truth, guide))
    found = upsample_by_likeness(coarse, coarse_guide, guide, ratio, (1.5, 1.5))
    assert float((found - truth).abs().max()) < 0.05
    assert float((interpolate_bicubic(coarse, ratio, (1.5, 1.5)) - truth).abs().max()) > 0.3


def test_by_likeness_all_pixels_are_alike_within_a_wide_deviation() -> None:
    coarse, guide = torch.rand(1, 2, 5, 6), torch.rand(1, 3, 20, 24)
    looks = torch.nn.functional.avg_pool2d(guide, 4)
    found = upsample_by_likeness(coarse, looks, guide, 4, (1.5, 1.5), deviation=1e3)
    near_alone = upsample_by_likeness(coarse, torch.zeros_like(looks), torch.zeros_like(guide), 4, (1.5, 1.5))
    torch.testing.assert_close(found, near_alone, atol=1e-5, rtol=0)
    strict = upsample_by_likeness(coarse, looks, guide, 4, (1.5, 1.5), deviation=1e-2)
    assert float((strict - near_alone).abs().max()) > 0.1


def test_by_likeness_knows_where_the_coarse_pixels_are() -> None:
    """Turned with the images, their centres make the turned result; a guide that is even leaves nearness alone."""
    coarse, guide = torch.rand(2, 3, 5, 6, dtype=torch.float64), torch.full((2, 1, 20, 24), 0.5, dtype=torch.float64)
    one = upsample_by_likeness(coarse, guide[..., ::4, ::4], guide, 4, (2.0, 1.0))
    turned = upsample_by_likeness(coarse.flip(-1), guide[..., ::4, ::4], guide, 4, (2.0, 2.0)).flip(-1)
    torch.testing.assert_close(one, turned)
    impulse = torch.zeros_like(coarse)
    impulse[..., 2, 3] = 1
    spread = upsample_by_likeness(impulse, guide[..., ::4, ::4], guide, 4, (2.0, 1.0))[0, 0]
    assert divmod(int(spread.argmax()), 24) == (10, 13)
