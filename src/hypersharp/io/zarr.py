"""Zarr through xarray: a folder of chunks with the names and attributes of our NetCDF files."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import Wanted
from hypersharp.conventions.dataset import read_dataset
from hypersharp.errors import InputError, OutputError, needs
from hypersharp.io.image import Image
from hypersharp.io.netcdf import dataset_of
from hypersharp.stored import Stored
from hypersharp.system.atomic import check_room
from hypersharp.system.read_errors import READ_ERRORS, check_regular, reading

EXPECTED = "a whole Zarr store"
MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An xarray Dataset with the numbers as they are stored."""
    if not path.is_dir() or not any((path / mark).exists() for mark in MARKS):
        raise InputError(f"{path} that is no Zarr store", EXPECTED, "check the folder")
    with needs("Zarr"):
        import zarr.errors
    errors = (*READ_ERRORS, zarr.errors.BaseZarrError, SystemError)  # numcodecs raises the last
    raw: dict[str, Any] = {"engine": "zarr", "mask_and_scale": False, "decode_times": False, "consolidated": False}
    with reading(path, EXPECTED, *errors):
        check_codecs(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what zarr cannot make out is missing then, and named
            dataset = xr.open_dataset(path, **raw)
        with dataset:
            yield dataset


def check_codecs(path: Path) -> None:
    """Raise an InputError where an array is to be unpickled: some versions of zarr would, and run its code."""
    found = (file for mark in (".zarray", "zarr.json") for file in (path / mark, *path.glob(f"*/{mark}")))
    for file in found:
        with suppress(OSError, ValueError, RecursionError):  # which zarr words better
            check_regular(file)
            if names_pickle(json.loads(file.read_text(encoding="utf-8"))):
                raise InputError(
                    f"{file} with a codec that runs code (pickle)", "plain numbers", "write it again without"
                )


def names_pickle(said: Any) -> bool:
    """Whether metadata name pickle as a codec, however deep.

    >>> names_pickle({"filters": [{"id": "pickle", "protocol": 5}]}), names_pickle({"compressor": {"id": "zlib"}})
    (True, False)
    """
    if isinstance(said, dict):
        named = [str(said.get(key)).rpartition(".")[2].lower() for key in ("id", "name")]
        return "pickle" in named or any(map(names_pickle, said.values()))
    return isinstance(said, list) and any(map(names_pickle, said))


def read(image: Image) -> Stored:
    """Open the one image in a Zarr store, or the one named."""
    return read_dataset(Wanted.of(image), _opened)


def check_target(path: Path) -> None:
    """Raise where a folder that is no Zarr store would be replaced."""
    if path.is_dir() and any(path.iterdir()) and not any((path / mark).exists() for mark in MARKS):
        raise OutputError(f"the folder {path} with other files in it", "a new name or a Zarr store", "rename it")


def write(cube: xr.DataArray, path: Path) -> None:
    """Write a store of format 2, which most programs read, with all metadata in one file."""
    with needs("Zarr"):
        import zarr  # noqa: F401
    check_room(path, cube.nbytes)  # zarr's threads go on writing after one of them has failed
    dataset = dataset_of(cube)
    if isinstance(cube.data, np.ndarray):
        dataset["cube"].encoding["chunks"] = tuple(
            min(*sizes) for sizes in zip((32, 256, 256), cube.shape, strict=True)
        )
    dataset.to_zarr(
        path, mode="w", zarr_format=2, consolidated=True
    )  # in one file: others need not look into each array
