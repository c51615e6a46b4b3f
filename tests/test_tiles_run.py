"""Scenes in tiles: the same as whole, the same after whatever stops them, in the form the user's files have."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import torch
import xarray as xr

from hypersharp.cli import main
from hypersharp.cube import crs_of, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.fusion.fuse import fuse, fuse_images
from hypersharp.io import open_cube, save_cube
from hypersharp.io.image import CubeImage, Image
from hypersharp.methods.table import METHODS
from hypersharp.networks import inference
from hypersharp.pair import sample as samples
from hypersharp.pair.options import Options
from hypersharp.pair.pair import check_pair, read_sample
from hypersharp.pair.place import place
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian
from hypersharp.tiles import store, workers
from hypersharp.tiles.run import TiledOptions, TiledRun, fuse_in_tiles, prepare
from hypersharp.tiles.store import folder_for

affine = pytest.importorskip("affine")
PLACE = affine.Affine(3, 0, 400_000, 0, -3, 5_800_000)
RATIO, BANDS, SIDE = 4, 8, 192
OF_NETWORKS, SIDE_OF_NETWORKS = 31, 128  # bands, pixels: they are slow
QUICK = ("bicubic", "gsa", "sfim", "glp", "fuse", "cnmf")
# parts against the whole in their own tests
OWN = ("nssr", "cstf", "kwon-tai", "liu-xiao-li", "ms-ssfnet", "ham-mfn", "ssf-cnn", "srcnn")
NETWORKS = ("ssjcn", "dbin", "dhsis")


def scene(bands: int = BANDS, side: int = SIDE) -> torch.Tensor:
    """(bands, side, side): a few materials with edges and fine texture."""
    random = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side) / 9, torch.arange(side) / 11, indexing="ij")
    shares = torch.stack([(y * x / 9).sin() > 0, (3 * y).sin() * (2 * x).cos() > 0.2, y.sin() + x.cos() > 0]).float()
    texture = 1 + 0.1 * torch.randn(3, side, side, generator=random)
    spectra = torch.rand(bands, 3, generator=random).cumsum(0) / bands
    return torch.einsum("lk,kyx->lyx", spectra, shares * texture) * 0.5 + 0.05


def pair(bands: int = BANDS, side: int = SIDE) -> tuple[xr.DataArray, xr.DataArray]:
    response, width = np.zeros((3, bands)), bands // 3 + 1
    for row, first in enumerate((2 * width - 2, width - 1, 0)):
        response[row, first : first + width] = 1 / width
    hs, ms = Sensor(gaussian(8, 2, RATIO, boundary="reflect"), response, RATIO).observe(scene(bands, side))
    nm = np.linspace(400, 700, bands)
    coarse_place = PLACE @ affine.Affine.scale(RATIO)
    return (
        make_cube(hs.numpy(), wavelengths_nm=nm, crs="EPSG:32633", transform=coarse_place),
        make_cube(ms.numpy(), wavelengths_nm=[650, 550, 450], crs="EPSG:32633", transform=PLACE),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return saved(tmp_path_factory.mktemp("pair"), *pair())


@pytest.fixture(scope="module")
def wide_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return saved(tmp_path_factory.mktemp("wide"), *pair(OF_NETWORKS, SIDE_OF_NETWORKS))


def saved(folder: Path, hs: xr.DataArray, ms: xr.DataArray) -> tuple[Path, Path]:
    return save_cube(hs, folder / "hs.tif"), save_cube(ms, folder / "ms.tif")


@pytest.fixture(scope="module")
def expected(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run without troubles writes."""
    made(files, out := tmp_path_factory.mktemp("expected") / "sharp.tif")
    return out


def made(files: tuple[Path, Path], out: Path, method: str = "gsa", **options: Any) -> xr.DataArray:
    """The file that a run in tiles of 64 pixels writes."""
    run = prepared(files, out, method, **options)
    assert len(run.job.tiling) > 1
    run.carry_out()
    return open_cube(out)


