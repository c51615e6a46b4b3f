"""Images in memory as numpy, rioxarray, stackstac, odc-stac and xee hand them over."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine

import hypersharp as hsp
from hypersharp.cube import crs_of, make_cube, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io.given import as_cube
from hypersharp.pair.record import Record

VALUES = np.random.default_rng(0).integers(1, 250, (3, 20, 24)).astype("i2")
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
X, Y = 500_005 + 10.0 * np.arange(24), 4_999_995 - 10.0 * np.arange(20)


def test_our_own_cube_comes_back_as_it_is() -> None:
    cube = make_cube(VALUES, wavelengths_nm=[450, 550, 650], crs=32633, transform=PLACE)
    assert as_cube(cube, "hs") is cube
    assert as_cube(cube[:, 2:, 3:], "hs").shape == (3, 18, 21)


@pytest.mark.parametrize("masked", [False, True])
def test_rioxarray_as_it_opens_by_default(masked: bool, tmp_path: Path) -> None:
    profile = {"count": 3, "height": 20, "width": 24, "dtype": "int16", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", nodata=int(VALUES[0, 0, 0]), **profile) as dataset:
        dataset.write(VALUES)
        dataset.scales, dataset.offsets = (0.5,) * 3, (-1,) * 3
    expected = hsp.open(tmp_path / "a.tif")
    cube = as_cube(rioxarray.open_rasterio(tmp_path / "a.tif", masked=masked), "hs")
    np.testing.assert_array_equal(cube.values, expected.values)
    assert (crs_of(cube), transform_of(cube)) == (crs_of(expected), transform_of(expected))
    assert nodata_of(cube) == nodata_of(expected)


def test_micrometres_that_an_attribute_names() -> None:
    image = xr.DataArray(VALUES, dims=("band", "y", "x"), attrs={"wavelength_units": "Micrometers"})
    cube = as_cube(image.assign_coords(wavelength=("band", [0.45, 0.55, 0.65])), "hs")
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]


@pytest.mark.parametrize("unit", ["nm", "um", "cm-1", ""])
def test_wavelengths_and_widths_of_which_none_is_known(unit: str) -> None:
    unknown = ("band", np.full(3, np.nan), {"units": unit})
    image = xr.DataArray(VALUES, {"wavelength": unknown, "fwhm": unknown}, ("band", "y", "x"))
    known = wavelengths_nm(as_cube(image, "hs"))
    assert known is None or np.isnan(known).all()


def test_stackstac_whose_coordinates_are_corners() -> None:
    coords = {
        "time": ["2024-06-01"],
        "x": X - 5,
        "y": Y + 5,
        "epsg": 32633,
        "center_wavelength": ("band", [0.45, 0.55, 0.65]),
    }
    image = xr.DataArray(VALUES[np.newaxis], coords, ("time", "band", "y", "x"), attrs={"transform": PLACE})
    cube = as_cube(image, "ms")
    assert crs_of(cube).to_epsg() == 32633
    assert transform_of(cube).almost_equals(PLACE)
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]


def test_odc_stac_with_a_variable_a_band() -> None:
    bands = {name: (("time", "y", "x"), VALUES[[n]], {"nodata": -7}) for n, name in enumerate(("blue", "green", "red"))}
    dataset = xr.Dataset(bands, {"time": ["2024-06-01"], "x": X, "y": Y}).rio.write_crs("EPSG:32633")
    with pytest.warns(UserWarning, match="3 variables are the bands: blue, green, red"):
        cube = as_cube(dataset, "ms")
    np.testing.assert_array_equal(cube.values, VALUES)
    assert transform_of(cube).almost_equals(PLACE)


def test_xee_with_longitude_before_latitude() -> None:
    lon, lat = 13 + 1e-4 * np.arange(24), 52 - 1e-4 * np.arange(20)
    image = xr.DataArray(
        VALUES.transpose(0, 2, 1), {"lon": lon, "lat": lat}, ("band", "lon", "lat"), attrs={"crs": "EPSG:4326"}
    )
    cube = as_cube(image, "ms")
    np.testing.assert_array_equal(cube.values, VALUES)
    assert crs_of(cube).to_epsg() == 4326
    assert transform_of(cube) @ (0.5, 0.5) == pytest.approx((13, 52))


def test_a_scale_that_was_applied_is_not_applied_again() -> None:
    image = xr.DataArray(VALUES * 0.001, dims=("band", "y", "x"), attrs={"scale_factor": 0.001})
    with pytest.warns(UserWarning, match="scaled already"):
        np.testing.assert_array_equal(as_cube(image, "hs").values, VALUES * 0.001)


def test_a_rotated_grid_of_rioxarray_keeps_its_place_when_it_is_cut(tmp_path: Path) -> None:
    rotated = PLACE @ Affine.rotation(20)
    hsp.save(make_cube(VALUES, crs=32633, transform=rotated), tmp_path / "a.tif")
    image = rioxarray.open_rasterio(tmp_path / "a.tif")
    assert transform_of(as_cube(image[:, 2:, 3:], "hs")).almost_equals(rotated @ Affine.translation(3, 2), 1e-5)


def test_bare_arrays() -> None:
    assert as_cube(VALUES, "hs").shape == (3, 20, 24)
    assert as_cube(VALUES[0], "pan").shape == (1, 20, 24)
    with pytest.raises(InputError, match=r"20 x 24 x 3, which looks like bands last.*transpose"):
        as_cube(VALUES.transpose(1, 2, 0), "hs")
    with pytest.raises(InputError, match="hs of type list"):
        as_cube([[1]], "hs")  # type: ignore[arg-type]


def test_fuse_takes_them() -> None:
    fine = np.random.default_rng(1).random((4, 32, 32)).astype("f4")
    coarse = fine.reshape(4, 8, 4, 8, 4).mean((2, 4))
    expected = hsp.fuse(make_cube(coarse), make_cube(fine[:2]), method="bicubic")
    dataset = xr.Dataset({"a": (("wavelength", "lat", "lon"), coarse)})
    np.testing.assert_array_equal(hsp.fuse(dataset, fine[:2], method="bicubic").values, expected.values)


def test_a_scale_is_applied_though_the_scene_begins_with_nothing() -> None:
    numbers = np.array(VALUES, float)
    numbers[:, :10] = np.nan
    image = xr.DataArray(numbers, dims=("band", "y", "x"), attrs={"scale_factor": 0.01})
    for given in (image, image.chunk({"y": 5})):
        assert float(as_cube(given, "hs").max()) == pytest.approx(np.nanmax(numbers) / 100)
    nothing = image.copy(data=np.full_like(numbers, np.nan))
    assert np.isnan(as_cube(nothing, "hs").values).all()


NM = [450.0, 550.0, 650.0]


@pytest.mark.parametrize(
    "coords",
    [
        {"band": ("band", NM, {"units": "nm"})},
        {"band": ("band", [0.45, 0.55, 0.65], {"units": "um"})},
        {"band": NM},  # in no unit, but no numbers of bands
        {"band": ["B1 (450 nm)", "B2 (550 nm)", "B3 (650 nm)"]},
        {"wavelength": ("band", ["450.0 nm", "550.0 nm", "650.0 nm"])},
        {"wavelength": ("band", ["0.45", "0.55", "0.65"])},
    ],
)
def test_wavelengths_that_the_band_axis_or_texts_hold(coords: dict[str, object], tmp_path: Path) -> None:
    """As an array, as a Dataset and as the file of it."""
    image = xr.DataArray(VALUES, coords, ("band", "y", "x"), attrs={"units": "reflectance"})
    image.to_dataset(name="r").to_netcdf(tmp_path / "a.nc")
    for given in (image, image.to_dataset(name="r"), tmp_path / "a.nc"):
        cube = as_cube(given, "hs")
        assert wavelengths_nm(cube) is not None and np.allclose(wavelengths_nm(cube), NM)
    assert as_cube(image, "hs").attrs["units"] == "reflectance"


@pytest.mark.parametrize("labels", [[1, 2, 3], [200, 201, 202], ["red", "green", "blue"], [1.0, 2.0, 3.0]])
def test_numbers_and_names_of_bands_are_no_wavelengths(labels: list[object]) -> None:
    image = xr.DataArray(VALUES, {"band": labels}, ("band", "y", "x"))
    assert wavelengths_nm(as_cube(image, "hs")) is None


def test_coordinates_that_count_the_pixels_are_no_place() -> None:
    """The pair has the ratio of its sizes, as from files of the same arrays."""
    hs, ms = (
        xr.DataArray(np.random.default_rng(1).random((bands, side, side)), dims=("band", "y", "x"))
        for bands, side in ((5, 12), (2, 48))
    )
    counted = [image.assign_coords(y=np.arange(image.sizes["y"]), x=np.arange(image.sizes["x"])) for image in (hs, ms)]
    assert transform_of(counted[0]) is None
    expected = hsp.fuse(hs, ms, method="bicubic").values
    for pair in (counted, (counted[0], ms), (hs, counted[1])):
        np.testing.assert_array_equal(hsp.fuse(*pair, method="bicubic").values, expected)


def test_a_dataset_whose_variables_are_called_by_numbers() -> None:
    bands = xr.Dataset({number: (("y", "x"), plane) for number, plane in enumerate(VALUES, start=2)})
    with pytest.warns(UserWarning, match="3 variables are the bands: 2, 3, 4"):
        np.testing.assert_array_equal(as_cube(bands, "ms").values, VALUES)


def test_a_dataset_is_saved_as_its_image(tmp_path: Path) -> None:
    image = xr.DataArray(VALUES, {"wavelength": ("band", NM)}, ("band", "y", "x"))
    hsp.save(image.to_dataset(name="r"), tmp_path / "a.tif")
    np.testing.assert_array_equal(hsp.open(tmp_path / "a.tif").values, VALUES)
    with pytest.raises(InputError, match="2 possible images in the dataset"):
        hsp.save(xr.Dataset({"a": image, "b": image + 1}), tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()


def test_torch_with_gradients_and_its_names_of_devices() -> None:
    torch = pytest.importorskip("torch")
    hs, ms = (np.random.default_rng(1).random((bands, side, side)) for bands, side in ((5, 12), (2, 48)))
    expected = hsp.fuse(hs, ms, method="bicubic", scale=1.0)
    given = torch.tensor(hs, requires_grad=True)
    sharp = hsp.fuse(given, ms, method="bicubic", device=torch.device("cpu"), scale=np.float32(2))
    np.testing.assert_allclose(sharp.values, expected.values, rtol=1e-6)
    assert Record.of(sharp).options == {"device": "cpu", "scale": 2.0}
