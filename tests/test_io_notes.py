"""How a result was made stays with it in every format that can hold text, whoever reads it back."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
import xarray as xr

import hypersharp as hsp
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.io import open_cube, save_cube
from hypersharp.io.format import BY_SUFFIX, FORMATS
from hypersharp.pair.record import Record
from hypersharp.quality.judge import Judgement
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf

NOTES = '{"method": "auto",\n "ratio": 4}; gsa   30.1 = 100 %41; (σ = 2) <&> \'quoted\' ' + "long, " * 2000 + "end"
WITH_TEXT = sorted({suffix for suffix, form in BY_SUFFIX.items() if form.written} - {".npy"})
Made = tuple[tuple[xr.DataArray, xr.DataArray], xr.DataArray, Judgement, xr.DataArray]


@pytest.mark.parametrize("suffix", WITH_TEXT)
def test_notes_survive(suffix: str, tmp_path: Path) -> None:
    cube = make_cube(np.random.default_rng(0).random((3, 5, 6)).astype(np.float32), wavelengths_nm=[450, 550, 650])
    path = save_cube(cube.assign_attrs(hypersharp=NOTES), tmp_path / f"sharp{suffix}")
    assert open_cube(path).attrs["hypersharp"] == NOTES
    assert wavelengths_nm(open_cube(path)).tolist() == [450, 550, 650]
    assert open_cube(path, bands=[1], lazy=True).attrs["hypersharp"] == NOTES
    assert "hypersharp" not in open_cube(save_cube(cube, tmp_path / f"plain{suffix}")).attrs


def test_notes_of_a_matlab_73_file(tmp_path: Path) -> None:
    text = NOTES.replace("σ", "s")
    codes = np.frombuffer(text.encode("utf-16-le"), np.uint16)[
        :, np.newaxis
    ]  # as MATLAB keeps a char row, axes reversed
    with h5py.File(tmp_path / "sharp.mat", "w", userblock_size=512) as file:
        for name, array, kind in (("cube", np.zeros((3, 4, 5)), b"double"), ("hypersharp", codes, b"char")):
            file[name] = array
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
    assert open_cube(tmp_path / "sharp.mat", layout="hwl").attrs["hypersharp"] == text


def test_other_programs_read_what_holds_notes(tmp_path: Path) -> None:
    image = make_cube(np.ones((2, 4, 5), "f4"), crs="EPSG:32633", transform=rasterio.Affine(30, 0, 600, 0, -30, 900))
    noted = image.assign_attrs(hypersharp=NOTES)
    with rasterio.open(save_cube(noted, tmp_path / "sharp.img"), driver="ENVI") as dataset:
        assert (dataset.count, dataset.crs.to_epsg(), dataset.transform.c) == (2, 32633, 600)
    assert scipy.io.loadmat(save_cube(noted, tmp_path / "sharp.mat"))["hypersharp"].item() == NOTES
    assert np.load(save_cube(noted, tmp_path / "sharp.npz"))["hypersharp"].item() == NOTES


@pytest.fixture(scope="module")
def made() -> Made:
    """A pair, a result and what is said of it."""
    values = np.random.default_rng(1).random((6, 48, 48)).astype(np.float32)
    truth = make_cube(values, wavelengths_nm=np.linspace(450, 650, 6))
    sensor = Sensor(parse_psf("fwhm:2", 2), np.kron(np.eye(2), np.ones(3)) / 3, 2)
    hs, ms, _ = hsp.simulate(truth, sensor)
    sharp = hsp.fuse(hs, ms, method="gsa", psf=sensor.psf, srf=sensor.srf)
    return (hs, ms), sharp, hsp.judge(sharp, hs, ms), hsp.predict_error(sharp, hs, ms)


@pytest.mark.parametrize("suffix", [form.suffixes[0] for form in FORMATS if form.suffixes[0] in WITH_TEXT])
def test_a_result_read_back_is_judged_without_its_method(suffix: str, made: Made, tmp_path: Path) -> None:
    pair, sharp, judgement, error = made
    back = open_cube(save_cube(sharp, tmp_path / f"sharp{suffix}"))
    assert Record.of(back) == Record.of(sharp)
    assert hsp.judge(back, *pair).as_dict() == judgement.as_dict()
    np.testing.assert_allclose(hsp.predict_error(back, *pair), error, rtol=1e-5)
