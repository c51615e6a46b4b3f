"""A folder of one GeoTIFF a band, as providers hand them out: which files are bands, in which order, on which grid.

Place, nodata, scale and wavelengths are those that each file states. Bands of pixels a whole number of times as wide,
of the same corner, are interpolated to the finest; all else is named.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import InputError
from hypersharp.io.picture import upright
from hypersharp.io.raster import RasterPixels, joined, read_raster
from hypersharp.products.rasters import Band, Rasters
from hypersharp.stored import MaskPixels, Stored, one_or_each

BETWEEN = r"(?:^|[_\-. ])"
NAMED = re.compile(rf"{BETWEEN}(?:band|b)[_\-]?(\d{{1,3}})([a-z]?)(?=$|[_\-. ])", re.I)
NUMBERED = re.compile(r"(?<!\d)(\d{1,6})$")
DATED = re.compile(r"(?<!\d)(?:19|20)\d\d[-_]?\d\d[-_]?\d\d$")
COLOURS = ["coastal", "blue", "green", "yellow", "red", "rededge", "nir", "swir", "swir1", "swir2"]
SAME_PX = 0.01  # corners that lie closer coincide
LISTED = 6  # names in a message
Key = tuple[int, str]


def band_files(files: Sequence[Path]) -> list[Path]:
    """The files that are bands, in the order of their numbers or colours; the others are left out, with a word.

    Raises: InputError for two files of one band, and for dates in place of bands.

    >>> names = ["S2_B8A_20240601.tif", "S2_B04_20240601.tif", "S2_SCL_20240601.tif"]
    >>> import warnings; warnings.simplefilter("ignore")
    >>> [path.name for path in band_files([Path(name) for name in names])]
    ['S2_B04_20240601.tif', 'S2_B8A_20240601.tif']
    """
    found: dict[Key, Path] = {}
    keys = [key_of(file.stem) for file in files]
    if len(files) > 1 and set(keys) == {None} and all(DATED.search(file.stem) for file in files):
        raise InputError(f"names that end in dates ({files[0].name})", "a number or colour of a band in each", "rename")
    for file, key in zip(files, keys, strict=True):
        if key in found and key is not None:
            what = f"{found[key].name} and {file.name} of one band"
            raise InputError(what, "one image a band", "keep the images of one date in a folder")
        if key is not None:
            found[key] = file
    others = [file.name for file, key in zip(files, keys, strict=True) if key is None]
    if others and found:
        warnings.warn(f"no bands by their names, left out: {', '.join(others[:LISTED])}", stacklevel=4)
    counted = all(NUMBERED.search(file.stem) and not NAMED.search(file.stem) for file in found.values())
    numbers = sorted({number for number, _ in found}) if counted else []  # products have gaps of their own
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers)) if numbers else []
    if missing:
        text = f"bands {', '.join(map(str, missing[:LISTED]))} are not in {files[0].parent}"
        warnings.warn(text, stacklevel=4)
    return [found[key] for key in sorted(found)]


def key_of(stem: str) -> Key | None:
    """The number of a band and the letter behind it, by the name of its file; colours are counted by wavelength."""
    named = NAMED.search(stem)
    if named:
        return int(named[1]), named[2].lower()
    colour = next((word for word in re.split(r"[_\-. ]", stem.lower()) if word in COLOURS), None)
    if colour is not None:
        return COLOURS.index(colour), ""
    number = None if DATED.search(stem) else NUMBERED.search(stem)
    return None if number is None else (int(number[1]), "")


def read_bands(files: Sequence[Path]) -> Stored:
    """Open one GeoTIFF a band as an image on the finest of their grids.

    Raises: InputError for files of several bands, another place, or pixels that do not nest.
    """
    opened = [read_raster(file, "GTiff") for file in files]
    for file, found in zip(files, opened, strict=True):
        if found.pixels.shape[0] != 1 or not isinstance(found.pixels, RasterPixels):
            what = f"{file} of {found.pixels.shape[0]} bands"
            raise InputError(what, "one band a file in a folder of bands", "name the file itself, or move it away")
    finest = min(opened, key=lambda found: -found.pixels.shape[1] * found.pixels.shape[2])
    factors = [_factor(file, found, finest) for file, found in zip(files, opened, strict=True)]
    enlarged = [file.name for file, factor in zip(files, factors, strict=True) if factor > 1]
    if enlarged:
        text = f"coarser bands are interpolated to the finest grid: {', '.join(enlarged[:LISTED])}"
        warnings.warn(text, stacklevel=4)
    nodata = [found.nodata for found in opened]
    apart = {str(number): number for number, factor in zip(nodata, factors, strict=True) if factor > 1}
    if len(apart) > 1:
        raise InputError(f"coarser bands with several nodata values ({', '.join(apart)})", "one", "resample them first")
    bands = [Band(str(file), factor=factor) for file, factor in zip(files, factors, strict=True)]
    pixels = Rasters(bands, nodata=next(iter(apart.values()), None))
    pixels.dtype = np.result_type(*(found.pixels.dtype for found in opened))
    masks = [(found.valid, factor) for found, factor in zip(opened, factors, strict=True) if found.valid is not None]
    found = Stored(
        pixels,
        wavelengths_nm=joined([found.wavelengths_nm for found in opened]),
        fwhm_nm=joined([found.fwhm_nm for found in opened]),
        good_bands=joined([found.good_bands for found in opened]),
        crs=finest.crs,
        transform=finest.transform,
        nodata=one_or_each(nodata),
        scale=np.concatenate([np.ravel(found.scale) for found in opened]),
        offset=np.concatenate([np.ravel(found.offset) for found in opened]),
        valid=InAll(finest.pixels.shape[1:], masks) if masks else None,
    )
    return upright(found, files[0].parent, files)


class InAll(MaskPixels):
    """(1, y, x) True where all of several masks are, each with the factor by which its pixels are as wide."""

    def __init__(self, shape_yx: Sequence[int], masks: Sequence[tuple[Any, int]]) -> None:
        super().__init__(shape_yx)
        self.masks = list(masks)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        found = []
        for mask, factor in self.masks:
            y, x = (np.arange(part.start, part.stop) // factor for part in (rows, columns))
            own = mask.read(bands, slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
            found.append(own[:, (y - y[0])[:, None], x - x[0]])
        return np.asarray(np.logical_and.reduce(found))


def _factor(file: Path, found: Stored, finest: Stored) -> int:
    """How many times as wide its pixels are as the finest. Raises: InputError for another place, or no whole number."""
    (height, width), (rows, columns) = finest.pixels.shape[1:], found.pixels.shape[1:]
    factor: int = round(height / rows)
    same = (rows * factor, columns * factor) == (height, width) and str(found.crs) == str(finest.crs)
    if same and found.transform is not None and finest.transform is not None:
        expected = finest.transform @ type(finest.transform).scale(factor)
        same = found.transform.almost_equals(expected, SAME_PX * abs(finest.transform.a or finest.transform.b))
    if not same:
        what = f"{file.name} of {rows} x {columns} pixels on another grid than the finest, {height} x {width}"
        raise InputError(what, "bands of one place and corner", "warp them to one grid (gdalwarp -tr -te)")
    return factor
