"""Broken files of every format: an error of ours or a cube, never another library's traceback, never a crash."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hypersharp.cube import check_cube, make_cube
from hypersharp.errors import HypersharpError, InputError
from hypersharp.io import open_cube, save_cube

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # what is odd is said, too
SUFFIXES = (".tif", ".img", ".bil", ".mat", ".npy", ".npz", ".nc", ".zarr", "")
ROUNDS = int(os.environ.get("HYPERSHARP_FUZZ_ROUNDS", "6"))


def small_cube() -> object:
    from affine import Affine

    values = np.random.default_rng(0).integers(0, 3000, (4, 6, 5)).astype("f4")
    return make_cube(
        values,
        wavelengths_nm=[450, 550, 650, 850.5],
        fwhm_nm=[10, 10, 12, 20],
        good_bands=[True, True, False, True],
        crs="EPSG:32633",
        transform=Affine(30, 0, 383472.37, 0, -30, 5818302.35),
        nodata=-99,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small valid image of each format."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in SUFFIXES:
        save_cube(small_cube(), folder / f"image{suffix}" if suffix != ".bil" else folder / "lines.bil")
    with h5py.File(folder / "v73.mat", "w", userblock_size=512) as file:
        file["cube"] = np.arange(60.0).reshape(3, 4, 5)
        file["cube"].attrs["MATLAB_class"] = np.bytes_("double")
    return folder


def flip(content: bytes, rng: random.Random) -> bytes:
    """A few random bytes changed, mostly near the front where headers lie."""
    broken = bytearray(content)
    for _ in range(rng.choice((1, 2, 5, 20))):
        reach = len(broken) if rng.random() < 0.5 else min(len(broken), 600)
        broken[rng.randrange(reach)] = rng.randrange(256)
    return bytes(broken)


def cut(content: bytes, rng: random.Random) -> bytes:
    """The front of the file."""
    return content[: rng.randrange(len(content))]


def digits(content: bytes, rng: random.Random) -> bytes:
    """Numbers in the text of a header replaced by others."""
    odd = (b"0", b"1", b"-1", b"99999999999999999999", b"3", b"nan", b"1e400", b"", b"{", b"}", b"'", b"x")
    places = [index for index, byte in enumerate(content[:4000]) if byte in b"0123456789={},:()"]
    if not places:
        return flip(content, rng)
    place = rng.choice(places)
    return content[:place] + rng.choice(odd) + content[place + 1 :]


def splice(content: bytes, rng: random.Random) -> bytes:
    """A stretch of the file repeated, or taken out."""
    start, length = rng.randrange(len(content)), rng.choice((1, 2, 8, 64))
    return content[:start] + content[start : start + length] * rng.choice((0, 2)) + content[start + length :]


def answers(path: Path) -> list[str]:
    """What is said where the file cannot be opened whole, in part or lazily: errors of ours only."""
    said = []
    for options in ({}, {"window": (1, 1, 2, 2), "bands": [0]}, {"lazy": True}):
        try:
            cube = open_cube(path, **options)
            check_cube(cube, "it")
            cube.load()
        except HypersharpError as error:
            said.append(str(error))
    return said


def are_short_lines(said: list[str]) -> bool:
    return all("\n" not in line and len(line) <= 1000 for line in said)


@pytest.mark.parametrize("damage", [flip, cut, digits, splice])
@pytest.mark.parametrize(
    "name",
    ["image.tif", "image.img", "image.hdr", "lines.hdr", "image.mat", "v73.mat", "image.npy", "image.npz", "image.nc"],
)
def test_a_damaged_file_is_answered_in_one_line(
    whole: Path, tmp_path: Path, name: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    rng = random.Random(f"{name} {damage.__name__}")
    content = (whole / name).read_bytes()
    if name.endswith(".hdr"):
        body = "image.img" if name == "image.hdr" else "lines.bil"
        shutil.copy(whole / body, tmp_path)
    if name == "image.img":
        shutil.copy(whole / "image.hdr", tmp_path)
    for _ in range(ROUNDS):
        (tmp_path / name).write_bytes(damage(content, rng))
        assert are_short_lines(answers(tmp_path / name))


@pytest.mark.parametrize("damage", [flip, cut, digits, splice])
@pytest.mark.parametrize("name", ["image.zarr", "image"])
def test_a_damaged_folder_is_answered_in_one_line(
    whole: Path, tmp_path: Path, name: str, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    rng = random.Random(f"{name} {damage.__name__}")
    for turn in range(ROUNDS):
        copy = tmp_path / str(turn) / name
        shutil.copytree(whole / name, copy)
        file = rng.choice([file for file in sorted(copy.rglob("*")) if file.is_file() and file.stat().st_size])
        file.write_bytes(damage(file.read_bytes(), rng))
        assert are_short_lines(answers(copy))


@pytest.mark.parametrize("suffix", [".tif", ".img", ".mat", ".npy", ".npz", ".nc", ".zarr", ".txt"])
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"ENVI", b"\x89HDF\r\n\x1a\n", b"II*\0", b"PK\x03\x04", b"CDF\x01", b"\x93NUMPY"]
)
def test_a_file_of_nothing_much_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError):
        open_cube(path)
