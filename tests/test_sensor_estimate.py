"""The sensor from the pair: known ones are found again, better than by the original program."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.numerics.linops import embed
from hypersharp.sensor.estimate import complete_sensor
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.physical import curvature
from hypersharp.sensor.psf import PSF, gaussian
from hypersharp.sensor.spectra import Spectra
from hypersharp.sensor.stored import describe_estimate, read_sensor
from oracles.hysure_sensor import estimate_as_hysure

ALI_BANDS = [(9, 10), (11, 16), (18, 25), (28, 33), (42, 45), (49, 53), (106, 115), (141, 160), (193, 219)]
RATIO = 4


def scene(bands: int = 6, side: int = 96) -> Tensor:
    """A textured scene: smooth random spectra of a few materials, sharp random shapes."""
    random = np.random.default_rng(0)
    spectra = np.cumsum(random.random((bands, 4)), axis=0) / bands
    shares = random.random((4, side // 2, side // 2)) ** 4
    fine = np.kron(shares, np.ones((2, 2)))[:, :side, :side] + 0.2 * random.random((4, side, side))
    return torch.from_numpy(np.einsum("lk,kyx->lyx", spectra, fine))


SRF = np.array([[0.6, 0.4, 0, 0, 0, 0], [0, 0, 0.3, 0.7, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])


def lopsided() -> PSF:
    """A kernel whose centre of mass lies off its middle, so that a flip shows."""
    y, x = np.mgrid[-5:5, -5:5]
    return PSF(np.exp(-((y - 0.7) ** 2 / 3 + (x + 1.2) ** 2 / 5)), (1, 1))


def relative_error(found: PSF, true: PSF) -> float:
    canvas = [embed(torch.tensor(psf.kernel), (64, 64), psf.start_yx) for psf in (found, true)]
    return float((canvas[0] - canvas[1]).norm() / canvas[1].norm())


@pytest.fixture(scope="module")
def paris(data_dir: Callable[[str], Path]) -> dict[str, np.ndarray]:
    with np.load(data_dir("reference") / "hysure_paris.npz") as content:
        return dict(content)


@pytest.fixture(scope="module")
def ali(data_dir: Callable[[str], Path]) -> tuple[list[list[int]], list[int]]:
    """(coverage, gaps) of ALI's bands on the Hyperion channels that were kept."""
    kept = loadmat(data_dir("paris") / "paris_data_hs_ms.mat")["non_del_bands"][0]
    coverage = [np.flatnonzero((kept >= low) & (kept <= high)).tolist() for low, high in ALI_BANDS]
    return coverage, np.flatnonzero(np.diff(kept) > 1).tolist()


