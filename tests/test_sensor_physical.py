"""Physical sensors from simulated pairs: blur and response found again, masks, wavelengths, noise, bad input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.io import open_cube
from hypersharp.sensor.diagnosis import diagnose, measure_noise, runs
from hypersharp.sensor.estimate import Estimate, check_images, complete_sensor
from hypersharp.sensor.moments import find_support, gather
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.physical import nonnegative
from hypersharp.sensor.psf import PSF, gaussian
from hypersharp.sensor.responses import SRFS
from hypersharp.sensor.shapes import BlurShape, blur_weights
from hypersharp.sensor.spectra import Spectra
from hypersharp.sensor.srf import find_srf, gaussian_srf

NM = np.arange(400.0, 720.0, 20)
CENTRES, WIDTHS = np.array([460.0, 550.0, 640.0]), np.array([70.0, 60.0, 50.0])
SRF = gaussian_srf(CENTRES, WIDTHS, NM)


def off_centre(ratio: int, sigma_yx: tuple[float, float], centre_yx: tuple[float, float]) -> PSF:
    """A Gaussian moved off the coarse pixel's centre."""
    support = find_support(ratio)
    return support.as_psf(blur_weights(BlurShape("gaussian", sigma_yx, centre_yx), support))


def scene(side: int = 120, bands: int = len(NM)) -> Tensor:
    """Sharp random shapes of twelve materials with smooth random spectra."""
    random = np.random.default_rng(0)
    spectra = 0.5 + 0.5 * np.sin(
        random.uniform(0, 6, (12, 1)) + random.uniform(1, 9, (12, 1)) * np.linspace(0, 1, bands)
    )
    shares = np.kron(random.random((12, side // 2, side // 2)) ** 6, np.ones((2, 2)))
    fine = shares / shares.sum(0)
    return torch.from_numpy(np.einsum("kl,kyx->lyx", spectra, fine))


def noisy_pair(sensor: Sensor, truth: Tensor, snr_db: float = 35) -> tuple[Tensor, Tensor]:
    hs, ms = sensor.observe(truth)
    return add_noise(hs, snr_db, 0), add_noise(ms, snr_db, 1)


def blind(hs: Tensor, ms: Tensor, ratio: int) -> Estimate:
    return complete_sensor(hs, ms, ratio)


def response_error(found: Estimate, srf: np.ndarray) -> float:
    """||R - R true|| / ||R true|| of rows scaled to sum one."""
    rows = found.sensor.srf / found.sensor.srf.sum(1, keepdims=True)
    return float(np.linalg.norm(rows - srf) / np.linalg.norm(srf))


@pytest.fixture(scope="module")
def found() -> Estimate:
    """From a noisy pair at ratio 3, the blur longer along y and off its centre."""
    hs, ms = noisy_pair(Sensor(off_centre(3, (1.6, 1.2), (0.4, -0.7)), SRF, 3), scene())
    return blind(hs, ms, 3)


def test_blur_and_shift_are_found_again(found: Estimate) -> None:
    assert found.sensor.psf.sigma_yx_px() == pytest.approx((1.6, 1.2), rel=0.1)
    assert found.shift_px_yx == pytest.approx((0.4, -0.7), abs=0.1)


def test_the_estimate_is_physical(found: Estimate) -> None:
    assert found.sensor.psf.kernel.min() >= 0 and found.sensor.psf.kernel.sum() == pytest.approx(1)
    assert found.sensor.srf.min() >= 0
    assert found.gains == pytest.approx(np.ones(3), abs=0.02)
    assert found.gains == pytest.approx(found.sensor.srf.sum(1)) and not found.offsets.any()


def test_another_unit_of_ms_is_a_gain_and_haze_an_offset() -> None:
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), SRF, 3), scene())
    scaled = blind(hs, 2.5 * ms, 3)
    assert scaled.gains == pytest.approx(np.full(3, 2.5), rel=0.02)
    assert scaled.gain == pytest.approx(0.4, rel=0.02)
    hazy = blind(hs, ms + 0.2, 3)
    assert hazy.sensor.psf.sigma_yx_px() == pytest.approx((1.3, 1.3), rel=0.1)
    assert hazy.offsets == pytest.approx(np.full(3, 0.2), abs=0.05) and not scaled.offsets.any()


