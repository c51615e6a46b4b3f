"""Folders of band images, CAVE's among them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.errors import InputError, OutputError
from hypersharp.io import open_cube, save_cube


def scene(root: Path, name: str = "toys_ms", bands: int = 31, nested: bool = True, rgba: bool = False) -> Path:
    """A stand-in for a CAVE scene: band k holds k, beside an RGB picture and what Windows leaves behind."""
    folder = root / name / name if nested else root / name
    folder.mkdir(parents=True)
    for band in range(1, bands + 1):
        plane = np.full((4, 5), band, "u1" if rgba else "u2")
        channels = np.dstack([plane, plane + 1, plane, np.full_like(plane, 255)])
        Image.fromarray(channels if rgba else plane * 1000).save(folder / f"{name}_{band:02d}.png")
    Image.fromarray(np.zeros((4, 5, 3), "u1")).save(folder / "toys_RGB.bmp")
    (folder / "Thumbs.db").write_bytes(b"\0")
    return root / name


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("rgba", [True, False])
def test_the_cave_layout(tmp_path: Path, nested: bool, rgba: bool) -> None:
    cube = open_cube(scene(tmp_path, nested=nested, rgba=rgba))
    assert cube.shape == (31, 4, 5)
    assert cube.dtype == ("u1" if rgba else "u2")
    np.testing.assert_array_equal(cube.values[:, 0, 0], np.arange(1, 32) * (1 if rgba else 1000))
    assert wavelengths_nm(cube).tolist() == list(range(400, 701, 10))


def test_other_folders_do_not_get_wavelengths(tmp_path: Path) -> None:
    assert wavelengths_nm(open_cube(scene(tmp_path, bands=30))) is None
    thirty_one = save_cube(make_cube(np.ones((31, 2, 2), "u1")), tmp_path / "mine")
    assert wavelengths_nm(open_cube(thirty_one)) is None


def test_gaps_doubles_and_odd_sizes_are_named(tmp_path: Path) -> None:
    folder = scene(tmp_path, nested=False)
    (folder / "toys_ms_07.png").rename(tmp_path / "kept.png")
    with pytest.raises(InputError, match="no band 7"):
        open_cube(folder)
    (tmp_path / "kept.png").rename(folder / "toys_ms_07.png")
    Image.fromarray(np.zeros((2, 2), "u2")).save(folder / "toys_ms_09.png")
    with pytest.raises(InputError, match="toys_ms_09"):
        open_cube(folder)
    (folder / "toys_ms_08.tif").write_bytes((folder / "toys_ms_08.png").read_bytes())
    with pytest.raises(InputError, match="one image a band"):
        open_cube(folder)


def test_a_folder_without_bands_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no band images"):
        open_cube(tmp_path)
    scene(tmp_path, "one_ms", nested=False)
    scene(tmp_path, "two_ms", nested=False)
    with pytest.raises(InputError, match="2 scenes"):
        open_cube(tmp_path)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.doc"):
        save_cube(make_cube(np.ones((1, 2, 2), "u1")), tmp_path / "home")
    (tmp_path / "home.zarr").mkdir()
    (tmp_path / "home.zarr" / "thesis.doc").write_text("years of work")
    with pytest.raises(OutputError):
        save_cube(make_cube(np.ones((1, 2, 2), "u1")), tmp_path / "home.zarr")


@pytest.mark.parametrize(("name", "dtype"), [("balloons_ms", "u2"), ("watercolors_ms", "u1")])
def test_cave_itself(name: str, dtype: str, data_dir: Callable[[str], Path]) -> None:
    path = data_dir("cave") / name
    cube = open_cube(path, window=(100, 200, 16, 8))
    assert cube.shape == (31, 16, 8)
    assert cube.dtype == dtype
    plane = np.asarray(Image.open(path / name / f"{name}_12.png"))
    np.testing.assert_array_equal(cube.values[11], (plane if plane.ndim == 2 else plane[..., 0])[100:116, 200:208])


@pytest.mark.parametrize("dtype", ["u4", "i8", "u8"])
def test_whole_numbers_are_kept_while_32_bits_hold_them(dtype: str, tmp_path: Path) -> None:
    values = np.full((2, 4, 5), 2**24 + 1, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_cube(make_cube(values), tmp_path / "exact")
    np.testing.assert_array_equal(open_cube(tmp_path / "exact").values, values)
    values[0, 0, 0] = 2**31
    with pytest.warns(UserWarning, match=r"2,147,483,648 is saved as float32, .* write \.tif"):
        save_cube(make_cube(values), tmp_path / "rounded")
