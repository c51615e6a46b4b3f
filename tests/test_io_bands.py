"""Folders of one GeoTIFF a band, and pictures as the fine image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from hypersharp.cli import main
from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import CallError, InputError
from hypersharp.io import open_cube, save_cube
from hypersharp.io.coarse import read_coarse
from hypersharp.io.image import Image

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
PROFILE = {"driver": "GTiff", "count": 1, "crs": "EPSG:32633", "dtype": "uint16"}


def band(path: Path, value: int, *, factor: int = 1, corner: Affine = PLACE, **profile: Any) -> None:
    """A plane of one value, its first pixel missing; pixels `factor` times as wide."""
    height, width = 12 // factor, 8 // factor
    place = corner @ Affine.scale(factor)
    with rasterio.open(path, "w", **PROFILE | profile, height=height, width=width, transform=place) as dataset:
        plane = np.full((height, width), value, "u2")
        plane[0, 0] = 0
        dataset.write(plane, 1)
        dataset.scales = (0.1,)


def test_bands_on_a_map_keep_place_nodata_and_scale(tmp_path: Path) -> None:
    for number, name in enumerate(("B03", "B02", "B8A")):
        band(tmp_path / f"T33_{name}_20240601.tif", 100 * number + 100, nodata=0)
    band(tmp_path / "T33_SCL_20240601.tif", 5)
    with pytest.warns(UserWarning, match="left out: T33_SCL_20240601.tif"):
        cube = open_cube(tmp_path)
    assert cube[:, 1, 1].values.tolist() == [20, 10, 30]  # B02, B03, B8A
    assert np.isnan(cube.values[:, 0, 0]).all()
    assert (crs_of(cube).to_epsg(), transform_of(cube)) == (32633, PLACE)


def test_colours_are_ordered_by_wavelength_and_gaps_are_said(tmp_path: Path) -> None:
    for number, name in enumerate(("red", "green", "blue"), 1):
        band(tmp_path / f"scene_{name}.tif", number * 10)
    assert open_cube(tmp_path)[:, 1, 1].values.tolist() == [3, 2, 1]
    (tmp_path / "numbers").mkdir()
    for number in (2, 3, 5):
        band(tmp_path / "numbers" / f"scene_{number}.tif", number * 10)
    with pytest.warns(UserWarning, match="bands 4 are not in"):
        assert open_cube(tmp_path / "numbers").shape[0] == 3


def test_coarser_bands_of_the_same_corner_are_brought_to_the_finest_grid(tmp_path: Path) -> None:
    band(tmp_path / "B01.tif", 40, factor=4, nodata=0)
    band(tmp_path / "B02.tif", 20, nodata=0)
    with pytest.warns(UserWarning, match="interpolated to the finest grid: B01.tif"):
        cube = open_cube(tmp_path)
    assert cube[:, 8, 6].values.tolist() == [4, 2]
    assert transform_of(cube) == PLACE


def test_other_grids_and_dates_are_named(tmp_path: Path) -> None:
    band(tmp_path / "B01.tif", 10)
    band(tmp_path / "B02.tif", 20, corner=PLACE @ Affine.translation(0.5, 0))
    with pytest.raises(InputError, match=r"B02.tif of 12 x 8 pixels on another grid"):
        open_cube(tmp_path)
    two_dates = {"{}_B02.tif": "of one band.*one date in a folder", "ndvi_{}.tif": "end in dates"}
    for name, said in two_dates.items():
        folder = tmp_path / name[:4]
        folder.mkdir()
        for date in (20240601, 20240611):
            band(folder / name.format(date), 10)
        with pytest.raises(InputError, match=said):
            open_cube(folder)


def test_a_picture_opens_as_ms_with_a_word_on_its_tone_curve(tmp_path: Path) -> None:
    from PIL import Image

    values = np.random.default_rng(0).integers(0, 255, (3, 12, 8)).astype("u1")
    Image.fromarray(values.transpose(1, 2, 0)).save(tmp_path / "a.png")
    Image.fromarray(values.transpose(1, 2, 0)).save(tmp_path / "a.jpg", quality=95)
    (tmp_path / "a.pgw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    with pytest.warns(UserWarning, match="tone curve"):
        cube = open_cube(tmp_path / "a.png")
    np.testing.assert_array_equal(cube.values, values)
    assert transform_of(cube) == PLACE
    with pytest.warns(UserWarning, match="tone curve"):
        assert open_cube(tmp_path / "a.jpg").shape == (3, 12, 8)
    with pytest.raises(CallError, match=r"out\.png"):
        save_cube(cube, tmp_path / "out.png")


def test_a_missing_pixel_of_a_coarser_band_is_missing_alone(tmp_path: Path) -> None:
    for name, factor in (("B02", 1), ("B01", 4)):
        place, kind = PLACE @ Affine.scale(factor), {"dtype": "float32", "height": 12 // factor, "width": 8 // factor}
        with rasterio.open(tmp_path / f"{name}.tif", "w", **PROFILE | kind, transform=place) as dataset:
            plane = np.full((12 // factor, 8 // factor), factor, "f4")
            plane[0, 0] = np.nan
            dataset.write(plane, 1)
    with pytest.warns(UserWarning, match="interpolated to the finest grid"):
        cube = open_cube(tmp_path)
    coarser = cube.values[0]
    assert np.isnan(coarser[:4, :4]).all() and np.nanmax(coarser) == np.nanmin(coarser) == 4
    assert np.isfinite(coarser).sum() == 12 * 8 - 16


def test_masks_inside_the_files_of_bands_are_read_coarsely_too(tmp_path: Path) -> None:
    for name in ("B02", "B03"):
        band(tmp_path / f"{name}.tif", 40)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / f"{name}.tif", "r+") as dataset:
            valid = np.full((12, 8), 255, "u1")
            valid[:6] = 0
            dataset.write_mask(valid)
    found = read_coarse(Image(tmp_path).stored(), [0, 1], None, (4, 4))
    assert np.isnan(found[:, :2]).all() and np.isfinite(found[:, 2:]).all()


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_a_masked_pixel_of_a_coarser_band_stays_masked_and_blurs_into_no_other(tmp_path: Path, kind: str) -> None:
    band(tmp_path / "B02.tif", 20)
    valid = np.full((6, 4), 255, "u1")
    valid[2, 1] = 0
    plane = np.where(valid == 0, 9999, 40).astype("u2")
    opaque = 65535 // 255  # of 16 bits
    more = {"alpha": {"count": 2, "alpha": "yes"}, "mask": {}}[kind]
    profile = PROFILE | {"height": 6, "width": 4, "transform": PLACE @ Affine.scale(2)} | more
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "B01.tif", "w", **profile) as dataset:
        dataset.write(plane, 1)
        dataset.write(valid.astype("u2") * opaque, 2) if kind == "alpha" else dataset.write_mask(valid)
    with pytest.warns(UserWarning, match="interpolated to the finest grid"):
        cubes = [open_cube(tmp_path, window=window) for window in ((0, 0, 12, 8), (3, 1, 5, 4))]
    with pytest.warns(UserWarning, match="interpolated to the finest grid"):
        coarse = read_coarse(Image(tmp_path).stored(), [0], None, (6, 4))
    missing = np.zeros((12, 8), bool)
    missing[4:6, 2:4] = True
    whole, part = (cube.values for cube in cubes)
    np.testing.assert_array_equal(np.isnan(whole), np.stack([missing] * 2))
    assert np.nanmax(whole[0]) == 40
    np.testing.assert_array_equal(part, whole[:, 3:8, 1:5])
    assert np.isnan(coarse[0, 2, 1]) and np.isfinite(coarse).sum() == 23


def test_nodata_of_each_band_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    band(tmp_path / "B02.tif", 20, nodata=0)
    band(tmp_path / "B03.tif", 20, nodata=7)
    with pytest.raises(SystemExit) as stop:
        main(["info", str(tmp_path)])
    assert stop.value.code == 0 and "nodata 0 or 7" in capsys.readouterr().out