def prepared(
    files: tuple[Path, Path], out: Path, method: str = "gsa", *, resume: bool = False, **options: Any
) -> TiledRun:
    tiles = TiledOptions(workers=1, side_px=64, resume=resume)
    coarse, fine = (Image(path) for path in files)
    chosen = Options(**{"precision": "fp32", "device": "cpu", "coregister": "none", **options})
    return prepare(coarse, fine, out, method=method, tiles=tiles, options=chosen)


@pytest.mark.parametrize(("nodata", "suffix"), [(-9999, "tif"), (0, "hdr"), (-1, "nc"), (-9999, "npy")])
def test_whole_numbers_with_a_nodata_value_keep_both_whole_and_in_tiles(
    nodata: int, suffix: str, tmp_path: Path
) -> None:
    hs, ms = pair(5, 128)
    spread = 200 * (hs - float(hs.min()))  # a few of which round to 0
    for gap in (False, True):
        counts = spread.where(spread.y < float(spread.y[3]) if gap else True)
        numbers = counts.fillna(nodata).values.astype(np.int16)
        stored = make_cube(numbers, crs=crs_of(hs), transform=transform_of(hs))
        stored.encoding["_FillValue"] = nodata
        paths = saved(tmp_path, stored, 200 * ms)
        run = prepared(paths, tmp_path / f"tiles.{suffix}", "bicubic")
        run.carry_out()
        tiled = open_cube(tmp_path / f"tiles.{suffix}")
        if suffix == "npy":  # which has no place for a nodata value
            assert tiled.dtype == np.float32
            continue
        images = (CubeImage(Image(path).cube(), path) for path in paths)
        sharp, _ = fuse_images(*images, method="bicubic", options=Options(coregister="none"))
        whole = open_cube(save_cube(sharp, tmp_path / f"whole.{suffix}"))
        for cube in (tiled, whole):
            assert cube.encoding["dtype"] == np.int16 and cube.encoding["_FillValue"] == nodata
        np.testing.assert_allclose(tiled.values, whole.values, atol=1)
        missing = np.isnan(sharp.values)
        np.testing.assert_array_equal(np.isnan(whole.values), missing)
        assert missing.mean() < 0.5 and missing.any() == (gap or nodata == 0)
        np.testing.assert_array_equal(missing, np.broadcast_to(missing.all(0), missing.shape))


