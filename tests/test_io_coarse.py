"""Images at the size of a screen: block means, overviews, and no more of the file than needed."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hypersharp.cube import make_cube, transform_of, wavelengths_nm
from hypersharp.errors import OutputError
from hypersharp.io import coarse, geotiff, open_cube, save_cube
from hypersharp.io.coarse import read_coarse
from hypersharp.io.geotiff import overview_factors
from hypersharp.io.image import Image
from hypersharp.stored import Pixels, Stored

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 9, 0, -1, 9)}
WHOLE = np.random.default_rng(0).uniform(0, 1, (3, 24, 36)).astype("f4")
MEANS = WHOLE.reshape(3, 6, 4, 9, 4).mean((2, 4))


@pytest.mark.parametrize("suffix", [".tif", ".img", ".npy", ".nc", ".zarr", ".mat"])
def test_every_format_gives_the_means_of_blocks(tmp_path: Path, suffix: str) -> None:
    source = Image(save_cube(make_cube(WHOLE), tmp_path / f"image{suffix}")).stored()
    np.testing.assert_allclose(read_coarse(source, [0, 1, 2], None, (6, 9)), MEANS, rtol=1e-6)
    np.testing.assert_allclose(read_coarse(source, [2], (4, 8, 8, 12), (2, 3)), MEANS[2:, 1:3, 2:5], rtol=1e-6)
    np.testing.assert_array_equal(read_coarse(source, [1], (3, 5, 2, 2), (9, 9))[0], WHOLE[1, 3:5, 5:7])


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_missing_pixels_do_not_count(tmp_path: Path, suffix: str) -> None:
    holes = WHOLE.copy()
    holes[:, :4, :4] = np.nan
    holes[0, 5, 5] = np.nan
    source = Image(save_cube(make_cube(holes), tmp_path / f"image{suffix}")).stored()
    found = read_coarse(source, [0, 1, 2], None, (6, 9))
    assert np.isnan(found[:, 0, 0]).all()
    np.testing.assert_allclose(found[0, 1, 1], np.nanmean(holes[0, 4:8, 4:8]), rtol=1e-6)


def test_nodata_scale_and_offset_are_undone_first(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "int16", "nodata": -9}
    with rasterio.open(tmp_path / "image.tif", "w", **profile, **PLACE) as gdal:
        gdal.write(np.array([[[-9, -9, 4, 4], [-9, -9, 4, 4], [2, 2, -9, 8], [2, 2, 8, 8]]], "i2"))
        gdal.scales, gdal.offsets = (0.5,), (1,)
    found = read_coarse(Image(tmp_path / "image.tif").stored(), [0], None, (2, 2))
    np.testing.assert_array_equal(found, [[[np.nan, 3], [2, 5]]])


def test_blocks_need_not_divide_the_image(tmp_path: Path) -> None:
    source = Image(save_cube(make_cube(WHOLE[:, :23, :31]), tmp_path / "image.npy")).stored()
    found = read_coarse(source, [0], None, (5, 7))
    assert found.shape == (1, 5, 7)
    np.testing.assert_allclose(found[0, -1, -1], WHOLE[0, 18:23, 26:31].mean(), rtol=1e-6)


def test_of_a_large_plain_file_only_some_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "MOST_BYTES", 1000)
    source = Image(save_cube(make_cube(WHOLE), tmp_path / "image.npy")).stored()
    expected = WHOLE[:, 2::4].reshape(3, 6, 9, 4).mean(-1)
    np.testing.assert_allclose(read_coarse(source, [0, 1, 2], None, (6, 9)), expected, rtol=1e-6)


def test_strips_are_as_small_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(Pixels):
        rows = 0

        def read(self, bands: list[int], rows: slice, columns: slice) -> np.ndarray:
            Counted.rows = max(Counted.rows, rows.stop - rows.start)
            return WHOLE[bands, rows, columns]

    monkeypatch.setattr(coarse, "STRIP_BYTES", 8 * 3 * 36 * 4)
    found = read_coarse(Stored(Counted((3, 24, 36), "f4")), [0, 1, 2], None, (6, 9))
    np.testing.assert_allclose(found, MEANS, rtol=1e-6)
    assert Counted.rows == 8


@pytest.mark.parametrize("lazy", [False, True])
def test_a_large_geotiff_is_written_with_overviews(tmp_path: Path, lazy: bool) -> None:
    values = np.random.default_rng(1).uniform(0, 1, (2, 1100, 600)).astype("f4")
    values[:, :4, :4] = np.nan
    cube = make_cube(values, wavelengths_nm=[500, 600], **PLACE)
    path = save_cube(cube.chunk({"y": 256}) if lazy else cube, tmp_path / "large.tif")
    with rasterio.open(path) as gdal:
        assert gdal.overviews(1) == gdal.overviews(2) == [2, 4]
        np.testing.assert_array_equal(gdal.read(), values)
    with rasterio.open(path, overview_level=0) as half:
        expected = values.reshape(2, 550, 2, 300, 2).mean((2, 4))
        np.testing.assert_allclose(half.read(), expected, rtol=1e-5)
        assert half.profile.get("compress") == (None if lazy else "deflate")
    np.testing.assert_allclose(read_coarse(Image(path).stored(), [1], None, (550, 300))[0], expected[1], rtol=1e-5)
    assert not list(tmp_path.glob("*.ovr"))


@pytest.mark.parametrize("side", [300, 1100])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_cog_has_overviews_and_tables_before_the_pixels(tmp_path: Path, lazy: bool, side: int) -> None:
    values = np.random.default_rng(1).uniform(0, 1, (3, side, 600)).astype("f4")
    cube = make_cube(values, wavelengths_nm=[500, 600, 700], **PLACE)
    path = save_cube(cube.chunk({"y": 256}) if lazy else cube, tmp_path / "image.cog.tif")
    with rasterio.open(path) as gdal:
        assert gdal.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert gdal.overviews(1) == ([2, 4] if side > 1024 else [])
        levels = [{}, *({"ovr": level} for level in range(len(gdal.overviews(1))))]
        starts = [int(gdal.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1, **level)) for level in levels]
        assert starts == sorted(starts, reverse=True)
    read = open_cube(path)
    np.testing.assert_array_equal(read.values, values)
    assert wavelengths_nm(read).tolist() == [500, 600, 700] and transform_of(read) == PLACE["transform"]
    assert [one.name for one in tmp_path.iterdir()] == ["image.cog.tif"]


@pytest.mark.parametrize("failing", ["overviews are missing", "the end is missing"])
def test_a_disk_that_filled_up_unnoticed_leaves_no_file(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL may only log what it could not write: the blocks are missing, or the file ends before they do."""
    overviews = geotiff._add_overviews

    def fail(path: Path, *rest: Any) -> None:
        if failing == "the end is missing":
            overviews(path, *rest)
            os.truncate(path, path.stat().st_size - 100)

    monkeypatch.setattr(geotiff, "_add_overviews", fail)
    values = np.random.default_rng(1).uniform(0, 1, (2, 1100, 600)).astype("f4")
    with pytest.raises(OutputError, match="no space left"):
        save_cube(make_cube(values), tmp_path / "large.tif")
    assert not list(tmp_path.iterdir())


def test_small_images_have_no_overviews() -> None:
    assert overview_factors((1024, 100)) == []
    assert overview_factors((10_000, 10_000)) == [2, 4, 8, 16, 32]