def test_what_is_given_is_kept_and_the_other_found() -> None:
    psf = gaussian(9, 1.3, 3)
    hs, ms = noisy_pair(Sensor(psf, SRF, 3), scene())
    rows = complete_sensor(hs, ms, 3, psf=psf)
    assert rows.sensor.psf == psf and rows.blur == "given" and rows.residual < 0.02
    blur = complete_sensor(hs, 2 * ms, 3, psf=None, srf=SRF)
    assert np.array_equal(blur.sensor.srf, SRF) and blur.gains == pytest.approx(np.full(3, 2.0), rel=0.01)
    assert blur.sensor.psf.sigma_yx_px() == pytest.approx((1.3, 1.3), rel=0.05)


def test_no_equation_touches_what_is_not_measured() -> None:
    """Garbage under the masks changes nothing at all."""
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), SRF, 3), scene())
    hs_valid, ms_valid = torch.ones(40, 40, dtype=torch.bool), torch.ones(120, 120, dtype=torch.bool)
    hs_valid[3:8, 20:29] = False
    ms_valid[50:64, 10:31] = False

    def masked(garbage: float) -> Estimate:
        spoiled_hs, spoiled_ms = torch.where(hs_valid, hs, garbage), torch.where(ms_valid, ms, garbage)
        return complete_sensor(spoiled_hs, spoiled_ms, 3, hs_valid=hs_valid, ms_valid=ms_valid)

    first, second = masked(0.0), masked(1e4)
    assert np.allclose(first.sensor.srf, second.sensor.srf) and first.residual == pytest.approx(second.residual)
    assert np.allclose(first.sensor.psf.kernel, second.sensor.psf.kernel)
    assert first.sensor.psf.sigma_yx_px() == pytest.approx((1.3, 1.3), rel=0.1)


def test_wavelengths_restrict_what_a_band_sees_and_the_blind_are_named() -> None:
    srf = np.vstack([SRF, np.full(len(NM), 1 / len(NM))])
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), srf, 3), scene())
    spectra = Spectra(NM, np.append(CENTRES, 2200.0), np.append(WIDTHS, 180.0))
    found = complete_sensor(hs, ms, 3, spectra=spectra)
    assert not found.sensor.srf[3].any()
    rows = found.sensor.srf[:3] / found.sensor.srf[:3].sum(1, keepdims=True)
    assert np.linalg.norm(rows - SRF) < 0.05 * np.linalg.norm(SRF)
    assert found.sensor.srf[0, NM > 540].max() < 0.01 * found.sensor.srf[0].max()
    seen = diagnose(found, check_images(hs, ms, 3), spectra)
    assert seen.left_out == (3,) and "ms band 4 (2200 nm) sees none" in seen.warnings[0]
    assert len(NM) - 1 in seen.unseen and "700 nm" in seen.warnings[1]
    with pytest.raises(InputError, match="share wavelengths"):
        complete_sensor(hs, ms, 3, spectra=Spectra(NM, np.full(4, 2200.0), np.full(4, 50.0)))


def test_noise_is_measured() -> None:
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), SRF, 3), scene())
    noise = measure_noise(hs, ms)
    assert noise.hs.mean() == pytest.approx(float(hs.square().mean() / 10**3.5) ** 0.5, rel=0.25)
    assert noise.hs_snr_db.mean() == pytest.approx(35, abs=2)
    flat = torch.ones(1, 64, 64, dtype=torch.float64)
    alone = measure_noise(hs, add_noise(flat, 30, 2))
    assert alone.ms_snr_db == pytest.approx([30], abs=0.5)


