"""GeoTIFF through rasterio (GDAL); a name that ends in `.cog.tif` makes a cloud-optimised one (COG).

Wavelengths go where GDAL (3.10 and later) and QGIS look for them, the IMAGERY domain in micrometres, and once
more in nm as plain band tags, which keep every digit.
"""

import errno
import os
import warnings
from dataclasses import replace
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.cube import crs_of, fwhm_nm, good_bands, lonlat_of, transform_of, wavelengths_nm
from hypersharp.errors import OutputError, needs
from hypersharp.grid import next_to
from hypersharp.io.envi import header_beside, headers_of_tiff
from hypersharp.io.image import Image
from hypersharp.io.packed import BLOCK, pack, pieces
from hypersharp.io.picture import upright
from hypersharp.io.raster import read_raster
from hypersharp.products.files import world_files
from hypersharp.products.rasters import opened_raster
from hypersharp.stored import NOTES, Stored
from hypersharp.system.atomic import NEXT_TO_NOTHING_BYTES, check_room
from hypersharp.system.read_errors import quiet_libtiff

CACHE_MB = 64  # of GDAL, whose own default is a twentieth of the machine's memory
ZSTD_LEVEL = "1"  # GDAL's own, 9, takes 1.4 times as long for 5 % less
LEAST_SAVED = 1 / 3  # of the size: noisy floats save a quarter, and take twice as long in all
THREADS = "ALL_CPUS"  # that compress; blocks land in the file in the same order, however many there are
OVERVIEWS_ABOVE_PX = 1024  # a side; larger images get overviews
SMALLEST_OVERVIEW_PX = 512
MOST_POINTS = 32  # along a side: GDAL's thin plate spline takes the cube of all
PLAIN = {"scale": 1.0, "offset": 0.0}  # of a file that says nothing of them


def read(image: Image) -> Stored:
    """Open a GeoTIFF; an alpha band or internal mask becomes missing pixels, pages of one size are bands.

    One without a place is turned upright as its orientation says.
    """
    found, beside = read_raster(image.path, "GTiff"), header_beside(image.path)
    if beside is not None and beside.shape == found.pixels.shape:
        known: dict[str, Any] = {}  # what the file leaves out and the ENVI header beside it says
        for name, value in beside.facts(found.pixels.shape[0]).items():
            missing = getattr(found, name) is None if name not in PLAIN else np.all(getattr(found, name) == PLAIN[name])
            known |= {name: value} if missing and value is not None else {}
        found = replace(found, **known)
    return upright(found, image.path, [image.path])


def goes_with(path: Path) -> list[Path]:
    """The world file and the ENVI header of a GeoTIFF that is there, which would be read with the next one."""
    return [*world_files(path), *headers_of_tiff(path)] if path.is_file() else []


