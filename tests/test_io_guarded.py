"""What strangers' files do to the process that reads them, and what of the machine they may see."""

import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

from hypersharp.cube import crs_of, make_cube, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError
from hypersharp.io import guarded, open_cube, save_cube
from hypersharp.io.guarded import CHILD, guarding
from hypersharp.io.image import Image
from hypersharp.products import files
from hypersharp.sensor.stored import read_sensor
from hypersharp.system.read_errors import check_regular

VALUES = np.random.default_rng(0).integers(0, 3000, (4, 6, 5)).astype("f4")


def whole(path: Path) -> Path:
    from affine import Affine

    known = {"wavelengths_nm": [450, 550, 650, 850.5], "fwhm_nm": [10, 10, 12, 20], "nodata": -99}
    place = {"crs": "EPSG:32633", "transform": Affine(30, 0, 383472.37, 0, -30, 5818302.35)}
    return save_cube(make_cube(VALUES, **known, **place), path)


@pytest.mark.parametrize("suffix", [".nc", ".mat", ".zarr", ".tif"])
def test_a_child_reads_the_same(suffix: str, tmp_path: Path) -> None:
    path = whole(tmp_path / f"a{suffix}")
    plain = open_cube(path)
    with guarding("all"):
        stored = Image(path).stored()
        cube, part = open_cube(path), open_cube(path, window=(1, 2, 3, 2), bands=[3, 0])
        with pytest.raises(InputError, match="no file"):
            open_cube(tmp_path / "none.nc")
        with pytest.raises((InputError, CallError), match=r"nonesuch|variable"):
            open_cube(path, variable="nonesuch")
    assert isinstance(stored.pixels, guarded.GuardedPixels)
    np.testing.assert_array_equal(cube.values, plain.values)
    np.testing.assert_array_equal(part.values, plain.values[[3, 0], 1:4, 2:4])
    assert (crs_of(cube), transform_of(cube), nodata_of(cube)) == (crs_of(plain), transform_of(plain), nodata_of(plain))
    assert wavelengths_nm(cube).tolist() == wavelengths_nm(plain).tolist()


def test_a_child_stays_where_it_began_and_names_are_those_of_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_cube(make_cube(VALUES + number), folder / "a.nc")
        monkeypatch.chdir(folder)
        with guarding("all"):
            np.testing.assert_array_equal(open_cube("a.nc").values, VALUES + number)
            left = open_cube("a.nc", lazy=True)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(left.values, VALUES + 1)


