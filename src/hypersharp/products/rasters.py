"""Bands of raster files (GeoTIFF, JPEG 2000) as one image, coarser ones brought to the finest grid."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from hypersharp.errors import InputError, needs
from hypersharp.products.files import changed
from hypersharp.products.quality import Flags, Layer
from hypersharp.stored import Pixels, Stored
from hypersharp.system.elsewhere import is_on_network, name_elsewhere, reaching
from hypersharp.system.read_errors import READ_ERRORS, reading

BLOCK_PX = 1024  # as those of Sentinel-2
OPEN, MOST_OPEN, LOCK = OrderedDict[tuple[str, str], Any](), 16, Lock()  # files at addresses, the last one read last
JP2 = "JP2OpenJPEG"  # by any driver, a VRT that reads other files could call itself .jp2
EXPECTED = {"GTiff": "a whole GeoTIFF", "PNG": "a whole PNG image", "JPEG": "a whole JPEG image"}


@contextmanager
def opened_raster(path: str, driver: str | None = None) -> Iterator[Any]:
    """A rasterio dataset, by default of a GeoTIFF unless it is called .jp2; GDAL's errors become ours.

    Raises: InputError where its tags, or its PAM file, name another file for overviews: what a stranger's file could
        read on this machine is refused.
    """
    with needs("rasters"):
        import rasterio
        from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
    expected = EXPECTED.get(driver or "", "a whole raster")
    with reading(Path(path), expected, RasterioError, CRSError, *READ_ERRORS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        name = name_elsewhere(path) or path
        driver = driver or (JP2 if path.lower().endswith(".jp2") else "GTiff")
        opened = kept_open if is_on_network(name) else rasterio.open
        with reaching(name), opened(name, driver=driver) as dataset:
            tags = {name.upper(): text for name, text in dataset.tags(ns="OVERVIEWS").items()}
            if (named := tags.get("OVERVIEW_FILE")) is not None:
                found = f"{Path(path)} that takes its overviews from another file ({named[:60]})"
                raise InputError(found, "all data in the file itself", "make a copy of it with gdal_translate")
            yield dataset


@contextmanager
def kept_open(name: str, *, driver: str) -> Iterator[Any]:
    """A dataset at an address, one thread's at a time, that stays open unless reading it fails.

    With a closed one GDAL forgets the blocks that it fetched.
    """
    import rasterio

    key, left = (name, driver), list[Any]()
    with LOCK:
        found = OPEN.pop(key, None)
    found = found or rasterio.open(name, driver=driver)
    yield found
    with LOCK:
        left += [OPEN.pop(key)] if key in OPEN else []
        OPEN[key] = found
        left += [OPEN.popitem(last=False)[1]] if len(OPEN) > MOST_OPEN else []
    for dataset in left:
        dataset.close()


@dataclass(frozen=True)
class Band:
    """A band of a file, its pixels `factor` times as wide as those of the image; `smooth`: interpolated to these."""

    path: str
    index: int = 1
    factor: int = 1
    smooth: bool = True


class Rasters(Pixels):
    """Bands as (band, y, x); where a coarser one is interpolated, what is masked or `nodata` is kept apart."""

    def __init__(self, bands: Sequence[Band], *, nodata: float | None = None) -> None:
        with opened_raster(bands[0].path) as first:
            height, width = (side * bands[0].factor for side in first.shape)
            self.crs, self.transform = first.crs, first.transform @ type(first.transform).scale(1 / bands[0].factor)
            super().__init__((len(bands), height, width), first.dtypes[bands[0].index - 1])
        self.bands, self.nodata = tuple(bands), nodata

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        planes = []
        for first, group in groupby((self.bands[band] for band in bands), key=lambda band: (band.path, band.factor)):
            wanted = list(group)
            if not wanted[0].smooth:
                planes.append(np.stack([self._classes(band, rows, columns) for band in wanted]))
                continue
            path, factor = first
            with opened_raster(path) as dataset:
                check_size(path, [side * factor for side in dataset.shape], self.shape[1:])
                planes.append(self._enlarged(dataset, wanted, rows, columns))
        return np.concatenate(planes)

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, averaged to shape_yx by GDAL from the file's overviews; of classes (not smooth) one a pixel."""
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        planes = []
        for band in (self.bands[band] for band in bands):
            y, x, bottom, right = (v / band.factor for v in (rows.start, columns.start, rows.stop, columns.stop))
            how = Resampling.average if band.smooth else Resampling.nearest
            with opened_raster(band.path) as dataset:
                check_size(band.path, [side * band.factor for side in dataset.shape], self.shape[1:])
                window = Window(x, y, right - x, bottom - y)
                planes.append(dataset.read(band.index, window=window, out_shape=shape_yx, resampling=how))
        return np.stack(planes)

    def stored(self, nm: Sequence[tuple[float, float | None]], layers: Sequence[Layer] = (), **known: Any) -> Stored:
        """The bands in their place, of these centres and widths, with quality layers and what else `Stored` takes."""
        widths = [width for _, width in nm]
        known |= {"wavelengths_nm": [centre for centre, _ in nm], "fwhm_nm": None if None in widths else widths}
        return Stored(self, crs=self.crs, transform=self.transform, flags=Flags.of(layers), **known)

    def has_overviews(self) -> bool:
        """Whether the first band comes in smaller sizes too."""
        with opened_raster(self.bands[0].path) as dataset:
            return bool(dataset.overviews(self.bands[0].index))

    def _classes(self, band: Band, rows: slice, columns: slice) -> np.ndarray:
        """The window of a band of classes, nearest neighbours, from blocks that are decoded once."""
        sides, version = tuple(-(-side // band.factor) for side in self.shape[1:]), 0
        packed = re.match(r"/vsi(?:zip|tar)/\{(.+?)\}/", band.path)
        with suppress(OSError):
            version = changed(Path(packed[1] if packed else band.path))
        places = [np.arange(part.start, part.stop) // band.factor for part in (rows, columns)]
        (top, bottom), (left, right) = ((place[0] // BLOCK_PX, place[-1] // BLOCK_PX + 1) for place in places)
        found = np.block(
            [
                [class_block(band.path, version, band.index, sides, (y, x)) for x in range(left, right)]
                for y in range(top, bottom)
            ]
        )
        return np.asarray(found[(places[0] - top * BLOCK_PX)[:, None], places[1] - left * BLOCK_PX])

    def _enlarged(self, dataset: Any, bands: list[Band], rows: slice, columns: slice) -> np.ndarray:
        """The window of bands of one file."""
        factor, indexes = bands[0].factor, [band.index for band in bands]
        if factor == 1:
            return np.asarray(dataset.read(indexes, window=((rows.start, rows.stop), (columns.start, columns.stop))))
        boxes = [
            (max(0, part.start // factor - 1), min(side // factor, -(-part.stop // factor) + 1))
            for part, side in zip((rows, columns), self.shape[1:], strict=True)
        ]
        coarse = np.asarray(dataset.read(indexes, window=tuple(boxes)))
        masked = np.asarray(dataset.read_masks(indexes, window=tuple(boxes))) == 0
        places = [
            (np.arange(part.start, part.stop) + 0.5) / factor - 0.5 - low
            for part, (low, _) in zip((rows, columns), boxes, strict=True)
        ]
        weights = [linear(place, size) for place, size in zip(places, coarse.shape[1:], strict=True)]
        missing = np.isnan(coarse) | masked | (False if self.nodata is None else coarse == self.nodata)
        fine: np.ndarray = weights[0] @ np.where(missing, 0, coarse).astype(np.float32) @ weights[1].T
        if missing.any():
            nearest = coarse[:, np.rint(places[0]).astype(int)[:, None], np.rint(places[1]).astype(int)]
            touched = weights[0] @ missing.astype(np.float32) @ weights[1].T
            fine = np.where(touched > 0, nearest, fine)
        return np.asarray(np.rint(fine) if self.dtype.kind in "iu" else fine, self.dtype)


@lru_cache(maxsize=32)
def class_block(
    path: str, _version: int, index: int, shape_yx: tuple[int, ...], place_yx: tuple[int, int]
) -> np.ndarray:
    """A block (y, x) of `BLOCK_PX` a side of a band of classes, of a file of so many pixels.

    They are asked for again and again, and the blocks of a JPEG 2000 take long to decode.
    """
    (y, x), (height, width) = (BLOCK_PX * place for place in place_yx), shape_yx
    with opened_raster(path) as dataset:
        check_size(path, dataset.shape, shape_yx)
        window = (y, min(height, y + BLOCK_PX)), (x, min(width, x + BLOCK_PX))
        return np.asarray(dataset.read(index, window=window))


def check_size(path: str, found_yx: Sequence[int], expected_yx: Sequence[int]) -> None:
    """Raise an InputError for a band of another size than the others of its scene."""
    if tuple(found_yx) != tuple(expected_yx):
        sizes = " and ".join(f"{height} x {width} pixels" for height, width in (found_yx, expected_yx))
        raise InputError(f"{path} of another size ({sizes})", "bands of one scene", "download it again")


def layers_of(path: str, bands: Mapping[int, str], values: Sequence[int]) -> list[Layer]:
    """The quality layers in the bands (from 1) of one file, whose values leave a pixel out for that reason."""
    return [Layer(Rasters([Band(path, band, smooth=False)]), {reason: values}) for band, reason in bands.items()]


def linear(places: np.ndarray, size: int) -> np.ndarray:
    """(len(places), size): the weights of the samples 0..size-1 at these places, edges repeated.

    >>> linear(np.array([-0.25, 0.75]), 2).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    distance = np.abs(np.clip(places, 0, size - 1)[:, None] - np.arange(size))
    return np.asarray(np.maximum(0, 1 - distance), np.float32)
