"""Planted displacements are found, unrelated and flat images are left where they lie."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.ndimage import affine_transform, gaussian_filter, shift

from hypersharp.errors import InputError
from hypersharp.grid import Window
from hypersharp.registration.register import Registration, register
from hypersharp.registration.spread import register_spread
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, box, gaussian_fwhm
from hypersharp.sensor.srf import find_srf, gaussian_srf
from hypersharp.sensor.tables import FloatArray

NM = np.arange(400, 1000, 30.0)


def textured(height: int, width: int, seed: int = 0) -> FloatArray:
    """A scene (20, height, width) of four smooth spectra with texture at every scale."""
    draw = np.random.default_rng(seed)
    spectra = np.abs(np.cumsum(draw.normal(size=(4, len(NM))), 1)) + 1
    maps = sum(scale * gaussian_filter(draw.normal(size=(4, height, width)), (0, scale, scale)) for scale in (1, 2, 5))
    return np.einsum("kl,khw->lhw", spectra, np.asarray(maps) - np.min(maps))


def observed(scene: FloatArray, psf: PSF, srf: FloatArray, ratio: int) -> tuple[FloatArray, FloatArray]:
    hs, ms = Sensor(PSF(psf.kernel, psf.start_yx, "reflect"), srf, ratio).observe(torch.tensor(scene))
    return add_noise(hs, 35, 0).numpy(), add_noise(ms, 40, 1).numpy()


def moved(ms: FloatArray, down: float, right: float) -> FloatArray:
    return np.array([shift(band, (down, right), order=5, mode="reflect") for band in ms])


@pytest.mark.parametrize(("down", "right"), [(0.3, -0.3), (1.4, 0.0), (-7.0, 3.0)])
@pytest.mark.parametrize("ratio", [2, 4])
def test_a_planted_shift_is_found(down: float, right: float, ratio: int) -> None:
    srf = gaussian_srf([500, 650, 850], 90, NM)
    hs, ms = observed(textured(40 * ratio, 36 * ratio), gaussian_fwhm(1.2 * ratio, ratio), srf, ratio)
    found = register(hs, moved(ms, down, right))
    assert found.moved
    assert found.shift_px_yx == pytest.approx((down, right), abs=0.05)
    assert found.correlation > max(0.95, found.correlation_before)
    assert found.error_px < 0.1


def test_with_the_response_known_it_is_found_as_well() -> None:
    srf = gaussian_srf([500, 650, 850], 90, NM)
    hs, ms = observed(textured(120, 120), box(4), srf, 4)
    assert register(hs, moved(ms, 1.4, -3), srf=srf).shift_px_yx == pytest.approx((1.4, -3), abs=0.05)


def test_masked_pixels_do_not_matter() -> None:
    hs, ms = observed(textured(160, 160), box(4), gaussian_srf([500, 650, 850], 90, NM), 4)
    ms = moved(ms, 1.4, -0.7)
    hs_valid, ms_valid = np.ones(hs.shape[1:], bool), np.ones(ms.shape[1:], bool)
    hs_valid[5:12, 5:12] = ms_valid[90:130, 20:60] = False
    hs[:, ~hs_valid], ms[:, ~ms_valid] = 40.0, -30.0
    found = register(hs, ms, hs_valid=hs_valid, ms_valid=ms_valid)
    assert found.shift_px_yx == pytest.approx((1.4, -0.7), abs=0.05)


@pytest.mark.parametrize(("kind", "model"), [("shift", "shift"), ("affine", "affine"), ("field", "local")])
def test_windows_over_a_large_scene_tell_how_it_is_displaced(kind: str, model: str) -> None:
    """Each says its own middle's shift, within 0.05 fine pixels; one in nine shows something else."""
    shape_yx, ratio, draw = (700, 500), 4, np.random.default_rng(0)

    def planted(y: float, x: float) -> tuple[float, float]:
        """At a place of -1 to 1."""
        if kind == "field":
            return 2 * np.sin(np.pi * x / 2) * np.cos(y), -2 * np.cos(np.pi * y / 2)
        return (0.7 + 1.5 * y - 0.3 * x, -0.4 + x) if kind == "affine" else (0.7, -0.4)

    def look(window: Window) -> Registration:
        y, x, height, width = window
        middle = (2 * y + height - 1) / (shape_yx[0] - 1) - 1, (2 * x + width - 1) / (shape_yx[1] - 1) - 1
        seen = np.array(planted(*middle)) + 0.05 * draw.normal(size=2)
        changed = 6.0 if (y // 48 + x // 48) % 9 == 4 else 0.0
        return Registration(seen[:, None] + changed, 0.05, 0.95, 0.9, 2.0)

    found = register_spread(look((326, 226, 48, 48)), shape_yx, ratio, look)
    assert found.model == model
    if model != "shift":
        field = found.field(ratio, shape_yx)
        y, x = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21), indexing="ij"))
        places = np.stack(
            [(ratio * (side - 1) * (axis + 1) + ratio - 1) / 2 for side, axis in zip(shape_yx, (y, x), strict=True)]
        )
        wanted = np.array([planted(*place) for place in zip(y, x, strict=True)]).T
        assert np.sqrt(np.square(field(places) - wanted).sum(0).mean()) < 0.15
        assert 0.6 * found.tie_points[1] < found.tie_points[0] < found.tie_points[1]