@pytest.mark.parametrize(("ratio", "cells", "step"), [(2, 12, 1), (3, 13, 1), (4, 12, 1), (6, 18, 1), (8, 12, 2)])
def test_the_support_is_centred(ratio: int, cells: int, step: int) -> None:
    support = find_support(ratio)
    assert (support.cells, support.step) == (cells, step)
    assert support.offsets_px().mean() == pytest.approx(0)
    shape = BlurShape("detector", (0.6 * step, 0.8 * step), (0.0, 0.0))
    assert support.as_psf(blur_weights(shape, support)).centre_yx() == pytest.approx([(ratio - 1) / 2] * 2)


@pytest.mark.parametrize("ratio", [3, 8])
def test_moments_are_sums_over_the_pixels(ratio: int) -> None:
    """A known sensor without noise leaves no gap, for taps of one pixel and of several."""
    support = find_support(ratio)
    random = np.random.default_rng(0)
    taps = random.random(support.cells**2)
    psf = support.as_psf(support.to_fine(taps / taps.sum()))
    hs, ms = Sensor(psf, SRF, ratio).observe(scene(side=24 * ratio))
    parts = gather(hs.numpy(), ms.numpy(), support, np.ones(hs.shape[1:], bool))
    both = parts[0] + parts[1]
    rows = np.column_stack([SRF, np.zeros(3)])
    assert both.count == sum(part.count for part in parts) and min(part.count for part in parts) > 50
    assert both.squared_gaps(rows, taps / taps.sum()).max() < 1e-9 * both.target_powers(taps / taps.sum()).min()


def test_nonnegative_least_squares_meets_its_optimality_conditions() -> None:
    random = np.random.default_rng(0)
    matrix, target = random.normal(size=(40, 9)), random.normal(size=40)
    gram, pull = matrix.T @ matrix, matrix.T @ target
    solution = nonnegative(gram, pull)
    slope = gram @ solution - pull
    assert solution.min() >= 0 and slope.min() > -1e-8 and abs(slope @ solution) < 1e-8


def test_some_pixels_are_held_out_of_the_smallest_pairs() -> None:
    hs, ms = Sensor(off_centre(4, (2.0, 2.0), (0.0, 0.0)), SRF, 4).observe(scene(side=16))
    train, held = gather(hs.numpy(), ms.numpy(), find_support(4, 4), np.ones((4, 4), bool))
    assert (train.count, held.count) == (12, 4)
    assert np.isfinite(blind(hs, ms, 4).residual)


def test_pairs_that_do_not_tell_are_refused() -> None:
    hs, ms = Sensor(gaussian(9, 1.3, 3), SRF, 3).observe(scene())
    with pytest.raises(InputError, match="ms of constants"):
        blind(hs, torch.full_like(ms, 0.3), 3)
    with pytest.raises(InputError, match="hs of constants"):
        blind(torch.full_like(hs, 0.3), ms, 3)
    with pytest.raises(InputError, match="leaves nothing of hs"):
        complete_sensor(hs, ms, 3, hs_valid=torch.zeros(40, 40, dtype=torch.bool))
    with pytest.raises(InputError, match="the same size"):
        complete_sensor(hs, ms, 3, ms_valid=torch.ones(9, 9, dtype=torch.bool))
    few = torch.zeros(40, 40, dtype=torch.bool)
    few[10:12, 10:12] = True
    with pytest.raises(InputError, match="4 coarse pixels"):
        complete_sensor(hs, ms, 3, hs_valid=few)


def test_band_runs() -> None:
    assert runs([0, 1, 2, 5, 7, 8]) == "1-3, 6, 8-9"


