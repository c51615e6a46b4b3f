"""Products opened as they come: values, wavelengths, place and masks are those that the miniatures were made of."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import crs_of, transform_of
from hypersharp.describe import facts_of
from hypersharp.errors import InputError
from hypersharp.io.image import Image
from hypersharp.products import rasters
from hypersharp.products.files import Files
from hypersharp.products.table import PRODUCTS
from product_files import write_raster
from product_scene import EPSG, Landscape, in_orbit, on_map

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
    assert "brought to 10 m by linear interpolation: B11 from 20 m" in Image(Path(f"{safe}:B4,B11")).said()
    assert not any("brought to" in line for line in (*Image(safe).said(), *Image(Path(f"{safe}:B11")).said()))
    alone = hsp.open(f"{safe}:B11")
    assert alone.shape == (1, 72, 72)
    assert abs(float(cube[1].mean() - alone.mean())) < 1e-3
    single = hsp.open(next(safe.rglob("*_B04_10m.jp2")))
    np.testing.assert_array_equal(single[0], cube[0])
    with pytest.raises(InputError, match="band 'B13'"):
        hsp.open(f"{safe}:B13")


def test_prisma(product: Make) -> None:
    cube, pan = hsp.open(product("prisma")), hsp.open(f"{product('prisma')}:pan")
    assert cube.shape == (44, 24, 24) and (np.diff(cube.wavelength) > 0).all() and cube.fwhm.values[0] == 12
    place, fine = transform_of(cube), transform_of(pan)
    assert place is not None and place.almost_equals(on_map(30, 373, 427), 0.01) and place.a == 30
    assert fine is not None and fine.almost_equals(on_map(5, 373, 427), 0.01)
    assert worst(cube) < 1e-4 and worst(pan) < 2e-3
    assert int(cube[0].isnull().sum()) == 15 + 1
    assert Image(product("prisma")).said()[-1] == "left out by the product's own masks: defective 0.2%"
    with pytest.raises(InputError, match="part of PRISMA 'swir'"):
        hsp.open(f"{product('prisma')}:swir")


def test_prisma_along_its_orbit(product: Make) -> None:
    swath, radiance = hsp.open(product("prisma", "L2C")), hsp.open(product("prisma", "L1"))
    place = transform_of(swath)
    assert place is not None and place.almost_equals(in_orbit(30, 24), 0.2)
    assert worst(swath) < 0.02
    assert (swath.attrs["units"], radiance.attrs["units"]) == ("reflectance", "radiance")
    with pytest.raises(InputError, match="hs in radiance and ms in reflectance"):
        hsp.fuse(radiance, hsp.open(product("sentinel2")), method="gsa")


def test_emit(product: Make, tmp_path: Path) -> None:
    path = product("emit")
    cube = hsp.open(path)
    place = transform_of(cube)
    assert place is not None and place.almost_equals(in_orbit(60, 24), 0.01) and crs_of(cube).to_epsg() == EPSG
    assert worst(cube.where(cube.good_band)) < 1e-3
    assert int(cube.good_band.sum()) == 57 and cube.fwhm.values[0] == 30
    assert "near-cloud" in Image(path).said()[-1]
    renamed = Path(shutil.copy(path, tmp_path / "renamed.nc"))
    assert Image(renamed).said()[-1] == "no MASK file beside it: clouds are not left out"


def test_the_masks_of_emit_are_no_image(product: Make) -> None:
    masks = product("emit").with_name(product("emit").name.replace("_RFL_", "_MASK_"))
    with pytest.raises(InputError, match=r"EMIT_L2A_RFL_.*, do: name that"):
        hsp.open(masks)


def test_a_swath_on_no_plane_keeps_its_pixels(product: Make) -> None:
    path = product("emit", "bent")
    swath, on_grid = hsp.open(path), hsp.open(f"{path}:map")
    assert transform_of(swath) is None and swath.shape == (60, 24, 22) and swath.longitude.shape == (24, 22)
    part = Image(path).cube((9, 5, 7, 11))
    np.testing.assert_array_equal(part, swath[:, 9:16, 5:16])
    np.testing.assert_array_equal(part.longitude, swath.longitude[9:16, 5:16])
    assert crs_of(on_grid).to_epsg() == 4326
    there = on_grid[0].notnull().values
    assert there.any() and set(np.unique(on_grid[0].values[there])) <= set(np.unique(swath[0].values))
    assert "order of acquisition" in facts_of(swath)["Place"]


@pytest.mark.parametrize("meta", ["txt", "xml", "json"])
def test_landsat(product: Make, meta: str) -> None:
    folder = product("landsat", meta)
    cube = hsp.open(folder)
    assert cube.identical(hsp.open(next(folder.glob("*_MTL.*")))) and cube.shape == (7, 48, 48)
    assert worst(cube) < 1e-4 and transform_of(cube) == on_map(30)
    np.testing.assert_array_equal(hsp.open(next(folder.glob("*_SR_B4.TIF")))[0], cube[3])
    assert "as its MTL file says" in Image(folder).said()[0] and "cloud 1.9%" in Image(folder).said()[1]


def test_hls(product: Make) -> None:
    cube = hsp.open(product("hls"))
    assert cube.wavelength.values.tolist() == [492.4, 664.6, 1613.7] and worst(cube) < 1e-4
    assert "cloud 1.9%" in Image(product("hls")).said()[1]


@pytest.mark.parametrize("name", ["desis", "tanager", "neon", "aviris3", "planet"])
def test_reflectance_of_others(product: Make, name: str) -> None:
    cube = hsp.open(product(name))
    assert cube.attrs["units"] == "reflectance" and crs_of(cube).to_epsg() == EPSG
    assert worst(cube) < 1e-4
    assert ("cloud" in Image(product(name)).said()[-1]) == (name in ("desis", "tanager", "planet"))


def test_tanager_as_a_swath(product: Make) -> None:
    place = transform_of(hsp.open(product("tanager", "SWATHS")))
    assert place is not None and place.almost_equals(in_orbit(30, 24), 0.01)


def test_radiance_of_others(product: Make) -> None:
    wyvern, worldview, hyperion = (hsp.open(product(name)) for name in ("wyvern", "worldview", "hyperion"))
    assert {cube.attrs["units"] for cube in (wyvern, worldview, hyperion)} == {"radiance"}
    assert wyvern.wavelength.values[0] == 503 and wyvern.fwhm.values[0] == 22
    assert worldview.wavelength.values.tolist() == [480, 545, 660]
    assert hyperion.wavelength.values.round().tolist() == [549, 1649]
    np.testing.assert_allclose(hyperion[0], 2 * hyperion[1])


def test_pleiades(product: Make) -> None:
    path = product("pleiades")
    cube, image = hsp.open(path), next(path.parent.glob("*.TIF"))
    assert cube.identical(hsp.open(path.parent)) and cube.identical(hsp.open(image))
    assert cube.wavelength.values.tolist() == [645, 555, 487.5, 835] and cube.attrs["units"] == "reflectance"
    assert worst(cube) < 1e-4 and int(cube[0].isnull().sum()) == 100
    radiance, picture = (hsp.open(product("pleiades", kind)) for kind in ("BASIC", "DISPLAY"))
    assert radiance.attrs["units"] == "radiance" and "units" not in picture.attrs
    np.testing.assert_allclose(radiance, 100 * cube, rtol=0.2, atol=0.2)
    assert "tone curve" in Image(product("pleiades", "DISPLAY")).said()[0]


def test_a_tiff_with_an_envi_header(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scan.tif", np.full((2, 3, 4), 5000, "i2"), on_map(5))
    header = "ENVI\nsamples = 4\nlines = 3\nbands = {}\nwavelength units = nm\nwavelength = {{500, 600}}\n"
    header += "reflectance scale factor = 10000\nfile type = TIFF\n"
    path.with_suffix(".hdr").write_text(header.format(2))
    cube = hsp.open(path)
    assert cube.wavelength.values.tolist() == [500, 600] and float(cube.max()) == 0.5
    path.with_suffix(".hdr").write_text(header.format(3))
    assert "wavelength" not in hsp.open(path).coords
    with pytest.raises(InputError, match=r"name scan\.tif"):
        hsp.open(path.with_suffix(".hdr"))


def test_wavelengths_in_the_names_of_bands(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "named.tif", np.ones((2, 3, 4), "f4"), on_map(5))
    with rasterio.open(path, "r+") as file:
        file.descriptions = ("band_1 (523.1 nm)", "band_2 (640 nm)")
    assert hsp.open(path).wavelength.values.tolist() == [523.1, 640]


def test_pace_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "PACE_OCI.20240615T101500.L2.SFREFL.V3_0.nc"
    with h5py.File(path, "w") as file:
        file.create_group("navigation_data"), file.create_group("geophysical_data")
    with pytest.raises(InputError, match=r"pixels of 1\.2 km"):
        hsp.open(path)


def test_a_window_is_as_of_the_whole(product: Make) -> None:
    image = Image(Path(f"{product('sentinel2')}:B4,B11"))
    whole, part = image.cube(), image.cube((5, 7, 41, 50))
    np.testing.assert_array_equal(part, whole[:, 5:46, 7:57])


BROKEN = {
    "enmap": ("*METADATA.XML", "*IMAGE.TIF"),
    "sentinel2": ("MTD_MSIL2A.xml", "*_B03_10m.jp2"),
    "landsat": ("*B3.TIF",),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_answered_in_a_line(product: Make, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(product(name), copy)
    for pattern in BROKEN[name]:
        file = next(copy.rglob(pattern))
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], content[:200], b""):
            file.write_bytes(damaged)
            with pytest.raises(InputError, match=r"expected .*, do: "):
                Image(copy).cube()
        file.write_bytes(content)


@pytest.mark.parametrize("name", ["prisma", "emit", "tanager", "neon", "aviris3"])
def test_a_broken_file_is_answered_in_a_line(product: Make, tmp_path: Path, name: str) -> None:
    content = product(name).read_bytes()
    for damaged in (content[: len(content) // 2], content[:200], b"", b"text" * 100):
        file = tmp_path / product(name).name
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"expected .*, do: "):
            Image(file).cube()


QUALITY = {
    "enmap": ("*QL_QUALITY_CLOUD.TIF", "QL_QUALITY_CLOUD"),
    "sentinel2": ("*_SCL_20m.jp2", "SCL"),
    "emit": ("*_MASK_*.nc", "MASK file"),
    "landsat": ("*_QA_PIXEL.TIF", "QA_PIXEL"),
    "hls": ("*.Fmask.tif", "Fmask"),
    "desis": ("*-QL_QUALITY-2.tif", "QL_QUALITY-2"),
    "planet": ("*_udm2_*.tif", "UDM2"),
}


@pytest.mark.parametrize("name", QUALITY)
def test_a_product_without_its_quality_layer_says_so(product: Make, tmp_path: Path, name: str) -> None:
    path, (pattern, word) = product(name), QUALITY[name]
    folder = path if path.is_dir() else path.parent
    shutil.copytree(folder, tmp_path / folder.name)
    copy = tmp_path / folder.name if path.is_dir() else tmp_path / folder.name / path.name
    said = f"no {word} beside it: clouds are not left out"
    assert said not in Image(copy).said()
    next((tmp_path / folder.name).rglob(pattern)).unlink()
    copy.touch()
    if copy.is_dir():
        (copy / "changed").touch()
    assert said in Image(copy).said()


@pytest.mark.parametrize(
    ("name", "pattern", "said"),
    [
        ("landsat", "*_MTL.txt", "no REFLECTANCE_"),
        ("worldview", "*.IMD", "no satId in"),
        ("prisma", "*.he5", "truncated"),
        ("hls", "*.B11.tif", "unreadable"),
        ("sentinel2", "*_B08_10m.jp2", "unreadable"),
    ],
)
def test_info_notices_what_is_cut_off(
    product: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, pattern: str, said: str
) -> None:
    """Of any of its files, though it shows one band alone."""
    path = product(name)
    folder = path if path.is_dir() else path.parent
    shutil.copytree(folder, tmp_path / folder.name)
    file = next((tmp_path / folder.name).rglob(pattern))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SystemExit, match="1"):
        main(["info", str(tmp_path / folder.name if path.is_dir() else tmp_path / folder.name / path.name)])
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error


def test_blocks_of_classes_are_decoded_once(product: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasters, "BLOCK_PX", 50)
    rasters.class_block.cache_clear()
    image = Image(product("sentinel2"))
    whole = image.cube()
    decoded = rasters.class_block.cache_info().misses
    for window in ((0, 0, 60, 60), (90, 33, 50, 111), (143, 143, 1, 1)):
        y, x, height, width = window
        np.testing.assert_array_equal(image.cube(window), whole[:, y : y + height, x : x + width])
    assert rasters.class_block.cache_info().misses == decoded == 4
    rasters.class_block.cache_clear()  # of blocks that no other test expects


def test_every_product_says_what_to_name() -> None:
    assert all(product.title and product.give and product.names for product in PRODUCTS)


def test_an_archive_of_no_product_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"an image")
    packed = zipped(tmp_path, tmp_path.parent / f"{tmp_path.name}.zip")
    with pytest.raises(InputError, match="do: unpack it and name the image in it"):
        hsp.open(packed)


def test_files_know_what_lies_in_an_archive(product: Make, tmp_path: Path) -> None:
    safe = product("sentinel2")
    inside = Files.around(zipped(safe, tmp_path / "s.zip"))
    assert inside.text(str(inside.first("mtd_msil2a.xml"))) == (safe / "MTD_MSIL2A.xml").read_text()
