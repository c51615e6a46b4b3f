"""What is not measured (nodata, clouds, saturation, bad bands) from reading to writing: left out, counted, put back."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cube import crs_of, good_bands, leave_out, make_cube, only_usable, usable_bands
from hypersharp.describe import saturation_warnings
from hypersharp.errors import InputError
from hypersharp.fusion.finish import finished
from hypersharp.fusion.fuse import fuse, fuse_images
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import CubeImage, Image
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.table import METHODS
from hypersharp.pair import sensor as pair_sensor
from hypersharp.pair.estimate import estimate_pair
from hypersharp.pair.options import Frame, Options, Progress
from hypersharp.pair.pair import check_pair
from hypersharp.pair.place import place
from hypersharp.pair.record import Record
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.judge import judge
from hypersharp.quality.metrics import PRESETS, score_cubes
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

RATIO, BANDS, SIDE = 4, 6, 48
NM = np.arange(450.0, 450 + 50 * BANDS, 50)
SRF = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])
BLUR = gaussian(8, 2.0, RATIO, boundary="reflect")
BLIND = [name for name, method in METHODS.items() if "weights" not in method.needs]


@pytest.fixture
def pair() -> tuple[xr.DataArray, xr.DataArray]:
    """A smooth scene of three materials seen through a known sensor."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    shares = np.stack([np.sin(9 * y + 2 * x), np.cos(7 * x * y + 1), np.sin(20 * x * (1 - y))]) + 1.2
    scene = np.einsum("ka,ayx->kyx", random.uniform(0.05, 0.3, (BANDS, 3)), shares).astype(np.float32)
    hs, ms = Sensor(BLUR, SRF, RATIO).observe(torch.from_numpy(scene))
    return make_cube(hs.numpy(), wavelengths_nm=NM), make_cube(ms.numpy())


def sharpened(hs: xr.DataArray, ms: xr.DataArray, method: str = "bicubic") -> xr.DataArray:
    return fuse(hs, ms, method=method, psf=BLUR, srf=SRF, scale=1.0, consistent=False)


def with_garbage(cube: xr.DataArray, mask: np.ndarray, garbage: float) -> xr.DataArray:
    """The cube with nonsense under the mask, and the mask applied."""
    spoilt = cube.copy(deep=True)
    spoilt.values[:, mask] = garbage
    return leave_out(spoilt, mask)


@pytest.mark.parametrize("method", BLIND)
def test_what_lies_under_a_mask_changes_nothing(pair: tuple[xr.DataArray, xr.DataArray], method: str) -> None:
    hs, ms = pair
    hs_mask, ms_mask = np.zeros(hs.shape[1:], bool), np.zeros(ms.shape[1:], bool)
    hs_mask[2:4, 5], ms_mask[30:35, 8:20] = True, True
    results = [
        sharpened(with_garbage(hs, hs_mask, garbage), with_garbage(ms, ms_mask, garbage), method)
        for garbage in (0.3, 1e6, np.nan, np.inf, -np.inf)
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result.values, results[0].values)
    expected = np.kron(hs_mask, np.ones((RATIO, RATIO), bool)) | ms_mask
    np.testing.assert_array_equal(np.isnan(results[0].values), np.broadcast_to(expected, results[0].shape))


@pytest.mark.parametrize("method", ["bicubic", "gsa", "sfim", "glp", "fuse"])
def test_a_masked_pixel_is_felt_no_further_than_the_blur_reaches(
    pair: tuple[xr.DataArray, xr.DataArray], method: str
) -> None:
    hs, ms = pair
    hs_mask, ms_mask, reach = (np.zeros(hs.shape[1:], bool), np.zeros(ms.shape[1:], bool), np.zeros(ms.shape[1:], bool))
    hs_mask[5, 5], ms_mask[20:24, 20:24] = True, True
    reach[(5 - 2) * RATIO - 2 : (5 + 3) * RATIO + 2, (5 - 2) * RATIO - 2 : (5 + 3) * RATIO + 2] = True
    whole = sharpened(hs, ms, method).values
    for masked in ((leave_out(hs, hs_mask), ms), (hs, leave_out(ms, ms_mask))):
        np.testing.assert_allclose(
            sharpened(*masked, method).values[:, ~reach], whole[:, ~reach], atol=1e-4 * np.ptp(whole)
        )


