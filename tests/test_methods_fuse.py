"""FUSE against dense solutions, and the solver it stands on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.methods.detail import Agreement, Scales, Subspace, SubspacePair, make_pair
from hypersharp.methods.fuse import Posterior, covariances
from hypersharp.numerics.linops import BlurDecimation, fuse_gaussian, mirror
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, gaussian_fwhm
from method_runs import ON_CPU, Known

RATIO, SHAPE, RANK, MS_BANDS = 3, (12, 9), 3, 2


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small_pair() -> tuple[SubspacePair, Tensor]:
    """Random coefficients and ms, so that nothing cancels; and the response of the coefficients (l, p)."""
    scales = Scales(PSF(random(4, 3, seed=5).numpy(), (1, 2), "wrap"), RATIO)
    coefficients, ms = random(RANK, 4, 3, seed=1), random(MS_BANDS, *SHAPE, seed=2)
    everything = torch.ones(4, 3, dtype=torch.bool)
    basis = torch.linalg.qr(random(6, RANK, seed=3)).Q
    subspace = Subspace(basis, basis.mT, 0.3)
    return SubspacePair(subspace, coefficients, ms, everything, None, scales), random(MS_BANDS, RANK, seed=4)


def operator(scales: Scales) -> BlurDecimation:
    return BlurDecimation(torch.tensor(scales.psf.kernel), SHAPE, RATIO, scales.psf.start_yx)


def posterior_mean(pair: SubspacePair, seen: Tensor, found: tuple[float, Tensor, Tensor]) -> Tensor:
    hs_noise, *covariances = found
    subspace = replace(pair.subspace, noise=hs_noise)
    posterior = Posterior(subspace, Agreement(seen, pair.scales), lambda ms: ms, *covariances)  # type: ignore[arg-type]
    return posterior.mean(pair.coefficients, pair.ms)


def test_it_is_the_dense_minimiser_of_the_paper() -> None:
    pair, seen = small_pair()
    factor = random(RANK, RANK, seed=7)
    hs_noise, ms_noise = 0.3, torch.tensor([0.2, 0.7], dtype=torch.float64)
    covariance = factor @ factor.mT + torch.eye(RANK)
    pixels = SHAPE[0] * SHAPE[1]
    images = torch.eye(pixels, dtype=torch.float64).view(pixels, *SHAPE)
    a = operator(pair.scales).forward(images).flatten(1).mT
    weighted, prior = seen.mT / ms_noise, torch.linalg.inv(covariance)
    mean = pair.scales.expand(pair.coefficients).flatten(1)
    eye, identity = torch.eye(RANK, dtype=torch.float64), torch.eye(pixels, dtype=torch.float64)
    system = torch.kron(eye, a.mT @ a / hs_noise) + torch.kron(weighted @ seen + prior, identity)
    rhs = pair.coefficients.flatten(1) @ a / hs_noise + weighted @ pair.ms.flatten(1) + prior @ mean
    expected = torch.linalg.solve(system, rhs.flatten()).view(RANK, *SHAPE)
    result = posterior_mean(pair, seen, (hs_noise, ms_noise, covariance))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-10)


def test_with_white_covariances_it_is_the_closed_form_step() -> None:
    pair, seen = small_pair()
    white = (1.0, torch.ones(MS_BANDS).double(), 20 * torch.eye(RANK).double())
    expected = fuse_gaussian(
        pair.coefficients,
        pair.ms,
        pair.scales.expand(pair.coefficients),
        observe=operator(pair.scales),
        response=seen,
        weight=1 / 20,
    )
    found = posterior_mean(pair, seen, white)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_single_precision_is_enough() -> None:
    pair, seen = small_pair()
    found = (1e-5, torch.full((MS_BANDS,), 1e-6).double(), torch.diag(torch.tensor([1.0, 0.1, 1e-5])).double())
    exact = posterior_mean(pair, seen, found)
    single = SubspacePair(pair.subspace, pair.coefficients.float(), pair.ms.float(), pair.valid, None, pair.scales)
    rounded = posterior_mean(single, seen.float(), found)
    assert (rounded.double() - exact).norm() < 1e-4 * exact.norm()


def test_the_covariances_are_those_of_the_pair() -> None:
    """Noise of known strength is found, and the prior is wide along the detail there is."""
    scene = random(2, 90, 90, seed=1)
    mixing = random(12, 2, seed=2)
    truth = torch.einsum("lk,kyx->lyx", mixing, scene)
    sensor = Sensor(gaussian_fwhm(3, 3, boundary="reflect"), random(2, 12, seed=3).numpy(), 3)
    hs = add_noise(sensor.hs(truth), 40, 0)
    pair = make_pair(TensorPair(hs, sensor.ms(truth)), sensor.psf, ON_CPU)
    (_, prior), hs_noise = covariances(pair), pair.subspace.noise
    assert hs_noise**0.5 == pytest.approx(float(hs.square().mean().sqrt()) / 100, rel=0.2)
    assert pair.subspace.basis.shape == (12, 2)
    texture = pair.coefficients - torch.nn.functional.avg_pool2d(pair.coefficients[None], 5, 1, 2)[0]
    inner = texture[:, 3:-3, 3:-3].flatten(1)
    expected = inner @ inner.mT / inner.shape[1]
    assert (prior - expected).norm() < 0.2 * expected.norm()


def test_the_mirror_repeats_the_border() -> None:
    image = torch.arange(6.0).view(1, 2, 3)
    np.testing.assert_array_equal(
        mirror(image, 3).numpy(), np.pad(image.numpy(), ((0, 0), (3, 3), (3, 3)), "symmetric")
    )


def test_a_band_that_no_ms_band_sees_follows_those_that_it_resembles() -> None:
    y, x = np.mgrid[0:60, 0:60] / 9
    materials = torch.from_numpy(np.stack([np.sin(x * y) > 0, np.sin(3 * x) > np.cos(2 * y)]).astype(float))
    spectra = torch.stack([torch.linspace(1.0, 0.1, 10), torch.linspace(0.2, 0.9, 10)], 1).double()
    truth = torch.einsum("lk,kyx->lyx", spectra, materials)
    response = np.zeros((2, 10))
    response[0, :3] = response[1, 3:5] = 1 / 3
    sensor = Sensor(gaussian_fwhm(3, 3, boundary="reflect"), response, 3)
    hs, ms = (add_noise(image, 40, seed).float() for seed, image in enumerate(sensor.observe(truth)))
    known = Known(sensor.psf, sensor.srf)
    unseen, floor = (known.run(name, hs, ms)[5:].double() - truth[5:] for name in ("fuse", "bicubic"))
    assert unseen.norm() < 0.25 * floor.norm()
