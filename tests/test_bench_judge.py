"""Judging a result by its pair: better results look better, masks and bad bands stay out, Wald's scores, the verb."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import xarray as xr
from affine import Affine
from scipy.ndimage import gaussian_filter, shift

from hypersharp.cli import main
from hypersharp.cube import leave_out, make_cube
from hypersharp.errors import InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import save_cube
from hypersharp.pair.estimate import estimate_pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.quality.judge import MEANINGS, judge, judge_placed, wald_scores
from hypersharp.quality.metrics import score_cubes
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

RATIO, BANDS, SIDE = 4, 6, 96
NM = np.arange(450.0, 450 + 50 * BANDS, 50)
SRF = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])
SENSOR = Sensor(gaussian(8, 2.0, RATIO, boundary="reflect"), SRF, RATIO)


@pytest.fixture(scope="module")
def cubes() -> dict[str, xr.DataArray]:
    """A scene of three materials with edges, and the pair that the sensor makes of it."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    shares = np.stack([np.sin(29 * y + 2 * x) > 0, np.cos(17 * x * y + 1) > 0.2, np.sin(40 * x) * (1 - y)]) + 1.2
    spectra = random.uniform(0.05, 0.3, (BANDS, 3))
    scene = np.einsum("ka,ayx->kyx", spectra, shares.astype(float)).astype(np.float32)
    hs, ms = SENSOR.observe(torch.from_numpy(scene))
    return {
        "truth": make_cube(scene, wavelengths_nm=NM),
        "hs": make_cube(hs.numpy(), wavelengths_nm=NM),
        "ms": make_cube(ms.numpy()),
    }


def known(hs: xr.DataArray, ms: xr.DataArray) -> Sensor:
    return estimate_pair(hs, ms, psf=SENSOR.psf, srf=SRF).sensor


def test_the_truth_explains_the_pair(cubes: dict[str, xr.DataArray]) -> None:
    truth, hs, ms = cubes.values()
    found = judge(truth, hs, ms, known(hs, ms))
    assert found.hs_residual.max() < 1e-5
    assert found.ms_residual.max() < 1e-5
    assert found.d_lambda_khan < 1e-6
    assert (found.hs_left_out, found.ms_left_out) == (0, 0)
    assert found.hqnr == pytest.approx(1 - found.d_s, abs=1e-5)


def test_a_better_result_looks_better(cubes: dict[str, xr.DataArray]) -> None:
    truth, hs, ms = cubes.values()
    best, rough = (
        judge(image, hs, ms, known(hs, ms)) for image in (truth, fuse(hs, ms, method="bicubic", consistent=False))
    )
    assert best.hqnr > rough.hqnr
    assert best.d_s < rough.d_s
    assert np.median(rough.ms_residual) > 0.01
    assert set(MEANINGS) < set(best.as_dict())


def test_the_sensor_is_estimated_where_none_is_given(cubes: dict[str, xr.DataArray]) -> None:
    found = judge(cubes["truth"], cubes["hs"], cubes["ms"])
    assert 0 < np.median(found.hs_residual) < 0.1


def test_masked_pixels_and_bad_bands_stay_out(cubes: dict[str, xr.DataArray]) -> None:
    _, hs, ms = cubes.values()
    clouds, shadow = np.zeros(ms.shape[1:], bool), np.zeros(hs.shape[1:], bool)
    clouds[40:50, 8:30], shadow[20, 3] = True, True
    results = []
    for garbage in (0.5, 1e6):
        dirty_hs, dirty_ms = hs.copy(deep=True), ms.copy(deep=True)
        dirty_hs.values[:, shadow], dirty_ms.values[:, clouds] = garbage, garbage
        dirty_hs.values[2] = garbage
        flagged = dirty_hs.assign_coords(good_band=("band", [True, True, False, True, True, True]))
        pair = leave_out(flagged, shadow), leave_out(dirty_ms, clouds)
        sharp = fuse(*pair, method="bicubic", scale=1.0, consistent=False)
        results.append(judge(sharp, *pair, known(*pair)))
    assert results[0].hs_residual.shape == (BANDS - 1,)
    assert results[0].hs_left_out == pytest.approx(1 / 24**2)
    assert results[0].ms_left_out == pytest.approx((220 + 16) / SIDE**2)
    first, second = (result.as_dict() for result in results)
    for name in MEANINGS:
        np.testing.assert_allclose(np.array(first[name]), np.array(second[name]), rtol=1e-6, err_msg=name)