def test_methods_are_told_which_pixels_count(
    pair: tuple[xr.DataArray, xr.DataArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TensorPair] = []

    class Spy(Apply):
        def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> torch.Tensor:
            seen.append(pair)
            assert pair.hs.isfinite().all() and pair.ms.isfinite().all()
            return pair.hs.new_zeros(len(pair.hs), *pair.ms.shape[1:])

    module = types.ModuleType("spy")
    module.learn = lambda pair, sensor, options: Spy()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spy", module)
    monkeypatch.setitem(METHODS, "spy", Method("spy", "", "-", module="spy"))
    hs, ms = pair
    mask = np.zeros(ms.shape[1:])
    mask[7, 9] = 255
    sharp = fuse(leave_out(hs, saturated=float(hs.max())), leave_out(ms, mask), method="spy")
    (told,) = seen
    assert told.hs_valid is not None and told.ms_valid is not None
    assert int((~told.hs_valid).sum()) == 1
    assert torch.nonzero(~told.ms_valid).tolist() == [[7, 9]]
    record = Record.of(sharp)
    assert [record.left_out[name]["pixels"] for name in ("hs", "ms")] == [1, 1]
    assert record.left_out["hs"]["share"] == pytest.approx(1 / 144)
    assert "1 hs pixels (0.7%) left out\n1 ms pixels (0.0%) left out" in str(record)
    fuse(hs, ms, method="spy")
    assert seen[1].hs_valid is None and seen[1].ms_valid is None


def test_bad_and_empty_bands_are_left_out_and_come_back_missing(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = pair
    values = hs.values.copy()
    values[1], values[4] = np.inf, np.nan
    flags = [True, False, True, True, True, True]
    spoilt = make_cube(values, wavelengths_nm=NM, good_bands=flags)
    sharp = sharpened(spoilt, ms)
    assert sharp.shape == (BANDS, SIDE, SIDE)
    assert np.isnan(sharp.values).all((1, 2)).tolist() == [False, True, False, False, True, False]
    good = good_bands(sharp)
    assert good is not None and good.tolist() == flags
    assert "2 of 6 hs bands left out" in str(Record.of(sharp))
    plain = sharpened(hs, ms)
    kept = [0, 2, 3, 5]
    np.testing.assert_array_equal(sharp.values[kept], plain.values[kept])
    scores = score_cubes(sharp, plain, ratio=RATIO, preset="float")
    assert (scores.masked_bands, scores.masked_pixels, scores.psnr_db) == (2, 0, np.inf)


def half(side: int) -> Any:
    return np.indices((side, side))[0] < side // 2


def all_but_one(side: int) -> Any:
    return np.indices((side, side)).sum(0) < 2 * (side - 1)


def test_a_band_with_gaps_of_its_own_is_left_out_and_named(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = pair
    corner, plain = np.indices(hs.shape[1:]).sum(0) < 3, sharpened(*pair).values
    for gap in (half, all_but_one):
        spoilt = hs.where(~corner)  # as beside a swath, in all bands
        spoilt[4] = spoilt[4].where(~gap(hs.shape[1]))
        sharp = sharpened(spoilt, ms)
        missing = np.kron(corner, np.ones((RATIO, RATIO), bool))
        for band in range(BANDS):
            np.testing.assert_array_equal(np.isnan(sharp.values[band]), missing | (band == 4))
        np.testing.assert_allclose(sharp.values[0, SIDE // 2 :], plain[0, SIDE // 2 :], rtol=1e-5)
        (said,) = Record.of(sharp).warnings
        assert said.startswith("hs band 5 (650 nm): left out, missing in ")
        assert said.endswith("% of the pixels that the other bands have")
        assert judge(sharp, spoilt, ms, Sensor(BLUR, SRF[:, [0, 1, 2, 3, 5]], RATIO)).hs_residual.shape == (5,)
    spoilt = ms.where(~(half(SIDE) & (np.arange(3)[:, None, None] == 1)))
    sharp = sharpened(hs, spoilt)
    assert np.isfinite(sharp.values).all()
    assert "ms band 2: left out, missing in 50.0% of the pixels that the other bands have" in str(Record.of(sharp))


@pytest.mark.parametrize(
    ("bands", "lacks", "left"),
    [(10, {3: 0.04}, []), (10, {3: 0.5, 7: 0.3}, [3, 7]), (4, {3: 0.2}, []), (9, dict.fromkeys(range(5, 9), 0.1), [])],
)
def test_bands_are_left_out_where_more_values_remain(bands: int, lacks: dict[int, float], left: list[int]) -> None:
    values = np.ones((bands, 10, 10))
    for band, share in lacks.items():
        values[band].flat[: round(100 * share)] = np.nan
    assert np.flatnonzero(~usable_bands(make_cube(values))).tolist() == left


@pytest.mark.parametrize("frame", ["ms", "hs"])
def test_a_resampled_image_has_the_gaps_of_each_band_for_itself(
    pair: tuple[xr.DataArray, xr.DataArray], frame: Frame
) -> None:
    affine = pytest.importorskip("affine")
    hs, ms = (cube.copy() for cube in pair)
    for cube, gap in ((hs, half(hs.shape[1])), (ms, half(SIDE))):
        cube.values[1, gap] = np.nan
    places = affine.Affine(40, 0, 100, 0, -40, 900), affine.Affine(10, 0, 113, 0, -10, 894)
    placed = (
        make_cube(cube.values, wavelengths_nm=nm, crs="EPSG:32633", transform=place)
        for cube, nm, place in zip((hs, ms), (NM, None), places, strict=True)
    )
    sharp = fuse(*placed, method="gsa", frame=frame, consistent=False)
    missing = np.isnan(sharp.values).mean((1, 2))
    assert missing[1] == 1 and missing[np.arange(BANDS) != 1].max() < 0.2
    assert sum("left out, missing in" in line for line in Record.of(sharp).warnings) == 2


def test_a_flat_top_is_said_with_the_value_that_leaves_it_out(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = pair
    assert not Record.of(sharpened(hs, ms)).warnings
    limit = np.float32(ms.quantile(0.9))
    clipped = ms.clip(max=limit)
    (said,) = Record.of(sharpened(hs, clipped)).warnings
    assert said.startswith("ms band 3: 30.0% of the pixels lie at the largest value; if they are saturated, ")
    value = float(said.split("--saturated ")[1].split()[0])
    left = np.isnan(leave_out(clipped, saturated=value).values[0])
    np.testing.assert_array_equal(left, (ms.values >= limit).any(0))
    counts = make_cube((300 * ms.values / ms.values.max()).clip(max=255).round().astype(np.uint8))
    levels = make_cube((9 * ms.values / ms.values.max()).round().astype(np.uint8))  # whose uppermost is no flat top
    (said,) = saturation_warnings(counts, np.arange(3), "hs")
    assert said.startswith("hs band") and said.endswith("--saturated 255 leaves them out")
    assert not list(saturation_warnings(levels, np.arange(3), "hs"))
    own = ms.values.clip(max=np.quantile(ms.values, 0.9, (1, 2), keepdims=True))
    (said,) = saturation_warnings(make_cube(own), np.arange(3), "ms")
    assert said.startswith("ms bands 1-3: up to 10.") and said.endswith("--mask FILE leaves them out")


def test_a_response_loses_the_bands_that_are_left_out(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = pair
    hs = hs.assign_coords(good_band=("band", [True] * 5 + [False]))
    ms = ms.assign_coords(good_band=("band", [True, False, True]))
    checked = check_pair(place(CubeImage(hs), CubeImage(ms), coregister="none"))
    response = pair_sensor.usable_response(SRF, checked)
    assert response is not None
    np.testing.assert_array_equal(response, np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 1.0]]))
    short = SRF[[0, 2], :5]
    assert pair_sensor.usable_response(short, checked) is short
    assert sharpened(hs, ms, "hysure").shape == (BANDS, SIDE, SIDE)
    assert estimate_pair(hs, ms, psf="gaussian:8:2").sensor.srf.shape == (2, 5)


def test_whole_numbers_stay_so_until_something_is_missing(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = (cube.copy(data=np.rint(cube.values * 1e4).astype(np.uint16)) for cube in pair)
    assert sharpened(hs, ms).dtype == np.uint16
    mask = np.zeros(ms.shape[1:], bool)
    mask[3, 4] = True
    sharp = sharpened(hs, leave_out(ms, mask))
    assert sharp.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(sharp.values[0]), mask)


def test_nothing_to_leave_out_leaves_the_cube_itself(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    assert leave_out(pair[0], np.zeros(pair[0].shape[1:]), saturated=1e9) is pair[0]
    assert only_usable(pair[0], "hs") is pair[0]


@pytest.mark.parametrize(
    ("mask", "said"), [(np.zeros((3, 4)), "a mask of 3 x 4 for image of 12 x 12"), (np.ones((12, 12)), "all of")]
)
def test_masks_that_cannot_be_meant_are_refused(
    pair: tuple[xr.DataArray, xr.DataArray], mask: np.ndarray, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        leave_out(pair[0], mask)


def test_a_cube_without_a_usable_band_is_refused(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    flagged = pair[0].assign_coords(good_band=("band", [False] * BANDS))
    with pytest.raises(InputError, match="hs without one band"):
        fuse(flagged, pair[1], method="bicubic")
    assert not usable_bands(flagged).any()


@pytest.mark.parametrize("preset", PRESETS)
def test_masked_pixels_count_in_no_score(pair: tuple[xr.DataArray, xr.DataArray], preset: str) -> None:
    truth = pair[1]
    estimate = truth.copy(data=truth.values * 0.98)
    mask = np.zeros(truth.shape[1:], bool)
    mask[:5, :7] = True
    scores = [
        score_cubes(with_garbage(estimate, mask, garbage), truth, ratio=RATIO, preset=preset, peak=1.0)
        for garbage in (0.1, 9.0)
    ]
    assert scores[0] == scores[1]
    assert scores[0].masked_pixels == 35


@pytest.mark.parametrize("suffix", ["tif", "npy", "mat", "npz", "hdr", "nc"])
def test_a_mask_file_of_any_format(tmp_path: Path, suffix: str) -> None:
    image = make_cube(np.random.default_rng(0).random((3, 6, 8), np.float32) + 0.1)
    mask = np.zeros((6, 8), np.uint8)
    mask[1, 2:5] = 7
    save_cube(image, tmp_path / "image.npy")
    save_cube(make_cube(mask[np.newaxis]), tmp_path / f"mask.{suffix}")
    opened = Image(tmp_path / "image.npy", mask=tmp_path / f"mask.{suffix}").cube()
    np.testing.assert_array_equal(np.isnan(opened.values), np.broadcast_to(mask > 0, (3, 6, 8)))


def test_two_axes_and_logicals_of_matlab_are_masks_too(tmp_path: Path) -> None:
    from scipy.io import savemat

    save_cube(make_cube(np.ones((2, 6, 8))), tmp_path / "image.npy")
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = True
    np.save(tmp_path / "mask.npy", mask)
    savemat(tmp_path / "mask.mat", {"clouds": mask})
    for name in ("mask.npy", "mask.mat"):
        opened = Image(tmp_path / "image.npy", mask=tmp_path / name).cube()
        np.testing.assert_array_equal(np.isnan(opened.values[0]), mask)


def test_a_mask_whose_nodata_is_zero_keeps_its_zeros(tmp_path: Path) -> None:
    """As QGIS writes masks: 1 where clouds are, nodata 0 elsewhere."""
    mask = np.zeros((1, 6, 8), np.float32)
    mask[0, 2, 2] = 1
    save_cube(make_cube(np.ones((2, 6, 8))), tmp_path / "image.npy")
    save_cube(make_cube(mask, nodata=0), tmp_path / "mask.tif")
    assert int(np.isnan(Image(tmp_path / "image.npy", mask=tmp_path / "mask.tif").cube().values).sum()) == 2


def test_mask_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    affine = pytest.importorskip("affine")
    here, there = (affine.Affine(10, 0, corner, 0, -10, 0) for corner in (0, 500))
    zeros = np.zeros((1, 6, 8), np.uint8)
    save_cube(make_cube(np.ones((2, 6, 8)), crs="EPSG:32633", transform=here), tmp_path / "image.tif")
    save_cube(make_cube(zeros, crs="EPSG:32633", transform=there), tmp_path / "there.tif")
    save_cube(make_cube(zeros[:, :5]), tmp_path / "small.tif")
    save_cube(make_cube(np.zeros((3, 6, 8), np.uint8)), tmp_path / "three.tif")
    for name, said in (("there", "another grid"), ("small", "5 x 8 for .*6 x 8"), ("three", "3 bands")):
        with pytest.raises(InputError, match=said):
            Image(tmp_path / "image.tif", mask=tmp_path / f"{name}.tif").cube()


def test_the_command_line_masks_writes_and_counts(
    pair: tuple[xr.DataArray, xr.DataArray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hypersharp.cli import main

    hs, ms = pair
    clouds = np.zeros((1, *ms.shape[1:]), np.uint8)
    clouds[0, :6, :6] = 1
    flagged = hs.assign_coords(good_band=("band", [True, True, False, True, True, True]))
    cubes = {"hs": flagged, "ms": ms, "clouds": make_cube(clouds)}
    for name, cube in cubes.items():
        save_cube(make_cube(cube.values, good_bands=good_bands(cube)), tmp_path / f"{name}.tif")
    words = ["fuse", "hs.tif", "ms.tif", "-o", "sharp.tif", "--method", "bicubic", "--mask", "clouds.tif"]
    with pytest.raises(SystemExit) as stop:
        main([str(tmp_path / word) if word.endswith(".tif") else word for word in words])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "36 ms pixels (1.6%) left out" in printed
    assert "1 of 6 hs bands left out" in printed
    sharp = open_cube(tmp_path / "sharp.tif")
    good = good_bands(sharp)
    assert good is not None and good.tolist() == [True, True, False, True, True, True]
    np.testing.assert_array_equal(np.isnan(sharp.values[0]), clouds[0] == 1)
    assert np.isnan(sharp.values[2]).all() and crs_of(sharp) is None


@pytest.mark.parametrize("method", ["hysure", "gsa", "cnmf"])
def test_filled_pixels_enter_no_estimate_of_the_sensor(
    pair: tuple[xr.DataArray, xr.DataArray], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    estimate = pair_sensor.complete_sensor

    def spy(*given: Any, hs_valid: torch.Tensor, **known: Any) -> Estimate:
        seen.append(hs_valid)
        found: Estimate = estimate(*given, hs_valid=hs_valid, **known)
        return found

    monkeypatch.setattr(pair_sensor, "complete_sensor", spy)
    mask = np.zeros(pair[0].shape[1:])
    mask[2, 7] = 1
    fuse(leave_out(pair[0], mask), pair[1], method=method, scale=1.0, consistent=False)
    assert torch.nonzero(~seen[0]).tolist() == [[2, 7]]


def test_an_integer_hs_with_a_number_for_nodata_keeps_its_type_where_nothing_is_missing(
    pair: tuple[xr.DataArray, xr.DataArray], tmp_path: Path
) -> None:
    counts = make_cube((10000 * pair[0].values).astype(np.uint16), wavelengths_nm=NM)
    counts.encoding["_FillValue"] = 0
    for gap, dtype in ((False, np.uint16), (True, np.float32)):
        if gap:
            counts.values[:, 3, 3] = 0
        path = save_cube(counts, tmp_path / "hs.tif")
        hs = CubeImage(Image(path).cube(), path)
        assert hs.values.dtype == np.float32
        sharp, _ = fuse_images(hs, CubeImage(pair[1] * 10000), method="bicubic", options=Options(coregister="none"))
        assert sharp.dtype == dtype and bool(np.isnan(sharp.values).any()) == gap


def test_values_at_the_limits_of_a_type_stay_there(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    whole = check_pair(place(CubeImage(pair[0]), CubeImage(pair[1]), coregister="none"))
    estimate, missing = torch.full((BANDS, SIDE, SIDE), 1e12), np.zeros((SIDE, SIDE), bool)
    for dtype in (np.uint16, np.int32, np.uint32):
        assert (finished(estimate, missing, whole, np.dtype(dtype)) == np.iinfo(dtype).max).all()


def test_what_is_below_zero_is_said_of_methods_that_do_not_see_it(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    hs, ms = (cube - 0.9 * float(cube.mean()) for cube in pair)
    told = Record.of(fuse(hs, ms, method="cnmf", coregister="none", psf=BLUR)).warnings
    assert any("below zero, where cnmf sees nothing" in text for text in told)
