"""The sensor's laws: exact adjoint, linearity, constants, phase against a direct loop, noise by SNR."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft

from hypersharp.errors import InputError
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import BOUNDARIES, PSF, from_kernel, parse_psf
from hypersharp.sensor.srf import find_srf

L, LITTLE_L = 5, 2
SRF = np.random.default_rng(0).dirichlet(np.ones(L), LITTLE_L)


def any_psf(spec: str, ratio: int, boundary: str) -> PSF:
    """A PSF by spec; `full-rank` and `tall` are random kernels that are no outer products."""
    random = np.random.default_rng(1)
    kernels = {"full-rank": random.random((6, 6)), "tall": random.random((7, 4)), "column": np.ones((3, 1))}
    if spec in kernels:
        return PSF(kernels[spec], (ratio - 1, 0), boundary)  # type: ignore[arg-type]
    return parse_psf(f"{spec}:boundary={boundary}", ratio)


def direct_hs(image: np.ndarray, psf: PSF, ratio: int) -> np.ndarray:
    """One band by the definition: extend the image widely, convolve tap by tap, keep every ratio-th."""
    kernel, (start_y, start_x) = psf.kernel, psf.start_yx
    mode = {"wrap": "wrap", "reflect": "symmetric", "nearest": "edge"}[psf.boundary]
    margin = 20
    wide = np.pad(image, margin, mode=mode)  # type: ignore[call-overload]
    coarse = np.zeros((image.shape[0] // ratio, image.shape[1] // ratio))
    for i, j in np.ndindex(*coarse.shape):
        for s, t in np.ndindex(*kernel.shape):
            y = ratio * i + start_y - (s - kernel.shape[0] // 2)
            x = ratio * j + start_x - (t - kernel.shape[1] // 2)
            coarse[i, j] += kernel[s, t] * wide[margin + y, margin + x]
    return coarse


KINDS = ["gaussian:8:2", "box", "starck-murtagh", "mtf:0.3", "full-rank", "tall", "column"]
every_psf = pytest.mark.parametrize("spec", KINDS)
every_boundary = pytest.mark.parametrize("boundary", BOUNDARIES)
every_ratio = pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8])


@every_psf
@every_boundary
@every_ratio
def test_the_adjoint_is_exact(spec: str, boundary: str, ratio: int) -> None:
    sensor = Sensor(any_psf(spec, ratio, boundary), SRF, ratio)
    generator = torch.Generator().manual_seed(2)
    scene = torch.randn(L, 2 * ratio, 3 * ratio, dtype=torch.float64, generator=generator).requires_grad_()
    hs = sensor.hs(scene)
    y = torch.randn_like(hs)
    (gradient,) = torch.autograd.grad((hs * y).sum(), scene)
    adjoint = sensor.hs_adjoint(y)
    assert torch.linalg.vector_norm(adjoint - gradient) <= 1e-12 * torch.linalg.vector_norm(gradient)
    torch.testing.assert_close((hs * y).sum(), (scene * adjoint).sum(), rtol=1e-9, atol=1e-9)


@every_psf
@every_boundary
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_hs_is_what_the_definition_says(spec: str, boundary: str, ratio: int) -> None:
    psf = any_psf(spec, ratio, boundary)
    image = np.random.default_rng(3).random((4 * ratio, 3 * ratio))
    seen = Sensor(psf, SRF, ratio).hs(torch.from_numpy(image)[None])[0]
    np.testing.assert_allclose(seen, direct_hs(image, psf, ratio), rtol=1e-10)


@pytest.mark.parametrize(("spec", "ratio"), [("gaussian:8:2", 4), ("gaussian:3:0.5:start=2", 4), ("fwhm:3", 3)])
def test_hs_is_the_psf2otf_product_then_decimation(spec: str, ratio: int) -> None:
    psf = parse_psf(spec, ratio)
    image = np.random.default_rng(4).random((24, 36))
    otf = np.zeros(image.shape)
    otf[: psf.kernel.shape[0], : psf.kernel.shape[1]] = psf.kernel
    otf = np.roll(otf, (-(psf.kernel.shape[0] // 2), -(psf.kernel.shape[1] // 2)), axis=(0, 1))
    blurred = fft.ifft2(fft.fft2(otf) * fft.fft2(image)).real
    seen = Sensor(psf, SRF, ratio).hs(torch.from_numpy(image)[None])[0]
    start_y, start_x = psf.start_yx
    np.testing.assert_allclose(seen, blurred[start_y::ratio, start_x::ratio], rtol=1e-12)


def test_the_taps_of_dian_x4_are_rows_4i_minus_2_to_4i_plus_5() -> None:
    sensor = Sensor(parse_psf("gaussian:8:2", 4), SRF, 4)
    one_pixel = torch.zeros(1, 8, 8, dtype=torch.float64)
    one_pixel[0, 4, 5] = 1
    rows, columns = np.nonzero(sensor.hs_adjoint(one_pixel)[0].numpy())
    assert (rows.min(), rows.max()) == (4 * 4 - 2, 4 * 4 + 5)
    assert (columns.min(), columns.max()) == (4 * 5 - 2, 4 * 5 + 5)


@every_psf
@every_boundary
@every_ratio
def test_constants_stay(spec: str, boundary: str, ratio: int) -> None:
    hs, ms = Sensor(any_psf(spec, ratio, boundary), SRF, ratio).observe(
        torch.full((L, 3 * ratio, 2 * ratio), 0.7, dtype=torch.float64)
    )
    torch.testing.assert_close(hs, torch.full_like(hs, 0.7))
    torch.testing.assert_close(ms, torch.full_like(ms, 0.7))


@every_psf
@every_boundary
def test_linear(spec: str, boundary: str) -> None:
    sensor = Sensor(any_psf(spec, 3, boundary), SRF, 3)
    a, b = torch.randn(2, L, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    for seen, of_a, of_b in zip(sensor.observe(2 * a - 3 * b), sensor.observe(a), sensor.observe(b), strict=True):
        torch.testing.assert_close(seen, 2 * of_a - 3 * of_b)


@every_psf
def test_any_leading_axes_and_float32(spec: str) -> None:
    sensor = Sensor(any_psf(spec, 4, "wrap"), SRF, 4)
    scenes = torch.rand(2, 3, L, 8, 12, generator=torch.Generator().manual_seed(6))
    hs, ms = sensor.observe(scenes)
    assert (hs.shape, ms.shape) == ((2, 3, L, 2, 3), (2, 3, LITTLE_L, 8, 12))
    assert hs.dtype == ms.dtype == torch.float32
    assert sensor.hs_adjoint(hs).shape == scenes.shape
    exact = sensor.hs(scenes[1, 2].double())
    torch.testing.assert_close(hs[1, 2].double(), exact, rtol=1e-5, atol=1e-6)


def test_ms_is_the_response_times_the_scene() -> None:
    srf = find_srf("nikon-d700", range(400, 701, 10))
    scene = torch.rand(31, 4, 4, dtype=torch.float64)
    ms = Sensor(parse_psf("box", 4), srf, 4).ms(scene)
    torch.testing.assert_close(ms, torch.einsum("lb,byx->lyx", torch.tensor(srf), scene))


@pytest.mark.parametrize("shape", [(L, 9, 8), (L, 8, 9), (L, 0, 8), (L + 1, 8, 8), (8, 8)])
def test_scenes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        Sensor(parse_psf("box", 4), SRF, 4).observe(torch.zeros(shape))


def test_a_psf_of_another_ratio_is_refused() -> None:
    with pytest.raises(InputError, match="start"):
        Sensor(parse_psf("box", 8), SRF, 2)


@pytest.mark.parametrize("srf", [np.ones(3), np.full((1, 3), np.nan), np.ones((0, 3))])
def test_a_response_that_is_none_is_refused(srf: np.ndarray) -> None:
    with pytest.raises(InputError, match="response"):
        Sensor(parse_psf("box", 4), srf, 4)


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
@pytest.mark.parametrize("per_band", [False, True])
def test_noise_has_the_snr_asked_for(snr_db: float, per_band: bool) -> None:
    scale = torch.tensor([0.1, 1.0, 5.0]).reshape(3, 1, 1)
    image = scale * torch.rand(3, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    noise = add_noise(image, snr_db, seed=1, per_band=per_band) - image
    axes = (-2, -1) if per_band else (-3, -2, -1)
    snr = 10 * torch.log10(image.square().mean(axes) / noise.square().mean(axes))
    torch.testing.assert_close(snr, torch.full_like(snr, snr_db), atol=0.15, rtol=0)


def test_the_seed_decides_the_noise() -> None:
    image = torch.rand(2, 4, 4)
    torch.testing.assert_close(add_noise(image, 20, seed=3), add_noise(image, 20, seed=3), rtol=0, atol=0)
    assert not torch.equal(add_noise(image, 20, seed=3), add_noise(image, 20, seed=4))
    with pytest.raises(InputError, match="SNR"):
        add_noise(image, float("nan"), seed=0)


def test_a_missing_pixel_spoils_its_own_noise_only() -> None:
    image = torch.rand(2, 4, 4)
    image[0, 1, 1] = torch.nan
    assert int(add_noise(image, 20, seed=0).isnan().sum()) == 1


def test_kernels_larger_than_the_scene() -> None:
    for boundary in BOUNDARIES:
        psf = PSF(from_kernel(np.ones((9, 9)), 2).kernel, (0, 0), boundary)  # type: ignore[arg-type]
        seen = Sensor(psf, SRF, 2).hs(torch.ones(1, 2, 4, dtype=torch.float64))
        torch.testing.assert_close(seen, torch.ones(1, 1, 2, dtype=torch.float64))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_hysures_own_simulation_is_phase_1_and_circular(data_dir: Callable[[str], Path], start: int) -> None:
    """Its hs is the truth through this blur with noise of 30 dB; another phase is 9 dB off."""
    with np.load(data_dir("reference") / "hysure_paris.npz") as file:
        truth, hs, srf = (file[name].astype(np.float64) for name in ("truth", "hs", "R_est"))
    residual_db = {}
    for boundary in BOUNDARIES:
        psf = parse_psf(f"starck-murtagh:start={start}:boundary={boundary}", 3)
        residual = Sensor(psf, srf, 3).hs(torch.from_numpy(truth)).numpy() - hs
        residual_db[boundary] = 10 * np.log10(np.mean(hs**2) / np.mean(residual**2))
    if start == 1:
        assert residual_db["wrap"] == pytest.approx(30, abs=0.5)
        assert residual_db["wrap"] == max(residual_db.values())
    else:
        assert max(residual_db.values()) < 22