@pytest.mark.parametrize("method", [*QUICK, *NETWORKS])
def test_tiles_are_the_whole_image(method: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    files = request.getfixturevalue("wide_files" if method in NETWORKS else "files")
    hs, ms = (open_cube(path) for path in files)
    consistent = None if method in ("glp", "ssjcn") else False
    whole = fuse(hs, ms, method=method, coregister="none", precision="fp32", device="cpu", consistent=consistent)
    tiled = made(files, tmp_path / "sharp.tif", method, consistent=consistent)
    assert np.abs(tiled.values - whole.values).max() < 1e-4 * np.ptp(whole.values)
    assert crs_of(tiled) == crs_of(whole) and transform_of(tiled) == transform_of(whole)
    np.testing.assert_array_equal(wavelengths_nm(tiled), wavelengths_nm(whole))
    assert tiled.dtype == whole.dtype


def spiky(hs: xr.DataArray) -> xr.DataArray:
    """With glints that hs alone saw, more of them in one tile than would be few in it."""
    hs[3, 20:23:2, 30:33:2], hs[:, 2, 2] = 9.0, -4.0
    return hs


def enlarged(hs: xr.DataArray) -> xr.DataArray:
    """On pixels half as wide, by repetition."""
    values, place = hs.values.repeat(2, 1).repeat(2, 2), PLACE @ affine.Affine.scale(RATIO / 2)
    return make_cube(values, wavelengths_nm=wavelengths_nm(hs), crs="EPSG:32633", transform=place)


@pytest.mark.parametrize("spoil", [spiky, enlarged])
def test_what_is_mended_in_the_whole_is_mended_in_tiles(
    spoil: Callable[[xr.DataArray], xr.DataArray], tmp_path: Path
) -> None:
    hs, ms = pair()
    files = saved(tmp_path, spoil(hs), ms)
    whole = fuse(*(open_cube(path) for path in files), method="gsa", coregister="none", consistent=False)
    tiled = made(files, tmp_path / "sharp.tif", consistent=False)
    assert np.abs(tiled.values - whole.values).max() < 1e-4 * np.ptp(whole.values)
    assert np.abs(tiled.values - scene().numpy()).mean() < 0.02


def test_every_method_is_tried_in_tiles_but_the_iterative_and_the_composed() -> None:
    assert set(METHODS) == {*QUICK, *NETWORKS, *OWN, "hysure", "ssjcn-any"}


def test_hysure_in_tiles_is_as_good_and_shows_no_seam(wide_files: tuple[Path, Path], tmp_path: Path) -> None:
    truth = scene(OF_NETWORKS, SIDE_OF_NETWORKS).numpy()
    whole = fuse(*(open_cube(path) for path in wide_files), method="hysure", coregister="none", consistent=False).values
    tiled = made(wide_files, tmp_path / "sharp.tif", "hysure", consistent=False).values
    errors_db = [10 * np.log10(np.mean((image - truth) ** 2)) for image in (whole, tiled)]
    assert abs(errors_db[0] - errors_db[1]) < 0.05
    steps = np.abs(np.diff(tiled - whole, axis=2)).mean((0, 1))
    seams = steps[63]
    assert seams < 0.02 * np.abs(np.diff(whole, axis=2)).mean()


def test_auto_learns_once_and_tells_the_ranking(files: tuple[Path, Path], tmp_path: Path) -> None:
    run = prepared(files, tmp_path / "sharp.tif", "auto", budget_s=0.0)
    assert run.record.choice["why"].startswith("auto chose ")
    assert run.record.tiles is not None and run.record.tiles.startswith("9 tiles of 64 x 64 px with a ")
    run.carry_out()
    assert open_cube(run.out).shape == (BANDS, SIDE, SIDE)


@pytest.mark.parametrize("suffix", [".img", ".bip", ".zarr", ".nc", ".npy"])
def test_formats_that_are_streamed_hold_the_same_values(
    suffix: str, files: tuple[Path, Path], expected: Path, tmp_path: Path
) -> None:
    found = made(files, tmp_path / f"sharp{suffix}")
    np.testing.assert_array_equal(found.values, open_cube(expected).values)


def test_a_format_that_cannot_be_streamed_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"sharp\.mat for a scene fused in tiles, expected a name ending in"):
        prepared(files, tmp_path / "sharp.mat")


def test_pixels_and_bands_that_are_missing_stay_missing(tmp_path: Path) -> None:
    hs, ms = pair()
    hs.values[5] = np.nan
    hs.values[:, 3, 4] = np.nan
    ms.values[:, 100:110, 60:70] = np.nan
    paths = saved(tmp_path, hs, ms)
    mask = np.zeros((1, SIDE, SIDE), np.uint8)
    mask[0, 150, 150] = 1
    save_cube(make_cube(mask, crs="EPSG:32633", transform=PLACE), tmp_path / "mask.tif")
    image = Image(paths[1], mask=tmp_path / "mask.tif")
    tiles = TiledOptions(workers=1, side_px=64)
    out = tmp_path / "sharp.tif"
    prepare(Image(paths[0]), image, out, method="gsa", tiles=tiles, options=Options(coregister="none")).carry_out()
    missing = np.isnan(open_cube(out).values)
    assert missing[5].all()
    expected = np.zeros((SIDE, SIDE), bool)
    expected[12:16, 16:20] = expected[100:110, 60:70] = expected[150, 150] = True
    np.testing.assert_array_equal(missing[6], expected)


