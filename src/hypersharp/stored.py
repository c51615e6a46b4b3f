"""What a reader hands over: pixels that can be cut before they are read, and what is known about them.

`Pixels` looks enough like an array (shape, dtype, slicing) for dask to read it piece by piece; each piece
opens the file again, so pieces may be read by several threads, processes or machines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hypersharp.cube import decode, make_cube, with_lonlat
from hypersharp.errors import InputError
from hypersharp.grid import Window, check_window, window_transform
from hypersharp.system.memory import free_bytes

if TYPE_CHECKING:
    from affine import Affine

NOTES = "hypersharp"  # the attribute, and in a file the tag, in which a result says how it was made


class Pixels(ABC):
    """An image (band, y, x) on disk that reads only what is asked of it."""

    ndim = 3

    def __init__(self, shape: tuple[int, int, int], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype).newbyteorder("=")

    @abstractmethod
    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        """The bands in this order, cut to rows and columns (whole slices, step 1)."""

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        bands = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        (rows, rest_y), (columns, rest_x) = _span(key[1], self.shape[1]), _span(key[2], self.shape[2])
        if 0 in (bands.size, rows.stop - rows.start, columns.stop - columns.start):
            return np.empty((bands.size, rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        return self.read(bands.tolist(), rows, columns)[:, rest_y, rest_x]


class Part(Pixels):
    """The window (y0, x0, height, width) of an image on disk."""

    def __init__(self, whole: Any, window: Window) -> None:
        super().__init__((whole.shape[0], *window[2:]), whole.dtype)
        self.whole, self.window = whole, window
        if hasattr(whole, "coarse"):
            self.coarse = self._coarse

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return np.asarray(self.whole[(list(bands), *self._moved(rows, columns))])

    def _coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        return np.asarray(self.whole.coarse(bands, *self._moved(rows, columns), shape_yx))

    def _moved(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        y, x = self.window[:2]
        return slice(rows.start + y, rows.stop + y), slice(columns.start + x, columns.stop + x)


class MaskPixels(Pixels):
    """(1, y, x) True where a pixel counts."""

    def __init__(self, shape_yx: Sequence[int]) -> None:
        super().__init__((1, shape_yx[0], shape_yx[1]), bool)

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, of the pixels in the middle of blocks."""
        whole = self.read(bands, rows, columns)
        middles = [(np.arange(n) * 2 + 1) * side // (2 * n) for n, side in zip(shape_yx, whole.shape[1:], strict=True)]
        return whole[:, middles[0][:, None], middles[1]]


class Joined(Pixels):
    """Bands taken from several images of one size: `chosen` holds (image, band) for each."""

    def __init__(self, images: Sequence[Any], chosen: Sequence[tuple[int, int]]) -> None:
        shapes = {image.shape[1:] for image in images}
        if len(shapes) > 1:
            sizes = " and ".join(map(str, sorted(shapes)))
            raise InputError(f"cubes of {sizes} pixels", "one size", "download it again")
        super().__init__((len(chosen), *images[0].shape[1:]), np.result_type(*(image.dtype for image in images)))
        self.images, self.chosen = tuple(images), tuple(chosen)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        found = np.empty((len(bands), rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for number, image in enumerate(self.images):
            wanted = [(i, self.chosen[band][1]) for i, band in enumerate(bands) if self.chosen[band][0] == number]
            if wanted:
                places, those = zip(*wanted, strict=True)
                found[list(places)] = image.read(list(those), rows, columns)
        return found


class VariablePixels(Pixels):
    """A named array of a file as (band, y, x).

    `axes`: which of its axes these are, None for the bands of a single one; an array of two axes is one
    band. Others are of length 1. `dtype`: the type that its numbers are meant in, of the same size.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[Path], AbstractContextManager[Any]],
        name: str,
        array: Any,
        axes: Sequence[int | None],
        dtype: Any = None,
    ) -> None:
        axes = (None, 0, 1) if array.ndim == 2 and None not in axes else axes
        lengths = [1 if axis is None else array.shape[axis] for axis in axes]
        super().__init__((lengths[0], lengths[1], lengths[2]), array.dtype if dtype is None else dtype)
        self.path, self.opener, self.name, self.axes, self.axes_in_file = path, opener, name, axes, array.ndim

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        first = min(bands)
        key: list[Any] = [0] * self.axes_in_file
        for axis, wanted in zip(self.axes, (slice(first, max(bands) + 1), rows, columns), strict=True):
            if axis is not None:
                key[axis] = wanted
        with self.opener(self.path) as arrays:
            values = np.asarray(arrays[self.name][tuple(key)])
        there = sorted(axis for axis in self.axes if axis is not None)
        values = values.transpose([there.index(axis) for axis in self.axes if axis is not None])
        values = values if self.axes[0] is not None else values[np.newaxis]
        return values[[band - first for band in bands]].astype(self.dtype, copy=False)


def _span(key: slice, size: int) -> tuple[slice, slice]:
    """A slice as (the whole range to read, what to take of it)."""
    wanted = range(size)[key]
    if len(wanted) == 0:
        return slice(0, 0), slice(None)
    low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
    return slice(low, high + 1), slice(None, None, wanted.step)


def _as_dask(on_disk: Any) -> Any:
    """What lies on disk as a dask array, which reads a piece when it is computed."""
    import dask.array as da

    return da.from_array(on_disk, chunks="auto", name=False, asarray=True)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Stored:
    """An opened image: pixels as the file stores them, and what it says about them.

    Of a product also: `unit` ("reflectance", "radiance"), `flags` (`products.quality.Flags`) of pixels that its own
    quality layers speak against, its name and what was `applied` in words; of a swath on no map `lonlat`, the degrees
    (2, y, x) of its pixels' centres.
    """

    pixels: Any  # Pixels or numpy array (band, y, x)
    wavelengths_nm: Any = None
    fwhm_nm: Any = None
    good_bands: Any = None
    crs: Any = None
    transform: Affine | None = None
    nodata: Any = None  # a number, or one a band (or None)
    scale: Any = 1.0  # a number or one a band
    offset: Any = 0.0
    valid: Any = None  # Pixels (1, y, x), False where the file says a pixel is missing
    notes: str | None = None  # how `fuse` made it
    product: str | None = None
    unit: str | None = None
    flags: Any = None
    applied: tuple[str, ...] = ()
    lonlat: np.ndarray | None = None

    def part(self, window: Window) -> Stored:
        """The same of a window alone. Raises: InputError for one that does not lie inside."""
        y, x, height, width = check_window(window, self.pixels.shape[1:])
        return replace(
            self,
            pixels=Part(self.pixels, window),
            valid=None if self.valid is None else Part(self.valid, window),
            flags=self.flags and self.flags.part(window),
            transform=self.transform and window_transform(self.transform, window),
            lonlat=None if self.lonlat is None else self.lonlat[:, y : y + height, x : x + width],
        )

    def cube(
        self, bands: Sequence[int] | None = None, window: Window | None = None, lazy: bool = False
    ) -> xr.DataArray:
        """The bands and the window asked for, decoded; dask-backed where `lazy`. Raises: as `region`."""
        count = self.pixels.shape[0]
        chosen, window = self.region(bands, window)

        def of_chosen(listed: Any) -> Any:  # make_cube complains where there is not one for each band
            return listed if listed is None or len(listed) != count else np.asarray(listed)[chosen]

        cube = make_cube(
            self.values(chosen, window, lazy),
            wavelengths_nm=of_chosen(self.wavelengths_nm),
            fwhm_nm=of_chosen(self.fwhm_nm),
            good_bands=of_chosen(self.good_bands),
            crs=self.crs,
            transform=self.transform and window_transform(self.transform, window),
        )
        scale, offset = np.unique(per_band(self.scale, chosen)), np.unique(per_band(self.offset, chosen))
        if scale.size == offset.size == 1 and np.ndim(self.nodata) == 0:  # left out where bands differ
            cube.encoding |= {} if self.nodata is None else {"_FillValue": self.nodata}
            if scale[0] != 1 or offset[0] != 0:
                cube.encoding |= {"scale_factor": float(scale[0]), "add_offset": float(offset[0])}
            cube.encoding["dtype"] = self.pixels.dtype.newbyteorder("=")
        if self.unit is not None:
            cube.attrs["units"] = self.unit
        y, x, height, width = window
        cube = with_lonlat(cube, None if self.lonlat is None else self.lonlat[:, y : y + height, x : x + width])
        return cube if self.notes is None else cube.assign_attrs({NOTES: self.notes})

    def values(self, bands: Sequence[int] | None, window: Window | None, lazy: bool = False) -> Any:
        """The decoded numbers (band, y, x) of a region alone, NaN where a pixel is missing. Raises: as `region`."""
        chosen, (y0, x0, height, width) = self.region(bands, window)
        rows, columns, dtype = slice(y0, y0 + height), slice(x0, x0 + width), self.pixels.dtype.newbyteorder("=")
        key = slice(None) if chosen == list(range(self.pixels.shape[0])) else chosen, rows, columns
        if lazy:
            values = self.decoded(_as_dask(self.pixels)[key].astype(dtype), chosen)
            kept = None if self.valid is None else _as_dask(self.valid)[:, rows, columns]
        else:
            check_memory(len(chosen) * height * width * dtype.itemsize)
            values = self.decoded(np.array(self.pixels[key], dtype=dtype), chosen)
            kept = None if self.valid is None else self.valid[:, rows, columns]
        if kept is None or (not lazy and kept.all()):
            return values
        floats = values if values.dtype.kind == "f" else values.astype("f4" if values.dtype.itemsize <= 2 else "f8")
        return np.where(kept, floats, floats.dtype.type(np.nan))

    def region(self, bands: Sequence[int] | None, window: Window | None) -> tuple[list[int], Window]:
        """Bands and window as asked for, all by default.

        Raises: InputError where the image or the region is empty, or lies outside.
        """
        count, height, width = self.pixels.shape
        if 0 in self.pixels.shape:
            raise InputError(f"an image of {count} x {height} x {width}", "bands, rows and columns", "use another file")
        chosen = list(range(count)) if bands is None else [int(band) for band in bands]
        if not chosen or min(chosen) < 0 or max(chosen) >= count:
            raise InputError(f"band indices {chosen}", f"some of 0..{count - 1}", "choose bands that exist")
        return chosen, check_window(window or (0, 0, height, width), (height, width))

    def decoded(self, raw: Any, chosen: list[int]) -> Any:
        """Physical values of the stored numbers of the chosen bands, NaN for nodata."""
        if np.ndim(self.nodata) == 0:
            return decode(raw, self.nodata, per_band(self.scale, chosen), per_band(self.offset, chosen))
        each = [
            decode(raw[[n]], self.nodata[band], per_band(self.scale, [band]), per_band(self.offset, [band]))
            for n, band in enumerate(chosen)
        ]
        return np.concatenate(each)


def per_band(number: Any, chosen: list[int]) -> Any:
    """A scale or offset: one number, or one for each chosen band as (band, 1, 1)."""
    numbers = np.asarray(number, float)
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"a scale or offset of {number}", "finite numbers", "correct the file's header")
    return numbers if numbers.ndim == 0 else numbers[chosen].reshape(-1, 1, 1)


def one_or_each(numbers: Sequence[Any]) -> Any:
    """The number of all bands where it is the same (not a number, too), else one for each."""
    return numbers[0] if len({str(number) for number in numbers}) == 1 else numbers


def check_memory(wanted_bytes: int) -> None:
    """Raise where an image cannot fit into the memory that is free (a mistyped header also ends here)."""
    free = free_bytes()
    if wanted_bytes > free:
        found = f"an image of {wanted_bytes / 1e9:.3g} GB where {free / 1e9:.3g} GB are free"
        raise InputError(found, "one that fits into memory", "read a window of it, or open it with lazy=True")
