"""Images over one piece of ground: where each lies, and what of it is read for a view, a pixel or a profile.

Ground coordinates (x, y) grow to the right and upwards: those of the map where the first georeferenced image has
them, else columns and minus rows of the finest image. An image that does not say where it lies on that map is laid
over the whole extent of the reference, and a note says so. No more is read than a view shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import InputError, unknown_name
from hypersharp.grid import Box, Window
from hypersharp.io.coarse import read_coarse
from hypersharp.io.geotiff import OVERVIEWS_ABOVE_PX, TiffPixels
from hypersharp.io.image import Image
from hypersharp.io.stored import Stored

Role = Literal["hs", "ms", "result", "truth", "trust", "image"]
Named = tuple[Path, Role, Path | None]  # a file, what it is, and the result whose intervals it holds
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Patch:
    """Part of an image: values (band, y, x), first row in the north, and the ground it covers."""

    values: Floats
    box: Box
    pixels_a_value: float = 1.0  # along a side; above 1, values are means


@dataclass(frozen=True, eq=False)
class Layer:
    """An opened image and the box of ground under it."""

    name: str
    path: Path
    role: Role
    source: Stored
    box: Box
    south_up: bool = False
    of: Path | None = None  # the result whose intervals a trust cube holds
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
    def pixel_size(self) -> tuple[float, float]:
        """(width, height) of a pixel on the ground."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) / self.shape_yx[1], (y1 - y0) / self.shape_yx[0]

    def pixel_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column under a point, None beside the image."""
        width, height = self.pixel_size
        row = floor((y - self.box[1]) / height) if self.south_up else floor((self.box[3] - y) / height)
        column = floor((x - self.box[0]) / width)
        inside = 0 <= row < self.shape_yx[0] and 0 <= column < self.shape_yx[1]
        return (row, column) if inside else None

    def spectrum(self, pixel: tuple[int, int]) -> Floats:
        """All bands (L,) of the pixel (row, column), as the file has them."""
        return np.asarray(self.source.values(None, (*pixel, 1, 1))[:, 0, 0], np.float32)

    def window(self, view: Box) -> Window | None:
        """The whole pixels that a view shows, None where it shows none."""
        (width, height), (rows, columns) = self.pixel_size, self.shape_yx
        left, right = floor((view[0] - self.box[0]) / width), ceil((view[2] - self.box[0]) / width)
        if self.south_up:
            top, bottom = floor((view[1] - self.box[1]) / height), ceil((view[3] - self.box[1]) / height)
        else:
            top, bottom = floor((self.box[3] - view[3]) / height), ceil((self.box[3] - view[1]) / height)
        left, right, top, bottom = max(left, 0), min(right, columns), max(top, 0), min(bottom, rows)
        return (top, left, bottom - top, right - left) if bottom > top and right > left else None

    def ground(self, window: Window) -> Box:
        """The ground under a window of pixels."""
        (width, height), (y0, x0, rows, columns) = self.pixel_size, window
        left = self.box[0] + x0 * width
        low = self.box[1] + y0 * height if self.south_up else self.box[3] - (y0 + rows) * height
        return left, low, left + columns * width, low + rows * height

    def patch(self, bands: Sequence[int], view: Box | None, most_yx: tuple[int, int]) -> Patch | None:
        """What a view shows of some bands, as many values as fit into most_yx; the whole image without a view."""
        window = (0, 0, *self.shape_yx) if view is None else self.window(view)
        if window is None:
            return None
        values = read_coarse(self.source, bands, window, most_yx)
        if self.south_up:
            values = values[:, ::-1]
        return Patch(values, self.ground(window), max(window[2] / values.shape[1], window[3] / values.shape[2]))


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
        """A layer by name.

        Raises: InputError for an unknown one.
        """
        found = next((layer for layer in self.layers if layer.name == name), None)
        if found is None:
            raise unknown_name("image", name, [layer.name for layer in self.layers])
        return found

    def with_role(self, role: Role) -> list[Layer]:
        return [layer for layer in self.layers if layer.role == role]

    def trust_of(self, result: Layer) -> Layer | None:
        """The intervals of a result."""
        return next((layer for layer in self.with_role("trust") if layer.of == result.path), None)

    def open(self, files: Sequence[Named]) -> list[Layer]:
        """Add images: (path, role, the result whose intervals they are).

        Raises: InputError as `open_cube`; nothing is added then.
        """
        opened = [(path, role, of, Image(path).stored()) for path, role, of in files]
        places = [_place(source) for *_, source in opened]
        if self.box is None and opened:
            self._settle([source for *_, source in opened], places)
        taken, made = [layer.name for layer in self.layers], list[Layer]()
        for (path, role, of, source), place in zip(opened, places, strict=True):
            name = _unused(path.name, taken)
            taken.append(name)
            made.append(self._laid(name, path, role, of, source, place))
        self.layers += made
        return made

    def _settle(self, sources: Sequence[Stored], places: Sequence[_Place]) -> None:
        """Choose the ground: the first map, else the finest image."""
        known = next((place for place in places if place.box is not None), None)
        if known is not None:
            self.crs, self.box, self.mapped = known.crs, known.box, True
            return
        height, width = max((source.pixels.shape[1:] for source in sources), key=lambda shape: shape[0] * shape[1])
        self.box = (0.0, -float(height), float(width), 0.0)

    def _laid(self, name: str, path: Path, role: Role, of: Path | None, source: Stored, place: _Place) -> Layer:
        """A layer where its georeference puts it, or over the whole ground."""
        assert self.box is not None
        notes = _slow(source)
        if self.mapped and place.box is not None and place.crs == self.crs:
            return Layer(name, path, role, source, place.box, place.south_up, of, notes)
        if self.mapped:
            notes = (*notes, f"laid over the whole scene: {place.why or 'it is in another CRS'}")
        return Layer(name, path, role, source, self.box, False, of, notes)

    def extent(self) -> Box:
        """The ground under all layers.

        Raises: InputError without one.
        """
        if not self.layers:
            raise InputError("no image", "one at least", "name a file")
        boxes = np.array([layer.box for layer in self.layers])
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def named_files(
    files: Sequence[Path], *, hs: Path | None, ms: Path | None, truth: Path | None, trust: Path | None
) -> list[Named]:
    """Files with the roles that a command line gives them: beside an hs, ms, truth or trust, others are results."""
    role: Role = "result" if hs or ms or truth or trust else "image"
    found: list[Named] = [(hs, "hs", None)] if hs else []
    found += [(ms, "ms", None)] if ms else []
    found += [(path, role, None) for path in files]
    found += [(truth, "truth", None)] if truth else []
    return found + ([(trust, "trust", files[0] if files else None)] if trust else [])


@dataclass(frozen=True)
class _Place:
    """CRS and box of an image, or why it has none."""

    crs: Any = None
    box: Box | None = None
    south_up: bool = False
    why: str = ""


def _place(source: Stored) -> _Place:
    """Where an image says that it lies."""
    corner = source.cube([0], (0, 0, 1, 1), lazy=False)
    crs, affine = crs_of(corner), transform_of(corner)
    if affine is None:
        return _Place(why="it has no georeference")
    if abs(affine.b) + abs(affine.d) > 1e-6 * abs(affine.a) or affine.a <= 0 or affine.e == 0:
        return _Place(why="its grid is rotated or mirrored")
    height, width = source.pixels.shape[1:]
    low, high = sorted((affine.f, affine.f + height * affine.e))
    return _Place(crs, (affine.c, low, affine.c + width * affine.a, high), affine.e > 0)


def _slow(source: Stored) -> tuple[str, ...]:
    """Advice where a large image has no overviews."""
    pixels = source.pixels
    if max(pixels.shape[1:]) <= OVERVIEWS_ABOVE_PX or not isinstance(pixels, TiffPixels):
        return ()
    return () if pixels.has_overviews() else ("without overviews, so slow to show: run gdaladdo -r average on it",)


def _unused(name: str, taken: Sequence[str]) -> str:
    """The name, or with a number where another layer has it."""
    number = 2
    found = name
    while found in taken:
        found, number = f"{name} ({number})", number + 1
    return found
