"""What other programs read of our files: GDAL, rioxarray, xarray, Spectral Python, a CF checker, STAC."""

import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import rioxarray
import spectral
import xarray as xr
from affine import Affine
from compliance_checker.runner import CheckSuite
from pystac.validation import validate_dict

from hypersharp.cli import main
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.errors import CallError
from hypersharp.io import open_cube, save_cube
from hypersharp.io.stac import item, parse_when
from hypersharp.products.stac import located

NM = np.linspace(420, 2440, 12)
GOOD = np.arange(12) != 3
UTM = Affine(30, 0, 400_000, 0, -30, 5_800_000)


def cube(crs: str | None = "EPSG:32633", place: Affine | None = UTM, **attrs: str) -> xr.DataArray:
    values = np.random.default_rng(0).random((12, 30, 20), dtype=np.float32)
    values[:, :3, :4] = np.nan
    known = {"wavelengths_nm": NM, "fwhm_nm": np.full(12, 8.0), "good_bands": GOOD}
    return make_cube(values, crs=crs, transform=place, **known).assign_attrs(attrs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    for name in ("r.tif", "r.cog.tif", "r.nc", "r.zarr", "r.img"):
        save_cube(cube(), folder / name)
    return folder


@pytest.mark.parametrize("name", ["r.tif", "r.cog.tif"])
def test_gdal_reads_the_wavelengths(folder: Path, name: str) -> None:
    with rasterio.open(folder / name) as dataset:
        for band, nm in enumerate(NM, start=1):
            said = dataset.tags(band, ns="IMAGERY")
            assert float(said["CENTRAL_WAVELENGTH_UM"]) == pytest.approx(nm / 1000)
            assert float(said["FWHM_UM"]) == pytest.approx(0.008)
        assert dataset.crs.to_epsg() == 32633
    image = rioxarray.open_rasterio(folder / name, masked=True)
    assert image.rio.crs.to_epsg() == 32633
    assert image.rio.transform() == UTM
    np.testing.assert_array_equal(image.values, cube().values)


def test_spectral_python_reads_envi(folder: Path) -> None:
    image = spectral.open_image(str(folder / "r.hdr"))
    np.testing.assert_allclose(image.bands.centers, NM)
    np.testing.assert_allclose(image.bands.bandwidths, 8)
    assert image.bands.band_unit == "Nanometers"
    np.testing.assert_array_equal(image.metadata["bbl"], GOOD)
    np.testing.assert_array_equal(np.array(image.open_memmap()), cube().values.transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["r.nc", "r.zarr"])
def test_xarray_reads_values_and_crs(folder: Path, name: str) -> None:
    with xr.open_dataset(
        folder / name, decode_coords="all", **({"engine": "zarr"} if name == "r.zarr" else {})
    ) as found:
        np.testing.assert_array_equal(found.cube.values, cube().values)
        assert found.cube.rio.crs.to_epsg() == 32633
        assert found.cube.rio.transform() == UTM
        np.testing.assert_allclose(found.wavelength, NM)
        assert found.wavelength.attrs["standard_name"] == "radiation_wavelength"


@pytest.mark.parametrize(
    "stored",
    [
        cube(),
        cube(units="reflectance"),
        cube("EPSG:4326", Affine(0.01, 0, 4, 0, -0.01, 58), units="radiance"),
        cube("EPSG:3035"),
        cube("EPSG:2263"),  # in feet
        make_cube(np.ones((2, 3, 4), np.uint8)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_netcdf_keeps_the_cf_conventions(tmp_path: Path, stored: xr.DataArray) -> None:
    save_cube(stored, tmp_path / "r.nc")
    CheckSuite.load_all_available_checkers()
    suite = CheckSuite()
    groups, errors = suite.run_all(suite.load_dataset(str(tmp_path / "r.nc")), ["cf:1.11"])["cf:1.11"]
    assert not errors
    assert not [(group.name, group.msgs) for group in groups if group.value[0] < group.value[1]]


def test_a_header_beside_a_tiff(folder: Path, tmp_path: Path) -> None:
    out = run_fuse(tmp_path, "sharp.tif", "--envi-header")
    said = spectral.envi.read_envi_header(str(tmp_path / "sharp.hdr"))
    np.testing.assert_allclose([float(text) for text in said["wavelength"]], wavelengths_nm(open_cube(out)))
    assert (said["file type"], said["samples"], said["data type"]) == ("TIFF", "20", "4")
    assert open_cube(out).shape == (6, 30, 20)


def run_fuse(folder: Path, name: str, *options: str, code: int = 0) -> Path:
    """Fuse six bands of 90 x 150 m with three of 30 m."""
    ms = cube()[[0, 2, 5]].fillna(0.5)
    coarse = ms.isel(band=[0, 0, 1, 1, 2, 2]).coarsen(y=5, x=5).mean()
    hs = make_cube(coarse.values, wavelengths_nm=NM[:6], crs="EPSG:32633", transform=UTM @ Affine.scale(5))
    for stem, image in (("hs", hs), ("ms", ms)):
        save_cube(image, folder / f"{stem}.tif")
    words = ["fuse", str(folder / "hs.tif"), str(folder / "ms.tif"), "-o", str(folder / name), "--method", "bicubic"]
    with pytest.raises(SystemExit) as stop:
        main([*words, *options])
    assert stop.value.code == code
    return folder / name


def test_a_stac_item_names_its_files_as_addresses_do(tmp_path: Path) -> None:
    cube = make_cube(np.ones((2, 4, 4), np.float32))
    said = item(cube, tmp_path / "öut #1?.tif", ("2024-06-01T10:20:00Z",), [tmp_path / "h s.tif"])
    (asset,) = said["assets"].values()
    assert asset["href"] == "./%C3%B6ut%20%231%3F.tif"
    assert {"rel": "derived_from", "href": "h%20s.tif"} in said["links"]
    (tmp_path / "öut #1?.tif").write_bytes(b"")
    assert located(tmp_path / "item.json", asset["href"]) == str(tmp_path / "öut #1?.tif")


def test_a_stac_item_beside_a_result(tmp_path: Path) -> None:
    out = run_fuse(tmp_path, "sharp.tif", "--stac", "2024-06-01T10:20Z/2024-06-03")
    said = json.loads((tmp_path / "sharp.stac.json").read_text())
    found = pystac.Item.from_dict(said)
    assert found.assets["data"].href == "./sharp.tif"
    assert [link.href for link in found.get_links("derived_from")] == ["hs.tif", "ms.tif"]
    assert found.properties["start_datetime"] == "2024-06-01T10:20:00Z"
    assert found.properties["proj:code"] == "EPSG:32633"
    assert found.properties["proj:shape"] == [30, 20]
    with rasterio.open(out) as dataset:
        assert found.properties["proj:transform"] == list(dataset.transform)[:6]
    assert [band["eo:center_wavelength"] for band in said["assets"]["data"]["bands"]] == pytest.approx(NM[:6] / 1000)


@pytest.mark.parametrize(
    ("crs", "place", "west", "kind"),
    [
        ("EPSG:32633", UTM, 13.5, "Polygon"),
        ("EPSG:32601", Affine(30, 0, 200_000, 0, -30, 100_000), -179.7, "Polygon"),
        ("EPSG:32660", Affine(3000, 0, 800_000, 0, -3000, 100_000), 179.7, "MultiPolygon"),
        ("EPSG:4326", Affine(0.01, 0, 4, 0, 0.01, 58), 4.0, "Polygon"),
        ("EPSG:4326", Affine(1, 0, 170, 0, -1, 5), 170.0, "MultiPolygon"),
        ("EPSG:4326", Affine(1, 0, 355, 0, -1, 5), -5.0, "Polygon"),
        ("EPSG:4326", None, None, None),
        (None, None, None, None),
    ],
)
def test_footprints(crs: str | None, place: Affine | None, west: float | None, kind: str | None) -> None:
    said = item(cube(crs, place), Path("x.tif"), parse_when("2024-06-01"), [])
    validate_dict(said, extensions=[])
    if place is None:
        assert said["geometry"] is None
        return
    assert said["geometry"]["type"] == kind
    assert said["bbox"][0] == pytest.approx(west, abs=0.1)
    assert (said["bbox"][0] > said["bbox"][2]) == (kind == "MultiPolygon")
    ring = np.array(said["geometry"]["coordinates"][0] if kind == "Polygon" else said["geometry"]["coordinates"][0][0])[
        ..., :2
    ]
    x, y = ring.reshape(-1, 2).T
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0  # counter-clockwise


@pytest.mark.parametrize("when", ["", "yesterday", "2024-06-03/2024-06-01", "2024/2025/2026"])
def test_no_time(when: str) -> None:
    with pytest.raises(CallError, match="the earlier first"):
        parse_when(when)


def test_a_header_beside_what_is_no_tiff(tmp_path: Path) -> None:
    run_fuse(tmp_path, "sharp.nc", "--envi-header", code=2)
    assert not (tmp_path / "sharp.nc").exists()


def test_an_item_is_json_and_its_pixels_are_in_metres() -> None:
    feet = Affine(10, 0, 980_000, 0, -10, 190_000)
    image = make_cube(np.ones((2, 4, 4), np.float32), crs="EPSG:2263", transform=feet, nodata=np.nan)
    said = item(image, Path("x.tif"), parse_when("2024-06-01"), [])
    assert said["properties"]["gsd"] == pytest.approx(3.048, abs=1e-3)
    assert said["assets"]["data"]["nodata"] == "nan" and json.dumps(said, allow_nan=False)