def test_the_oracle_is_the_original_program(
    paris: dict[str, np.ndarray], ali: tuple[list[list[int]], list[int]]
) -> None:
    found = estimate_as_hysure(paris["hs"], paris["ms"], 3, *ali, 10)
    kernel = embed(torch.tensor(found.psf.kernel), (72, 72))
    np.testing.assert_allclose(kernel, paris["B_est"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.srf, paris["R_est"], rtol=0, atol=1e-10)


def test_the_real_pair_is_explained_better_than_by_the_original_program(
    paris: dict[str, np.ndarray], ali: tuple[list[list[int]], list[int]]
) -> None:
    hs, ms = torch.from_numpy(paris["hs"]), torch.from_numpy(paris["ms"])
    original = estimate_as_hysure(paris["hs"], paris["ms"], 3, *ali, 10)
    as_given = complete_sensor(hs, ms, 3, psf=original.psf, srf=original.srf)
    assert complete_sensor(hs, ms, 3).residual < 0.03 < as_given.residual


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_lopsided_blur_and_its_response_are_found_again(ratio: int) -> None:
    hs, ms = Sensor(lopsided(), SRF, ratio).observe(scene(side=48 * ratio))
    found = complete_sensor(hs, ms, ratio)
    assert relative_error(found.sensor.psf, lopsided()) < 0.08
    seen = Sensor(lopsided(), SRF, ratio).ms(hs)  # hs tells no more of the response than this
    assert (found.sensor.ms(hs) - seen).norm() < 0.02 * seen.norm()
    assert found.residual < 0.01 and found.gain == pytest.approx(1, abs=0.02)
    expected = [centre - (ratio - 1) / 2 for centre in lopsided().centre_yx()]
    assert found.shift_px_yx == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("factor", [1e-4, 255.0])
def test_the_unit_of_ms_changes_nothing_but_the_gain(factor: float) -> None:
    hs, ms = Sensor(lopsided(), SRF, RATIO).observe(scene())
    plain, other = (complete_sensor(hs, ms * times, RATIO) for times in (1, factor))
    np.testing.assert_allclose(other.sensor.psf.kernel, plain.sensor.psf.kernel, atol=1e-4)
    np.testing.assert_allclose(other.sensor.srf, factor * plain.sensor.srf, atol=1e-3 * factor)
    assert other.residual == pytest.approx(plain.residual, abs=1e-4) and other.gain == pytest.approx(
        plain.gain / factor
    )


def test_what_is_known_is_left_alone() -> None:
    psf = gaussian(8, 1.5, RATIO)
    hs, ms = Sensor(psf, SRF, RATIO).observe(scene())
    both = complete_sensor(hs, ms, RATIO, psf=psf, srf=SRF)
    assert both.sensor.psf == psf and np.array_equal(both.sensor.srf, SRF)
    assert both.residual < 1e-12
    blur_only = complete_sensor(hs, ms, RATIO, srf=SRF)
    assert np.array_equal(blur_only.sensor.srf, SRF)
    assert relative_error(blur_only.sensor.psf, psf) < 0.02
    response_only = complete_sensor(hs, ms, RATIO, psf=psf)
    assert response_only.sensor.psf == psf
    assert response_only.residual < 1e-4


def test_smoothing_stops_at_gaps() -> None:
    assert Spectra(np.array([400.0, 410, 420, 600, 610])).gaps == (2,)
    assert Spectra().gaps == ()
    step = np.array([1.0, 1, 1, 5, 5, 5])
    assert step @ curvature(np.arange(6), ()) @ step > 1
    assert step @ curvature(np.arange(6), (2,)) @ step == 0


def test_a_sensor_comes_back_from_its_file(tmp_path: Path) -> None:
    hs, ms = Sensor(lopsided(), SRF, RATIO).observe(scene())
    found = complete_sensor(hs, ms, RATIO)
    path = tmp_path / "sensor.json"
    path.write_text(describe_estimate(found))
    again = read_sensor(path)
    assert again.psf == found.sensor.psf and again.ratio == RATIO
    assert np.array_equal(again.srf, found.sensor.srf)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"ratio": 4, "srf": 3, "psf": {}}', "\x00"])
def test_a_file_that_is_no_sensor_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sensor.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"estimate HS MS|estimate it again"):
        read_sensor(path)
    with pytest.raises(InputError, match="no file"):
        read_sensor(tmp_path / "missing.json")


def test_pairs_that_do_not_tell_are_refused() -> None:
    hs, ms = Sensor(gaussian(8, 1.5, RATIO), SRF, RATIO).observe(scene())
    with pytest.raises(InputError, match="ratio 3 times hs"):
        complete_sensor(hs, ms, 3)
    with pytest.raises(InputError, match="pass psf and srf"):
        complete_sensor(torch.zeros_like(hs), torch.zeros_like(ms), RATIO)
    with pytest.raises(InputError, match="uncorrelated"):
        complete_sensor(hs, ms, RATIO, srf=-SRF)
    with pytest.raises(InputError, match="at least 12"):
        complete_sensor(hs[:, :2, :2], ms[:, :8, :8], RATIO)
    with pytest.raises(InputError, match="one row per ms band"):
        complete_sensor(hs, ms, RATIO, srf=SRF[:2])
    with pytest.raises(InputError, match="not finite"):
        complete_sensor(hs * torch.nan, ms, RATIO)
