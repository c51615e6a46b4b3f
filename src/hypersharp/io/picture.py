"""How the camera was held: the orientation that the EXIF data of a JPEG or PNG state, by which viewers turn it."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.products.rasters import opened_raster
from hypersharp.stored import Pixels

UPRIGHT, ORIENTATION = 1, 274  # its number in EXIF
TURNS = {  # orientation -> whether rows and columns change places first, then rows, then columns are reversed
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
MOST_CHUNKS, MOST_BYTES = 1000, 2**16  # of a PNG, and of its EXIF data, that are looked at


class Turned(Pixels):
    """A picture as viewers show it."""

    def __init__(self, lying: Any, orientation: int) -> None:
        self.lying, (self.swaps, self.from_below, self.from_right) = lying, TURNS[orientation]
        bands, height, width = lying.shape
        super().__init__((bands, width, height) if self.swaps else (bands, height, width), lying.dtype)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return self._upright(self.lying.read(bands, *self._place(rows, columns)))

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, averaged to shape_yx."""
        lying_yx = (shape_yx[1], shape_yx[0]) if self.swaps else shape_yx
        return self._upright(self.lying.coarse(bands, *self._place(rows, columns), lying_yx))

    def has_overviews(self) -> bool:
        return bool(self.lying.has_overviews())

    def _place(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Where a window lies in the file."""
        _, height, width = self.shape
        rows = slice(height - rows.stop, height - rows.start) if self.from_below else rows
        columns = slice(width - columns.stop, width - columns.start) if self.from_right else columns
        return (columns, rows) if self.swaps else (rows, columns)

    def _upright(self, values: np.ndarray) -> np.ndarray:
        values = values.swapaxes(1, 2) if self.swaps else values
        return values[:, :: -1 if self.from_below else 1, :: -1 if self.from_right else 1]


def orientation_of(path: Path, driver: str) -> int:
    """The orientation 1..8 of a picture, 1 where none is stated; GDAL tells that of a JPEG alone."""
    if driver == "PNG":
        return in_png(path)
    with opened_raster(str(path), driver) as dataset:
        said = str(dataset.tags().get("EXIF_Orientation", "")).strip()
    return int(said) if said.isdigit() and int(said) in TURNS else UPRIGHT


def in_png(path: Path) -> int:
    """The same of a PNG, in one of its chunks."""
    with path.open("rb") as file:
        file.seek(8)
        for _ in range(MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                break
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return in_exif(file.read(min(length, MOST_BYTES)))
            file.seek(length + 4, 1)
    return UPRIGHT


def in_exif(data: bytes) -> int:
    """The same in EXIF data: a header and a directory of entries of twelve bytes, as in TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        entries = [struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * number) for number in range(count)]
    except struct.error:  # broken, or no EXIF data
        return UPRIGHT
    return next((value for tag, _, _, value in entries if tag == ORIENTATION and value in TURNS), UPRIGHT)
