"""GeoTIFF: what other programs see of ours, and we of theirs."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hypersharp.cube import fwhm_nm, make_cube, wavelengths_nm
from hypersharp.errors import CallError, InputError, MissingExtraError
from hypersharp.io import open_cube, raster, save_cube

PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 9, 0, -1, 9)}
PROFILE = {"driver": "GTiff", "width": 4, "height": 3, **PLACE}
IMAGE = np.arange(24).reshape(2, 3, 4)


def test_gdal_and_qgis_find_the_wavelengths(tmp_path: Path) -> None:
    cube = make_cube(np.ones((2, 3, 4), "f4"), wavelengths_nm=[479, 2409.5], fwhm_nm=[5.8, 10], **PLACE)
    with rasterio.open(save_cube(cube, tmp_path / "image.tif")) as gdal:
        assert gdal.descriptions == ("479 nm", "2409.5 nm")
        assert gdal.tags(2, ns="IMAGERY") == {"CENTRAL_WAVELENGTH_UM": "2.4095", "FWHM_UM": "0.01"}
        assert gdal.tags(1)["wavelength"] == "479.0"
        assert gdal.profile["compress"] == "deflate"
        assert gdal.profile["tiled"]


def test_wavelengths_of_the_imagery_domain_alone_are_read(tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "image.tif", "w", **PROFILE, count=2, dtype="uint8") as gdal:
        for band, centre in ((1, "0.479"), (2, "2.4")):
            gdal.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=centre, FWHM_UM="0.01")
    cube = open_cube(tmp_path / "image.tif")
    assert wavelengths_nm(cube).tolist() == [479, 2400]
    assert fwhm_nm(cube).tolist() == [10, 10]
    assert cube.dtype == np.uint8


def test_nodata_scale_and_offset_are_applied(tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "image.tif", "w", **PROFILE, count=2, dtype="int16", nodata=5) as gdal:
        gdal.write(IMAGE.astype("i2"))
        gdal.scales, gdal.offsets = (2, 3), (0, 100)
    values = open_cube(tmp_path / "image.tif").values
    assert np.isnan(values[0, 1, 1])
    np.testing.assert_array_equal(values[1], IMAGE[1] * 3 + 100)
    assert values.dtype == np.float32


def write_rgba(folder: Path) -> tuple[Path, np.ndarray]:
    """A file with one transparent pixel, and its alpha band."""
    alpha = np.where(IMAGE[0] == 6, 0, 255)
    colours = {"count": 4, "dtype": "uint8", "photometric": "RGB", "alpha": "YES"}
    with rasterio.open(folder / "rgba.tif", "w", **PROFILE, **colours) as gdal:
        gdal.write(np.stack([*IMAGE, IMAGE[0], alpha]).astype("u1"))
    return folder / "rgba.tif", alpha


@pytest.mark.parametrize("lazy", [False, True])
def test_an_alpha_band_is_a_mask_and_no_band(tmp_path: Path, lazy: bool) -> None:
    path, alpha = write_rgba(tmp_path)
    cube = open_cube(path, lazy=lazy)
    assert cube.shape == (3, 3, 4)
    np.testing.assert_array_equal(np.isnan(cube.values), [alpha == 0] * 3)


def test_no_more_of_a_mask_is_read_than_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, alpha = write_rgba(tmp_path)
    read, cuts = raster.RasterMask.read, []

    def noted(self: raster.RasterMask, bands: list[int], rows: slice, columns: slice, *rest: Any) -> np.ndarray:
        cuts.append((rows, columns))
        return read(self, bands, rows, columns, *rest)

    monkeypatch.setattr(raster.RasterMask, "read", noted)
    cube = open_cube(path, window=(1, 2, 2, 1))
    assert set(map(str, cuts)) == {str((slice(1, 3), slice(2, 3)))}
    np.testing.assert_array_equal(np.isnan(cube.values), [alpha[1:3, 2:3] == 0] * 3)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((3, 300, 300)).astype("f4")
    path = save_cube(make_cube(noise), tmp_path / "image.tif")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="a whole GeoTIFF"):
        open_cube(path)
    with pytest.raises(InputError, match="a whole GeoTIFF"):
        open_cube(path, lazy=True).load()


def test_there_is_no_variable_to_choose(tmp_path: Path) -> None:
    path = save_cube(make_cube(np.ones((1, 2, 2))), tmp_path / "image.tif")
    with pytest.raises(CallError):
        open_cube(path, variable="x")


def test_without_rasterio_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_cube(make_cube(np.ones((1, 2, 2))), tmp_path / "image.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    for act in (lambda: open_cube(path), lambda: save_cube(make_cube(np.ones((1, 2, 2))), path)):
        with pytest.raises(MissingExtraError, match=r"hypersharp\[geo\]"):
            act()


def test_what_is_written_piece_by_piece_is_compressed_where_that_saves_a_third(tmp_path: Path) -> None:
    """Noise in floats is stored plainly, for it would take twice as long; whole numbers and NaN are not, nor a COG."""
    import dask.array as da

    noise = np.random.default_rng(0).normal(size=(3, 300, 300)).astype(np.float32)
    rounded, missing = np.round(noise), np.full_like(noise, np.nan)
    for name, image, expected in (
        ("noise.tif", noise, None),
        ("noise.cog.tif", noise, "zstd"),
        ("rounded.tif", rounded, "zstd"),
        ("missing.tif", missing, "zstd"),
    ):
        chunked = da.from_array(image, chunks=(3, 256, 256))  # type: ignore[no-untyped-call]
        path = save_cube(make_cube(chunked, **PLACE), tmp_path / name)
        with rasterio.open(path) as dataset:
            assert dataset.profile.get("compress") == expected
            np.testing.assert_array_equal(dataset.read(), image)