def test_cave_pairs_of_35_db(data_dir: Callable[[str], Path]) -> None:
    """Sigma within 10 %, response within 5 %: a training scene under the Nikon D700."""
    folder = data_dir("cave") / "balloons_ms" / "balloons_ms"
    truth = torch.from_numpy(open_cube(folder).values[:, :384, :384] / 65535.0)
    srf = find_srf("nikon-d700", np.arange(400.0, 701, 10))
    hs, ms = noisy_pair(Sensor(off_centre(4, (2.0, 1.5), (0.5, -0.5)), srf, 4), truth)
    found = blind(hs, ms, 4)
    assert found.sensor.psf.sigma_yx_px() == pytest.approx((2.0, 1.5), rel=0.1)
    assert found.shift_px_yx == pytest.approx((0.5, -0.5), abs=0.1)
    assert response_error(found, srf) < 0.05


def test_jasper_ridge_pairs_of_35_db_with_the_wavelengths_of_landsat(data_dir: Callable[[str], Path]) -> None:
    content = loadmat(data_dir("jasper_ridge") / "jasperRidge2_R198.mat")
    truth = content["Y"].reshape(198, 100, 100, order="F")[:, :99, :99] / float(content["maxValue"][0, 0])
    nm = np.linspace(380, 2500, 224)[content["SlectBands"].ravel() - 1]
    table = SRFS["landsat-8"]
    centres, widths = np.array([table.bands[name] for name in table.usual], dtype=np.float64).T
    srf = gaussian_srf(centres, widths, nm)
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.5, 3), srf, 3), torch.from_numpy(truth))
    found = complete_sensor(hs, ms, 3, spectra=Spectra(nm, centres, widths))
    assert found.sensor.psf.sigma_yx_px() == pytest.approx((1.5, 1.5), rel=0.1)
    assert response_error(found, srf) < 0.05


@pytest.mark.parametrize(
    ("centres", "name"),
    [
        ([490, 560, 665, 842], "sentinel-2a"),  # nominal centres, a few nm off the published ones
        ([490, 560, 665, 705, 740, 783, 842, 865, 1610, 2190], "sentinel-2a"),
        ([489.2, 560.6, 666.5, 834.6], "sentinel-2c"),  # each of a series by what is published of it
        ([485, 560, 660, 830, 1650, 2215], "landsat-5"),
        ([485, 560, 660, 835, 1650, 2220], "landsat-7"),
        ([443, 482, 561, 655, 865, 1609, 2201], "landsat-8"),
        ([427, 478, 546, 608, 659, 724, 831, 908], None),
        ([490, 560], None),
        ([560, 561, 562], None),
    ],
)
def test_centres_tell_a_known_sensor(centres: list[float], name: str | None) -> None:
    assert Spectra(ms_nm=np.array(centres, np.float64)).recognised == name


def test_a_known_sensor_brings_its_widths() -> None:
    nm = np.arange(400.0, 900, 10)
    centres, widths = np.array([SRFS["sentinel-2a"].bands[name] for name in ("B2", "B3", "B4", "B8")]).T
    srf = gaussian_srf(centres, widths, nm)
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), srf, 3), scene(bands=len(nm)))
    spectra = Spectra(nm, np.array([490.0, 560, 665, 842]))
    assert spectra.recognised == "sentinel-2a" and Spectra(nm, centres, widths).recognised is None
    assert response_error(complete_sensor(hs, ms, 3, spectra=spectra), srf) < 0.05


def test_a_centre_alone_leaves_one_width_to_find() -> None:
    """Far better than nothing told, and the images may still object to a wrong centre."""
    nm = np.arange(400.0, 900, 10)
    centres, widths = np.array([470.0, 610, 740]), np.array([60.0, 70, 50])
    srf = gaussian_srf(centres, widths, nm)
    hs, ms = noisy_pair(Sensor(gaussian(9, 1.3, 3), srf, 3), scene(bands=len(nm)))

    def off(spectra: Spectra) -> float:
        return response_error(complete_sensor(hs, ms, 3, spectra=spectra), srf)

    assert off(Spectra(nm, centres)) < 0.1 < off(Spectra(nm))
    found = complete_sensor(hs, ms, 3, spectra=Spectra(nm, centres + np.array([0, 60, 0])))
    assert found.responses[0] == "centred" and found.responses[1] != "centred"
