"""CSTF: each of its steps against a dense solution; its result on scenes that obey its model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods import cstf
from hypersharp.methods.cstf import Factors, blur_matrices, system_solver, update_core, update_dictionary
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, Boundary
from method_runs import Known, seen_at_ratio_4

RANKS, SIZES, LOW = (3, 4, 2), (8, 10, 5), (4, 5, 2)  # of rows, columns and bands


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem() -> tuple[Tensor, Factors, Tensor, Tensor]:
    """(C, factors, hs, ms), all random."""
    sizes = zip(SIZES, RANKS, LOW, strict=True)
    matrices, operators = zip(
        *((random(n, k, seed=n), random(low, n, seed=n + 20)) for n, k, low in sizes), strict=True
    )
    rows, columns, bands = matrices
    blur_rows, blur_columns, response = operators
    factors = Factors((rows, columns, bands), (blur_rows, blur_columns, response))
    return random(2, 3, 4), factors, random(5, 4, 5, seed=1), random(2, 8, 10, seed=2)


def system(seen: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """S kron W kron H: the matrix on a core (n_s, n_w, n_h), flattened."""
    rows, columns, bands = seen
    return torch.kron(bands, torch.kron(rows, columns))


def test_the_grams_meet_the_dense_system() -> None:
    core, factors, hs, ms = problem()
    rows, columns, bands = factors.as_ms
    blind = ((rows[:2], columns[:3], bands[:1]), ms[:1, :2, :3])  # to most of a core
    for seen, image in ((factors.as_hs, hs), (factors.as_ms, ms), blind):
        d = system(seen)
        normal = d.mT @ d + cstf.MU * torch.eye(d.shape[1], dtype=torch.float64)
        expected = torch.linalg.solve(normal, d.mT @ image.flatten() + cstf.MU * core.flatten())
        torch.testing.assert_close(system_solver(seen, image)(core).flatten(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sparsity", [0.0, 3.0])
def test_the_core_meets_the_dense_optimum(monkeypatch: pytest.MonkeyPatch, sparsity: float) -> None:
    core, factors, hs, ms = problem()
    for name, value in (("LAMBDA", sparsity), ("MU", 30.0), ("BETA", 0.5), ("CORE_STEPS", 2000)):
        monkeypatch.setattr(cstf, name, value)
    found = update_core(core, factors, hs, ms).flatten()
    d1, d2 = system(factors.as_hs), system(factors.as_ms)
    normal = d1.mT @ d1 + d2.mT @ d2 + 0.5 * torch.eye(24, dtype=torch.float64)
    rhs = d1.mT @ hs.flatten() + d2.mT @ ms.flatten() + 0.5 * core.flatten()
    slope = 2 * (normal @ found - rhs)
    if not sparsity:
        torch.testing.assert_close(found, torch.linalg.solve(normal, rhs), rtol=1e-5, atol=1e-6)
    zero = found == 0
    assert zero.any() == bool(sparsity)
    assert (slope[zero].abs() <= sparsity + 1e-4).all()
    torch.testing.assert_close(slope[~zero], -sparsity * found[~zero].sign(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("axis", range(3))
def test_a_dictionary_meets_the_dense_solution(monkeypatch: pytest.MonkeyPatch, axis: int) -> None:
    monkeypatch.setattr(cstf, "DICTIONARY_STEPS", 200)
    monkeypatch.setattr(cstf, "TOLERANCE", 1e-13)
    core, factors, hs, ms = problem()
    before = factors.matrices[axis]

    def explained(matrix: Tensor) -> Tensor:
        changed = replace(factors, matrices=(*factors.matrices[:axis], matrix, *factors.matrices[axis + 1 :]))
        found = [cstf.expand(core, *seen) for seen in (changed.as_hs, changed.as_ms)]
        return torch.cat([*(image.flatten() for image in found), cstf.BETA**0.5 * matrix.flatten()])

    columns = [explained(unit.view_as(before)) for unit in torch.eye(before.numel(), dtype=torch.float64)]
    target = torch.cat([hs.flatten(), ms.flatten(), cstf.BETA**0.5 * before.flatten()])
    expected = torch.linalg.lstsq(torch.stack(columns, 1), target[:, None]).solution.view_as(before)
    torch.testing.assert_close(update_dictionary(axis, core, factors, hs, ms), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("boundary", ["wrap", "reflect", "nearest"])
def test_the_blurs_of_rows_and_columns_are_those_of_the_sensor(boundary: Boundary) -> None:
    kernel = np.outer([0.1, 0.5, 0.3, 0.1], [0.2, 0.7, 0.1])
    sensor = Sensor(PSF(kernel, (2, 0), boundary), np.eye(1), 3)
    rows, columns = blur_matrices(sensor, (9, 12))
    scene = random(1, 9, 12)
    torch.testing.assert_close(rows @ scene @ columns.mT, sensor.hs(scene))
    assert cstf.separable_part(sensor.psf)[2] < 1e-12
    assert cstf.separable_part(PSF(np.eye(3), (0, 0)))[2] == pytest.approx((2 / 3) ** 0.5)


def low_rank(side: int = 48) -> tuple[Tensor, Tensor, Tensor, Known]:
    """(hs, ms, truth, sensor): a scene of few rows, columns and bands."""
    rows, columns, bands = (random(n, k, seed=n + k).cumsum(0) for n, k in ((side, 6), (side, 7), (12, 4)))
    truth = cstf.expand(random(4, 6, 7, seed=1), rows, columns, bands)
    truth = (truth - truth.min()) / (truth.max() - truth.min())
    return seen_at_ratio_4(truth)


def test_a_scene_of_few_factors_is_found() -> None:
    hs, ms, truth, known = low_rank()
    seen: list[float] = []
    found, notes = known.run_and_notes("cstf", hs, ms, seen.append)
    floor = known.run("bicubic", hs, ms)
    assert (found - truth).norm() < 0.1 * (floor - truth).norm()
    assert not any("separable" in note for note in notes)
    assert len(seen) == cstf.ROUNDS and seen == sorted(seen) and seen[-1] == 1.0


def test_a_blur_that_is_not_separable_is_told() -> None:
    hs, ms, _, known = low_rank(24)
    slanted = PSF(np.eye(4) + 0.1, (1, 1), "reflect")
    _, notes = Known(slanted, known.srf).run_and_notes("cstf", hs, ms)
    assert any("leaves out" in note for note in notes)


def test_a_large_image_is_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    hs, ms, truth, known = low_rank()
    whole = known.run("cstf", hs, ms)
    monkeypatch.setattr(cstf, "BLOCK_PX", 24)
    monkeypatch.setattr(cstf, "MARGIN_PX", 8)
    seen: list[float] = []
    found = known.run("cstf", hs, ms, seen.append)
    assert (found - truth).norm() < 2 * (whole - truth).norm() + 0.01 * truth.norm()
    assert seen == sorted(seen) and seen[-1] == 1.0