@pytest.mark.filterwarnings("ignore:the mean of ms is")
@pytest.mark.parametrize(("scale", "offset"), [(2e4, 0.0), (1e4, 1000.0), (0.01, 0.0)])
def test_an_ms_in_another_unit_than_hs_is_judged_as_in_its_own(
    scale: float, offset: float, cubes: dict[str, xr.DataArray]
) -> None:
    """Q's factor of means is nought where they differ by powers of ten, and with it D_s was, of any result."""
    truth, hs, ms = cubes.values()
    rough, sensor = fuse(hs, ms, method="bicubic", consistent=False), known(hs, ms)
    for image in (truth, rough):
        plain, other = (judge(image, hs, there, sensor) for there in (ms, ms * scale + offset))
        assert other.d_s == pytest.approx(plain.d_s, rel=1e-3)
    assert other.d_s > 0.05  # of the rough one
    assert other.hqnr == pytest.approx(plain.hqnr, rel=1e-3)


def test_units_do_not_matter(cubes: dict[str, xr.DataArray]) -> None:
    _, hs, ms = cubes.values()
    rough = fuse(hs, ms, method="bicubic", consistent=False)
    small, large = (
        judge(rough * unit, hs * unit, ms * unit, known(hs * unit, ms * unit)).as_dict() for unit in (1, 1e4)
    )
    for name in MEANINGS:
        np.testing.assert_allclose(np.array(small[name]), np.array(large[name]), rtol=1e-4, err_msg=name)


def test_wald_scores_are_those_of_the_pair_degraded_once_more(cubes: dict[str, xr.DataArray]) -> None:
    _, hs, ms = cubes.values()
    seen: list[tuple[xr.DataArray, xr.DataArray]] = []

    def spy(small_hs: xr.DataArray, small_ms: xr.DataArray) -> xr.DataArray:
        seen.append((small_hs, small_ms))
        return fuse(small_hs, small_ms, method="bicubic", scale=1.0, consistent=False)

    scores = wald_scores(spy, hs, ms, known(hs, ms))
    ((small_hs, small_ms),) = seen
    assert small_hs.shape == (BANDS, 6, 6) and small_ms.shape == (3, 24, 24)
    np.testing.assert_allclose(small_ms.values, SENSOR.hs(torch.tensor(ms.values)).numpy(), atol=1e-6)
    expected = score_cubes(
        fuse(small_hs, small_ms, method="bicubic", scale=1.0, consistent=False), hs, ratio=4, preset="float"
    )
    assert scores.psnr_db == pytest.approx(expected.psnr_db, abs=1e-4)


def test_wald_scores_leave_masked_pixels_out(cubes: dict[str, xr.DataArray]) -> None:
    _, hs, ms = cubes.values()
    shadow = np.zeros(hs.shape[1:], bool)
    shadow[4, 4] = True
    masked = leave_out(hs, shadow)
    scores = wald_scores(partial(fuse, method="bicubic", consistent=False), masked, ms, known(masked, ms))
    assert 1 <= scores.masked_pixels <= 16 * 9
    assert np.isfinite(scores.psnr_db)


def test_an_estimate_of_another_pair_is_refused(cubes: dict[str, xr.DataArray]) -> None:
    truth, hs, ms = cubes.values()
    with pytest.raises(InputError, match="6 x 96 x 96"):
        judge(truth[:, :-4], hs, ms, known(hs, ms))