def test_a_shape_may_be_a_list(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", cube=np.arange(24.0).reshape(2, 12))
    with guarding("all"):
        assert open_cube(tmp_path / "a.npz", layout="lp", shape_yx=[3, 4]).shape == (2, 3, 4)  # type: ignore[arg-type]


def test_what_the_child_says_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", cube=VALUES, wavelength=np.arange(9.0) + 400)
    with guarding("all"), pytest.warns(UserWarning, match="'wavelength' of 9 numbers is left out"):
        open_cube(tmp_path / "a.npz")


def test_a_file_that_ends_its_reader_or_keeps_it_busy_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = whole(tmp_path / "a.nc")
    with guarding("risky"):
        stored = Image(path).stored()
        CHILD.process.send_signal(11)  # as a segmentation fault does
        with pytest.raises(InputError, match=r"a\.nc that ends the process that reads it"):
            stored.cube()
        np.testing.assert_array_equal(stored.cube().values, VALUES)  # by another child
        monkeypatch.setattr(guarded, "CPU_S", -1e9)
        CHILD.process.send_signal(19)  # stopped: it never answers
        with pytest.raises(InputError, match=r"a\.nc whose reading takes too long"):
            stored.cube()


@pytest.mark.parametrize("suffix", [".nc", ".mat"])
@pytest.mark.parametrize("kind", ["external", "link", "virtual"])
def test_hdf5_that_points_at_other_files_is_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / f"a{suffix}"
    secret.write_bytes(bytes(64))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["cube"] = VALUES
    with h5py.File(path, "w") as file:
        if kind == "external":
            file.create_dataset("cube", (1, 8, 8), "u1", external=[(str(secret), 0, 64)])
        elif kind == "link":
            file["cube"] = h5py.ExternalLink("other.h5", "cube")
        else:
            layout = h5py.VirtualLayout(VALUES.shape, "f4")
            layout[:] = h5py.VirtualSource("other.h5", "cube", VALUES.shape)
            file.create_virtual_dataset("cube", layout)
    with pytest.raises(InputError, match=r"another file|virtual"):
        open_cube(path)


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    for name in ("a.tif", "a.nc", "a.npy", "a.hdr", "a.zarr", "s.json"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="no regular file"):
            read_sensor(tmp_path / name) if name == "s.json" else open_cube(tmp_path / name)
    with pytest.raises(InputError, match="no regular file"):
        check_regular(Path("/dev/zero"))
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    with pytest.raises(InputError, match="no readable file"):
        open_cube(tmp_path / "loop.tif")
    whole(tmp_path / "b.tif")
    os.mkfifo(tmp_path / "b.tif.msk")
    with pytest.raises(InputError, match=r"b\.tif\.msk, which is no regular file"):
        open_cube(tmp_path / "b.tif")
    whole(tmp_path / "world.tif")
    os.mkfifo(tmp_path / "world.tfw")
    (chunk,) = (path for path in (whole(tmp_path / "c.zarr") / "cube").iterdir() if path.name[0].isdigit())
    chunk.unlink()
    os.mkfifo(chunk)
    for name in ("world.tif", "c.zarr"):
        with pytest.raises(InputError, match="no regular file"):
            open_cube(tmp_path / name)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"ratio": Infinity, "srf": [[1]], "psf": {}}', "\xff\xfe", "null"])
def test_a_damaged_sensor_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"s\.json"):
        read_sensor(tmp_path / "s.json")


@pytest.mark.parametrize("damage", ["nan", "inf", "1e999"])
def test_a_damaged_place_is_one_line(damage: str, tmp_path: Path) -> None:
    path = whole(tmp_path / "a.img")
    header = tmp_path / "a.hdr"
    header.write_text(header.read_text().replace("383472.37", damage))
    with pytest.raises(InputError, match="finite"):
        open_cube(path)


