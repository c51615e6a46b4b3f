"""How a result was made stays with it in the formats that have a place for it."""

from pathlib import Path

import numpy as np
import pytest

from hypersharp.cube import make_cube
from hypersharp.io import open_cube, save_cube

NOTES = 'method auto, ratio 4; candidate   PSNR dB; gsa   30.1; (σ = 2) <&> "quoted"'


@pytest.mark.parametrize("suffix", [".tif", ".nc", ".zarr"])
def test_notes_survive(suffix: str, tmp_path: Path) -> None:
    cube = make_cube(np.random.default_rng(0).random((3, 5, 6)).astype(np.float32))
    path = save_cube(cube.assign_attrs(hypersharp=NOTES), tmp_path / f"sharp{suffix}")
    assert open_cube(path).attrs["hypersharp"] == NOTES
    assert open_cube(path, bands=[1], lazy=True).attrs["hypersharp"] == NOTES
    assert "hypersharp" not in open_cube(save_cube(cube, tmp_path / f"plain{suffix}")).attrs
