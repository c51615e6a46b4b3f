"""The predicted error of a result made in tiles: that of the whole image, missing where it is, there after a stop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import Image
from hypersharp.pair.options import Options
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian
from hypersharp.tiles import job
from hypersharp.tiles.run import TiledOptions, TiledRun, fuse_in_tiles, prepare
from hypersharp.tiles.store import Kind, TileProgress, Tiles, folder_for
from hypersharp.uncertainty.predict import predict_error

pytest.importorskip("rasterio")
RATIO, BANDS, SIDE = 4, 8, 128
RESPONSE = np.kron(np.eye(2), np.full(BANDS // 2, 2 / BANDS))
SENSOR = Sensor(gaussian(8, 2, RATIO, boundary="reflect"), RESPONSE, RATIO)
KNOWN: dict[str, Any] = {"psf": SENSOR.psf, "srf": SENSOR.srf}


def truth() -> torch.Tensor:
    """(8, 128, 128): materials of which every corner has its own, rough ones and smooth ones."""
    random = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(SIDE) / 9, torch.arange(SIDE) / 11, indexing="ij")
    shares = torch.stack([(y * x / 9).sin() > 0, (3 * y).sin() * (2 * x).cos() > 0.2, y.sin() + x.cos() > 0]).float()
    rough = 0.15 * torch.randn(3, SIDE, SIDE, generator=random) * (x / x.max())
    spectra = torch.rand(BANDS, 3, generator=random).cumsum(0) / BANDS
    return torch.einsum("lk,kyx->lyx", spectra, shares * (1 + rough)) * 0.5 + 0.05


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    hs, ms = (make_cube(image.numpy()) for image in SENSOR.observe(truth()))
    ms[:, 50:56, 100:106] = np.nan
    return save_cube(hs, folder / "hs.tif"), save_cube(ms, folder / "ms.tif")


def prepared(files: tuple[Path, Path], folder: Path, method: str, *, resume: bool = False, **known: Any) -> TiledRun:
    coarse, fine = (Image(path) for path in files)
    options = Options(precision="fp32", device="cpu", consistent=False, coregister="none")
    tiles = TiledOptions(workers=1, side_px=64, resume=resume)
    told = {"uncertainty": folder / "error.tif", **known}
    return prepare(coarse, fine, folder / "sharp.tif", method=method, tiles=tiles, options=options, **told)


@pytest.mark.parametrize("method", ["gsa", "bicubic"])
def test_half_widths_are_those_of_the_whole(method: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    run = prepared(files, tmp_path, method, **KNOWN)
    assert len(run.job.tiling) == 4
    run.carry_out()
    hs, ms = (open_cube(path) for path in files)
    sharp = fuse(hs, ms, method=method, coregister="none", consistent=False, precision="fp32", **KNOWN)
    whole = predict_error(sharp, hs, ms, consistent=False, precision="fp32", **KNOWN)
    found = open_cube(tmp_path / "error.tif")
    np.testing.assert_array_equal(np.isnan(found.values), np.isnan(open_cube(tmp_path / "sharp.tif").values))
    gap = np.abs(found / whole - 1).values  # around what is missing, the whole fills gaps of the result
    assert np.nanquantile(gap, 0.99) < 0.01 and np.nanmax(gap) < 0.1
    assert found.std() > 0.1 * found.mean()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["error.tif", "sharp.tif"]


def test_the_sensor_is_found_where_none_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    told: dict[str, Any] = {"method": "gsa", "consistent": False, "coregister": "none"}
    fuse_in_tiles(
        *files, tmp_path / "sharp.npy", workers=1, uncertainty=tmp_path / "error.npy", memory_bytes=2e9, **told
    )
    error = open_cube(tmp_path / "error.npy")
    hs, ms = (open_cube(path) for path in files)
    sharp = fuse(hs, ms, **told)
    assert float((error / predict_error(sharp, hs, ms, consistent=False)).median()) == pytest.approx(1, abs=0.15)
    missing = np.isnan(error.values)
    assert (np.abs(sharp.values - truth().numpy()) <= error.values)[~missing].mean() > 0.85


def test_the_mean_is_that_of_the_scene_and_not_of_a_tile(files: tuple[Path, Path], tmp_path: Path) -> None:
    job = prepared(files, tmp_path, "gsa", **KNOWN).job
    assert job.intervals is not None and job.intervals.mean is not None
    narrow = replace(job, intervals=replace(job.intervals, mean=job.intervals.mean / 2)).sharpen(job.tiling[0])[1]
    wide = job.sharpen(job.tiling[0])[1]
    assert narrow is not None and wide is not None and (narrow < wide)[:, :16, :16].all()


def test_a_run_that_stopped_before_the_error_was_written_goes_on(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(files, tmp_path, "bicubic").carry_out()
    expected = [(tmp_path / name).read_bytes() for name in ("sharp.tif", "error.tif")]

    from_tiles = TiledRun.from_tiles

    def stop(run: TiledRun, tiles: Tiles, done: TileProgress, kind: Kind, dtype: np.dtype[Any]) -> xr.DataArray:
        if kind == "half-width":
            raise KeyboardInterrupt
        return from_tiles(run, tiles, done, kind, dtype)

    with monkeypatch.context() as patched:
        patched.setattr(TiledRun, "from_tiles", stop)
        with pytest.raises(KeyboardInterrupt):
            prepared(files, tmp_path, "bicubic").carry_out()
    assert len(list(folder_for(tmp_path / "sharp.tif").glob("*-half-width.*.npy"))) == 4
    with pytest.raises(CallError, match="differs in uncertainty"):
        prepared(files, tmp_path, "bicubic", resume=True, uncertainty=None)
    prepared(files, tmp_path, "bicubic", resume=True).carry_out()
    assert [(tmp_path / name).read_bytes() for name in ("sharp.tif", "error.tif")] == expected


def test_the_command_writes_cube_and_picture(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuse", *map(str, files), "-o", str(tmp_path / "sharp.tif"), "--method", "gsa", "--no-coregister"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--memory", "1.5GB", "--workers", "1", "--uncertainty", str(tmp_path / "error.tif")])
    assert done.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "half-width of the 90% interval" in said and "errors on the pair at reduced resolution" in said
    assert open_cube(tmp_path / "error.tif").shape == (BANDS, SIDE, SIDE)
    assert (tmp_path / "error.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_a_scene_in_tiles_shows_its_middle(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jinja2")
    monkeypatch.setattr(job, "PART_PX", 96)
    words = ["fuse", *map(str, files), "-o", str(tmp_path / "sharp.tif"), "--method", "gsa", "--workers", "1"]
    with pytest.raises(SystemExit) as done:
        main([*words, "--memory", "1.5GB", "--report", str(tmp_path / "page")])
    assert done.value.code == 0
    page = (tmp_path / "page" / "report.html").read_text()
    assert "shown here: the middle 96 x 96 of 128 x 128 pixels" in page and "half-width" in page


def test_the_middle_is_what_the_files_hold_there(files: tuple[Path, Path], tmp_path: Path) -> None:
    run = prepared(files, tmp_path, "gsa", **KNOWN)
    run.carry_out()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "PART_PX", 96)
        shown = job.middle_part(run.job)
    for name, file in (("result", "sharp.tif"), ("error", "error.tif")):
        there = open_cube(tmp_path / file, window=(16, 16, 96, 96))
        np.testing.assert_allclose(shown[name].values, there.values, atol=1e-5)
    assert shown["hs"].shape == (BANDS, 24, 24) and shown["ms"].shape == (2, 96, 96)


def test_what_cannot_be_had_is_refused(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CallError, match=r"the output .*error\.mat for a scene fused in tiles"):
        prepared(files, tmp_path, "gsa", uncertainty=tmp_path / "error.mat")
    small = [
        save_cube(open_cube(path)[:, :n, :n], tmp_path / path.name) for path, n in zip(files, (12, 48), strict=True)
    ]
    with monkeypatch.context() as patched:
        patched.setattr("hypersharp.tiles.run.learn_pair", None)  # before anything is learned
        with pytest.raises(InputError, match="hs of 12 x 12 pixels at ratio 4, expected at least 16"):
            prepared((small[0], small[1]), tmp_path, "gsa")
    assert not (tmp_path / "sharp.tif").exists()
    shown = job.middle_part(prepared((small[0], small[1]), tmp_path, "gsa", uncertainty=None).job)
    assert set(shown) == {"result", "hs", "ms"}  # of which a page is made: the run has ended well
