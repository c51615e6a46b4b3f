"""HDF5 files (also NetCDF-4): arrays read by windows, and the place of swaths by their pixels' coordinates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.errors import InputError, needs
from hypersharp.grid import Grid, fitted_affine, next_to, on_map
from hypersharp.products.files import Files
from hypersharp.sensor.wavelengths import spectral_nm, widths_nm
from hypersharp.stored import Pixels, VariablePixels
from hypersharp.system.read_errors import READ_ERRORS, reading

if TYPE_CHECKING:
    from affine import Affine

MOST_ITEMS = 100_000  # of a file
CHECKED = set[tuple[Path, int]]()  # files, as they were last changed, that hold all that they show
PLANE_PX = 0.05  # a swath whose pixels lie so close to a plane grid is placed by that


@contextmanager
def opened_hdf(path: Path, expected: str = "a whole HDF5 file", feature: str = "HDF5") -> Iterator[Any]:
    """An h5py file that holds all it shows; its errors, and those of what is looked for in vain, become ours."""
    with needs(feature):
        import h5py
    with reading(path, expected, *READ_ERRORS), h5py.File(path, "r") as file:
        version = path, path.stat().st_mtime_ns
        if version not in CHECKED:  # once, however many windows are read
            check_own_content(path, file)
            CHECKED.add(version)
        yield file


@contextmanager
def opened_in(files: Files, pattern: str) -> Iterator[tuple[Path, Any]]:
    """The HDF5 file that was named, or lies in the folder, open, and its path; without anything in it where it is none.

    Raises: InputError for one in an archive, of which HDF5 cannot read parts, and for another file of the product's
        own name, which fits the pattern.
    """
    name = files.named or files.first(pattern)
    if name is not None and not files.root.is_dir():
        raise InputError(f"{name} in {files.root}", "the file itself", "unpack the archive first")
    path = files.root / (name or "")
    if name is not None and is_hdf(path):
        with opened_hdf(path) as file:
            yield path, file
        return
    if name is not None and fnmatch(name.lower(), pattern.lower()):
        raise InputError(f"{path} that does not begin like HDF5", "a whole HDF5 file", "download it again")
    yield path, {}


def check_own_content(path: Path, file: Any) -> None:
    """Check that an open h5py.File holds all that it shows.

    Raises: InputError for external links, datasets stored in other files, virtual datasets, or too many items.
    """
    import h5py

    seen = [0]  # a callback may not raise, but ends the visit by what it returns

    def in_link(name: str, link: Any) -> str | None:
        seen[0] += 1
        if seen[0] > MOST_ITEMS:
            return f"more than {MOST_ITEMS} items"
        return f"a link to another file ({name[:60]})" if isinstance(link, h5py.ExternalLink) else None

    def in_item(name: str, item: Any) -> str | None:
        if isinstance(item, h5py.Dataset) and item.external:
            return f"numbers stored in another file ({name[:60]})"
        return f"a virtual dataset ({name[:60]})" if isinstance(item, h5py.Dataset) and item.is_virtual else None

    found = file.visititems_links(in_link) or file.visititems(in_item)
    if found is not None:
        raise InputError(f"{path} with {found}", "all data in the file itself", "copy it with h5repack")


def is_hdf(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with reading(path, "a readable file", OSError), path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def pixels_of(path: Path, file: Any, name: str, axes: Sequence[int] = (0, 1, 2)) -> VariablePixels:
    """An array of the file as (band, y, x); axes: which of its axes these are."""
    return VariablePixels(path, opened_hdf, name, file[name], list(axes))


def exact(values: Any) -> np.ndarray:
    """Wavelengths that were stored with 32 bits, as they were meant: to a ten-thousandth.

    >>> exact(np.float32([402.4])).tolist()
    [402.4]
    """
    return np.round(np.asarray(values, np.float64), 4)


def text_of(value: Any) -> str:
    """A string that HDF5 may hold as bytes, or in an array of one."""
    first = np.asarray(value).ravel()[0]
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)


def spectra_of(centres: Any, widths: Any | None, unit: str) -> dict[str, Any]:
    """`wavelengths_nm` and `fwhm_nm` of a `Stored` by two lists of a file; unit: the attribute that says theirs."""
    nm = spectral_nm(centres[()], text_of(centres.attrs.get(unit, "nm")))
    width = None if widths is None else widths_nm(widths[()], text_of(widths.attrs.get(unit, "nm")), nm)
    return {"wavelengths_nm": nm, "fwhm_nm": width}


class LookedUp(Pixels):
    """A swath on a map: each pixel of the map shows the pixel of the swath that tables name, else `missing`.

    lines, samples: (y, x), from 0, negative for none.
    """

    def __init__(self, swath: Any, lines: np.ndarray, samples: np.ndarray, missing: float) -> None:
        super().__init__((swath.shape[0], *lines.shape), swath.dtype)
        self.swath, self.lines, self.samples, self.missing = swath, lines, samples, missing

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        y, x = self.lines[rows, columns], self.samples[rows, columns]
        there = (y >= 0) & (x >= 0)
        found = np.full((len(bands), *y.shape), self.missing, self.dtype)
        if there.any():
            y, x = y[there], x[there]
            values = self.swath.read(bands, slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1))
            found[:, there] = values[:, y - y.min(), x - x.min()]
        return found


def place_of(lon: Any, lat: Any, epsg: int | None = None) -> dict[str, Any]:
    """`crs`, `transform` and `lonlat` of a `Stored` whose pixels' centres lie there.

    epsg: of a map grid, whose affine is fitted to the last millimetre; a swath has one only where that fits, too.

    Raises: InputError where too few have a place.
    """
    with needs("geolocation"):
        from rasterio.warp import transform
    lon, lat = (np.asarray(axis, np.float64) for axis in (lon, lat))
    there = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90) & (np.abs(lon) <= 360)
    if epsg is None and there.any():  # UTM, of the zone around the middle
        x, y = float(next_to(lon[there][0], lon[there]).mean()), float(lat[there].mean())
        code = (32600 if y >= 0 else 32700) + int((x + 180) // 6) % 60 + 1
    else:
        code = epsg or 4326
    xs, ys = np.full((2, *lon.shape), np.nan)
    if there.any():
        xs[there], ys[there] = transform(4326, code, lon[there], lat[there])
    affine = fitted_affine(xs, ys)
    if epsg is not None:
        return {"crs": code, "transform": squared(affine, lon.shape)}
    rows, columns = (axis.astype(np.float64) + 0.5 for axis in np.nonzero(there))
    fitted = on_map(Grid((lon.shape[0], lon.shape[1]), affine), (columns, rows))
    off = np.hypot(fitted[0] - xs[there], fitted[1] - ys[there]).max()
    if off <= PLANE_PX * np.sqrt(abs(affine.determinant)):
        return {"crs": code, "transform": affine}
    return {"lonlat": np.stack([lon, lat])}


def squared(affine: Affine, shape_yx: tuple[int, ...]) -> Affine:
    """A fitted affine with north up and pixels of whole half metres, where that moves no corner by a twentieth pixel.

    >>> from affine import Affine
    >>> found = squared(Affine(29.9999, 1e-5, 5, -1e-5, -30.0001, 900), (20, 20))
    >>> found.a, found.b, found.e, round(found.c, 2)
    (30.0, 0.0, -30.0, 5.0)
    """
    height, width = shape_yx
    a, e = round(2 * affine.a) / 2, round(2 * affine.e) / 2
    x, y = affine @ (width / 2, height / 2)
    plain = type(affine)(a, 0.0, x - a * width / 2, 0.0, e, y - e * height / 2)
    if a == 0 or e == 0:
        return affine
    corners = [(0, 0), (width, 0), (0, height)]
    moved = [abs(v - w) for corner in corners for v, w in zip(affine @ corner, plain @ corner, strict=True)]
    return plain if max(moved) <= PLANE_PX * abs(a) else affine
