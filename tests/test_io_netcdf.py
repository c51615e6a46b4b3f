"""NetCDF and Zarr as other programs write them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

from hypersharp.cube import crs_of, fwhm_nm, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io import open_cube, save_cube

IMAGE = np.arange(24, dtype="i2").reshape(2, 3, 4)


def foreign(dims: tuple[str, str, str] = ("lat", "lon", "wavelength")) -> xr.Dataset:
    """Bands last, wavelengths in micrometres, degrees on the axes, CF packing."""
    image = xr.DataArray(IMAGE.transpose(1, 2, 0), dims=dims, attrs={"scale_factor": 0.5, "_FillValue": np.int16(7)})
    image.coords[dims[2]] = (dims[2], [0.45, 0.65], {"units": "um"})
    image.coords[dims[0]] = [52.5, 52.4, 52.3]
    image.coords[dims[1]] = [13.0, 13.1, 13.2, 13.3]
    return xr.Dataset({"reflectance": image, "fwhm": (dims[2], [10.0, 20.0], {"units": "nm"})})


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_axes_are_known_by_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scene{suffix}"
    if suffix == ".nc":
        foreign().to_netcdf(path, engine="h5netcdf")
    else:
        foreign().to_zarr(path, zarr_format=3, consolidated=False)
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.values, np.where(IMAGE == 7, np.nan, IMAGE * 0.5))
    assert wavelengths_nm(cube).tolist() == [450, 650]
    assert fwhm_nm(cube).tolist() == [10, 20]
    assert transform_of(cube) @ (0.5, 0.5) == pytest.approx((13.0, 52.5))


def test_degrees_that_count_on_across_the_date_line_are_evenly_spaced(tmp_path: Path) -> None:
    foreign().assign_coords(lon=[179.9, 180.0, -179.9, -179.8]).to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    assert transform_of(open_cube(tmp_path / "scene.nc")) @ (2.5, 0.5) == pytest.approx((180.1, 52.5))


def test_classic_netcdf_is_read(tmp_path: Path) -> None:
    foreign().to_netcdf(tmp_path / "scene.nc", engine="scipy")
    assert open_cube(tmp_path / "scene.nc").shape == (2, 3, 4)


def test_unnamed_axes_are_asked_for(tmp_path: Path) -> None:
    xr.Dataset({"a": (("p", "q", "r"), IMAGE)}).to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="layout hw"):
        open_cube(tmp_path / "scene.nc")
    np.testing.assert_array_equal(open_cube(tmp_path / "scene.nc", layout="lhw").values, IMAGE)


def test_a_crs_written_by_rioxarray_is_read(tmp_path: Path) -> None:
    import rioxarray  # noqa: F401

    image = xr.DataArray(IMAGE, dims=("band", "y", "x"), name="a").rio.write_crs("EPSG:32633")
    image.to_netcdf(tmp_path / "scene.nc", engine="h5netcdf")
    cube = open_cube(tmp_path / "scene.nc")
    assert crs_of(cube).to_epsg() == 32633
    assert transform_of(cube) is None


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(InputError, match="no Zarr store"):
        open_cube(tmp_path / "a.zarr")


def test_a_map_of_two_axes_has_its_place_as_a_cube_has(tmp_path: Path) -> None:
    cube = foreign()
    first = cube.isel(wavelength=0, drop=True)
    cube.to_netcdf(tmp_path / "cube.nc", engine="h5netcdf")
    first.to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    place = transform_of(open_cube(tmp_path / "map.nc"))
    assert place is not None
    assert place == transform_of(open_cube(tmp_path / "cube.nc"))


def test_the_grid_mapping_is_of_a_type_that_cf_has(tmp_path: Path) -> None:
    save_cube(make_cube(IMAGE, crs="EPSG:32633"), tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as file:
        assert file["spatial_ref"].dtype == np.int32


@pytest.mark.parametrize(
    ("name", "whole", "inside"), [("a.mat", "S", "S.cube"), ("b.mat", "S", "S.cube"), ("a.nc", "S", "S/cube")]
)
def test_a_struct_or_group_named_itself_is_told_with_what_it_holds(
    tmp_path: Path, name: str, whole: str, inside: str
) -> None:
    values = np.arange(6.0 * 12 * 10).reshape(12, 10, 6)
    scipy.io.savemat(tmp_path / "a.mat", {"S": {"cube": values, "name": "x"}, "other": values})
    for file in ("b.mat", "a.nc"):
        with h5py.File(tmp_path / file, "w") as made:
            made["S/cube"], made["cube"] = values, values
    with pytest.raises(InputError, match=rf"'{whole}' in .* 1 array \({inside}\), .* --variable {inside}"):
        open_cube(tmp_path / name, variable=whole)


def test_a_group_of_a_zarr_store_is_read_or_told_with_what_it_holds(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    values = np.arange(6.0 * 12 * 10).reshape(6, 12, 10)
    for group, factor in ((None, 1), ("S", 2)):
        found = xr.Dataset({"cube": (("band", "y", "x"), factor * values)})
        found.to_zarr(tmp_path / "a.zarr", group=group, mode="a", consolidated=False)
    np.testing.assert_array_equal(open_cube(tmp_path / "a.zarr", variable="S/cube").values, 2 * values)
    np.testing.assert_array_equal(open_cube(tmp_path / "a.zarr", variable="cube").values, values)
    with pytest.raises(InputError, match=r"'S' in .* 1 array \(S/cube\), .* --variable S/cube"):
        open_cube(tmp_path / "a.zarr", variable="S")
    with pytest.raises(InputError, match="no group 'T' in"):
        open_cube(tmp_path / "a.zarr", variable="T/cube")
