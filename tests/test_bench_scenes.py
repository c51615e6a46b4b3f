"""Scenes on disk: real CAVE where it is, stand-ins of CAVE's and Harvard's layout everywhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.cli import main
from hypersharp.cube import wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

DIAN, UESTC, HARVARD = find_protocol("dian-x4"), find_protocol("uestc-x4"), find_protocol("harvard-x4")


def write_cave_scene(folder: Path, name: str, *, nested: bool = True, eight_bit: bool = False) -> np.ndarray:
    """A scene of 8 x 12 pixels as CAVE stores them; returns the stored values (31, 8, 12)."""
    home = folder / f"{name}_ms" / f"{name}_ms" if nested else folder / f"{name}_ms"
    home.mkdir(parents=True)
    top, dtype = (255, np.uint8) if eight_bit else (65535, np.uint16)
    values = np.random.default_rng(len(name)).integers(0, top + 1, (31, 8, 12)).astype(dtype)
    for number, band in enumerate(values, start=1):
        grey_alpha = [band, band, band, np.full_like(band, 255)]
        image = Image.fromarray(np.stack(grey_alpha, axis=-1) if eight_bit else band)
        image.save(home / f"{name}_ms_{number:02d}.png")
    return values


def write_harvard_scene(folder: Path, name: str, shape_yx: tuple[int, int] = (40, 48)) -> np.ndarray:
    """A scene as CZ_hsdb stores them, `ref` (y, x, 31) small and `lbl` (y, x) 0 in one corner; returns `ref`."""
    folder.mkdir(parents=True, exist_ok=True)
    ref = 0.05 * np.random.default_rng(1).random((*shape_yx, 31))
    lbl = np.ones(shape_yx, dtype=np.uint8)
    lbl[:3, :2] = 0
    savemat(folder / f"{name}.mat", {"ref": ref, "lbl": lbl})
    return ref


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("inside", ["", "cave"])
def test_cave_scenes_are_found_and_scaled(tmp_path: Path, nested: bool, inside: str) -> None:
    stored = write_cave_scene(tmp_path / inside, "balloons", nested=nested)
    paths = find_scenes(DIAN, tmp_path)
    assert list(paths) == ["balloons"]
    truth = load_truth(DIAN, paths["balloons"])
    assert truth.dtype == np.float32
    np.testing.assert_allclose(truth, stored / 65535, rtol=1e-6)
    np.testing.assert_array_equal(wavelengths_nm(truth), np.arange(400, 701, 10))


def test_the_eight_bit_scene_is_scaled_by_255(tmp_path: Path) -> None:
    stored = write_cave_scene(tmp_path, "watercolors", eight_bit=True)
    truth = load_truth(DIAN, find_scenes(DIAN, tmp_path)["watercolors"])
    np.testing.assert_allclose(truth, stored / 255, rtol=1e-6)


def test_scenes_by_name_come_in_that_order(tmp_path: Path) -> None:
    for name in ("beads", "clay", "balloons"):
        write_cave_scene(tmp_path, name)
    assert list(find_scenes(DIAN, tmp_path)) == ["balloons", "beads", "clay"]
    assert list(find_scenes(DIAN, tmp_path, ["clay", "beads"])) == ["clay", "beads"]


def test_missing_scenes_are_counted_and_named(tmp_path: Path) -> None:
    write_cave_scene(tmp_path, "balloons")
    with pytest.raises(InputError, match=r"1 of 3 dian-x4 scenes in .*balloons_ms.*add beads, cd from https"):
        find_scenes(DIAN, tmp_path, ["balloons", "beads", "cd"])
    with pytest.raises(InputError, match=r"0 of 50 harvard-x4 scenes in .*img1\.mat.*and 45 more"):
        find_scenes(HARVARD, tmp_path)
    with pytest.raises(InputError, match="no folder"):
        find_scenes(DIAN, tmp_path / "nowhere")
    with pytest.raises(InputError, match="did you mean"):
        find_scenes(DIAN, tmp_path, ["ballons"])
    with pytest.raises(InputError, match="watercolors"):
        find_scenes(UESTC, tmp_path, ["watercolors"])


def test_scenes_are_checked_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in HARVARD.scenes:
        write_harvard_scene(tmp_path, name, (8, 12))
    command = ["scenes", "harvard-x4", "--data", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert not stop.value.code
    assert "test: 25 of 25 scenes are there" in capsys.readouterr().out
    (tmp_path / "img1.mat").unlink()
    (tmp_path / "imgh3.mat").write_bytes(b"broken")
    with pytest.raises(SystemExit, match="1"):
        main(command)
    said = capsys.readouterr().out
    assert "https://vision.seas.harvard.edu" in said
    assert "train: 19 of 20 scenes are there" in said
    assert "img1: missing" in said
    assert "imgh3: found" in said


@pytest.mark.parametrize("inside", ["", "harvard"])
def test_harvard_scenes_are_scaled_by_their_maximum(tmp_path: Path, inside: str) -> None:
    ref = write_harvard_scene(tmp_path / inside, "imgd3")
    truth = load_truth(HARVARD, find_scenes(HARVARD, tmp_path)["imgd3"])
    np.testing.assert_allclose(truth, ref.transpose(2, 0, 1) / ref.max(), rtol=1e-6)
    assert float(truth.max()) == 1
    assert truth.dtype == np.float32
    np.testing.assert_array_equal(wavelengths_nm(truth), np.arange(420, 721, 10))


def test_a_harvard_stand_in_becomes_a_pair(tmp_path: Path) -> None:
    write_harvard_scene(tmp_path, "img1", (104, 136))
    truth = load_truth(HARVARD, find_scenes(HARVARD, tmp_path)["img1"])
    assert truth.shape == (31, 104, 136)
    hs, ms, _ = simulate_pair(truth, HARVARD.sensor())
    assert (hs.shape, ms.shape) == ((31, 26, 34), (3, 104, 136))


def test_a_crop_keeps_the_upper_left(tmp_path: Path) -> None:
    ref = write_harvard_scene(tmp_path, "img1")
    cropped = load_truth(replace(HARVARD, crop_yx=(16, 20)), tmp_path / "img1.mat")
    np.testing.assert_allclose(cropped, ref[:16, :20].transpose(2, 0, 1) / ref[:16, :20].max(), rtol=1e-6)


def test_files_that_are_no_scene(tmp_path: Path) -> None:
    savemat(tmp_path / "img1.mat", {"ref": np.ones((20, 24, 30)), "lbl": np.ones((20, 24))})
    savemat(tmp_path / "img2.mat", {"ref": np.zeros((40, 48, 31)), "lbl": np.ones((40, 48))})
    savemat(tmp_path / "imga1.mat", {"other": np.ones((40, 48, 31))})
    (tmp_path / "imga2.mat").write_bytes(b"broken")
    for name, said in [("img1", "30 bands"), ("img2", "largest value of 0"), ("imga1", "ref"), ("imga2", "imga2")]:
        with pytest.raises(InputError, match=said):
            load_truth(HARVARD, tmp_path / f"{name}.mat")


def test_all_of_cave_is_there(data_dir: Callable[[str], Path]) -> None:
    paths = find_scenes(DIAN, data_dir("cave"), DIAN.scenes)
    assert len(paths) == 32
    assert find_scenes(DIAN, data_dir("cave").parent) == paths
    truth = load_truth(DIAN, paths["watercolors"])
    assert truth.shape == (31, 512, 512)
    assert 0.5 < float(truth.max()) <= 1
    hs, ms, _ = simulate_pair(truth, DIAN.sensor())
    assert (hs.shape, ms.shape) == ((31, 128, 128), (3, 512, 512))
