"""`estimate` writes a sensor that `fuse --sensor` takes; what is given of the sensor is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError
from hypersharp.io import open_cube, save_cube
from hypersharp.pair.estimate import estimate_pair
from hypersharp.pair.sensor import told_apart
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import box, gaussian
from hypersharp.sensor.stored import read_sensor, sensor_from_args

NM = np.arange(400.0, 520.0, 10)
MS_NM = np.array([415.0, 455.0, 495.0])
SENSOR = Sensor(gaussian(8, 2, 4), np.kron(np.eye(3), np.full(4, 0.25)), 4)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """hs.npy and ms.npy of a textured scene in counts of a 12-bit camera, as the working folder."""
    random = np.random.default_rng(0)
    shares = np.kron(random.random((4, 32, 32)) ** 3, np.ones((2, 2)))
    scene = np.einsum("lk,kyx->lyx", np.cumsum(random.random((12, 4)), axis=0), shares) * 300
    for name, image in zip(("hs", "ms"), SENSOR.observe(torch.from_numpy(scene)), strict=True):
        nm = NM if name == "hs" else None
        save_cube(make_cube(np.rint(image.numpy()).astype(np.uint16), wavelengths_nm=nm), tmp_path / f"{name}.npy")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(call: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(call.split())
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_the_estimate_is_taken_by_fuse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("estimate hs.npy ms.npy -o sensor.json") == 0
    assert "residual" in capsys.readouterr().out
    content = json.loads((folder / "sensor.json").read_text())
    assert content["ratio"] == 4 and content["residual"] < 0.03
    assert np.abs(content["shift_px_yx"]).max() < 0.25
    assert run("fuse hs.npy ms.npy -o sharp.npy --method hysure --sensor sensor.json --device cpu") == 0
    said = capsys.readouterr().out
    assert "estimated" not in said and "under this sensor" in said
    assert open_cube(folder / "sharp.npy").shape == (12, 64, 64)


@pytest.mark.parametrize(
    ("hs_nm", "ms_nm", "code"),
    [(NM, MS_NM, 0), (NM + 5, MS_NM, 0), (NM + 20, MS_NM, 1), (NM, MS_NM[::-1], 1), (NM[:-1], MS_NM, 1)],
)
def test_a_sensor_of_other_bands_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], hs_nm: np.ndarray, ms_nm: np.ndarray, code: int
) -> None:
    hs, ms = open_cube("hs.npy").values, open_cube("ms.npy").values
    for suffix, nm in (("tif", (NM, MS_NM)), ("nc", (hs_nm, ms_nm))):
        save_cube(make_cube(hs[: len(nm[0])], wavelengths_nm=nm[0]), f"hs.{suffix}")
        save_cube(make_cube(ms, wavelengths_nm=nm[1]), f"ms.{suffix}")
    assert run("estimate hs.tif ms.tif -o sensor.json") == 0
    assert run("fuse hs.nc ms.nc -o sharp.nc --method gsa --sensor sensor.json") == code
    assert len(capsys.readouterr().err.splitlines()) == code
    assert (folder / "sharp.nc").exists() == (code == 0)


def test_what_is_given_is_kept(folder: Path) -> None:
    np.savetxt("srf.csv", SENSOR.srf, delimiter=",")
    found = estimate_pair(open_cube("hs.npy"), open_cube("ms.npy"), psf="gaussian:8:2", srf="srf.csv")
    assert found.sensor.psf == SENSOR.psf and np.array_equal(found.sensor.srf, SENSOR.srf)
    assert found.residual < 0.005


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("estimate hs.npy", 2),
        ("estimate hs.npy ms.npy", 2),
        ("estimate ms.npy hs.npy -o sensor.json", 1),
        ("estimate hs.npy ms.npy -o sensor.json --ratio 3", 1),
        ("estimate hs.npy ms.npy -o no/such/sensor.json", 1),
        ("fuse hs.npy ms.npy -o sharp.npy --method bicubic --sensor hs.npy", 1),
        ("fuse hs.npy ms.npy -o sharp.npy --method bicubic --sensor none.json", 1),
        ("fuse hs.npy ms.npy -o sharp.npy --method bicubic --sensor none.json --psf box", 2),
    ],
)
def test_wrong_calls_and_inputs_write_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], call: str, code: int
) -> None:
    before = sorted(folder.iterdir())
    assert run(call) == code
    shown = capsys.readouterr().err
    assert "Traceback" not in shown and shown
    assert sorted(folder.iterdir()) == before


def test_a_ratio_that_contradicts_the_sensor_is_a_wrong_call(folder: Path) -> None:
    assert run("estimate hs.npy ms.npy -o sensor.json") == 0
    with pytest.raises(CallError, match="ratio 3"):
        sensor_from_args("sensor.json", None, None, 3)
    assert sensor_from_args("sensor.json", None, None, 4)[0] == read_sensor("sensor.json").psf
    assert sensor_from_args(None, "box", None, 2) == ("box", None, 2)


def test_what_a_psf_decides_is_told_apart_by_its_numbers(tmp_path: Path) -> None:
    table = np.random.default_rng(0).random((3, 400))
    other = table.copy()
    other[1, 200] += 1  # which numpy does not print
    assert told_apart(table) == told_apart(table.copy()) != told_apart(other)
    assert told_apart("box") == "box" and told_apart(None) is None
    assert told_apart(box(2)) == told_apart(box(2)) != told_apart(box(4))
    file = tmp_path / "psf.csv"
    file.write_text("1")
    before = told_apart(file)
    file.write_text("1,2")
    assert told_apart(file) != before
