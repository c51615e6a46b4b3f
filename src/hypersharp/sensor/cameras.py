"""Fifty-two colour cameras' responses by name, read from the user's own copy of the table.

The table (MHF-net's `AllR.mat`, (3, 31, 52), 400 to 700 nm) has no stated terms, so none of it is here:
`camera-1` to `camera-52` are its columns, in HYPERSHARP_DATA/srf/MHFnet_CAVE_AllR.mat.
"""

import re

import numpy as np

from hypersharp.errors import InputError
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM, Curve
from hypersharp.sensor.tables import own_table, read_mat

COUNT = 52
FILE = "MHFnet_CAVE_AllR.mat"
NAMES = f"camera-1 .. camera-{COUNT}"
SOURCE = f"MHF-net's table of cameras, from HYPERSHARP_DATA/srf/{FILE}"


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
    if not 1 <= number <= COUNT:
        raise InputError(f"spectral response '{name}'", NAMES, "choose one of these")
    with own_table(name, FILE) as path:
        table = np.asarray(read_mat(path)["R"], dtype=np.float64)
        rows = table.reshape(3, len(CAVE_WAVELENGTHS_NM), COUNT)[:, :, number - 1]
    bands = {band: tuple(map(float, row)) for band, row in zip("RGB", rows, strict=True)}
    return Curve(SOURCE, CAVE_WAVELENGTHS_NM, bands)
