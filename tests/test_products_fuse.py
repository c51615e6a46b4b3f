"""Products as they come, fused: against the known landscape that their miniatures show."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import make_cube, transform_of
from hypersharp.io import save_cube
from hypersharp.io.image import Image
from hypersharp.pair.near import near
from hypersharp.pair.units import unit_warnings
from product_scene import EPSG, Landscape, on_map

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


def test_only_the_ms_around_hs_is_read(product: Make, tmp_path: Path) -> None:
    place = on_map(30, 600, 600)
    hs, ms = (
        save_cube(make_cube(np.ones((3, 8, 8)), crs=EPSG, transform=place), tmp_path / "hs.tif"),
        product("sentinel2"),
    )
    part = near(Image(ms), Image(hs))
    assert part.part == (30, 30, 84, 84)
    np.testing.assert_array_equal(part.cube(), Image(ms).cube()[:, 30:114, 30:114])
    assert near(Image(ms), Image(product("enmap"))).part is None, "most of it is needed"


@pytest.mark.parametrize(
    ("scale", "offset", "said"),
    [(1.0, None, "--ms-scale 0.0001 --ms-offset -0.1"), (1e-4, None, "--ms-offset -0.1"), (None, None, "")],
)
def test_units_that_do_not_fit_are_named(product: Make, scale: float | None, offset: float | None, said: str) -> None:
    hs, ms = Image(product("prisma")).cube(), Image(product("sentinel2"), scale=scale, offset=offset).cube()
    coarse, fine = hs[:, 5:15, 5:15], on_the_pixels_of(hs[:, 5:15, 5:15], ms)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        found = unit_warnings(coarse, fine)
    assert (said in found[0]) if said else not found


def on_the_pixels_of(hs: xr.DataArray, ms: xr.DataArray) -> xr.DataArray:
    """The nearest ms pixels of a grid three times as fine as that of hs."""
    x, y = (
        np.repeat(axis.values, 3) + np.tile([-10, 0, 10], len(axis)) * sign for axis, sign in ((hs.x, 1), (hs.y, -1))
    )
    found = ms.sel(x=x, y=y, method="nearest")
    return found.copy()
