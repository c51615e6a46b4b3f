"""What a reader hands over: pixels that can be cut before they are read, and what is known about them.

`Pixels` looks enough like an array (shape, dtype, slicing) for dask to read it piece by piece; each piece
opens the file anew, so pieces may be read by several threads, processes or machines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from hypersharp.cube import decode, make_cube
from hypersharp.errors import CallError, InputError, needs
from hypersharp.grid import Window, check_window, window_transform

if TYPE_CHECKING:
    import xarray as xr
    from affine import Affine

NOTES = "hypersharp"  # the attribute, and in a file the tag, in which a result says how it was made


@dataclass(frozen=True)
class Choice:
    """What the caller says about a file that does not say it itself."""

    variable: str | None = None
    layout: str | None = None
    shape_yx: tuple[int, int] | None = None


def refuse_choice(choice: Choice, path: Path) -> None:
    """Raise where the caller names variables or axes of a format that has none to choose from."""
    if choice != Choice():
        raise CallError(f"variable, layout or shape_yx for {path}", "none for this format", "leave them out")


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


class PixelMask(ABC):
    """Which pixels of an image (y, x) on disk are measured; reads only what is asked of it."""

    ndim, dtype = 2, np.dtype(bool)

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    @abstractmethod
    def read(self, rows: slice, columns: slice, shape_yx: tuple[int, int] | None = None) -> np.ndarray:
        """Rows and columns (whole slices, step 1), or as many of their pixels as shape_yx says."""

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        (rows, rest_y), (columns, rest_x) = _span(key[0], self.shape[0]), _span(key[1], self.shape[1])
        return self.read(rows, columns)[rest_y, rest_x]

    def lazy(self, rows: slice, columns: slice) -> Any:
        """The same as a dask array."""
        return as_dask(self)[rows, columns]


def as_dask(stored: Any) -> Any:
    """What lies on disk as a dask array, which reads a piece when it is computed."""
    with needs("lazy reading"):
        import dask.array as da
    return da.from_array(stored, chunks="auto", name=False, asarray=True)  # type: ignore[no-untyped-call]


def _span(key: slice, size: int) -> tuple[slice, slice]:
    """A slice as (the whole range to read, what to take of it)."""
    wanted = range(size)[key]
    if len(wanted) == 0:
        return slice(0, 0), slice(None)
    low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
    return slice(low, high + 1), slice(None, None, wanted.step)


@dataclass(frozen=True)
class Source:
    """An opened file: pixels as stored, and all the format told about them."""

    pixels: Any  # Pixels or numpy array (band, y, x)
    wavelengths_nm: Any = None
    fwhm_nm: Any = None
    good_bands: Any = None
    crs: Any = None
    transform: Affine | None = None
    nodata: float | None = None
    scale: Any = 1.0  # a number or one a band
    offset: Any = 0.0
    valid: PixelMask | None = None  # False where the file says a pixel is missing
    notes: str | None = None  # how `fuse` made it

    def cube(self, bands: Sequence[int] | None, window: Window | None, lazy: bool) -> xr.DataArray:
        """The bands and the window asked for, decoded; dask-backed where `lazy`."""
        count = self.pixels.shape[0]
        chosen, (y0, x0, rows, columns) = self.region(bands, window)
        key = (slice(None) if bands is None else chosen, slice(y0, y0 + rows), slice(x0, x0 + columns))
        raw = self._cut(key, (len(chosen), rows, columns), lazy)
        values = self._without_invalid(self.decoded(raw, chosen), key)
        cube = make_cube(
            values,
            wavelengths_nm=_taken(self.wavelengths_nm, chosen, count),
            fwhm_nm=_taken(self.fwhm_nm, chosen, count),
            good_bands=_taken(self.good_bands, chosen, count),
            crs=self.crs,
            transform=self.transform and window_transform(self.transform, (y0, x0, rows, columns)),
        )
        cube.encoding.update(self._encoding(*self._scaling(chosen)))
        return cube if self.notes is None else cube.assign_attrs({NOTES: self.notes})

    def values(self, bands: Sequence[int] | None, window: Window | None) -> np.ndarray:
        """The decoded numbers (band, y, x) of a region alone, read now."""
        chosen, (y0, x0, rows, columns) = self.region(bands, window)
        key = (chosen, slice(y0, y0 + rows), slice(x0, x0 + columns))
        values: np.ndarray = self._without_invalid(
            self.decoded(self._cut(key, (len(chosen), rows, columns), False), chosen), key
        )
        return values

    def region(self, bands: Sequence[int] | None, window: Window | None) -> tuple[list[int], Window]:
        """Bands and window as asked for, all by default.

        Raises: InputError where the image or the region is empty, or lies outside.
        """
        count, height, width = self.pixels.shape
        if 0 in self.pixels.shape:
            raise InputError(f"an image of {count} x {height} x {width}", "bands, rows and columns", "use another file")
        return _check_bands(bands, count), check_window(window or (0, 0, height, width), (height, width))

    def decoded(self, raw: Any, chosen: list[int]) -> Any:
        """Physical values of the stored numbers of the chosen bands, NaN for nodata."""
        return decode(raw, self.nodata, *self._scaling(chosen))

    def _scaling(self, chosen: list[int]) -> tuple[Any, Any]:
        """Scale and offset of the chosen bands."""
        return _per_band(self.scale, chosen), _per_band(self.offset, chosen)

    def _cut(self, key: Any, shape: tuple[int, int, int], lazy: bool) -> Any:
        """The stored numbers of a region, in the machine's byte order."""
        if lazy:
            return as_dask(self.pixels)[key].astype(self.pixels.dtype.newbyteorder("="))
        check_memory(int(np.prod(shape, dtype=object)) * self.pixels.dtype.itemsize)
        return np.array(self.pixels[key], dtype=self.pixels.dtype.newbyteorder("="))

    def _without_invalid(self, values: Any, key: Any) -> Any:
        """Values with NaN where the file's own mask says that a pixel is missing."""
        if self.valid is None:
            return values
        lazy = not isinstance(values, np.ndarray)
        kept = self.valid.lazy(key[1], key[2]) if lazy else self.valid[key[1], key[2]]
        if not lazy and kept.all():
            return values
        floats = values if values.dtype.kind == "f" else values.astype("f4" if values.dtype.itemsize <= 2 else "f8")
        return np.where(kept, floats, floats.dtype.type(np.nan))

    def _encoding(self, scale: Any, offset: Any) -> dict[str, Any]:
        """How the file stores its numbers, in xarray's words; left out where bands differ."""
        stored: dict[str, Any] = {} if self.nodata is None else {"_FillValue": self.nodata}
        if np.any(np.ptp(scale) != 0) or np.any(np.ptp(offset) != 0):
            return {}
        if np.any(np.asarray(scale) != 1) or np.any(np.asarray(offset) != 0):
            stored |= {"scale_factor": float(np.ravel(scale)[0]), "add_offset": float(np.ravel(offset)[0])}
        return stored | {"dtype": self.pixels.dtype.newbyteorder("=")}


