"""NumPy files: plain arrays only."""

from pathlib import Path

import numpy as np
import pytest

from hypersharp.cube import wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io import open_cube


def test_a_plain_array_is_band_y_x(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5), ">i2", order="F"))
    cube = open_cube(tmp_path / "a.npy")
    assert cube.shape == (3, 4, 5)
    assert cube.dtype == np.dtype("=i2")
    assert open_cube(tmp_path / "a.npy", layout="hwl").shape == (5, 3, 4)
    cube.values[:] = 7  # the caller's own, not the file
    assert open_cube(tmp_path / "a.npy").values.max() == 1


def test_two_axes_are_one_band(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    assert open_cube(tmp_path / "a.npy").shape == (1, 4, 5)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}, None], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", cube=np.array([{"x": 1}], object), allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="not pickled objects"):
            open_cube(tmp_path / name)


@pytest.mark.parametrize("array", [np.ones(4), np.ones((1, 2, 2, 2)), np.array([["a"]]), np.ones((2, 2, 2)) * 1j])
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError):
        open_cube(tmp_path / "a.npy")


def test_an_archive_with_wavelengths_in_micrometres(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.ones((2, 4, 5)), wavelength=[0.45, 2.2], mask=np.ones((4, 5), bool))
    assert wavelengths_nm(open_cube(tmp_path / "a.npz")).tolist() == [450, 2200]


def test_several_images_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", hs=np.ones((2, 4, 5)), ms=np.ones((2, 4, 5)))
    with pytest.raises(InputError, match="variable="):
        open_cube(tmp_path / "a.npz")
    assert open_cube(tmp_path / "a.npz", variable="hs").shape == (2, 4, 5)
