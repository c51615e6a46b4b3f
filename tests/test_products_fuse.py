"""Products as they come, fused: against the known landscape that their miniatures show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import transform_of
from product_scene import Landscape

Make = Callable[..., Path]


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def db(sharp: xr.DataArray, seed: int = 0) -> float:
    """PSNR of reflectance against the landscape on the result's own grid, all pixels and bands that it has."""
    place = transform_of(sharp)
    assert place is not None
    truth = Landscape(seed).seen(place, sharp.shape[1:], sharp.wavelength.values, sharp.fwhm.values)
    return float(-10 * np.log10(np.nanmean((sharp.values - truth) ** 2)))


def test_enmap_with_sentinel2(product: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hs, ms = product("enmap"), product("sentinel2")
    for method in ("gsa", "bicubic"):
        assert run("fuse", hs, ms, "-o", tmp_path / f"{method}.tif", "--method", method) == 0
    text = capsys.readouterr().out
    assert "(number -1000) / 10000" in text and "left out by the product's own masks: cloud" in text
    sharp, plain = (hsp.open(tmp_path / f"{method}.tif") for method in ("gsa", "bicubic"))
    assert db(sharp) > max(30, db(plain) + 6)


@pytest.mark.parametrize(("name", "least_db"), [("prisma", 33), ("emit", 30)])
def test_with_sentinel2(product: Make, tmp_path: Path, name: str, least_db: float) -> None:
    hs, ms = product(name), product("sentinel2")
    for method in ("gsa", "bicubic"):
        assert run("fuse", hs, ms, "-o", tmp_path / f"{method}.tif", "--method", method) == 0
    sharp, plain = (hsp.open(tmp_path / f"{method}.tif") for method in ("gsa", "bicubic"))
    assert db(sharp) > max(least_db, db(plain) + 8)
