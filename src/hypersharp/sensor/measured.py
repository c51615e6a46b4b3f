"""Measured spectral responses of satellites by name, read from the user's own copy of their tables.

The tables have terms of their own, so none of them is here: they are the files of the package prosail, in steps of
1 nm, in HYPERSHARP_DATA/srf. `sentinel-2a` is Gaussians of the published centres and widths, `measured-sentinel-2a` the
curves, by the same names of bands. The infrared columns of Landsat 9 are left out, which hold the response of its B5
too, and the table of SPOT 6 and 7, which holds Gaussians.
"""

from hypersharp.errors import InputError, unknown_name
from hypersharp.sensor.responses import Curve
from hypersharp.sensor.tables import own_table, read_table

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