def test_whole_numbers_stay_whole_numbers(tmp_path: Path) -> None:
    hs, ms = ((image * 10_000).round().astype(np.uint16) for image in pair())
    paths = saved(tmp_path, hs, ms)
    tiled = made(paths, tmp_path / "sharp.tif", consistent=False)
    whole = fuse(*(open_cube(path) for path in paths), method="gsa", coregister="none", consistent=False)
    assert tiled.dtype == np.uint16 == whole.dtype
    assert np.abs(tiled.values.astype(int) - whole.values).max() <= 1


def test_grids_that_do_not_nest_are_aligned_tile_by_tile(tmp_path: Path) -> None:
    hs, ms = pair()
    off = PLACE @ affine.Affine.translation(0.3, -0.4) @ affine.Affine.scale(0.96)
    ms = make_cube(ms.values, wavelengths_nm=[650, 550, 450], crs="EPSG:32633", transform=off)
    paths = saved(tmp_path, hs, ms)
    tiled = made_by(paths, tmp_path / "sharp.tif", options=Options(coregister="none"))
    whole = fuse(*(open_cube(path) for path in paths), method="bicubic", coregister="none")
    assert transform_of(tiled) == transform_of(whole) and tiled.shape == whole.shape
    both = ~np.isnan(whole.values)
    np.testing.assert_array_equal(np.isnan(tiled.values), ~both)
    np.testing.assert_allclose(tiled.values[both], whole.values[both], atol=1e-5)


def made_by(paths: tuple[Path, Path], out: Path, **options: Any) -> xr.DataArray:
    coarse, fine = (Image(path) for path in paths)
    tiles = TiledOptions(workers=1, side_px=64)
    prepare(coarse, fine, out, method="bicubic", tiles=tiles, **options).carry_out()
    return open_cube(out)


def test_a_proven_shift_is_undone_in_every_tile(files: tuple[Path, Path], tmp_path: Path) -> None:
    hs, ms = (open_cube(path) for path in files)
    moved = ms.copy(data=np.roll(ms.values, (1, 2), (1, 2)))
    paths = files[0], save_cube(moved, tmp_path / "ms.tif")
    run = prepare(
        *(Image(path) for path in paths),
        tmp_path / "sharp.tif",
        method="glp",
        tiles=TiledOptions(workers=1, side_px=64),
        options=Options(consistent=False),
    )
    run.carry_out()
    whole = fuse(hs, moved, method="glp", consistent=False)
    assert run.record.placement["offset_px_yx"] == pytest.approx([1, 2], abs=0.1)
    assert np.abs(open_cube(tmp_path / "sharp.tif").values - whole.values).max() < 2e-4 * np.ptp(whole.values)


