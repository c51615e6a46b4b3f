"""After Kwon and Tai: stage 1 against its dense equations, codes against optimality, the stages against each other."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

from hypersharp.methods import kwon_tai
from hypersharp.methods.detail import Scales
from hypersharp.methods.kwon_tai import at_centres, codes, guided
from hypersharp.numerics.neighbours import Mean, similar_pixels
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian_fwhm
from method_runs import Known, part_and_whole, seen_at_ratio_4


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_stage_one_meets_the_dense_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", 500), ("TOLERANCE", 1e-12), ("COLOUR", 0.5), ("EDGE", 0.5), ("WIDTH", 0.1)):
        monkeypatch.setattr(kwon_tai, name, value)
    height, width, scales = 9, 6, Scales(PSF(random(4, 3, seed=5).numpy(), (1, 2), "nearest"), 3)
    coarse, ms, counts = random(2, 3, 2, seed=1), random(2, height, width, seed=2), torch.ones(3, 2, dtype=torch.bool)
    counts[0, 1] = False
    pixels = height * width
    a = scales.reduce(torch.eye(pixels, dtype=torch.float64).view(pixels, height, width)).flatten(1).mT
    a = a * counts.flatten()[:, None]
    edges_y, edges_x = np.gradient(np.pad(ms.numpy(), ((0, 0), (1, 1), (1, 1)), "edge"), axis=(1, 2))
    edges = torch.from_numpy(np.sqrt((edges_y**2 + edges_x**2).mean(0))[1:-1, 1:-1]).flatten()
    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    near = torch.maximum((y[:, None] - y).abs(), (x[:, None] - x).abs()) == 1
    colours = (ms.flatten(1)[:, :, None] - ms.flatten(1)[:, None]).square().mean(0)
    w = (torch.exp(-colours / 0.5 - (edges[:, None] + edges).square() / 0.5) + kwon_tai.LEAST) * near
    w = w / w.sum(1, keepdim=True)
    ties = w + w.mT
    laplacian = ties.sum(1).diag() - ties
    alike = similar_pixels(ms, reach=kwon_tai.REACH_PX, count=kwon_tai.COUNT)
    left = torch.eye(pixels, dtype=torch.float64) - Mean(alike.places, alike.weights(0.1).double())(
        torch.eye(pixels, dtype=torch.float64)
    )
    system = a.mT @ a + kwon_tai.SMOOTH * laplacian + kwon_tai.ALIKE * left.mT @ left
    expected = torch.linalg.solve(system, a.mT @ coarse.flatten(1).mT).mT.view(2, height, width)
    torch.testing.assert_close(guided(coarse, ms, scales, counts), expected, rtol=0, atol=1e-5)


def test_codes_are_those_of_non_negative_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kwon_tai, "CODE_STEPS", 5000)
    monkeypatch.setattr(kwon_tai, "SPARSITY", 0.0)
    atoms, targets = random(2, 6, 4, seed=1), random(2, 6, 3, seed=2)
    found = codes(atoms, targets)
    for batch in range(2):
        for pixel in range(3):
            expected, _ = nnls(atoms[batch].numpy(), targets[batch, :, pixel].numpy())
            np.testing.assert_allclose(found[batch, :, pixel].numpy(), expected, atol=1e-6)


def test_an_atom_that_is_not_measured_takes_no_part() -> None:
    atoms = random(1, 6, 4)
    atoms[..., 2] = 0
    found = codes(atoms, random(1, 6, 5, seed=1))
    assert found.isfinite().all() and (found[:, 2] == 0).all()


def test_centres_of_a_plane_are_exact() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(9.0), indexing="ij")
    scales = Scales(gaussian_fwhm(3, 3, start=0), 3)
    centre_y, centre_x = scales.psf.centre_yx()
    found = at_centres((2 * y - 3 * x)[None], scales)[0]
    rows, columns = 3 * torch.arange(4.0) + centre_y, 3 * torch.arange(3.0) + centre_x
    torch.testing.assert_close(found, 2 * rows[:, None] - 3 * columns)


def scene(height: int = 48) -> tuple[Tensor, Tensor, Tensor, Known]:
    """(hs, ms, truth, sensor): materials with edges and shading."""
    y, x = np.mgrid[0:height, 0:48] / 9
    kinds = torch.from_numpy((np.sin(x * y / 2) > 0) + 2 * (np.sin(2 * x) > np.cos(1.5 * y)))
    shading = torch.from_numpy(0.8 + 0.2 * np.sin(3 * x + y))
    truth = random(4, 12, seed=4).cumsum(1)[kinds].permute(2, 0, 1) / 8 * shading
    return seen_at_ratio_4(truth)


def test_the_result_is_better_than_its_first_stage_and_explains_both_images() -> None:
    hs, ms, truth, known = scene()
    seen: list[float] = []
    found = known.run("kwon-tai", hs, ms, seen.append)
    assert known.psf is not None and known.srf is not None
    first = guided(hs, ms, Scales(known.psf, 4))
    floor = known.run("bicubic", hs, ms)
    assert (found - truth).norm() < 0.5 * (first - truth).norm() < 0.4 * (floor - truth).norm()
    assert seen == sorted(seen) and seen[-1] == 1.0
    for again, image in zip(Sensor(known.psf, known.srf, 4).observe(found), (hs, ms), strict=True):
        assert (again - image).norm() < 0.02 * image.norm()


def test_a_part_is_what_the_whole_image_would_be_there() -> None:
    hs, ms, _, known = scene(128)
    part, whole = part_and_whole("kwon-tai", known, hs[..., :6], ms[..., :24], core=8)
    assert (part - whole).abs().max() < 2e-3 * (whole.max() - whole.min())
