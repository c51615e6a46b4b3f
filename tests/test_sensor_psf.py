"""PSFs: sizes, sums, phases, specs, and what malformed ones say."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hypersharp.errors import InputError
from hypersharp.sensor import psf as P

SPECS = ["gaussian:8:2", "gaussian:7:0.5", "fwhm:4.5", "box", "starck-murtagh", "mtf:0.3"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("ratio", [1, 2, 3, 4, 8])
def test_kernels_sum_to_one_and_are_centred_to_half_a_pixel(spec: str, ratio: int) -> None:
    psf = P.parse_psf(spec, ratio)
    assert psf.kernel.sum() == pytest.approx(1)
    parities_agree = psf.kernel.shape[0] % 2 == ratio % 2
    tolerance = 0 if parities_agree else 0.5
    assert psf.centre_yx() == pytest.approx(((ratio - 1) / 2,) * 2, abs=tolerance + 1e-12)


@pytest.mark.parametrize("spec", ["fwhm:4.5", "box", "mtf:0.3"])
@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
def test_kernels_whose_size_we_choose_are_centred_exactly(spec: str, ratio: int) -> None:
    assert P.parse_psf(spec, ratio).centre_yx() == ((ratio - 1) / 2,) * 2


@pytest.mark.parametrize(
    ("spec", "ratio", "centre"),
    [
        ("gaussian:8:2:start=0", 8, 0.5),
        ("gaussian:8:3:start=3", 8, 3.5),
        ("gaussian:8:2:start=4", 8, 4.5),
        ("gaussian:7:2:start=0", 8, 0.0),
        ("gaussian:5:1:start=1", 4, 1.0),
        ("gaussian:8:2", 4, 1.5),
        ("gaussian:3:0.5:start=2", 4, 2.0),
    ],
)
def test_the_phases_of_published_simulations(spec: str, ratio: int, centre: float) -> None:
    assert P.parse_psf(spec, ratio).centre_yx() == (centre, centre)


def test_a_lopsided_kernel_has_its_centre_of_mass_reported() -> None:
    kernel = np.zeros((5, 5))
    kernel[2, 1] = kernel[2, 2] = 1.0
    assert P.from_kernel(kernel, ratio=3).centre_yx() == (1.0, 1.5)


def test_the_gaussian_is_a_gaussian() -> None:
    kernel = P.gaussian(9, 1.5, ratio=3).kernel
    assert np.log(kernel[4, 4] / kernel[4, 7]) == pytest.approx(3**2 / (2 * 1.5**2))
    np.testing.assert_allclose(kernel, kernel.T)


def test_a_gaussian_by_fwhm_halves_at_half_its_width() -> None:
    profile = P.gaussian_fwhm(4.0, ratio=3).kernel.sum(axis=0)
    middle = profile.size // 2
    assert profile[middle + 2] / profile[middle] == pytest.approx(0.5)


@pytest.mark.parametrize("ratio", [2, 3, 4, 8])
@pytest.mark.parametrize("mtf", [0.15, 0.3, 0.4])
def test_the_mtf_at_nyquist_is_met(mtf: float, ratio: int) -> None:
    profile = P.parse_psf(f"mtf:{mtf}", ratio).kernel.sum(axis=0)
    offsets = np.arange(profile.size) - (profile.size - 1) / 2
    measured = abs(np.sum(profile * np.exp(-2j * np.pi * offsets / (2 * ratio))))
    assert measured == pytest.approx(mtf, abs=2e-3)


def test_starck_murtagh_is_the_b3_spline() -> None:
    np.testing.assert_array_equal(P.parse_psf("starck-murtagh", 4).kernel[2] * 256, [6, 24, 36, 24, 6])


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".txt", ".mat"])
def test_kernels_from_files(tmp_path: Path, suffix: str) -> None:
    kernel = np.random.default_rng(0).random((5, 7))
    path = tmp_path / f"kernel{suffix}"
    if suffix == ".npy":
        np.save(path, kernel)
    elif suffix == ".mat":
        savemat(path, {"B": kernel, "sigma": 2.0})
    else:
        np.savetxt(path, kernel, delimiter="," if suffix == ".csv" else " ")
    psf = P.parse_psf(f"{path}:start=2,0:boundary=reflect", 4)
    np.testing.assert_allclose(psf.kernel, kernel / kernel.sum(), rtol=1e-12)
    assert (psf.start_yx, psf.boundary) == ((2, 0), "reflect")


def test_a_mat_file_with_two_kernels_asks_for_a_name(tmp_path: Path) -> None:
    savemat(tmp_path / "two.mat", {"A": np.ones((3, 3)), "B": np.ones((5, 5))})
    with pytest.raises(InputError, match=r"A \(3, 3\), B \(5, 5\).*:VARIABLE"):
        P.parse_psf(str(tmp_path / "two.mat"), 4)
    assert P.parse_psf(f"{tmp_path / 'two.mat'}:B", 4).kernel.shape == (5, 5)


@pytest.mark.parametrize("spec", SPECS)
def test_a_dict_round_trip_through_json(spec: str) -> None:
    psf = P.parse_psf(spec + ":boundary=nearest", 4)
    again = P.PSF.from_dict(json.loads(json.dumps(psf.to_dict())))
    assert again == psf
    assert hash(again) == hash(psf)
    assert psf != P.parse_psf(spec, 4)


def test_a_kernel_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        P.box(4).kernel[0, 0] = 2


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "gauss:8:2",
        "gaussian",
        "gaussian:8",
        "gaussian:8:x",
        "gaussian:8.5:2",
        "gaussian:8:-2",
        "gaussian:0:2",
        "gaussian:nan:2",
        "gaussian:8:nan",
        "gaussian:8:2:start=4",
        "gaussian:8:2:start=-1",
        "gaussian:8:2:start=a",
        "gaussian:8:2:boundary=zero",
        "gaussian:8:2:phase=1",
        "fwhm:0",
        "fwhm:inf",
        "mtf:1",
        "mtf:0",
        "box:4",
        "gaussian:8:2:1",
    ],
)
def test_a_malformed_spec_is_answered_with_an_example(spec: str) -> None:
    with pytest.raises(InputError, match=r"gaussian:8:2:start=1:boundary=wrap"):
        P.parse_psf(spec, 4)


@pytest.mark.parametrize(
    "spec", ["fwhm:4500", "fwhm:90", "gaussian:100000:2", "gaussian:100:90", "mtf:1e-300", "kernel.npy"]
)
def test_a_blur_wider_than_the_image_is_refused_before_it_is_made(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("kernel.npy", np.ones((97, 97)))
    started = time.process_time()
    with pytest.raises(InputError, match="fine pixels wide, expected at most the image's 96, do: give it in fine"):
        P.parse_psf(spec, 4, within_px=96)
    assert time.process_time() - started < 1
    assert P.parse_psf("fwhm:30", 4, within_px=96).kernel.shape == (102, 102)  # next to nothing of it lies beyond


def test_a_kernel_that_no_image_needs_is_refused() -> None:
    with pytest.raises(InputError, match="15288 fine pixels wide, expected at most 2048"):
        P.parse_psf("fwhm:4500", 4)


@pytest.mark.parametrize("content", [{}, {"kernel": [[1.0]]}, {"kernel": "x", "start_yx": [0, 0], "boundary": "wrap"}])
def test_a_dict_that_is_no_psf(content: dict[str, object]) -> None:
    with pytest.raises(InputError):
        P.PSF.from_dict(content)


def test_files_that_hold_no_kernel(tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.ones((3, 3, 3)))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.nan))
    np.save(tmp_path / "zero.npy", np.zeros((3, 3)))
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "words.txt").write_text("a b\nc d\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.mat").write_bytes(b"MATLAB" * 40)
    (tmp_path / "short.mat").write_bytes(b"short")
    (tmp_path / "none.mat").write_bytes(b"")
    names = [
        "cube.npy",
        "pickled.npy",
        "nan.npy",
        "zero.npy",
        "ragged.csv",
        "words.txt",
        "empty.txt",
        "broken.mat",
        "short.mat",
        "none.mat",
    ]
    for name in [*names, "missing.npy"]:
        with pytest.raises(InputError):
            P.parse_psf(str(tmp_path / name), 4)


def test_a_window_holds_every_tap_or_refuses() -> None:
    """An even kernel from start 0 lies half a pixel off: its window is the kernel, moved there and turned."""
    kernel = np.arange(1.0, 17).reshape(4, 4)
    window = P.PSF(kernel, (0, 0)).window(ratio=2, side=6)
    assert window.sum() == pytest.approx(1)
    np.testing.assert_allclose(window[1:5, 1:5] * kernel.sum(), kernel[::-1, ::-1])
    with pytest.raises(InputError, match="within 4 pixels"):
        P.PSF(np.ones((8, 8)), (0, 0)).window(ratio=2, side=4)