def test_sizes_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    tiff = b"II*\0" + struct.pack("<I", 8)
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 65_535), (273, 4, 1, 200)]
    tags += [(278, 3, 1, 8), (279, 4, 1, 64), (284, 3, 1, 2)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    (tmp_path / "a.tif").write_bytes(tiff + struct.pack("<H", len(tags)) + entries + bytes(200))
    with pytest.raises(InputError):
        open_cube(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["sentinel2", "enmap", "prisma", "emit", "landsat"])
def test_a_child_reads_products_too(product: Callable[..., Path], name: str) -> None:
    path = product(name)
    plain = Image(path).stored()
    with guarding("all"):
        stored = Image(path).stored()
        said = Image(path).said()
    assert isinstance(stored.pixels, guarded.GuardedPixels)
    np.testing.assert_array_equal(stored.cube().values, plain.cube().values)
    assert (stored.product, stored.unit, stored.applied) == (plain.product, plain.unit, plain.applied)
    assert (stored.flags and stored.flags.shares()) == (plain.flags and plain.flags.shares())
    assert crs_of(stored.cube()) == crs_of(plain.cube()) and said == Image(path).said()


def test_a_damaged_product_never_ends_the_process(product: Callable[..., Path], tmp_path: Path) -> None:
    """HDF5 of which bytes are changed: read as it is, or one line."""
    content, random = bytearray(product("prisma").read_bytes()), np.random.default_rng(0)
    for number in range(6):
        damaged, path = content.copy(), tmp_path / f"PRS_L2D_{number}.he5"
        for place in random.integers(0, 4000, 40):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        with guarding("risky"), suppress(InputError):
            Image(path).cube()


def test_a_swath_in_a_child_has_its_longitudes(product: Callable[..., Path]) -> None:
    path = product("emit", "bent")
    with guarding("risky"):
        found = Image(path).stored().cube()
    np.testing.assert_array_equal(found.longitude.values, Image(path).stored().cube().longitude.values)


@pytest.mark.parametrize("beside", [False, True])
def test_overviews_in_other_files_are_refused(beside: bool, tmp_path: Path) -> None:
    import rasterio

    path, secret = whole(tmp_path / "a.tif"), whole(tmp_path / "secret.tif")
    if beside:
        named = f'<Metadata domain="OVERVIEWS"><MDI key="overview_file">{secret}</MDI></Metadata>'
        (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{named}</PAMDataset>")
    else:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    with pytest.raises(InputError, match="overviews from another file"):
        open_cube(path)


def test_products_point_at_no_other_files_either(product: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / product("neon").name
    shutil.copy(product("neon"), path)
    with h5py.File(path, "r+") as file:
        file["HARV/Reflectance/more"] = h5py.ExternalLink("other.h5", "cube")
    with pytest.raises(InputError, match="a link to another file"):
        Image(path).stored()
    safe = tmp_path / "safe"
    shutil.copytree(product("sentinel2"), safe)
    for band in safe.rglob("*_B04_10m.jp2"):
        band.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{band}</VRTDataset>')
    with pytest.raises(InputError, match=r"B04_10m\.jp2 unreadable"):
        Image(safe).cube()


def test_a_small_archive_of_endless_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MTD_MSIL2A.xml", bytes(files.MOST_BYTES + 1))
    with pytest.raises(InputError, match="more than 64 MiB"):
        Image(path).stored()


@pytest.mark.parametrize("name", ["filters", "compressor"])
def test_zarr_never_unpickles(name: str, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was-run"),)

    path = whole(tmp_path / "a.zarr")
    said = json.loads((path / "cube/.zarray").read_text()) | {"dtype": "|O", "filters": None, "compressor": None}
    (path / "cube/.zarray").write_text(
        json.dumps(said | {name: [{"id": "pickle"}] if name == "filters" else {"id": "pickle"}})
    )
    (path / "cube/0.0.0").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="a codec that runs code"):
        open_cube(path)
    assert not (tmp_path / "was-run").exists()


def test_a_message_is_one_line_whatever_a_library_says() -> None:
    said = str(InputError("a file\n\twhose " + "words " * 1000, "a whole\nfile", "mend it"))
    assert "\n" not in said and said.startswith("found a file whose words") and len(said) < 1000


def test_a_crs_that_no_text_can_hold_is_refused_without_a_word_of_gdal(capfd: pytest.CaptureFixture[str]) -> None:
    from affine import Affine

    for crs in ("\udcff\udcfe", 'PROJCS["x", GEOGCS[', "9" * 100_000):
        with pytest.raises(InputError, match="one that PROJ knows"):
            make_cube(VALUES, crs=crs, transform=Affine(1, 0, 0, 0, -1, 0))
    assert capfd.readouterr().err == ""


def test_an_answer_that_nobody_took_is_not_the_next_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_cube(make_cube(np.full((2, 4, 4), value, "f4")), tmp_path / f"{name}.npz")

    def interrupted(self: object) -> bytearray:
        raise KeyboardInterrupt

    with guarding("all"):
        open_cube(tmp_path / "a.npz")
        with monkeypatch.context() as patch:
            patch.setattr(guarded._Answer, "part", interrupted)
            with pytest.raises(KeyboardInterrupt):
                open_cube(tmp_path / "a.npz")
        assert float(open_cube(tmp_path / "b.npz").values.max()) == 2.0