def write(cube: xr.DataArray, path: Path) -> None:
    """Write tiles of 256 x 256, compressed with a predictor, band after band; piece by piece where lazy.

    Images of more than 1024 pixels a side get overviews in the file, averages of 2 x 2 pixels again and again. A COG
    has overviews and tables before the pixels: it is written twice, the second time with a pixel's bands side by side.
    """
    with needs("GeoTIFF"):
        import rasterio
        from rasterio._err import CPLE_BaseError
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    packed = pack(cube)
    values = packed.values.astype("u1") if packed.values.dtype.kind == "b" else packed.values
    is_cog = path.name.lower().endswith(".cog.tif")
    with warnings.catch_warnings(), quiet_libtiff():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            profile = _profile(cube, values, may_be_plain=not is_cog)
            with rasterio.Env(GDAL_CACHEMAX=CACHE_MB), rasterio.open(path, "w", **profile) as dataset:
                _describe(dataset, cube)
                dataset.scales = [packed.scale] * dataset.count
                dataset.offsets = [packed.offset] * dataset.count
                gaps = False
                for rows, columns in pieces(values):
                    part = np.asarray(values[:, rows, columns])
                    if not gaps and packed.nodata is not None:
                        gaps = bool(np.isnan(part.min()) if np.isnan(packed.nodata) else (part == packed.nodata).any())
                    dataset.write(part, window=((rows.start, rows.stop), (columns.start, columns.stop)))
            if gaps:
                _set_nodata(path, packed.nodata)
            _add_overviews(path, cube.shape[1:], values.dtype)
            if not gaps:  # looking for missing pixels takes GDAL half of the time
                _set_nodata(path, packed.nodata)
            if is_cog:
                _rearrange(path)
            if not _is_whole(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            raise
        except (RasterioError, CPLE_BaseError) as error:
            check_room(path, NEXT_TO_NOTHING_BYTES)  # ENOSPC, where that is why
            found = f"{path.name} that GDAL cannot write ({error})"
            raise OutputError(found, "a GeoTIFF", "write .nc instead") from error


def _profile(cube: xr.DataArray, values: Any, *, may_be_plain: bool) -> dict[str, Any]:
    """The options of a new GeoTIFF.

    Where little is saved by compression of what comes piece by piece, it is left out: it takes most of the time.
    """
    bands, height, width = cube.shape
    lazy, side = not isinstance(values, np.ndarray), min(BLOCK, 16 * -(-max(height, width) // 16))
    profile = {
        "driver": "GTiff",
        "count": bands,
        "height": height,
        "width": width,
        "dtype": values.dtype.name,
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "interleave": "band",
        "compress": "zstd" if lazy else "deflate",  # the first is 4 times as fast
        "zstd_level": ZSTD_LEVEL,
        "predictor": 3 if values.dtype.kind == "f" else 2,
        "num_threads": THREADS,
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",
        "alpha": "NO",
    }
    if lazy and may_be_plain:
        from rasterio.io import MemoryFile

        rows, columns = next(iter(pieces(values)))
        part = np.asarray(values[:, rows, columns])
        with MemoryFile() as file:
            with file.open(**profile | {"height": part.shape[1], "width": part.shape[2]}) as dataset:
                dataset.write(part)
            if 1 - len(file.getbuffer()) / part.nbytes <= LEAST_SAVED:
                profile |= {"compress": "none", "predictor": 1}
    lonlat = lonlat_of(cube)
    place = {"crs": crs_of(cube), "transform": transform_of(cube)}
    place |= {} if lonlat is None else {"crs": "EPSG:4326", "gcps": points_of(lonlat)}
    return profile | {key: value for key, value in place.items() if value is not None}


def points_of(lonlat: np.ndarray) -> list[Any]:
    """A grid of control points, by which GDAL and GIS put a swath on the map, at degrees (2, y, x) of pixels' centres.

    Those that are not known are left out.
    """
    from rasterio.control import GroundControlPoint

    rows, columns = (np.unique(np.linspace(0, side - 1, MOST_POINTS).round().astype(int)) for side in lonlat.shape[1:])
    first = np.fmax.reduce(lonlat[0], axis=None)
    lonlat = np.stack([next_to(first, lonlat[0]), lonlat[1]])  # GDAL's splines know no date line
    return [
        GroundControlPoint(row + 0.5, column + 0.5, lon, lat)
        for row in rows.tolist()
        for column in columns.tolist()
        for lon, lat in [lonlat[:, row, column].tolist()]
        if np.isfinite(lon) and np.isfinite(lat)
    ]


def _describe(dataset: Any, cube: xr.DataArray) -> None:
    """Write how the cube was made, and wavelengths, widths and good-band flags to each band."""
    centres, widths, flags = wavelengths_nm(cube), fwhm_nm(cube), good_bands(cube)
    if NOTES in cube.attrs:
        dataset.update_tags(**{NOTES: str(cube.attrs[NOTES])})
    for band in range(dataset.count):
        plain: dict[str, str] = {}
        imagery: dict[str, str] = {}
        if centres is not None:
            dataset.set_band_description(band + 1, f"{centres[band]:g} nm")
            plain |= {"wavelength": repr(float(centres[band])), "wavelength_units": "nm"}
            imagery["CENTRAL_WAVELENGTH_UM"] = f"{centres[band] / 1000:.9g}"
        if widths is not None:
            plain |= {"fwhm": repr(float(widths[band])), "wavelength_units": "nm"}
            imagery["FWHM_UM"] = f"{widths[band] / 1000:.9g}"
        if flags is not None:
            plain["bbl"] = str(int(flags[band]))
        if plain:
            dataset.update_tags(band + 1, **plain)
        if imagery:
            dataset.update_tags(band + 1, ns="IMAGERY", **imagery)


def overview_factors(shape_yx: tuple[int, ...]) -> list[int]:
    """How many times smaller each overview is: 2, 4, ... down to 512 pixels; none for a small image.

    >>> overview_factors((3000, 500)), overview_factors((1024, 1024))
    ([2, 4, 8], [])
    """
    longest, factors = max(shape_yx), list[int]()
    while longest > OVERVIEWS_ABOVE_PX or (factors and longest > SMALLEST_OVERVIEW_PX):
        factors.append(2 ** (len(factors) + 1))
        longest = -(-max(shape_yx) // factors[-1])
    return factors


def _set_nodata(path: Path, nodata: float | None) -> None:
    """Tell a closed file which value stands for a missing one."""
    import rasterio

    if nodata is not None:
        with rasterio.open(path, "r+", driver="GTiff") as dataset:
            dataset.nodata = nodata


def _add_overviews(path: Path, shape_yx: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Add overviews to a closed file, band by band, missing pixels left out of the averages."""
    import rasterio
    from rasterio.enums import Resampling

    factors = overview_factors(shape_yx)
    if factors:
        options = {
            "GDAL_CACHEMAX": CACHE_MB,
            "GDAL_NUM_THREADS": THREADS,
            "GDAL_TIFF_OVR_BLOCKSIZE": str(BLOCK),
            "PREDICTOR_OVERVIEW": "3" if dtype.kind == "f" else "2",
            "ZSTD_LEVEL_OVERVIEW": ZSTD_LEVEL,
        }
        with rasterio.Env(**options), rasterio.open(path, "r+", driver="GTiff") as dataset:
            dataset.build_overviews(factors, Resampling.average)


def _rearrange(path: Path) -> None:
    """Make a COG of a closed file, with the overviews it has."""
    import rasterio
    from rasterio.shutil import copy

    plain = path.with_name(f"plain-{path.name}")
    path.replace(plain)
    with rasterio.open(plain, driver="GTiff") as dataset:
        options = {
            "COMPRESS": dataset.profile["compress"],
            "LEVEL": ZSTD_LEVEL,
            "PREDICTOR": "YES",
            "BLOCKSIZE": str(BLOCK),
            "BIGTIFF": "IF_SAFER",
            "NUM_THREADS": THREADS,
            "OVERVIEWS": "FORCE_USE_EXISTING" if dataset.overviews(1) else "NONE",
        }
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        copy(plain, path, driver="COG", **options)
    plain.unlink()


def _is_whole(path: Path) -> bool:
    """Whether all blocks of image and overviews are in the file: GDAL may only log that a disk filled up."""
    size = path.stat().st_size
    with opened_raster(str(path), "GTiff") as dataset:
        factors, block_yx = overview_factors(dataset.shape), dataset.block_shapes[0]
        for band, level in product(dataset.indexes, range(-1, len(factors))):  # -1: the image itself
            if dataset.overviews(band) != factors:
                return False
            where = {"bidx": band} if level < 0 else {"bidx": band, "ovr": level}
            sides = (ceil(side / 2 ** (level + 1)) for side in dataset.shape)
            rows, columns = (ceil(side / block) for side, block in zip(sides, block_yx, strict=True))
            for y, x in product(range(rows), range(columns)):
                offset, length = (
                    dataset.get_tag_item(f"BLOCK_{name}_{x}_{y}", "TIFF", **where) for name in ("OFFSET", "SIZE")
                )
                if offset is None or int(offset) + int(length) > size:
                    return False
    return True
