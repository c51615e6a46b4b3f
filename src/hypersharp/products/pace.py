"""PACE OCI of NASA: recognised and refused, its pixels are 1.2 km wide."""

from __future__ import annotations

from hypersharp.errors import InputError
from hypersharp.grid import MOST_RATIO
from hypersharp.products.files import Files
from hypersharp.products.hdf import opened_in
from hypersharp.stored import Stored


def read(files: Files, _: str | None) -> Stored | None:
    """Refuse a level-2 file of PACE. Raises: InputError."""
    with opened_in(files, "PACE_OCI*.L2.*.nc") as (path, file):
        if "navigation_data" not in file or "geophysical_data" not in file:
            return None
    found = f"{path.name}, PACE OCI with pixels of 1.2 km in the order of acquisition"
    do = f"sharpen an image of at most {MOST_RATIO} times the MS's pixel, such as EMIT, EnMAP or PRISMA"
    raise InputError(found, "an image of 10 to 100 m on a map", do)
