"""Zarr through xarray: a folder of chunks with the names and attributes of our NetCDF files."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import check_whole
from hypersharp.conventions.dataset import read_dataset
from hypersharp.errors import InputError, OutputError, needs
from hypersharp.io.format import ZARR
from hypersharp.io.image import Image
from hypersharp.io.netcdf import dataset_of
from hypersharp.stored import Stored
from hypersharp.system.atomic import check_room
from hypersharp.system.elsewhere import address_of, storage
from hypersharp.system.read_errors import READ_ERRORS, check_regular, check_within, reading

EXPECTED = "a whole Zarr store"


@contextmanager
def _opened(path: Path, group: str | None = None) -> Iterator[Any]:
    """An xarray Dataset of the store, or of a group in it, with the numbers as they are stored."""
    if not ZARR.is_store(path):
        raise InputError(f"{path} that is no Zarr store", EXPECTED, "check the folder")
    with needs("Zarr"):
        import zarr.errors
    errors = (*READ_ERRORS, zarr.errors.BaseZarrError, SystemError)  # numcodecs raises the last
    raw: dict[str, Any] = {"engine": "zarr", "mask_and_scale": False, "decode_times": False, "consolidated": False}
    raw |= {"group": group}
    with reading(path, EXPECTED, *errors):
        for file, text in metadata_of(path / (group or "")):
            with suppress(ValueError, RecursionError):  # which zarr words better
                if names_pickle(json.loads(text)):  # some versions of zarr would unpickle, and run its code
                    found = f"{file} with a codec that runs code (pickle)"
                    raise InputError(found, "plain numbers", "write it again without")
        with warnings.catch_warnings(action="ignore"):  # what zarr cannot make out is missing then, and named
            dataset = xr.open_dataset(address_of(path) or path, **raw)
        with dataset:
            yield dataset


def metadata_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files that say how arrays are stored, and what they hold."""
    names = (f"{folder}{name}" for name in (".zarray", "zarr.json") for folder in ("", "*/"))
    if address_of(path) is not None:
        with storage(path) as (files, own):
            for pattern in names:
                for file in files.glob(f"{own}/{pattern}"):
                    yield file, files.cat_file(file)
        return
    for pattern in names:
        for file in path.glob(pattern):
            with suppress(OSError):
                check_regular(file)
                yield str(file), file.read_bytes()


def names_pickle(said: Any) -> bool:
    """Whether metadata name pickle as a codec, however deep.

    >>> names_pickle({"filters": [{"id": "pickle", "protocol": 5}]}), names_pickle({"compressor": {"id": "zlib"}})
    (True, False)
    """
    if isinstance(said, dict):
        named = [str(said.get(key)).rpartition(".")[2].lower() for key in ("id", "name")]
        return "pickle" in named or any(map(names_pickle, said.values()))
    return isinstance(said, list) and any(map(names_pickle, said))


def arrays_in(path: Path, group: str) -> list[str]:
    """The arrays of a group in a store, as group/name; none of an array, or of what is not there."""
    found = []
    for file, text in metadata_of(path / group):
        with suppress(ValueError, RecursionError):
            if Path(file).name == ".zarray" or json.loads(text).get("node_type") == "array":
                found.append(Path(file).parent.name)
    return sorted(f"{group}/{name}" for name in found if name != Path(group).name)


def read(image: Image) -> Stored:
    """Open the one image in a Zarr store, or the one named, as group/name where it lies in a group."""
    check_within(image.path)
    parts = [part for part in (image.variable or "").split("/") if part not in ("", ".", "..")]
    if parts:
        check_whole(image, arrays_in(image.path, "/".join(parts)))
    group = "/".join(parts[:-1])
    if group and not ZARR.is_store(image.path / group):
        raise InputError(f"no group '{group}' in {image.path}", "group/name of an array", "look what groups it holds")
    return read_dataset(image, partial(_opened, group=group or None), name=parts[-1] if parts else None)


def check_target(path: Path) -> None:
    """Raise where a folder that is no Zarr store would be replaced."""
    if (ZARR.is_there(path) if address_of(path) else path.is_dir() and any(path.iterdir())) and not ZARR.is_store(path):
        raise OutputError(f"the folder {path} with other files in it", "a new name or a Zarr store", "rename it")


def write(cube: xr.DataArray, path: Path) -> None:
    """Write a store of format 2, which most programs read, with all metadata in one file."""
    with needs("Zarr"):
        import zarr  # noqa: F401
    if address_of(path) is None:
        check_room(path, cube.nbytes)  # zarr's threads go on writing after one of them has failed
    dataset = dataset_of(cube)
    if not isinstance(cube.data, np.ndarray):
        dataset["cube"] = dataset["cube"].chunk({axis: max(sizes) for axis, sizes in cube.chunksizes.items()})
    else:
        dataset["cube"].encoding["chunks"] = tuple(
            min(*sizes) for sizes in zip((32, 256, 256), cube.shape, strict=True)
        )
    # with the metadata in one file, so that others need not look into each array
    dataset.to_zarr(address_of(path) or path, mode="w", zarr_format=2, consolidated=True)