def test_an_affine_displacement_is_found() -> None:
    hs, ms = observed(textured(160, 160), box(4), gaussian_srf([500, 650, 850], 90, NM), 4)
    scale, middle = 1.01, 79.5  # what was at p is now at middle + 1.01 (p - middle) + (1, 0)
    ms = np.array(
        [
            affine_transform(
                band,
                [1 / scale] * 2,
                (middle * (1 - 1 / scale) - 1 / scale, middle * (1 - 1 / scale)),
                order=5,
                mode="reflect",
            )
            for band in ms
        ]
    )
    found = register(hs, ms, model="affine")
    reach = 0.01 * 78
    expected = np.array([[1, reach, 0], [0, 0, reach]])
    assert found.coefficients == pytest.approx(expected, abs=0.06)
    assert found.largest_px == pytest.approx(np.hypot(1 + reach, reach), abs=0.1)


def test_a_pair_that_lies_right_stays() -> None:
    found = register(*observed(textured(120, 120), box(4), gaussian_srf([500, 650, 850], 90, NM), 4))
    assert not found.moved
    assert "fine pixels, no more than" in str(found.reason)


@pytest.mark.parametrize("seed", range(2))
def test_an_unrelated_image_is_not_moved(seed: int) -> None:
    srf = gaussian_srf([500, 650, 850], 90, NM)
    hs, _ = observed(textured(120, 120), box(4), srf, 4)
    _, other = observed(textured(120, 120, seed=7 + seed), box(4), srf, 4)
    assert not register(hs, other).moved
    assert not register(hs, np.random.default_rng(seed).normal(size=other.shape)).moved


def test_flat_and_tiny_images_are_not_moved() -> None:
    hs, ms = observed(textured(120, 120), box(4), gaussian_srf([500, 650, 850], 90, NM), 4)
    assert "without texture" in str(register(hs, np.ones_like(ms)).reason)
    assert "without texture" in str(register(np.ones_like(hs), ms).reason)
    assert "too few" in str(register(hs[:, :6, :6], ms[:, :24, :24]).reason)


def test_what_does_not_fit_is_refused() -> None:
    hs, ms = np.ones((5, 8, 8)), np.ones((2, 16, 24))
    with pytest.raises(InputError, match="a whole ratio"):
        register(hs, ms)
    with pytest.raises(InputError, match=r"a response of 2 x 4 \(ms x hs bands\)"):
        register(hs, ms[:, :, :16], srf=np.ones((2, 4)))


@pytest.mark.parametrize("ratio", [3, 4])
def test_jasper_ridge(data_dir: Callable[[str], Path], ratio: int) -> None:
    stored = loadmat(data_dir("jasper_ridge") / "jasperRidge2_R198.mat")
    cube = stored["Y"].reshape(198, 100, 100, order="F")[:, : 100 // ratio * ratio, : 100 // ratio * ratio]
    nm = np.linspace(380, 2500, 224)[stored["SlectBands"].ravel() - 1]
    srf = find_srf("sentinel-2a", nm)
    hs, ms = observed(cube / 5000, gaussian_fwhm(ratio, ratio), srf, ratio)
    for planted in (0.3, 1.4, 3.0):
        found = register(hs, moved(ms, planted, -planted))
        assert found.moved
        assert found.shift_px_yx == pytest.approx((planted, -planted), abs=0.1)


def test_paris(data_dir: Callable[[str], Path]) -> None:
    stored = loadmat(data_dir("paris") / "paris_data_hs_pan.mat")
    hs, pan = stored["HSim"].transpose(2, 0, 1), stored["PCim"][None]
    y, x = register(hs, pan).shift_px_yx
    for planted in (0.3, 1.4, 3.0):
        found = register(hs, moved(pan, planted, -planted))
        assert found.moved
        assert found.shift_px_yx == pytest.approx((y + planted, x - planted), abs=0.1)


def test_a_number_of_threads_that_a_program_has_set_does_not_matter() -> None:
    """MKL's batched factors, which torch takes, are wrong then, from some 150 unknowns on."""
    code = """
import numpy as np, torch
torch.set_num_threads(2)
from hypersharp.registration.bent import STIFF, Model, Tiles
random = np.random.default_rng(0)
half, rhs = random.normal(size=(4, 200, 200)), random.normal(size=(4, 200))
normal = half @ half.swapaxes(1, 2)
systems = normal.sum(0) - normal
stiff = STIFF * np.trace(systems, axis1=1, axis2=2) / 200
steps = np.linalg.solve(systems + stiff[:, None, None] * np.eye(200), (rhs.sum(0) - rhs)[..., None])[..., 0]
expected = (((normal @ steps[..., None])[..., 0] - 2 * rhs) * steps).sum(1)
np.testing.assert_allclose(Tiles(normal, rhs, np.zeros(200)).misfits(Model(np.eye(200), 0.0)), expected, rtol=1e-6)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
