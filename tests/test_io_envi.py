"""ENVI: interleaves, byte orders, gzipped bodies, and what headers say."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hypersharp.cube import crs_of, fwhm_nm, good_bands, make_cube, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import InputError, OutputError
from hypersharp.io import open_cube, save_cube
from hypersharp.io.together import save_together

IMAGE = np.arange(24).reshape(2, 3, 4)  # bands, lines, samples
AXES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def written(folder: Path, *lines: str, interleave: str = "bsq", dtype: str = "<i2", body: bytes | None = None) -> Path:
    """An ENVI pair of IMAGE with some more header lines."""
    head = [
        "ENVI",
        "samples = 4",
        "lines = 3",
        "bands = 2",
        f"interleave = {interleave}",
        "data type = 2" if dtype[1:] == "i2" else "data type = 4",
        f"byte order = {int(dtype[0] == '>')}",
        *lines,
    ]
    (folder / "image.hdr").write_text("\n".join(head) + "\n")
    pixels = IMAGE.transpose(AXES[interleave]).astype(dtype).tobytes()
    (folder / "image.img").write_bytes(pixels if body is None else body)
    return folder / "image.hdr"


@pytest.mark.parametrize("interleave", AXES)
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f4"])
def test_interleave_and_byte_order(interleave: str, dtype: str, tmp_path: Path) -> None:
    cube = open_cube(written(tmp_path, interleave=interleave, dtype=dtype))
    np.testing.assert_array_equal(cube.values, IMAGE)
    assert cube.dtype == np.dtype(dtype).newbyteorder("=")


def test_a_gzipped_body_with_an_offset(tmp_path: Path) -> None:
    body = gzip.compress(b"12345678" + IMAGE.astype("<i2").tobytes())
    header = written(tmp_path, "file compression = 1", "header offset = 8", body=body)
    np.testing.assert_array_equal(open_cube(header).values, IMAGE)
    (tmp_path / "image.img").write_bytes(body[:-12])
    with pytest.raises(InputError, match="a whole gzipped body"):
        open_cube(header)


@pytest.mark.parametrize(
    ("lines", "expected_nm"),
    [
        (("wavelength units = Nanometers", "wavelength = {450, 650.5}"), [450, 650.5]),
        (("wavelength units = Micrometers", "wavelength = {0.479,\n 2.409}"), [479, 2409]),
        (("wavelength = {0.45, 0.65}",), [450, 650]),
        (("wavelength units = Unknown", "wavelength = {450, 650}"), [450, 650]),
        (("wavelength units = Index", "wavelength = {1, 2}"), None),
        (("wavelength units = Wavenumber", "wavelength = {20000, 1250}"), [500, 8000]),
        (("wavelength units = cm^-1", "wavelength = {20000, 1250}"), [500, 8000]),
        (("wavelength units = GHz", "wavelength = {299792.458, 599584.916}"), [1000, 500]),
        (("wavelength units = MHz", "wavelength = {299792458, 599584916}"), [1000, 500]),
        (("wavelength units = Centimeters", "wavelength = {5e-5, 6.5e-5}"), [500, 650]),
        (("wavelength units = Angstroms", "wavelength = {4500, 6500}"), [450, 650]),
    ],
)
def test_wavelengths_in_any_unit(lines: tuple[str, ...], expected_nm: list[float] | None, tmp_path: Path) -> None:
    found = wavelengths_nm(open_cube(written(tmp_path, *lines)))
    assert found is None if expected_nm is None else found.tolist() == expected_nm


def test_widths_without_a_unit_take_that_of_the_wavelengths(tmp_path: Path) -> None:
    cube = open_cube(written(tmp_path, "wavelength = {450, 650}", "fwhm = {9, 10}", "bbl = {1, 0}"))
    assert fwhm_nm(cube).tolist() == [9, 10]
    assert good_bands(cube).tolist() == [True, False]


def test_widths_that_are_in_nm_beside_wavelengths_in_um(tmp_path: Path) -> None:
    lines = "wavelength units = Micrometers", "wavelength = {0.45, 2.2}", "fwhm = {9.5, 10}"
    with pytest.warns(UserWarning, match="widths of 9.5 to 10 Micrometers, .*, are taken for nm"):
        found = open_cube(written(tmp_path, *lines))
    np.testing.assert_array_equal(wavelengths_nm(found), [450, 2200])
    np.testing.assert_array_equal(fwhm_nm(found), [9.5, 10])


def test_widths_in_wavenumbers_are_those_of_their_bands(tmp_path: Path) -> None:
    """A part in a thousand of a band is one in either unit."""
    lines = "wavelength units = Wavenumber", "wavelength = {20000, 1250}", "fwhm = {20, 1.25}"
    assert fwhm_nm(open_cube(written(tmp_path, *lines))).tolist() == [0.5, 8]


def test_scale_gain_offset_and_nodata(tmp_path: Path) -> None:
    cube = open_cube(written(tmp_path, "reflectance scale factor = 10", "data ignore value = 3"))
    assert np.isnan(cube.values[0, 0, 3])
    assert cube.values[1, 2, 3] == np.float32(2.3)
    gains = "data gain values = {2, 3}", "data offset values = {0, 100}"
    np.testing.assert_array_equal(open_cube(written(tmp_path, *gains)).values[1], IMAGE[1] * 3 + 100)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("samples = 5",), "bytes"),
        (("samples = 99999999999",), "bytes"),
        (("samples = -4",), "whole number"),
        (("data type = 6",), "data type 6"),
        (("interleave = bxq",), "bxq"),
        (("bands = 0",), "without pixels"),
        (("wavelength = {1, 2, 3}",), "3 values of wavelength for 2 bands"),
        (("wavelength = {a, b}",), "numbers"),
        (("data gain values = {1, 2, 3}",), "3 gains"),
        (("reflectance scale factor = 0",), "scale factor"),
    ],
)
def test_a_wrong_header_is_named(lines: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        open_cube(written(tmp_path, *lines))


@pytest.mark.parametrize("coded", ["latin-1", "utf-16", "cr", "crlf"])
def test_headers_of_other_systems(coded: str, tmp_path: Path) -> None:
    header = written(tmp_path, "description = {bands = 9, {a}\n samples = 3 }", "wavelength = {", "450, 550}")
    ends = {"cr": "\r", "crlf": "\r\n"}.get(coded, "\n")
    header.write_bytes(header.read_text().replace("\n", ends).encode(coded if ends == "\n" else "ascii"))
    found = open_cube(header)
    np.testing.assert_array_equal(found.values, IMAGE)
    np.testing.assert_array_equal(wavelengths_nm(found), [450, 550])


def test_the_body_is_found_and_named(tmp_path: Path) -> None:
    header = written(tmp_path)
    np.testing.assert_array_equal(open_cube(tmp_path / "image.img").values, IMAGE)
    (tmp_path / "image.img").rename(tmp_path / "image")
    np.testing.assert_array_equal(open_cube(tmp_path / "image").values, IMAGE)
    (tmp_path / "image.dat").write_bytes(b"0")
    with pytest.raises(InputError, match="name the body"):
        open_cube(header)
    header.unlink()
    with pytest.raises(InputError, match="no header"):
        open_cube(tmp_path / "image.dat")


def test_the_header_of_another_body_is_not_replaced(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(OutputError, match=r"image\.img"):
        save_cube(make_cube(np.ones((1, 2, 2))), tmp_path / "image.bsq")
    np.testing.assert_array_equal(open_cube(tmp_path / "image.hdr").values, IMAGE)


@pytest.mark.parametrize("name", ["image.img", "image.hdr", "image.bip"])
def test_the_header_of_a_tiff_is_not_replaced(name: str, tmp_path: Path) -> None:
    tiff = save_cube(make_cube(IMAGE), tmp_path / "image.tif")
    header = written(tmp_path, "wavelength = {450, 550}", "wavelength units = nm")
    (tmp_path / "image.img").unlink()
    before = header.read_bytes()
    with pytest.raises(OutputError, match=r"image\.hdr, which describes image\.tif"):
        save_cube(make_cube(np.ones((1, 2, 2))), tmp_path / name)
    with pytest.raises(OutputError, match=r"image\.hdr, which describes image\.tif"):
        save_together({"image": make_cube(IMAGE)}, tmp_path, name.partition(".")[2])
    assert header.read_bytes() == before
    np.testing.assert_array_equal(wavelengths_nm(open_cube(tiff)), [450, 550])


def test_a_header_without_its_image_is_replaced_if_it_is_ours(tmp_path: Path) -> None:
    path = save_cube(make_cube(IMAGE), tmp_path / "a.img")
    path.unlink()
    save_cube(make_cube(IMAGE), path)
    written(tmp_path)
    (tmp_path / "image.img").rename(tmp_path / "image.cub")  # a suffix of no format
    for name in ("image.img", "image.dat"):
        with pytest.raises(OutputError, match=r"image\.hdr, which describes image\.cub"):
            save_cube(make_cube(IMAGE), tmp_path / name)


def test_a_header_is_written_by_the_name_that_was_given(tmp_path: Path) -> None:
    save_cube(make_cube(IMAGE), tmp_path / "a.hdr")
    path = save_cube(make_cube(IMAGE + 1), tmp_path / "a.HDR")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.HDR", "a.img"]
    for name in (path, path.with_suffix(".img")):
        np.testing.assert_array_equal(open_cube(name).values, IMAGE + 1)


def test_a_link_to_an_image_needs_one_to_its_header(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far = save_cube(make_cube(IMAGE), tmp_path / "far" / "b.img")
    (tmp_path / "a.img").symlink_to(far)
    with pytest.raises(OutputError, match=r"the link .*a\.img without .* do: name .*b\.img"):
        save_cube(make_cube(IMAGE + 1), tmp_path / "a.img")
    (tmp_path / "a.hdr").symlink_to(far.with_suffix(".hdr"))
    save_cube(make_cube(np.ones((2, 2, 2))), tmp_path / "a.img")
    assert (tmp_path / "a.img").is_symlink() and (tmp_path / "a.hdr").is_symlink()
    assert open_cube(far).shape == open_cube(tmp_path / "a.img").shape == (2, 2, 2)
    assert sorted(file.name for file in far.parent.iterdir()) == ["b.hdr", "b.img"]


@pytest.mark.parametrize(("name", "shape"), [("EnMAP", (177, 80, 60)), ("HighResolution", (4, 660, 494))])
def test_the_berlin_pair(name: str, shape: tuple[int, ...], data_dir: Callable[[str], Path], tmp_path: Path) -> None:
    body = data_dir("berlin") / f"{name}_BerlinUrbanGradient.bsq"
    cube = open_cube(body)
    assert cube.shape == shape
    assert crs_of(cube).to_epsg() == 32633
    assert nodata_of(cube) == -99
    with rasterio.open(body) as gdal:
        assert transform_of(cube) == gdal.transform
        np.testing.assert_array_equal(np.nan_to_num(cube.values, nan=-99), gdal.read())
    if name == "EnMAP":
        assert wavelengths_nm(cube)[[0, 4, -1]].tolist() == [460, 479, 2409]
        assert fwhm_nm(cube)[[0, -1]].tolist() == [5.8, 9.1]
    saved = save_cube(cube, tmp_path / "copy.bil")
    assert saved.stat().st_size == 2 * np.prod(shape)  # still 16 bits
    with rasterio.open(saved) as gdal:  # another program reads it too
        assert gdal.transform.almost_equals(transform_of(cube), 1e-6)
        assert gdal.crs.to_epsg() == 32633
        assert gdal.nodata == -99
        np.testing.assert_array_equal(gdal.read(), np.nan_to_num(cube.values, nan=-99))


def test_a_rotated_grid_is_written_as_gdal_reads_it(tmp_path: Path) -> None:
    from affine import Affine

    turned = Affine(10, 0, 500000, 0, -10, 4000000) @ Affine.rotation(20)
    back = open_cube(save_cube(make_cube(np.ones((1, 3, 4)), crs=32633, transform=turned), tmp_path / "turned.img"))
    assert transform_of(back).almost_equals(turned, 1e-6)
