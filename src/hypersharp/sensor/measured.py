"""Measured spectral responses of satellites and of cameras by name, read from the user's own copy of their tables.

The tables have terms of their own, or none that are stated, so none of them is here.

Satellites: the files of the package prosail, in steps of 1 nm, in HYPERSHARP_DATA/srf. `sentinel-2a` is Gaussians of
the published centres and widths, `measured-sentinel-2a` the curves, by the same names of bands. The infrared columns of
Landsat 9 are left out, which hold the response of its B5 too, and the table of SPOT 6 and 7, which holds Gaussians.

Cameras: `camera-1` to `camera-52` are the columns of MHF-net's `AllR.mat` (3, 31, 52), 400 to 700 nm, in
HYPERSHARP_DATA/srf/MHFnet_CAVE_AllR.mat.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hypersharp.errors import InputError, unknown_name
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM, Curve
from hypersharp.sensor.tables import read_mat, read_table

PREFIX = "measured-"
SENTINEL_2 = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
LANDSAT = ("B1", "B2", "B3", "B4", "B5", "cirrus", "B6", "B7", "pan")
TABLES = {  # sensor -> the part of the file's name, and the bands in the order of its columns, "" for a wrong one
    "sentinel-2a": ("Sentinel_2A", SENTINEL_2),
    "sentinel-2b": ("Sentinel_2B", SENTINEL_2),
    "landsat-8": ("Landsat_8", LANDSAT),
    "landsat-9": ("Landsat_9", (*LANDSAT[:5], "", "", "", "pan")),
    "pleiades-1a": ("Pleiades_1A", ("blue", "green", "red", "nir", "pan")),
}
MORE = ("cirrus", "pan")  # which have to be named
FILE = "prosail_{}_Spectral_Response.csv"
SOURCE = "the tables of prosail, from HYPERSHARP_DATA/srf/prosail_*_Spectral_Response.csv"
CAMERA_COUNT = 52
CAMERA_FILE = "MHFnet_CAVE_AllR.mat"
CAMERAS = f"camera-1 .. camera-{CAMERA_COUNT}"
CAMERA_SOURCE = f"MHF-net's table of cameras, from HYPERSHARP_DATA/srf/{CAMERA_FILE}"


@contextmanager
def own_table(name: str, file: str) -> Iterator[Path]:
    """The path of a table that users have a copy of their own of, in HYPERSHARP_DATA/srf.

    Raises: InputError where it cannot be read inside.
    """
    try:
        yield Path(os.environ.get("HYPERSHARP_DATA", "")) / "srf" / file
    except (InputError, LookupError, ValueError) as exc:
        found = f"'{name}' without its table '{file}'"
        raise InputError(found, "it in the folder srf of HYPERSHARP_DATA", "put it there") from exc


def find_measured(name: str) -> Curve | None:
    """The curves `measured-NAME`, None for a name that does not begin so.

    Raises: InputError for a sensor without a table, and for one that is not there or not what it should be.

    >>> find_measured("sentinel-2a") is None
    True
    """
    if not name.startswith(PREFIX):
        return None
    sensor = name.removeprefix(PREFIX)
    if sensor not in TABLES:
        raise unknown_name("measured response", name, [PREFIX + known for known in TABLES])
    stem, bands = TABLES[sensor]
    with own_table(name, FILE.format(stem)) as path:
        table = read_table(str(path), "spectral response", lambda shape: len(shape) == 2)
    if table.shape[1] != 1 + len(bands):
        raise InputError(f"{table.shape[1] - 1} bands in {path}", f"{len(bands)}", "take the table of prosail")
    rows = {band: tuple(column.tolist()) for band, column in zip(bands, table.T[1:], strict=True) if band}
    return Curve(SOURCE, tuple(table[:, 0].tolist()), rows, MORE)


def find_camera(name: str) -> Curve | None:
    """The camera `camera-N`, None for any other name.

    Raises: InputError for a number there is not, or a table that is not there or not what it should be.

    >>> find_camera("nikon-d700") is None
    True
    """
    match = re.fullmatch(r"camera-(\d+)", name)
    if match is None:
        return None

    number = int(match[1])
    if not 1 <= number <= CAMERA_COUNT:
        raise InputError(f"spectral response '{name}'", CAMERAS, "choose one of these")
    with own_table(name, CAMERA_FILE) as path:
        table = np.asarray(read_mat(path)["R"], dtype=np.float64)
        rows = table.reshape(3, len(CAVE_WAVELENGTHS_NM), CAMERA_COUNT)[:, :, number - 1]
    bands = {band: tuple(map(float, row)) for band, row in zip("RGB", rows, strict=True)}
    return Curve(CAMERA_SOURCE, CAVE_WAVELENGTHS_NM, bands)
