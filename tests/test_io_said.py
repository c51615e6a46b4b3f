"""What files say of bands, numbers and place in other words than ours is read; what cannot be is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import CRS
from rasterio.control import GroundControlPoint

from hypersharp.cube import crs_of, fwhm_nm, good_bands, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io import open_cube, save_cube

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
IMAGE = np.random.default_rng(0).integers(1, 250, (3, 20, 24)).astype("u1")


def tif(path: Path, values: np.ndarray = IMAGE, **profile: Any) -> Path:
    bands, height, width = values.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as dataset:
        dataset.write(values)
    return path


def nc(path: Path, dataset: xr.Dataset) -> Path:
    dataset.to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize(
    "axis",
    [
        {"wavelength": ("band", [4.5e-7, 5.5e-7, 6.5e-7], {"units": "m"})},
        {"band": ("band", [0.45, 0.55, 0.65], {"units": "um"})},
        {"centre": ("band", [450.0, 550, 650], {"units": "nm", "standard_name": "radiation_wavelength"})},
        {"wl": ("band", [450.0, 550, 650])},
    ],
    ids=["metres", "the axis itself", "by standard name", "bare"],
)
def test_wavelengths_of_netcdf_in_other_words(axis: dict[str, Any], tmp_path: Path) -> None:
    dataset = xr.Dataset({"rfl": (("band", "y", "x"), IMAGE.astype("f4"))}, axis)
    assert wavelengths_nm(open_cube(nc(tmp_path / "a.nc", dataset))).tolist() == [450, 550, 650]


def test_lists_of_bands_in_a_group_are_read(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["reflectance"] = IMAGE.astype("f4").transpose(1, 2, 0)
        file["bands/wavelengths"], file["bands/good_wavelengths"] = [450.0, 550, 650], [1, 0, 1]
    cube = open_cube(tmp_path / "a.nc", layout="hwl")
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]
    assert good_bands(cube).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("unit", "nm"), [("Micrometers (um)", 450), ("um.", 450), ("Nanometers", None), ("furlongs", False)]
)
def test_units_of_an_envi_header(unit: str, nm: float | bool | None, tmp_path: Path) -> None:
    save_cube(make_cube(IMAGE), tmp_path / "a.img")
    with (tmp_path / "a.hdr").open("a") as header:
        header.write(f"wavelength units = {unit}\nwavelength = {{0.45, 0.55, 0.65}}\nfwhm = {{0.01, 0.01, 0.01}}\n")
    if nm is None:
        with pytest.raises(InputError, match=r"0.45 to 0.65"):  # which no sensor of light sees, if these were nm
            open_cube(tmp_path / "a.img")
    elif nm is False:
        with pytest.warns(UserWarning, match="furlongs"):
            assert wavelengths_nm(open_cube(tmp_path / "a.img")) is None
    else:
        cube = open_cube(tmp_path / "a.img")
        assert (wavelengths_nm(cube)[0], fwhm_nm(cube)[0]) == (nm, 10)


def test_wavelengths_in_the_names_of_bands_and_in_gdals_envi_tags(tmp_path: Path) -> None:
    with rasterio.open(tif(tmp_path / "names.tif"), "r+") as dataset:
        dataset.descriptions = [f"Band {band} ({nm} Nanometers)" for band, nm in ((1, 450), (2, 550), (3, 650))]
    with rasterio.open(tif(tmp_path / "tags.tif"), "r+") as dataset:
        dataset.update_tags(ns="ENVI", wavelength="{0.45, 0.55, 0.65}", wavelength_units="Micrometers")
    for name in ("names.tif", "tags.tif"):
        assert wavelengths_nm(open_cube(tmp_path / name)).tolist() == [450, 550, 650]


def test_unsigned_numbers_of_netcdf(tmp_path: Path) -> None:
    stored = np.array([[[100, 40_000], [65_534, 65_535]]], "u2")
    attributes = {"_Unsigned": "true", "scale_factor": 0.5, "_FillValue": np.int16(-1)}
    dataset = xr.Dataset({"rfl": (("band", "y", "x"), stored.view("i2"), attributes)})
    np.testing.assert_array_equal(open_cube(nc(tmp_path / "a.nc", dataset)).values, [[[50, 20_000], [32_767, np.nan]]])


def test_a_crs_by_cf_parameters_or_degrees(tmp_path: Path) -> None:
    x, y = np.arange(24) * 10.0 + 500_005, 4_999_995 - np.arange(20) * 10.0
    mapping = {name: value for name, value in CRS.from_epsg(32633).to_cf().items() if name != "crs_wkt"}
    image = {"rfl": (("band", "y", "x"), IMAGE, {"grid_mapping": "utm"}), "utm": ((), 0, mapping)}
    cube = open_cube(nc(tmp_path / "a.nc", xr.Dataset(image, {"x": x, "y": y})))
    assert crs_of(cube).to_dict()["proj"] in ("utm", "tmerc")
    assert transform_of(cube) == NORTH_UP
    degrees = xr.Dataset({"rfl": (("band", "lat", "lon"), IMAGE)}, {"lat": y / 1e5, "lon": x / 1e5})
    assert crs_of(open_cube(nc(tmp_path / "b.nc", degrees))).to_epsg() == 4326
    counted = xr.Dataset({"rfl": (("band", "y", "x"), IMAGE)}, {"x": np.arange(24), "y": np.arange(20)})
    assert transform_of(open_cube(nc(tmp_path / "c.nc", counted))) is None


def test_uneven_coordinates_are_no_place(tmp_path: Path) -> None:
    uneven = xr.Dataset({"rfl": (("band", "y", "x"), IMAGE)}, {"x": np.arange(24.0) ** 2, "y": np.arange(20.0) * 7})
    with pytest.warns(UserWarning, match="not evenly spaced"):
        assert transform_of(open_cube(nc(tmp_path / "a.nc", uneven))) is None


def test_a_time_of_one_step_is_no_axis_and_several_are_asked_for(tmp_path: Path) -> None:
    once = xr.Dataset({"rfl": (("time", "band", "y", "x"), IMAGE[np.newaxis])})
    np.testing.assert_array_equal(open_cube(nc(tmp_path / "a.nc", once)).values, IMAGE)
    twice = xr.Dataset({"rfl": (("time", "band", "y", "x"), np.stack([IMAGE, IMAGE]))})
    with pytest.raises(InputError, match=r"2 steps along time.*isel\(time=0\)"):
        open_cube(nc(tmp_path / "b.nc", twice))


def test_a_variable_a_band(tmp_path: Path) -> None:
    bands = {f"r{nm}": (("y", "x"), IMAGE[n], {"wavelength": nm}) for n, nm in ((2, 650), (0, 450), (1, 550))}
    flags = {"quality": (("y", "x"), IMAGE[0].astype("i1"), {"flag_meanings": "cloud"})}
    path = nc(tmp_path / "a.nc", xr.Dataset({**bands, **flags}))
    with pytest.warns(UserWarning, match="3 variables are the bands: r450, r550, r650; left out: quality"):
        cube = open_cube(path)
    np.testing.assert_array_equal(cube.values, IMAGE)
    assert wavelengths_nm(cube).tolist() == [450, 550, 650]
    both = xr.Dataset({**bands, **{f"t{name[1:]}": value for name, value in bands.items()}})
    with pytest.raises(InputError, match=r"--variable 'rhos_\*'"):
        open_cube(nc(tmp_path / "b.nc", both))
    with pytest.warns(UserWarning, match="3 variables"):
        assert open_cube(tmp_path / "b.nc", variable="t*").shape == IMAGE.shape


def test_an_alpha_band_of_many_values_is_a_band(tmp_path: Path) -> None:
    rgbn = tif(tmp_path / "rgbn.tif", np.concatenate([IMAGE, IMAGE[:1]]))
    with pytest.warns(UserWarning, match="band 4 of rgbn.tif is called alpha, but holds many values"):
        assert open_cube(rgbn).shape[0] == 4
    mask = np.where(IMAGE[:1] > 100, 255, 0).astype("u1")
    rgba = tif(tmp_path / "rgba.tif", np.concatenate([IMAGE, mask]))
    np.testing.assert_array_equal(np.isnan(open_cube(rgba).values), np.repeat(mask == 0, 3, 0))


def test_the_pages_of_a_tiff_are_bands_in_their_order(tmp_path: Path) -> None:
    from PIL import Image

    bands = [Image.fromarray(np.full((20, 24), number, "u1")) for number in range(12)]
    small = Image.fromarray(IMAGE[0, ::2, ::2])
    bands[0].save(tmp_path / "a.tif", save_all=True, append_images=[*bands[1:], small])
    with pytest.warns(UserWarning, match="pages of a.tif: 12 with its 12 bands, 1 of another size left out"):
        cube = open_cube(tmp_path / "a.tif", window=(2, 3, 4, 5), bands=[11, 0, 2])
    assert cube.shape == (3, 4, 5)
    np.testing.assert_array_equal(cube.values[:, 0, 0], [11, 0, 2])


def test_a_preview_among_the_pages_of_a_tiff_is_no_band(tmp_path: Path) -> None:
    from PIL import Image

    bands = [Image.fromarray(np.full((20, 24), number, "f4")) for number in range(2)]
    preview = Image.fromarray(IMAGE.transpose(1, 2, 0).copy())
    bands[0].save(tmp_path / "a.tif", save_all=True, append_images=[bands[1], preview])
    with pytest.warns(UserWarning, match="2 with its 2 bands, 1 of other bands or another type left out"):
        assert open_cube(tmp_path / "a.tif").shape[0] == 2


@pytest.mark.filterwarnings("ignore:12 variables are the bands")
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_variable_a_band_in_the_order_of_their_numbers(suffix: str, tmp_path: Path) -> None:
    import h5py

    bands, path = {f"band_{number}": np.full((4, 5), number, "f4") for number in range(1, 13)}, tmp_path / f"a{suffix}"
    if suffix == ".nc":
        with h5py.File(path, "w") as file:  # which lists names as texts
            for name, band in bands.items():
                file[name] = band
    else:
        xr.Dataset({name: (("y", "x"), band) for name, band in bands.items()}).to_zarr(path, zarr_format=2)
    np.testing.assert_array_equal(open_cube(path).values[:, 0, 0], np.arange(1, 13))


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", IMAGE[:1], photometric="PALETTE")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {number: (number, 255 - number, 7, 255) for number in range(256)})
    with pytest.warns(UserWarning, match="read as red, green and blue"):
        cube = open_cube(path)
    np.testing.assert_array_equal(cube.values, [IMAGE[0], 255 - IMAGE[0], np.full_like(IMAGE[0], 7)])


def test_nodata_that_differs_between_bands(tmp_path: Path) -> None:
    vrt_like = [tif(tmp_path / f"{n}.tif", IMAGE[n : n + 1], nodata=int(IMAGE[n, 0, 0])) for n in range(2)]
    cubes = [open_cube(path) for path in vrt_like]
    for cube, plane in zip(cubes, IMAGE, strict=False):
        np.testing.assert_array_equal(np.isnan(cube.values[0]), plane == plane[0, 0])


def test_control_points_on_a_grid_are_its_place_and_others_are_refused(tmp_path: Path) -> None:
    def placed(name: str, bend: float) -> Path:
        points = [
            GroundControlPoint(row, column, 500_000 + 10 * column + bend * row * column, 5_000_000 - 10 * row)
            for row in (0, 20)
            for column in (0, 24)
        ]
        return tif(tmp_path / name, gcps=points, crs="EPSG:32633")

    cube = open_cube(placed("flat.tif", 0))
    assert crs_of(cube).to_epsg() == 32633
    assert transform_of(cube).almost_equals(NORTH_UP, 1e-6)
    with pytest.raises(InputError, match=r"control points.*gdalwarp"):
        open_cube(placed("bent.tif", 0.1))


@pytest.mark.parametrize(
    ("first", "last", "step"), [(179.9, -179.86, 0.01), (-180.0, 180.0, 15), (-180.0, 179.4, 14.975)]
)
def test_control_points_across_the_date_line_are_a_place(
    first: float, last: float, step: float, tmp_path: Path
) -> None:
    """And those of the whole Earth."""
    lons = ((0, first), (24, last))
    points = [GroundControlPoint(row, column, lon, 50 - 0.01 * row) for row in (0, 20) for column, lon in lons]
    cube = open_cube(tif(tmp_path / "a.tif", gcps=points, crs="EPSG:4326"))
    assert transform_of(cube).almost_equals(Affine(step, 0, first, 0, -0.01, 50), 1e-6)


def test_a_camera_model_alone_is_refused(tmp_path: Path) -> None:
    rpcs = rasterio.rpc.RPC(
        *(0, 1, 0, 1), [0.0] * 20, [1.0] + [0.0] * 19, 0, 1, 0, 1, [1.0] + [0.0] * 19, [0.0] * 20, 0, 1
    )
    with rasterio.open(tif(tmp_path / "a.tif"), "r+") as dataset:
        dataset.rpcs = rpcs
    with pytest.raises(InputError, match="gdalwarp -rpc"):
        open_cube(tmp_path / "a.tif")


@pytest.mark.parametrize("names", [("A.BIL", "A.HDR"), ("a.bil", "a.HDR")])
def test_upper_case_names_of_an_envi_pair(names: tuple[str, str], tmp_path: Path) -> None:
    save_cube(make_cube(IMAGE), tmp_path / "made.bil")
    for made, name in zip(("made.bil", "made.hdr"), names, strict=True):
        (tmp_path / made).rename(tmp_path / name)
    for name in names:
        np.testing.assert_array_equal(open_cube(tmp_path / name).values, IMAGE)


def test_a_grid_from_south_to_north_keeps_its_place_as_envi(tmp_path: Path) -> None:
    south_up = Affine(10, 0, 500_000, 0, 10, 4_999_800)
    cube = open_cube(save_cube(make_cube(IMAGE, crs=32633, transform=south_up), tmp_path / "a.img"))
    assert transform_of(cube) == NORTH_UP
    np.testing.assert_array_equal(cube.values, IMAGE[:, ::-1])
    sheared = make_cube(IMAGE, crs=32633, transform=Affine(10, 3, 5e5, 0, -10, 5e6))
    with pytest.warns(UserWarning, match="no sheared grid"):
        save_cube(sheared, tmp_path / "b.img")