def _check_bands(bands: Sequence[int] | None, count: int) -> list[int]:
    """The band indices asked for, all of them by default."""
    chosen = list(range(count)) if bands is None else [int(band) for band in bands]
    if not chosen or min(chosen) < 0 or max(chosen) >= count:
        raise InputError(f"band indices {chosen}", f"some of 0..{count - 1}", "choose bands that exist")
    return chosen


def _per_band(number: Any, chosen: list[int]) -> Any:
    """A scale or offset: one number, or one for each chosen band as (band, 1, 1)."""
    numbers = np.asarray(number, float)
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"a scale or offset of {number}", "finite numbers", "mend the file's header")
    return numbers if numbers.ndim == 0 else numbers[chosen].reshape(-1, 1, 1)


def _taken(listed: Any, chosen: list[int], count: int) -> Any:
    """The entries of the chosen bands; make_cube complains where there is not one for each band."""
    return listed if listed is None or len(listed) != count else np.asarray(listed)[chosen]


def check_memory(wanted_bytes: int) -> None:
    """Raise where an image cannot fit into the machine's memory (a mistyped header also ends here)."""
    machine = psutil.virtual_memory().total
    if wanted_bytes > machine:
        raise InputError(
            f"an image of {wanted_bytes / 1e9:.0f} GB on a machine of {machine / 1e9:.0f} GB",
            "one that fits into memory",
            "read a window of it, or open it with lazy=True",
        )


def spectral_nm(values: Any, unit: str | None) -> np.ndarray | None:
    """Wavelengths or widths in nm from their unit; a unit not given is nm, or um where all are < 100."""
    numbers = np.asarray(values, dtype=float).ravel()
    name = (unit or "unknown").strip().lower()
    if name in ("nm", "nanometers", "nanometer", "nanometres", "nanometre"):
        return numbers
    if name in ("um", "µm", "μm", "micrometers", "micrometer", "micrometres", "micrometre", "microns", "micron"):
        return _clean(numbers * 1000)
    if name not in ("unknown", "", "none"):
        return None
    return _clean(numbers * 1000) if numbers.size and np.nanmax(numbers) < 100 else numbers


def _clean(numbers: np.ndarray) -> np.ndarray:
    """Rid 0.479 * 1000 = 478.99999999999994 of its tail."""
    return np.round(numbers, 9)
