"""Images over one piece of ground: where each lies, and what of it is read for a view, a pixel or a profile.

Ground coordinates (x, y) grow to the right and upwards: those of the map where the first georeferenced image has
them, else columns and minus rows of the finest image. An image that does not say where it lies on that map is laid
over the whole extent of the reference, and a note says so. No more is read than a view shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import unknown_name
from hypersharp.grid import Box, Window
from hypersharp.io.coarse import read_coarse
from hypersharp.io.geotiff import OVERVIEWS_ABOVE_PX
from hypersharp.io.guarded import guarding
from hypersharp.io.image import Image
from hypersharp.stored import Stored

Role = Literal["image", "hs", "ms", "result", "truth", "uncertainty"]
ROLES: tuple[Role, ...] = ("image", "hs", "ms", "result", "truth", "uncertainty")
Named = tuple[Path, Role, Path | None]  # a file, what it is, and the result whose intervals it holds
Floats = NDArray[np.float32]
Coordinates = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Patch:
    """Part of an image: values (band, y, x), first row in the north, and the ground it covers."""

    values: Floats
    box: Box
    pixels_a_value: float = 1.0  # along a side; above 1, values are means

    def centres(self) -> tuple[Coordinates, Coordinates]:
        """x of each column, y of each row."""
        (left, low, right, high), (_, rows, columns) = self.box, self.values.shape
        xs = left + (np.arange(columns) + 0.5) * (right - left) / columns
        return xs, high - (np.arange(rows) + 0.5) * (high - low) / rows

    def index(self, x: Coordinates | float, y: Coordinates | float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Columns at x and rows at y, beside the patch too."""
        (left, low, right, high), (_, rows, columns) = self.box, self.values.shape
        shares = (x - left) / (right - left) * columns, (high - y) / (high - low) * rows
        return np.floor(shares[0]).astype(np.intp), np.floor(shares[1]).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Layer:
    """An opened image and the box of ground under it."""

    name: str
    path: Path
    role: Role
    source: Stored
    box: Box
    south_up: bool = False
    of: Path | None = None  # the result whose intervals an uncertainty cube holds
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> int:
        return int(self.source.pixels.shape[0])

    @property
    def shape_yx(self) -> tuple[int, int]:
        return int(self.source.pixels.shape[1]), int(self.source.pixels.shape[2])

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        known = self.source.wavelengths_nm
        return None if known is None else np.asarray(known, float)

    @property
    def axis(self) -> NDArray[np.float64]:
        """(L,): wavelengths in nm, or band numbers from 1."""
        nm = self.wavelengths_nm
        return np.arange(1.0, self.bands + 1) if nm is None else nm

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(width, height) of a pixel on the ground."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) / self.shape_yx[1], (y1 - y0) / self.shape_yx[0]

    @property
    def lattice(self) -> tuple[float, float, float, float]:
        """x and y of the first pixel's outer corner, and how far the next column and row lie from it."""
        width, height = self.pixel_size
        return self.box[0], self.box[1 if self.south_up else 3], width, height if self.south_up else -height

    def pixel_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column under a point, None beside the image."""
        x0, y0, across, down = self.lattice
        row, column = floor((y - y0) / down), floor((x - x0) / across)
        return (row, column) if 0 <= row < self.shape_yx[0] and 0 <= column < self.shape_yx[1] else None

    def spectrum(self, pixel: tuple[int, int]) -> Floats:
        """All bands (L,) of the pixel (row, column), as the file has them."""
        return np.asarray(self.source.values(None, (*pixel, 1, 1))[:, 0, 0], np.float32)

    def window(self, view: Box) -> Window | None:
        """The whole pixels that a view shows, None where it shows none."""
        x0, y0, across, down = self.lattice
        rows, columns = [(y - y0) / down for y in view[1::2]], [(x - x0) / across for x in view[::2]]
        top, left = (max(floor(min(edges)), 0) for edges in (rows, columns))
        height = min(ceil(max(rows)), self.shape_yx[0]) - top
        width = min(ceil(max(columns)), self.shape_yx[1]) - left
        return (top, left, height, width) if height > 0 and width > 0 else None

    def patch(self, bands: Sequence[int], view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
        """What a view shows of some bands, as many values as fit into most_yx; the whole image without a view."""
        window = (0, 0, *self.shape_yx) if view is None else self.window(view)
        if window is None:
            return None
        values = read_coarse(self.source, bands, window, most_yx)
        (x0, y0, across, down), (row, column, rows, columns) = self.lattice, window
        low, high = sorted((y0 + row * down, y0 + (row + rows) * down))
        box = x0 + column * across, low, x0 + (column + columns) * across, high
        pixels_a_value = max(rows / values.shape[1], columns / values.shape[2])
        return Patch(values[:, ::-1] if self.south_up else values, box, pixels_a_value)


class Place(NamedTuple):
    """CRS and box of an image, or why it has none."""

    crs: Any = None
    box: Box | None = None
    south_up: bool = False
    why: str = ""


def place_of(source: Stored) -> Place:
    corner = source.cube([0], (0, 0, 1, 1), lazy=False)
    affine = transform_of(corner)
    if affine is None:
        return Place(why="it has no georeference")
    if abs(affine.b) + abs(affine.d) > 1e-6 * abs(affine.a) or affine.a <= 0 or affine.e == 0:
        return Place(why="its grid is rotated or mirrored")
    height, width = source.pixels.shape[1:]
    low, high = sorted((affine.f, affine.f + height * affine.e))
    return Place(crs_of(corner), (affine.c, low, affine.c + width * affine.a, high), affine.e > 0)


@dataclass
class Scene:
    """The layers in the order they were opened; names are unique."""

    layers: list[Layer] = field(default_factory=list)
    crs: Any = None
    box: Box | None = None  # of the reference, on whose ground all is laid
    mapped: bool = False  # the ground is a map, if of an unknown CRS

    @property
    def unit(self) -> str:
        """What the ground's coordinates count."""
        if self.crs is None:
            return "" if self.mapped else "px"
        return "°" if self.crs.is_geographic else str(self.crs.linear_units)[:5].replace("metre", "m")

    def find(self, name: str) -> Layer:
        """A layer by name. Raises: InputError for an unknown one."""
        found = next((layer for layer in self.layers if layer.name == name), None)
        if found is None:
            raise unknown_name("image", name, [layer.name for layer in self.layers])
        return found

    def with_role(self, *roles: Role) -> list[Layer]:
        return [layer for role in roles for layer in self.layers if layer.role == role]

    def open(self, files: Sequence[Named]) -> list[Layer]:
        """Add images, all or none. Raises: InputError as `open_cube`."""
        with guarding("all"):
            sources = [Image(path).stored() for path, *_ in files]
        places = [place_of(source) for source in sources]
        if self.box is None and sources:  # the ground is that of the first map, else of the finest image
            known = next((place for place in places if place.box is not None), Place())
            rows, columns = max((source.pixels.shape[1:] for source in sources), key=lambda shape: shape[0] * shape[1])
            self.crs, self.mapped = known.crs, known.box is not None
            self.box = known.box or (0.0, -float(rows), float(columns), 0.0)
        made = list[Layer]()
        for (path, role, of), source, place in zip(files, sources, places, strict=True):
            name, number = path.name, 2
            while name in [layer.name for layer in self.layers + made]:
                name, number = f"{path.name} ({number})", number + 1
            pixels, notes = source.pixels, list[str]()
            large = hasattr(pixels, "has_overviews") and max(pixels.shape[1:]) > OVERVIEWS_ABOVE_PX
            if large and not pixels.has_overviews():
                notes.append("without overviews, so slow to show: run gdaladdo -r average on it")
            box, south_up = self.box or (0, 0, 0, 0), False
            if self.mapped and place.box is not None and place.crs == self.crs:
                box, south_up = place.box, place.south_up
            elif self.mapped:
                notes.append(f"laid over the whole scene: {place.why or 'it is in another CRS'}")
            made.append(Layer(name, path, role, source, box, south_up, of, tuple(notes)))
        self.layers += made
        return made


def named_files(
    files: Sequence[Path], *, hs: Path | None, ms: Path | None, truth: Path | None, uncertainty: Path | None
) -> list[Named]:
    """Files with the roles that a command line gives them: beside any of the others, `files` are results."""
    role: Role = "result" if hs or ms or truth or uncertainty else "image"
    named: list[tuple[Path | None, Role, Path | None]] = [(hs, "hs", None), (ms, "ms", None)]
    named += [(path, role, None) for path in files]
    named += [(truth, "truth", None), (uncertainty, "uncertainty", files[0] if files else None)]
    return [(path, role, of) for path, role, of in named if path]