def test_a_run_that_failed_goes_on_and_gives_the_same_file(
    files: tuple[Path, Path], expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sharp.tif"
    after(monkeypatch, 4, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OutputError, match="finished tiles are kept, do: free some, then repeat the call with --resume"):
        made(files, out)
    assert not out.exists() and len(list(folder_for(out).glob("*.npy"))) == 4
    monkeypatch.undo()
    with pytest.raises(CallError, match=r"an unfinished run in .*, expected a fresh start, do: add --resume"):
        prepared(files, out)
    with pytest.raises(CallError, match="tiles of a run that differs in method, expected the same call"):
        prepared(files, out, "glp", resume=True)
    prepared(files, out, resume=True).carry_out()
    assert out.read_bytes() == expected.read_bytes()
    assert not folder_for(out).exists() and sorted(path.name for path in tmp_path.iterdir()) == ["sharp.tif"]


def after(monkeypatch: pytest.MonkeyPatch, tiles: int, error: OSError) -> None:
    """Let writing fail after so many tiles."""
    written = []

    def write(path: Path, content: bytes | np.ndarray) -> None:
        if isinstance(content, np.ndarray):
            if len(written) == tiles:
                raise error
            written.append(path)
        store.write_whole(path, content)

    monkeypatch.setattr(workers, "write_whole", write)


def test_a_killed_process_leaves_what_it_had_made_and_the_next_gives_the_same_file(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "sharp.tif"
    words = [str(files[0]), str(files[1]), "--method", "gsa", "--workers", "1", "--memory", "1.6GB", "-o"]
    command = [sys.executable, "-m", "hypersharp", "fuse", *words, str(out)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: folder_for(out).exists() or running.poll() is not None)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not out.exists()
    for more in ([str(out), "--resume"], [str(expected := tmp_path / "expected.tif")]):
        with pytest.raises(SystemExit) as stop:
            main(["fuse", *words, *more])
        assert not stop.value.code
    assert out.read_bytes() == expected.read_bytes()


def wait_until(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_processes_give_the_same_file_though_one_dies(files: tuple[Path, Path], expected: Path, tmp_path: Path) -> None:
    import psutil

    out = tmp_path / "sharp.tif"
    run = prepared(files, out)
    run = replace(run, tiles=TiledOptions(workers=2))
    before = set(psutil.Process().children(recursive=True))

    def kill_one(fraction: float) -> None:
        own = [process for process in set(psutil.Process().children(recursive=True)) - before if is_worker(process)]
        if fraction < 0.3 and own:
            own[0].kill()

    run.carry_out(kill_one)
    np.testing.assert_array_equal(open_cube(out).values, open_cube(expected).values)


def is_worker(process: Any) -> bool:
    import psutil

    try:
        return "hypersharp.tiles.worker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_a_scheduler_that_is_not_there_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    run = prepared(files, tmp_path / "sharp.tif")
    away = replace(run, tiles=TiledOptions(scheduler="udp://nowhere"))
    with pytest.raises(InputError, match="no scheduler at udp://nowhere"):
        away.carry_out()


def test_tiles_are_put_together_here_whatever_computes_lazy_arrays_by_default(
    files: tuple[Path, Path], expected: Path, tmp_path: Path
) -> None:
    """A cluster of the user's, which could not hear from this process which tiles are made."""
    run = prepared(files, tmp_path / "sharp.tif")
    with dask.config.set(scheduler=lambda *_, **__: pytest.fail("computed elsewhere")):
        run.carry_out()
    assert (tmp_path / "sharp.tif").read_bytes() == expected.read_bytes()


def test_the_face_offers_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    sharp = fuse_in_tiles(*files, tmp_path / "sharp.zarr", method="bicubic", workers=1, memory_bytes=2e9)
    assert sharp.shape == (BANDS, SIDE, SIDE) and not isinstance(sharp.data, np.ndarray)


def test_a_network_sees_further_the_coarser_hs_is(tmp_path: Path) -> None:
    """At ratio 8 what SSJCN sees of hs is twice as far off, in fine pixels, as at ratio 4."""
    response = np.kron(np.eye(2), np.full(4, 0.25))
    psf = gaussian(16, 4, 8, boundary="reflect")
    pair_8 = (make_cube(image.numpy()) for image in Sensor(psf, response, 8).observe(scene()))
    paths = [save_cube(cube, tmp_path / f"{name}.tif") for name, cube in zip(("hs", "ms"), pair_8, strict=True)]
    told: dict[str, Any] = {"weights": "ssjcn-any", "precision": "fp32", "device": "cpu", "consistent": False}
    known: dict[str, Any] = {"psf": psf, "srf": response}
    run = prepare(
        *(Image(path) for path in paths),
        tmp_path / "sharp.tif",
        method="ssjcn",
        tiles=TiledOptions(workers=1, side_px=64),
        options=Options(**told, coregister="none"),
        **known,
    )
    assert len(run.job.tiling) == 9
    run.carry_out()
    whole = fuse(*(open_cube(path) for path in paths), method="ssjcn", coregister="none", **told, **known)
    assert np.abs(open_cube(tmp_path / "sharp.tif").values - whole.values).max() < 1e-5 * np.ptp(whole.values)


def test_a_memory_for_one_worker_gets_one_unless_more_are_asked_for(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse, fine = (Image(path) for path in files)
    out = tmp_path / "sharp.tif"
    with pytest.raises(CallError, match=r"1\.5 GB for 2 workers, expected 2\.\d GB or more"):
        prepare(coarse, fine, out, method="bicubic", tiles=TiledOptions(1.5e9, workers=2))
    monkeypatch.setattr("dask.system.CPU_COUNT", 2)
    run = prepare(coarse, fine, out, method="bicubic", tiles=TiledOptions(1.5e9))
    assert run.job.workers == 1 and str(run.record).endswith("1 worker (limited by the memory)")
    run.carry_out()
    assert out.exists() and not folder_for(out).exists()


def test_the_face_takes_what_fuse_takes(files: tuple[Path, Path], tmp_path: Path) -> None:
    whole_alone = {"mode", "tile_px"}
    assert signature(fuse).parameters.keys() - whole_alone <= signature(fuse_in_tiles).parameters.keys()
    psf = gaussian(8, 2, RATIO, boundary="reflect")
    told: dict[str, Any] = {"method": "glp", "psf": psf, "consistent": False, "coregister": "none"}
    sharp = fuse_in_tiles(*files, tmp_path / "sharp.npy", workers=1, memory_bytes=2e9, scale=2.0, **told)
    whole = fuse(*(open_cube(path) for path in files), scale=2.0, **told)
    np.testing.assert_allclose(sharp.values, whole.values, atol=1e-5)
    with pytest.raises(InputError, match="precision 'half'"):
        fuse_in_tiles(*files, tmp_path / "sharp.npy", precision="half")  # type: ignore[arg-type]


def test_a_sample_of_a_large_scene_leaves_its_seams_out(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MOST_COARSE", 32)
    monkeypatch.setattr(samples, "LEAST_RUN", 8)
    placement = place(Image(files[0]), Image(files[1]), coregister="none")
    sample = samples.Sample.of((48, 48), RATIO)
    assert not sample.is_all
    hs, ms = read_sample(placement, sample)
    coarse = np.concatenate([np.arange(run.start, run.stop) for run in sample.rows])
    fine = np.concatenate([np.arange(RATIO * run.start, RATIO * run.stop) for run in sample.rows])
    whole_hs, whole_ms = (open_cube(path).values for path in files)
    np.testing.assert_array_equal(hs.values, whole_hs[:, coarse][:, :, coarse])
    np.testing.assert_array_equal(ms.values, whole_ms[:, fine][:, :, fine])
    valid = check_pair(placement).to_learn_from(in_parts=True).hs_valid
    assert valid is not None and valid.shape == (32, 32)
    assert not valid[:, 6:10].any() and valid[2, 2]


@pytest.mark.parametrize("ratio", [2, 8, 12, 16, 24, 32])
def test_a_sample_has_windows_of_a_size_that_shows_a_blur(ratio: int) -> None:
    runs = samples.Sample.of((300, 300), ratio).rows
    assert len(runs) > 1 and (runs[0].start, runs[-1].stop) == (0, 300)
    assert all(len(run) >= samples.LEAST_RUN for run in runs)


def test_workers_agree_on_the_precision_that_one_process_found(
    wide_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for faster, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(inference, "bf16_is_faster", lambda device, faster=faster: faster)
        run = prepared(wide_files, tmp_path / f"{precision}.tif", "ssjcn", precision="auto", consistent=False)
        assert run.job.fusion.options.precision == precision
        run.store.give_up()
