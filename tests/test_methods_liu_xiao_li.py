"""After Liu, Xiao and Li: its steps against dense and direct ones, and what the whole comes to."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods import liu_xiao_li
from hypersharp.methods.detail import Scales
from hypersharp.methods.liu_xiao_li import Differences, Fidelity, Groups, sharpen, shrunk
from hypersharp.numerics.linops import BlurDecimation
from hypersharp.pair.options import ignore
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian, gaussian_fwhm
from method_runs import Known, part_and_whole


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_differences_of_order_one_are_those_to_the_pixel_before_and_have_their_adjoint() -> None:
    image, fields = random(3, 20, 18), random(2, 3, 20, 18, seed=1)
    plain = torch.stack([image - image.roll(1, axis) for axis in (-2, -1)])
    torch.testing.assert_close(Differences(1.0, image)(image), plain)
    differences = Differences(1.5, image)
    torch.testing.assert_close((differences(image) * fields).sum(), (image * differences.adjoint(fields)).sum())


def test_differences_of_half_the_order_twice_are_those_of_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liu_xiao_li, "TAPS", 400)
    image = random(1, 400, 4)
    half, whole = (Differences(order, image) for order in (0.75, 1.5))
    torch.testing.assert_close(half(half(image)[0])[0], whole(image)[0], rtol=0, atol=1e-3)


def test_the_step_meets_the_dense_solution() -> None:
    size, like = (6, 8), random(1)
    observe = BlurDecimation(random(3, 4), size, 2, (1, 0))
    difference = Differences(1.3, random(*size))
    fidelity = Fidelity(observe, difference)
    units = torch.eye(48, dtype=torch.float64).view(48, *size)
    blur, differences = observe.forward(units).flatten(1).mT, difference(units).flatten(2).mT
    gram = blur.mT @ blur + 0.1 * (sum(d.mT @ d for d in differences) + torch.eye(48).to(like))
    pull, prior = random(3, *size, seed=2), random(3, *size, seed=3)
    expected = torch.linalg.solve(gram, (pull + 0.1 * prior).flatten(1).mT).mT.view(3, *size)
    torch.testing.assert_close(fidelity.solve(pull, prior, 0.1), expected)


def test_singular_values_shrink_to_the_least_of_their_weighted_norm() -> None:
    """s^ = argmin_x>=0 1/2 (x - s)^2 + w x with the weight w = level sqrt(n) / (s^ + e) of its own solution."""
    values, level = torch.tensor([[0.0, 0.1, 0.6, 0.9, 5.0]], dtype=torch.float64), 0.05
    found = shrunk(values, level) * values
    assert (found[0, :3] == 0).all() and (found[0, 3:] > 0).all()
    kept, s = found[0, 3:], values[0, 3:]
    torch.testing.assert_close(kept - s + level * 5**0.5 / (kept + liu_xiao_li.LEAST), torch.zeros(2).double())
    torch.testing.assert_close(shrunk(values, 0.0) * values, values, rtol=0, atol=1e-5)


def test_patches_of_a_group_are_the_nearest_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liu_xiao_li, "REACH_PX", 3)
    monkeypatch.setattr(liu_xiao_li, "COUNT", 5)
    image = random(2, 17, 15)
    groups = Groups(image)
    assert groups.size_yx == (18, 18)
    wide = np.pad(image.numpy(), ((0, 0), (0, 1), (0, 3)), "edge")
    own = wide[:, 4:10, 8:14]
    window = [(y, x) for y in range(1, 8) for x in range(5, 12)]
    apart = {y * 18 + x: ((wide[:, y : y + 6, x : x + 6] - own) ** 2).mean() for y, x in window}
    nearest = sorted(apart, key=lambda place: apart[place])[:5]
    assert groups.places[1 * 4 + 2].tolist() == nearest


def test_patches_that_repeat_are_low_rank_already_and_noise_on_them_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liu_xiao_li, "COUNT", 4)
    tile = random(1, 6, 6)
    image = tile.repeat(1, 4, 4)
    groups = Groups(image)
    torch.testing.assert_close(groups.low_rank(image, image, 1e-3), image, rtol=0, atol=1e-3)
    noisy = image + 0.02 * torch.randn(1, 24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (groups.low_rank(noisy, image, 0.01) - image).norm() < 0.5 * (noisy - image).norm()


def test_order_one_without_low_rank_is_the_similarity_of_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of 1/2 |Y - Z B|^2 + a |D (Z - Q)|_2,1, by another way: descent on the objective itself, smoothed."""
    monkeypatch.setattr(liu_xiao_li, "STEPS", 600)
    monkeypatch.setattr(liu_xiao_li, "GROUPS_FROM", 600)
    monkeypatch.setattr(liu_xiao_li, "FASTER", 1.0)
    monkeypatch.setattr(liu_xiao_li, "ORDER", 1.0)
    monkeypatch.setattr(liu_xiao_li, "ALIKE", 0.05)
    scales, guide, alike = Scales(gaussian(4, 2, 2, boundary="wrap"), 2), random(2, 12, 10, seed=3).cumsum(1) / 4, 0.05
    coarse = scales.reduce(guide) + 0.1 * random(2, 6, 5, seed=4)
    first = scales.expand(coarse)
    found = sharpen(coarse, guide, guide, first, scales, ignore)

    def objective(z: Tensor, smoothing: float) -> Tensor:
        gap = z - guide
        lengths = ((gap - gap.roll(1, 1)).square() + (gap - gap.roll(1, 2)).square() + smoothing).sqrt()
        return (coarse - scales.reduce(z)).square().sum() / 2 + alike * lengths.sum()

    descended = first.clone().requires_grad_()
    descent = torch.optim.LBFGS([descended], max_iter=3000, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> float:
        descent.zero_grad()
        value = objective(descended, 1e-8)
        value.backward()  # type: ignore[no-untyped-call]
        return value.item()

    descent.step(closure)  # type: ignore[no-untyped-call]
    ours, theirs, start = (objective(z, 0.0).item() for z in (found, descended.detach(), first))
    assert ours < 1.001 * theirs < 0.5 * start


def scene(height: int = 48) -> tuple[Tensor, Tensor, Tensor, Known]:
    """(hs, pan, truth, sensor): materials with edges and shading."""
    y, x = np.mgrid[0:height, 0:48] / 9
    kinds = torch.from_numpy((np.sin(x * y / 2) > 0) + 2 * (np.sin(2 * x) > np.cos(1.5 * y)))
    shading = torch.from_numpy(0.8 + 0.2 * np.sin(3 * x + y))
    truth = random(4, 12, seed=4).cumsum(1)[kinds].permute(2, 0, 1) / 8 * shading
    sensor = Sensor(gaussian_fwhm(4, 4, boundary="reflect"), np.full((1, 12), 1 / 12), 4)
    hs, pan = (image.float() for image in sensor.observe(truth))
    return hs, pan, truth, Known(sensor.psf, sensor.srf)


def test_a_pan_sharpens() -> None:
    hs, pan, truth, known = scene()
    seen: list[float] = []
    found = known.run("liu-xiao-li", hs, pan, seen.append)
    assert (found - truth).norm() < 0.5 * (known.run("bicubic", hs, pan) - truth).norm()
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_a_part_is_what_the_whole_image_would_be_there() -> None:
    hs, pan, _, known = scene(136)
    part, whole = part_and_whole("liu-xiao-li", known, hs[..., :6], pan[..., :24], core=4)
    assert (part - whole).abs().max() < 2e-3 * (whole.max() - whole.min())
