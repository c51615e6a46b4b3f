"""Responses: the D700 table, sensors by name, Gaussians, files, and what sees nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hypersharp.errors import InputError
from hypersharp.sensor.spectra import Spectra
from hypersharp.sensor.srf import SRFS, band_centres_nm, check_common_wavelengths, find_srf, gaussian_srf

CAVE_NM = np.arange(400.0, 701.0, 10.0)
WIDE_NM = np.arange(350.0, 2500.0, 5.0)


def test_the_d700_on_cave_is_the_integer_table() -> None:
    srf = find_srf("nikon-d700", CAVE_NM)
    assert srf.shape == (3, 31)
    np.testing.assert_allclose(srf.sum(axis=1), 1)
    integers = srf * np.array([[255], [203], [251]])
    np.testing.assert_allclose(integers, integers.round(), atol=1e-12)
    assert integers[0].round().tolist()[16:23] == [2, 6, 11, 17, 21, 22, 21]
    assert integers[2, :3].round().tolist() == [7, 10, 15]


def test_the_d700_interpolated_agrees_where_the_grids_meet() -> None:
    fine = find_srf("nikon-d700", np.arange(400.0, 701.0, 5.0))
    coarse = find_srf("nikon-d700", CAVE_NM)
    ratio = fine[:, ::2] / np.where(coarse > 0, coarse, np.nan)
    inner = ratio[:, 1:-1]
    np.testing.assert_allclose(np.nanmax(inner, axis=1), np.nanmin(inner, axis=1))
    assert find_srf("nikon-d700", np.arange(420.0, 721.0, 10.0))[:, -2:].sum() == 0


@pytest.mark.parametrize("name", SRFS)
def test_every_sensor_sums_to_one_and_sees_where_it_should(name: str) -> None:
    srf = find_srf(name, WIDE_NM)
    np.testing.assert_allclose(srf.sum(axis=1), 1)
    assert (srf >= 0).all()
    centres = band_centres_nm(srf, WIDE_NM)
    if name != "nikon-d700":
        published = [SRFS[name].bands[band][0] for band in SRFS[name].usual]
        np.testing.assert_allclose(centres, published, atol=4)


@pytest.mark.parametrize("name", SRFS)
def test_the_order_and_spacing_of_the_bands_do_not_matter(name: str) -> None:
    shuffled = np.random.default_rng(0).permutation(WIDE_NM.size)
    np.testing.assert_allclose(find_srf(name, WIDE_NM[shuffled]), find_srf(name, WIDE_NM)[:, shuffled])
    uneven = np.concatenate([WIDE_NM[WIDE_NM < 600], WIDE_NM[WIDE_NM >= 600][::2]])
    np.testing.assert_allclose(
        band_centres_nm(find_srf(name, uneven), uneven), band_centres_nm(find_srf(name, WIDE_NM), WIDE_NM), atol=2
    )


def test_named_bands_are_chosen_in_order() -> None:
    srf = find_srf("sentinel-2a:B4,B3,B2", CAVE_NM)
    centres = band_centres_nm(srf, CAVE_NM)
    np.testing.assert_allclose(centres, [664.6, 559.8, 492.4], atol=3)
    with pytest.raises(InputError, match="B4"):
        find_srf("sentinel-2a:B44", CAVE_NM)


def test_a_band_that_sees_nothing_is_named_with_both_ranges() -> None:
    with pytest.raises(InputError, match=r"400 to 700 nm.*B6 sees \(733 to 748 nm\)"):
        find_srf("sentinel-2a", CAVE_NM)
    with pytest.raises(InputError, match="nm"):
        find_srf("sentinel-2a:B11", CAVE_NM)
    with pytest.raises(InputError, match="ms band R"):
        find_srf("nikon-d700", [1000.0, 1100.0])


def test_an_unknown_sensor_offers_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean sentinel-2"):
        find_srf("sentinel2a", CAVE_NM)
    with pytest.raises(InputError, match=r"without wavelengths.*do: add them, in Python hs\.assign_coords"):
        find_srf("nikon-d700", None)


@pytest.mark.parametrize(
    ("spec", "bands", "said"),
    [
        ("sentinel-2a", (4,), r"of 10 bands \(B2, .* and ms of 4, .*such as sentinel-2a:B2,B3,B4,B5$"),
        ("sentinel-2a:B2,B3", (3, 4), r"of 2 bands \(B2, B3\) and ms of 4, .*such as sentinel-2a:B2,B3,B4,B5$"),
        ("nikon-d700", (9,), r"of 3 bands .* and ms of 9, .*do: name another sensor, or give the srf as a file"),
    ],
)
def test_a_sensor_of_more_or_fewer_bands_than_ms_is_told_to_name_them(
    spec: str, bands: tuple[int, ...], said: str
) -> None:
    """Not that a band which ms does not have sees nothing of hs."""
    with pytest.raises(InputError, match=said):
        find_srf(spec, CAVE_NM, bands)
    assert find_srf("sentinel-2a:B2,B3,B4", CAVE_NM, (3, 4)).shape == (3, 31)


def test_a_band_without_a_wavelength_is_named() -> None:
    nm = np.where(np.arange(31) == 3, np.nan, CAVE_NM)
    with pytest.raises(InputError, match="ms bands from 900 to 900 nm") as refused:
        check_common_wavelengths(nm, [900.0], None)
    assert "hs bands from 400 to 700 nm" in str(refused.value)
    check_common_wavelengths(nm, [550.0, np.nan], None)
    with pytest.raises(InputError, match=r"hs band 4 of the 31 that count without a wavelength"):
        Spectra(nm, np.array([450.0]))
    with pytest.raises(InputError, match=r"ms band 1 of the 2 that count without a wavelength"):
        Spectra(CAVE_NM, np.array([np.nan, 450.0]))
    with pytest.raises(InputError, match=r"hs band 4 .* without a wavelength"):
        find_srf("nikon-d700", nm)
    unknown = Spectra(np.full(31, np.nan), np.full(3, np.nan))
    assert unknown.hs_nm is None and unknown.ms_nm is None


def test_one_wavelength_for_all_bands_is_no_wavelength() -> None:
    for call in (lambda nm: Spectra(nm), lambda nm: find_srf("nikon-d700", nm)):
        with pytest.raises(InputError, match=r"found 24 hs bands, all at 550 nm"):
            call(np.full(24, 550.0))
    assert Spectra(np.array([550.0])).hs_nm is not None


def test_gaussians_by_centre_and_width() -> None:
    nm = np.arange(400.0, 701.0, 1.0)
    srf = gaussian_srf([500.0, 600.0], [20.0, 40.0], nm)
    np.testing.assert_allclose(srf[0, [90, 110]] / srf[0, 100], 0.5)
    np.testing.assert_allclose(srf[1, [180, 220]] / srf[1, 200], 0.5)


def test_a_band_narrower_than_the_spacing_sees_the_nearest_hs_band() -> None:
    srf = gaussian_srf([503.0], [0.1], CAVE_NM)
    assert srf[0].argmax() == 10
    assert srf[0, 10] == pytest.approx(1)


@pytest.mark.parametrize(
    ("centres", "widths", "nm"),
    [([500.0], [0.0], CAVE_NM), ([np.nan], [10.0], CAVE_NM), ([500.0], [9.0], []), ([500.0], [9.0], [np.nan])],
)
def test_bad_numbers_are_refused(centres: list[float], widths: list[float], nm: list[float]) -> None:
    with pytest.raises(InputError):
        gaussian_srf(centres, widths, nm)


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".txt", ".mat"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_matrix_from_a_file(tmp_path: Path, suffix: str, transposed: bool) -> None:
    matrix = np.random.default_rng(1).random((3, 31))
    stored = matrix.T if transposed else matrix
    path = tmp_path / f"srf{suffix}"
    if suffix == ".npy":
        np.save(path, stored)
    elif suffix == ".mat":
        savemat(path, {"R": stored, "C": np.ones((32, 32))})
    else:
        np.savetxt(path, stored, delimiter="," if suffix == ".csv" else " ")
    expected = matrix / matrix.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(find_srf(str(path), CAVE_NM), expected)


def test_a_table_with_a_wavelength_column(tmp_path: Path) -> None:
    nm = np.arange(380.0, 781.0, 5.0)
    bands = np.stack([np.exp(-(((nm - c) / 30) ** 2)) for c in (450, 550, 650)])
    path = tmp_path / "camera.csv"
    np.savetxt(path, np.column_stack([nm, bands.T]), delimiter=",", header="wavelength,B,G,R", comments="")
    srf = find_srf(str(path), CAVE_NM)
    np.testing.assert_allclose(band_centres_nm(srf, CAVE_NM), [450, 550, 650], atol=3)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "wrong.npy", np.ones((3, 30)))
    np.save(tmp_path / "dark.npy", np.vstack([np.ones(31), np.zeros(31)]))
    for name, said in [("wrong.npy", "31"), ("dark.npy", "row 2"), ("missing.csv", "no file")]:
        with pytest.raises(InputError, match=said):
            find_srf(str(tmp_path / name), CAVE_NM)


def test_the_d700_is_that_of_other_programs(data_dir: Callable[[str], Path]) -> None:
    stored = find_srf(f"{data_dir('srf') / 'MHFnet_NikonD700_response_coefficient.mat'}:R", CAVE_NM)
    np.testing.assert_allclose(find_srf("nikon-d700", CAVE_NM), stored, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "more", "off_nm"),
    [
        ("sentinel-2a", "", 3),
        ("sentinel-2b", "", 3),
        ("landsat-8", ":B1,B2,B3,B4,B5,cirrus,B6,B7,pan", 3),
        ("landsat-9", ":B5,B1,pan", 5),
        ("pleiades-1a", ":blue,green,red,nir,pan", 8),
    ],
)
def test_gaussians_sit_where_the_measured_curves_do(
    data_dir: Callable[[str], Path], name: str, more: str, off_nm: float
) -> None:
    data_dir("srf")
    measured, ours = find_srf(f"measured-{name}{more}", WIDE_NM), find_srf(name + more, WIDE_NM)
    assert measured.shape == ours.shape
    np.testing.assert_allclose(band_centres_nm(ours, WIDE_NM), band_centres_nm(measured, WIDE_NM), atol=off_nm)
    assert (np.minimum(ours, measured).sum(axis=1) > 0.75).all()


def test_measured_curves_are_read_from_the_users_own_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYPERSHARP_DATA", str(tmp_path))
    path = tmp_path / "srf" / "prosail_Pleiades_1A_Spectral_Response.csv"
    for content, said in (("", "without its table"), ("nm\tblue\n400\t1\n401\t0\n", "1 bands in .*expected 5")):
        if content:
            path.parent.mkdir()
            path.write_text(content)
        with pytest.raises(InputError, match=said):
            find_srf("measured-pleiades-1a", WIDE_NM)
    with pytest.raises(InputError, match="measured-pleiades-1a"):
        find_srf("measured-pleiades-1b", WIDE_NM)


def test_cameras_are_read_from_the_users_own_table(
    data_dir: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data_dir("srf")
    nm = np.arange(400.0, 701, 10)
    first, last = find_srf("camera-1", nm), find_srf("camera-52:G", nm)
    assert first.shape == (3, 31) and last.shape == (1, 31)
    assert np.allclose(first.sum(1), 1) and first.min() >= 0
    assert (np.diff(band_centres_nm(first, nm)) < 0).all()
    with pytest.raises(InputError, match=r"camera-1 \.\. camera-52"):
        find_srf("camera-53", nm)
    monkeypatch.setenv("HYPERSHARP_DATA", str(tmp_path))
    with pytest.raises(InputError, match="HYPERSHARP_DATA"):
        find_srf("camera-1", nm)
