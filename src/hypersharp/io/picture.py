"""How the camera was held: the orientation that a picture states (in EXIF, a tag of TIFF), by which viewers turn it."""

import struct
import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hypersharp.errors import InputError
from hypersharp.numerics.turn import Turn
from hypersharp.products.rasters import opened_raster
from hypersharp.stored import Pixels, Stored
from hypersharp.system.elsewhere import name_elsewhere

PNG, JPEG = b"\x89PNG", b"\xff\xd8"  # what such files begin with
UPRIGHT, ORIENTATION = 1, 274  # its number in EXIF and TIFF
TURNS = {
    2: Turn(from_right=True),
    3: Turn(from_below=True, from_right=True),
    4: Turn(from_below=True),
    5: Turn(swaps=True),
    6: Turn(swaps=True, from_right=True),
    7: Turn(swaps=True, from_below=True, from_right=True),
    8: Turn(swaps=True, from_below=True),
}
MOST_CHUNKS, MOST_BYTES = 1000, 2**16  # of a PNG, and of its EXIF data, that are looked at
MOST_ENTRIES = 1000  # of a directory


class Turned(Pixels):
    """A picture as viewers show it."""

    def __init__(self, lying: Any, turn: Turn) -> None:
        self.lying, self.turn = lying, turn
        super().__init__((lying.shape[0], *turn.shape_yx(lying.shape[1:])), lying.dtype)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return self.turn.upright(self.lying.read(bands, *self.turn.lying(rows, columns, self.shape[1:])))

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, averaged to shape_yx."""
        place = self.turn.lying(rows, columns, self.shape[1:])
        return self.turn.upright(self.lying.coarse(bands, *place, self.turn.shape_yx(shape_yx)))

    def has_overviews(self) -> bool:
        return bool(self.lying.has_overviews())


def upright(stored: Stored, path: Path, files: Sequence[Path]) -> Stored:
    """The image of these files as viewers show it, with a word; as it is where a place on the ground says how it lies.

    Raises: InputError where their orientations differ.
    """
    placed = stored.transform is not None or stored.lonlat is not None
    if placed or (orientation := same_orientation(files)) == UPRIGHT:
        return stored
    turn, valid = TURNS[orientation], stored.valid
    stored = replace(stored, pixels=Turned(stored.pixels, turn), valid=None if valid is None else Turned(valid, turn))
    warn_turned(path.name, orientation, stored.pixels.shape[1:])
    return stored


def warn_turned(name: str, orientation: int, shape_yx: Sequence[int]) -> None:
    """Say that an image is read upright; nothing of one that lay so."""
    if orientation != UPRIGHT:
        text = f"{name} is turned upright, as its EXIF orientation {orientation} says: "
        warnings.warn(text + f"{shape_yx[0]} x {shape_yx[1]} pixels (rows x columns)", stacklevel=5)


def same_orientation(files: Sequence[Path]) -> int:
    """The orientation of the images of one scene's bands. Raises: InputError where they differ."""
    found = [orientation_of(file) for file in files]
    for file, orientation in zip(files, found, strict=True):
        if orientation != found[0]:
            what = f"{files[0].name} of EXIF orientation {found[0]} beside {file.name} of {orientation}"
            raise InputError(
                what, "one for all bands", "turn them alike: exiftool -Orientation#=N, or save them upright"
            )
    return found[0]


def orientation_of(path: Path) -> int:
    """The orientation 1..8 of a picture, 1 where none is stated; GDAL tells that of a JPEG alone."""
    if name_elsewhere(path) is not None:
        return UPRIGHT
    with path.open("rb") as file:
        first = file.read(4)
        file.seek(0)
        if first == PNG:
            return in_png(file)
        if not first.startswith(JPEG):
            return in_directory(file)
    with opened_raster(str(path), "JPEG") as dataset:
        said = str(dataset.tags().get("EXIF_Orientation", "")).strip()
    return int(said) if said.isdigit() and int(said) in TURNS else UPRIGHT


def in_png(file: BinaryIO) -> int:
    """The same of a PNG, in one of its chunks."""
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        length, name = struct.unpack(">I4s", head)
        if name == b"eXIf":
            return in_directory(BytesIO(file.read(min(length, MOST_BYTES))))
        file.seek(length + 4, 1)
    return UPRIGHT


def in_directory(file: BinaryIO) -> int:
    """The same in a TIFF file, and in EXIF data, which have its form: a header and a directory of tags.

    A BigTIFF has wider numbers.
    """
    try:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        is_big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
        start = struct.unpack_from(f"{order}Q", head, 8)[0] if is_big else struct.unpack_from(f"{order}I", head, 4)[0]
        file.seek(start)
        (count,) = struct.unpack(f"{order}{'Q' if is_big else 'H'}", file.read(8 if is_big else 2))
        entry = f"{order}HHQH6x" if is_big else f"{order}HHIH2x"
        for _ in range(min(count, MOST_ENTRIES)):
            tag, _, _, value = struct.unpack(entry, file.read(struct.calcsize(entry)))
            if tag == ORIENTATION:
                return int(value) if value in TURNS else UPRIGHT
    except (struct.error, OverflowError, OSError):  # broken, or no such data
        pass
    return UPRIGHT
