"""An image reads the same from its file and from memory, whole or a window at a time."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from hypersharp.cube import make_cube, transform_of
from hypersharp.errors import InputError
from hypersharp.io import save_cube
from hypersharp.io.image import CubeImage, Image

PLACE = Affine(30, 0, 383472.37, 0, -30, 5818302.35)
CUBE = make_cube(np.arange(96, dtype="f4").reshape(2, 6, 8), wavelengths_nm=[500, 600], crs=32633, transform=PLACE)


@pytest.mark.parametrize("window", [None, (0, 0, 6, 8), (1, 2, 4, 5), (5, 7, 1, 1)])
def test_a_file_and_a_cube_are_read_alike(tmp_path: Path, window: tuple[int, int, int, int] | None) -> None:
    stored, held = Image(save_cube(CUBE, tmp_path / "image.tif")), CubeImage(CUBE)
    parts = [image.cube(window) for image in (stored, held)]
    np.testing.assert_array_equal(parts[0].values, parts[1].values)
    assert transform_of(parts[0]).almost_equals(transform_of(parts[1]), 1e-6)
    assert [image.outline().shape for image in (stored, held)] == [CUBE.shape] * 2
    assert not stored.leaves_out
    assert not held.leaves_out


def test_a_window_of_a_cube_in_memory_is_a_view_of_it() -> None:
    assert np.shares_memory(CubeImage(CUBE).cube((1, 2, 4, 5)).data, CUBE.data)
    assert CubeImage(CUBE).cube() is CUBE
    with pytest.raises(InputError, match="window"):
        CubeImage(CUBE).cube((0, 0, 7, 8))


def test_a_mask_of_another_size_is_found_before_anything_is_read(tmp_path: Path) -> None:
    path = save_cube(CUBE, tmp_path / "image.tif")
    mask = save_cube(make_cube(np.zeros((1, 5, 8), "u1")), tmp_path / "mask.tif")
    with pytest.raises(InputError, match=r"5 x 8 .* 6 x 8"):
        Image(path, mask=mask).check()
    assert Image(path).check() is None