@pytest.mark.parametrize("frame", ["ms", "hs"])
def test_images_are_placed_as_the_record_says(cubes: dict[str, xr.DataArray], frame: Literal["ms", "hs"]) -> None:
    """An ms that reaches further than hs, whose pixels lie 0.4 of one of ms off blocks of them, as the PSF has it."""
    truth, _, ms = cubes.values()
    moved, place = replace(SENSOR, psf=SENSOR.psf.moved((0, 0.4), RATIO)), Affine(10, 0, 500_000, 0, -10, 5_000_000)
    coarse = place @ Affine.translation(12.4, 8) @ Affine.scale(RATIO)
    values = moved.hs(torch.from_numpy(truth.values)).numpy()[:, 2:20, 3:21]
    part = make_cube(values, wavelengths_nm=NM, crs=32633, transform=coarse)
    fine = make_cube(ms.values, crs=32633, transform=place)
    sharp = fuse(part, fine, method="gsa", frame=frame)
    placed, sensor = placed_as(sharp, part, fine).placement, Record.of(sharp).known_sensor()
    assert sharp.shape != (BANDS, *ms.shape[1:])
    assert sensor is not None
    found = judge(sharp, part, fine)
    assert found.as_dict() == judge_placed(sharp, *placed.read(placed.everything), sensor).as_dict()
    given, unsaid = judge(sharp, part, fine, SENSOR), judge(sharp.drop_attrs(), part, fine)
    assert np.median(given.hs_residual) < 0.003
    assert [given.hqnr, unsaid.hqnr] == pytest.approx([found.hqnr] * 2, abs=0.02)


def called(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert isinstance(stop.value.code, int)
    return stop.value.code, *capsys.readouterr()


def test_the_verb_judges_by_the_pair(
    cubes: dict[str, xr.DataArray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, cube in cubes.items():
        save_cube(cube, tmp_path / f"{name}.tif")
    pair = ("--hs", tmp_path / "hs.tif", "--ms", tmp_path / "ms.tif", "--psf", "gaussian:8:2")
    code, out, _ = called(capsys, "evaluate", tmp_path / "truth.tif", *pair, "--wald", "bicubic")
    assert code == 0
    assert all(f"{name} " in out for name in MEANINGS)
    assert "at worst" in out and " nm)" in out and "wald, bicubic" in out
    code, out, _ = called(capsys, "evaluate", tmp_path / "truth.tif", *pair, "--wald", "bicubic", "--json")
    found = json.loads(out)
    assert set(found) == {"pair", "wald"}
    assert found["wald"]["method"] == "bicubic"
    assert len(found["pair"]["hs_residual"]) == BANDS


def test_the_verb_places_the_pair_as_fuse_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result of a moved ms is judged by the moved ms, which its record names."""
    draw = np.random.default_rng(5)
    fields = gaussian_filter(draw.normal(size=(3, SIDE + 32, SIDE + 32)), (0, 2, 2))
    scene = np.tensordot(draw.uniform(0.2, 1, (BANDS, 3)), 0.2 + 0.5 * (fields - fields.min()), 1)
    hs = SENSOR.hs(torch.from_numpy(scene))
    ms = SENSOR.ms(torch.from_numpy(shift(scene, (0, 0.8, -1.1), mode="nearest")))
    pair = make_cube(hs.numpy().astype(np.float32)), make_cube(ms.numpy().astype(np.float32))
    for name, cube in zip(("hs", "ms", "sharp"), (*pair, fuse(*pair, method="gsa", frame="hs")), strict=True):
        save_cube(cube, tmp_path / f"{name}.nc")
    save_cube(cube.drop_attrs(), tmp_path / "unsaid.nc")
    words = ["--hs", tmp_path / "hs.nc", "--ms", tmp_path / "ms.nc", "--json", "--no-coregister"]
    placed, left = (
        json.loads(called(capsys, "evaluate", tmp_path / f"{name}.nc", *words)[1])["pair"]
        for name in ("sharp", "unsaid")
    )
    assert "co-registered: ms lay" in placed["placing"][0] and left["placing"] == []
    assert np.median(placed["ms_residual"]) < 0.5 * np.median(left["ms_residual"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "neither TRUTH nor a pair"),
        (["--hs", "hs.tif"], "one of --hs and --ms"),
        (["truth.tif"], "--ratio"),
        (["truth.tif", "--ratio", 4, "--wald", "gsa"], "--wald without a pair"),
    ],
)
def test_a_call_without_what_it_takes_is_refused(
    words: list[object], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sharp.tif", "hs.tif", "truth.tif"):
        Path(name).write_bytes(b"not looked into")
    code, _, err = called(capsys, "evaluate", "sharp.tif", *words)
    assert code == 2
    assert said in err
