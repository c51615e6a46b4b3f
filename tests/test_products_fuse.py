"""Products as they come, fused: against the known landscape that their miniatures show."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import LONLAT, crs_of, lonlat_of, make_cube, transform_of
from hypersharp.errors import InputError
from hypersharp.fusion.near import near
from hypersharp.io import save_cube
from hypersharp.io.image import Image
from hypersharp.pair.options import Options
from hypersharp.pair.place import pair_of, place
from hypersharp.pair.record import Record
from hypersharp.pair.units import unit_warnings
from hypersharp.sensor.spectra import coverage_notes
from product_scene import EPSG, Landscape, in_orbit, metres, on_map, swaying

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
    assert "ms sees 426 to 939 nm: the detail of 28 hs bands beyond" in text
    assert "(number -1000) / 10000" in text and "left out by the product's own masks: cloud" in text
    sharp, plain = (hsp.open(tmp_path / f"{method}.tif") for method in ("gsa", "bicubic"))
    assert db(sharp) > max(30, db(plain) + 6)


def test_bands_that_only_one_of_the_two_has_are_named(product: Make) -> None:
    fine = Image(Path(f"{product('sentinel2')}:B2,B3,B4,B8,B11"))
    lines = coverage_notes(pair_of(Image(product("enmap")), fine, Options()).spectra)
    assert any("ms sees 426 to 939 nm, 1523 to 1705 nm: the detail of " in line for line in lines)
    lines = coverage_notes(pair_of(Image(product("desis")), fine, Options()).spectra)
    assert any("no hs band lies at ms band 5 (1614 nm)" in line for line in lines)


CASES = [("prisma", 33), ("emit", 30), ("prisma L2C bent", 33), ("emit bent", 30)]


@pytest.mark.parametrize(("name", "least_db"), CASES)
def test_with_sentinel2(product: Make, name: str, least_db: float) -> None:
    """On the map, and along the orbit, where longitudes and latitudes place the pixels."""
    hs, ms = hsp.open(product(*name.split())), hsp.open(product("sentinel2"))
    sharp, plain = (hsp.fuse(hs, ms, method=method) for method in ("gsa", "bicubic"))
    assert crs_of(sharp).to_epsg() == EPSG and transform_of(sharp) == on_map(10, *corner_m(sharp))
    assert db(sharp) > max(least_db, db(plain) + 8)
    if name == "emit bent":
        assert db(sharp) > db(hsp.fuse(hsp.open(f"{product(*name.split())}:map"), ms, method="gsa")) + 6


def corner_m(sharp: xr.DataArray) -> tuple[float, float]:
    """How far right of, and below, the corner of the ground an image begins."""
    place = transform_of(sharp)
    assert place is not None
    return place.c - on_map(10).c, on_map(10).f - place.f


def test_a_window_of_a_swath_is_as_of_the_whole(product: Make) -> None:
    """As tiles are read."""
    placement = place(Image(product("emit", "bent")), Image(product("sentinel2")))
    (whole, _), (part, _) = placement.read(placement.everything), placement.read((4, 3, 9, 8))
    np.testing.assert_allclose(part, whole[:, 4:13, 3:11], atol=2e-6)
    again = place(placement.hs.origin, placement.ms.origin, known=json.loads(json.dumps(placement.described())))
    np.testing.assert_array_equal(again.read((4, 3, 9, 8))[0], part)


def test_what_only_a_map_grid_can_do_is_refused_for_a_swath(product: Make) -> None:
    hs, ms = hsp.open(product("emit", "bent")), hsp.open(product("sentinel2"))
    for call in (lambda: hsp.fuse(hs, ms, method="gsa", frame="hs"), lambda: hsp.align(hs, ms)):
        with pytest.raises(InputError, match="order of acquisition"):
            call()


def test_two_images_of_one_acquisition_stay_in_its_order_and_keep_their_place(product: Make, tmp_path: Path) -> None:
    path = product("prisma", "L2C", "bent")
    sharp, pan = hsp.fuse(path, f"{path}:pan", method="gsa"), hsp.open(f"{path}:pan")
    assert sharp.shape == (44, 144, 144) and transform_of(sharp) is None
    there = lonlat_of(pan)
    np.testing.assert_array_equal(lonlat_of(sharp), there)
    assert any("longitude and latitude of each pixel" in line for line in Record.of(sharp).lines())
    orbit = in_orbit(30, 24) @ Affine.scale(1 / 6)
    truth = Landscape().seen(orbit, (144, 144), sharp.wavelength.values, sharp.fwhm.values, swaying)
    assert off_px(sharp.values, truth) < 0.05
    for name, most_px in (("sharp.nc", 0), ("sharp.zarr", 0), ("sharp.tif", 0.2), ("sharp.cog.tif", 0.2)):
        again = lonlat_of(hsp.open(hsp.save(sharp, tmp_path / name)))
        assert again is not None and there is not None
        assert np.hypot(*np.subtract(metres(*again), metres(*there))).max() <= most_px * 5, name


def off_px(image: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """The length of the shift d that fits image - truth = -gradient(truth) . d best."""
    left, slopes = image - truth, np.stack(np.gradient(truth, axis=(1, 2)))
    there = np.isfinite(left) & np.isfinite(slopes).all(0)
    return float(np.hypot(*np.linalg.lstsq(slopes[:, there].T, -left[there], rcond=None)[0]))


def test_two_swaths_that_are_not_of_one_acquisition_are_refused(product: Make) -> None:
    path = product("prisma", "L2C", "bent")
    hs, pan = hsp.open(path), hsp.open(f"{path}:pan")
    turned = pan.assign_coords({name: (("y", "x"), pan[name].values[::-1].copy()) for name in LONLAT})
    with pytest.raises(InputError, match="two swaths whose pixels lie"):
        hsp.fuse(hs, turned, method="gsa")


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
