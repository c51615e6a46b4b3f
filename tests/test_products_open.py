"""Products opened as they come: values, wavelengths, place and masks are those that the miniatures were made of."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import hypersharp as hsp
from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import InputError
from hypersharp.io.image import Image
from hypersharp.products.files import Files
from hypersharp.products.table import PRODUCTS
from product_scene import EPSG, Landscape, on_map

Make = Callable[..., Path]


def worst(cube: xr.DataArray) -> float:
    """The largest difference from the landscape, clouds aside."""
    place = transform_of(cube)
    assert place is not None
    truth = Landscape().seen(place, cube.shape[1:], cube.wavelength.values, cube.fwhm.values)
    return float(np.nanmax(np.abs(cube.values - truth)))


def zipped(folder: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder.parent))
    return to


def test_enmap(product: Make, tmp_path: Path) -> None:
    folder = product("enmap")
    names = (
        folder,
        next(folder.glob("*METADATA.XML")),
        next(folder.glob("*IMAGE.TIF")),
        zipped(folder, tmp_path / "e.zip"),
    )
    cubes = [hsp.open(name) for name in names]
    assert all(cube.identical(cubes[0]) for cube in cubes)
    cube = cubes[0]
    assert cube.attrs["units"] == "reflectance" and crs_of(cube).to_epsg() == EPSG
    assert transform_of(cube) == on_map(30, 345, 405)
    assert cube.wavelength.values[0] == 418 and cube.fwhm.values[0] == 9
    assert (cube.good_band == ~((cube.wavelength > 1330) & (cube.wavelength < 1420))).all()
    assert worst(cube) < 1e-4


def test_masks_of_enmap(product: Make) -> None:
    folder = product("enmap")
    whole, masked = (int(Image(folder, product_mask=p).cube()[0].isnull().sum()) for p in (False, True))
    kept = int(Image(folder, keep=("shadow",)).cube()[0].isnull().sum())
    assert (whole, kept, masked) == (21, 21 + 12, 21 + 24)
    assert Image(folder).said()[-1] == "left out by the product's own masks: cloud 2.1%, shadow 2.1%"
    with pytest.raises(InputError, match="reason to keep 'clouds'"):
        Image(folder, keep=("clouds",)).cube()


@pytest.mark.parametrize("baseline", ["05.10", "02.14"])
def test_sentinel2(product: Make, tmp_path: Path, baseline: str) -> None:
    safe = product("sentinel2", baseline)
    cube = hsp.open(safe)
    assert cube.identical(hsp.open(safe / "MTD_MSIL2A.xml")) and cube.identical(
        hsp.open(zipped(safe, tmp_path / "s.zip"))
    )
    assert cube.wavelength.values.tolist() == [492.4, 559.8, 664.6, 832.8] and transform_of(cube) == on_map(10)
    assert worst(cube) < 1e-4
    assert "shadow" not in Image(safe).said()[-1] and "cloud 1.8%" in Image(safe).said()[-1]


def test_bands_of_sentinel2(product: Make) -> None:
    safe = product("sentinel2")
    cube = hsp.open(f"{safe}:B4,B11")
    assert cube.wavelength.values.tolist() == [664.6, 1613.7] and cube.shape == (2, 144, 144)
    alone = hsp.open(f"{safe}:B11")
    assert alone.shape == (1, 72, 72)
    assert abs(float(cube[1].mean() - alone.mean())) < 1e-3
    single = hsp.open(next(safe.rglob("*_B04_10m.jp2")))
    np.testing.assert_array_equal(single[0], cube[0])
    with pytest.raises(InputError, match="band 'B13'"):
        hsp.open(f"{safe}:B13")


def test_a_window_is_as_of_the_whole(product: Make) -> None:
    image = Image(Path(f"{product('sentinel2')}:B4,B11"))
    whole, part = image.cube(), image.cube((5, 7, 41, 50))
    np.testing.assert_array_equal(part, whole[:, 5:46, 7:57])


def test_broken_products_are_answered_in_a_line(product: Make, tmp_path: Path) -> None:
    for name, pattern in (("enmap", "*METADATA.XML"), ("enmap", "*IMAGE.TIF"), ("sentinel2", "MTD_MSIL2A.xml")):
        copy = tmp_path / name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(product(name), copy)
        found = next(copy.rglob(pattern))
        content = found.read_bytes()
        for damaged in (content[: len(content) // 2], b"", None):
            found.write_bytes(damaged) if damaged is not None else found.unlink()
            with pytest.raises(InputError):
                Image(copy).cube()


def test_every_product_says_what_to_name() -> None:
    assert all(product.title and product.give and product.names for product in PRODUCTS)


def test_files_know_what_lies_in_an_archive(product: Make, tmp_path: Path) -> None:
    safe = product("sentinel2")
    inside = Files.around(zipped(safe, tmp_path / "s.zip"))
    assert inside.text(str(inside.first("mtd_msil2a.xml"))) == (safe / "MTD_MSIL2A.xml").read_text()
