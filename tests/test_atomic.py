"""Outputs appear whole or not at all; inputs that are not there are named."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hypersharp.cube import make_cube, transform_of
from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.io import check_output, open_cube, save_cube
from hypersharp.io.envi import write_beside
from hypersharp.io.format import BY_SUFFIX, Format
from hypersharp.io.together import save_together
from hypersharp.system import atomic
from hypersharp.system.atomic import staged

ALL = sorted(suffix for suffix, form in BY_SUFFIX.items() if form.written)
OLD, NEW = make_cube(np.zeros((2, 3, 3), "f4")), make_cube(np.ones((2, 3, 3), "f4"))


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*"))


def is_still_old(path: Path, before: list[str]) -> bool:
    return names(path.parent) == before and bool((open_cube(path).values == 0).all())


@pytest.mark.parametrize("suffix", ALL)
def test_a_full_disk_leaves_what_stood_there(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_cube(OLD, tmp_path / f"image{suffix}")
    before = names(tmp_path)
    write = Format.write

    def write_until_full(self: Format, cube: xr.DataArray, target: Path) -> None:
        write(self, cube, target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Format, "write", write_until_full)
    with pytest.raises(OutputError, match="no space left"):
        save_cube(NEW, path)
    assert is_still_old(path, before)


@pytest.mark.parametrize("suffix", ALL)
@pytest.mark.parametrize("failing_move", [1, 2, 3, 4])
def test_a_move_that_fails_is_taken_back(
    suffix: str, failing_move: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_cube(OLD, tmp_path / f"image{suffix}")
    before, moves, replace = names(tmp_path), [], os.replace
    shift_all = atomic._move_all

    def replace_or_fail(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == failing_move:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        replace(source, target)

    def move_all(staging: Path, parent: Path) -> list[Path]:  # zarr moves files of its own while it writes
        monkeypatch.setattr(atomic.os, "replace", replace_or_fail)
        return shift_all(staging, parent)

    monkeypatch.setattr(atomic, "_move_all", move_all)
    try:
        save_cube(NEW, path)
    except OutputError as error:
        said = str(error)
        monkeypatch.undo()
        if "no permission" not in said or not is_still_old(path, before):
            pytest.fail(said)
    else:
        assert len(moves) < failing_move
        assert (open_cube(path).values == 1).all()


@pytest.mark.parametrize("suffix", ALL)
def test_an_older_result_is_replaced(suffix: str, tmp_path: Path) -> None:
    path = save_cube(OLD, tmp_path / f"image{suffix}")
    before = sorted(tmp_path.iterdir())
    save_cube(NEW, path)
    assert (open_cube(path).values == 1).all()
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(OutputError, match="already"):
        save_cube(OLD, path, overwrite=False)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_disk_too_small_is_seen_beforehand(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = atomic.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="no space left"):
        save_cube(NEW, tmp_path / f"image{suffix}")
    assert names(tmp_path) == []


def test_what_describes_an_image_goes_with_it(tmp_path: Path) -> None:
    import rasterio

    path, other = tmp_path / "a.tif", tmp_path / "b.tif"
    for image in (path, other):
        save_cube(make_cube(np.zeros((2, 64, 64), "f4")), image)
        with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(image, "r+") as dataset:
            dataset.build_overviews([2])
        told = "<PAMDataset><SRS>EPSG:32601</SRS><PAMRasterBand band='1'><NoDataValue>1</NoDataValue></PAMRasterBand>"
        image.with_name(f"{image.name}.aux.xml").write_text(f"{told}</PAMDataset>")
        image.with_name(f"{image.name}.MSK").write_bytes(b"")
        image.with_suffix(".tfw").write_text("2\n0\n0\n-2\n5\n5\n")
        write_beside(make_cube(np.zeros((2, 64, 64), "f4"), wavelengths_nm=[1.0, 2.0]), image)
    save_cube(make_cube(np.ones((2, 64, 64), "f4")), path)
    save_together({"b": make_cube(np.ones((2, 64, 64), "f4"))}, tmp_path, "tif")
    assert names(tmp_path) == ["a.tif", "b.tif"]
    for image in (path, other):
        cube = open_cube(image)
        assert (cube.values == 1).all() and "wavelength" not in cube.coords and transform_of(cube) is None


def test_what_stays_of_an_image_that_cannot_be_taken_away_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_cube(OLD, tmp_path / "a.npy")
    (tmp_path / "a.npy.aux.xml").touch()
    unlink = Path.unlink

    def refused(file: Path, missing_ok: bool = False) -> None:
        if file.name == "a.npy.aux.xml":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(OutputError, match=r"a\.npy\.aux\.xml, which describes .* do: remove it"):
        save_cube(NEW, path)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".nc", ".zarr", ""])
def test_a_link_is_written_through(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far, link = tmp_path / "far" / f"target{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(far)
    for cube in (OLD, NEW):
        save_cube(cube, link)
        assert link.is_symlink()
        assert [file.name for file in far.parent.iterdir()] == [far.name]
        np.testing.assert_array_equal(open_cube(far).values, cube.values)
    far.rename(tmp_path / "elsewhere")
    far.parent.rmdir()
    with pytest.raises(OutputError, match=r"no folder .*far"):
        check_output(link)


def test_a_wrong_output_is_named_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CallError, match=r"change its suffix"):
        check_output(tmp_path / "image.jpg")
    with pytest.raises(OutputError, match="mkdir -p"):
        check_output(tmp_path / "nowhere" / "image.tif")
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(OutputError, match="choose another name"):
        check_output(tmp_path / "folder.tif")
    check_output(tmp_path / "image.tif")
    monkeypatch.setattr(atomic.os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="read-only"):
        check_output(tmp_path / "image.tif")


def test_what_is_no_cube_is_not_saved(tmp_path: Path) -> None:
    for cube in (NEW.transpose("y", "x", "band"), NEW[:0], NEW.astype(complex)):
        with pytest.raises(InputError):
            save_cube(cube, tmp_path / "image.tif")


@pytest.mark.parametrize("name", ["missing.tif", "missing", "x" * 5000, "null\0byte.tif"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="check the path"):
        open_cube(tmp_path / name)


def test_unknown_and_empty_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "image.xyz").write_bytes(b"x")
    with pytest.raises(InputError, match="unknown format"):
        open_cube(tmp_path / "image.xyz")
    (tmp_path / "image.tif").touch()
    with pytest.raises(InputError, match="zero bytes"):
        open_cube(tmp_path / "image.tif")


def test_a_source_that_has_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"source.npy, which .*out.npy is made from"), staged(tmp_path / "out.npy"):
        (tmp_path / "source.npy").read_bytes()
    assert not list(tmp_path.iterdir())
