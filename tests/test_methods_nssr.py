"""NSSR: its codes and atoms against optimality, its result on a scene that obeys its model."""

import numpy as np
import torch
from torch import Tensor

from hypersharp.methods import nssr
from hypersharp.methods.detail import Agreement, Scales
from hypersharp.methods.nssr import learn_atoms, sparse_codes, update_atoms
from hypersharp.numerics.linops import mix_bands
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF, gaussian_fwhm
from method_runs import Known, part_and_whole


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_codes_are_optimal() -> None:
    """Karush, Kuhn, Tucker: no slope where a code is above zero, an upward one where it is zero."""
    atoms, pixels = random(6, 9, seed=1), random(6, 40, seed=2)
    codes = sparse_codes(pixels, atoms)
    slope = 2 * atoms.mT @ (atoms @ codes - pixels) + nssr.CODE_SPARSITY
    assert codes.min() >= 0 and (codes > 1e-3).any(0).all()
    assert slope.min() > -5e-3 and slope[codes > 1e-3].abs().max() < 5e-3


def test_an_update_of_atoms_fits_no_worse() -> None:
    pixels, atoms, codes = random(6, 40, seed=2), random(6, 9, seed=1), random(9, 40, seed=3)
    pixels = pixels / 10  # so that no atom would be longer than 1
    codes[4] = 0  # an atom that nobody uses stays
    found = update_atoms(pixels, atoms, codes)
    assert (pixels - found @ codes).norm() < (pixels - atoms @ codes).norm()
    assert found.min() >= 0 and found.norm(dim=0)[[0, 1, 2, 3, 5, 6, 7, 8]].max() <= 1 + 1e-12
    torch.testing.assert_close(found[:, 4], atoms[:, 4])


def test_atoms_of_fewer_pixels_than_atoms_explain_all_of_them() -> None:
    pixels = random(8, 5)
    atoms = learn_atoms(pixels)
    assert atoms.shape == (8, 5) and atoms.min() >= 0
    codes = sparse_codes(pixels, atoms)
    assert (pixels - atoms @ codes).norm() < 0.02 * pixels.norm()


def materials(side: int = 48) -> tuple[Tensor, Sensor]:
    """Four materials in patches with edges; a blur off centre that is not separable, four ms bands."""
    y, x = np.mgrid[0:side, 0:side] / 9
    kinds = torch.from_numpy((np.sin(x * y / 2) > 0) + 2 * (np.sin(2 * x) > np.cos(1.5 * y)))
    spectra = random(4, 12, seed=4).cumsum(1) / 8
    truth = spectra[kinds].permute(2, 0, 1)
    kernel = gaussian_fwhm(4, 4).kernel + 0.02 * np.eye(14)
    response = np.repeat(np.eye(4), 3, axis=1) / 3
    return truth, Sensor(PSF(kernel, (2, 1), "reflect"), response, 4)


def test_materials_that_repeat_are_found_under_any_blur() -> None:
    truth, sensor = materials()
    hs, ms = (image.float() for image in sensor.observe(truth))
    known = Known(sensor.psf, sensor.srf)
    seen: list[float] = []
    found, notes = known.run_and_notes("nssr", hs, ms, seen.append)
    floor = known.run("bicubic", hs, ms)
    assert (found - truth).norm() < 0.1 * (floor - truth).norm()
    assert any("80 atoms" in note for note in notes) and seen == sorted(seen) and seen[-1] == 1.0
    for again, image in zip(sensor.observe(found), (hs, ms), strict=True):
        assert (again - image).norm() < 0.01 * image.norm()


def test_agreement_meets_the_dense_solution() -> None:
    """With a circular blur; `with_hs` is the same without an ms band."""
    shape, p, weight = (12, 9), 3, 0.03
    scales = Scales(PSF(random(4, 3, seed=5).numpy(), (1, 2)), 3)
    seen, prior = random(2, p, seed=4), random(p, *shape, seed=3)
    coefficients, ms = random(p, 4, 3, seed=1), random(2, *shape, seed=2)
    pixels = shape[0] * shape[1]
    images = torch.eye(pixels, dtype=torch.float64).view(pixels, *shape)
    a = scales.reduce(images).flatten(1).mT
    for matrix in (seen, seen[:0]):
        gram = matrix.mT @ matrix + weight * torch.eye(p, dtype=torch.float64)
        system = torch.kron(torch.eye(p).double(), a.mT @ a) + torch.kron(gram, torch.eye(pixels).double())
        rhs = coefficients.flatten(1) @ a + matrix.mT @ ms[: len(matrix)].flatten(1) + weight * prior.flatten(1)
        expected = torch.linalg.solve(system, rhs.flatten()).view(p, *shape)
        found = Agreement(matrix, scales)(prior, coefficients, ms[: len(matrix)], weight=weight)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
        if not len(matrix):
            found = Agreement(matrix, scales).with_hs(prior, coefficients, weight=weight)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_under_another_boundary_rule_agreement_keeps_the_far_side_away() -> None:
    truth, sensor = materials()
    scales, response = Scales(sensor.psf, 4), torch.tensor(sensor.srf)
    hs, ms = sensor.observe(truth)
    prior = truth + 0.1 * random(*truth.shape, seed=6)
    agreement = Agreement(response, scales)
    found = agreement(prior, hs, ms, weight=1e-4)
    assert (sensor.hs(found) - hs).norm() < 0.1 * (sensor.hs(prior) - hs).norm()
    assert (mix_bands(response, found) - ms).norm() < 0.02 * (mix_bands(response, prior) - ms).norm()


def test_a_part_is_what_the_whole_image_would_be_there() -> None:
    hs, ms = (image.float() for image in materials(160)[1].observe(materials(160)[0]))
    known = Known(materials()[1].psf, materials()[1].srf)
    part, whole = part_and_whole("nssr", known, hs[..., :6], ms[..., :24], core=10)
    assert (part - whole).abs().max() < 1e-4 * (whole.max() - whole.min())
