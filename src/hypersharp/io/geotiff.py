"""GeoTIFF through rasterio (GDAL); a name that ends in `.cog.tif` makes a cloud-optimised one (COG).

Wavelengths go where GDAL (3.10 and later) and QGIS look for them, the IMAGERY domain in micrometres, and once
more in nm as plain band tags, which keep every digit.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.cube import crs_of, fwhm_nm, good_bands, transform_of, wavelengths_nm
from hypersharp.errors import OutputError, needs
from hypersharp.io.foreign import foreign
from hypersharp.io.packed import BLOCK, pack, pieces
from hypersharp.io.source import NOTES, Choice, PixelMask, Pixels, Source, refuse_choice, spectral_nm

if TYPE_CHECKING:
    import xarray as xr

CACHE_MB = 64  # of GDAL, whose own default is a twentieth of the machine's memory
ZSTD_LEVEL = "1"  # GDAL's own, 9, takes 1.4 times as long for 5 % less
LEAST_SAVED = 1 / 3  # of the size: noisy floats save a quarter, and take twice as long in all
THREADS = "ALL_CPUS"  # that compress; blocks land in the file in the same order, however many there are
OVERVIEWS_ABOVE_PX = 1024  # a side; larger images get overviews
SMALLEST_OVERVIEW_PX = 512
EXPECTED = "a whole GeoTIFF"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A rasterio dataset; GDAL's errors become ours."""
    with needs("GeoTIFF"):
        import rasterio
        from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
    errors = (RasterioError, CRSError, OSError, ValueError, OverflowError)
    with foreign(path, EXPECTED, *errors), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as dataset:
            yield dataset


class TiffPixels(Pixels):
    """The numbers of some bands of a GeoTIFF."""

    def __init__(self, path: Path, indexes: Sequence[int], shape_yx: tuple[int, int], dtype: Any) -> None:
        super().__init__((len(indexes), *shape_yx), dtype)
        self.path, self.indexes = path, list(indexes)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        with _opened(self.path) as dataset:
            window = ((rows.start, rows.stop), (columns.start, columns.stop))
            return np.asarray(dataset.read([self.indexes[band] for band in bands], window=window))

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, averaged to shape_yx by GDAL, which takes the overview nearest above that."""
        from rasterio.enums import Resampling

        with _opened(self.path) as dataset:
            window = ((rows.start, rows.stop), (columns.start, columns.stop))
            indexes = [self.indexes[band] for band in bands]
            return np.asarray(
                dataset.read(indexes, window=window, out_shape=(len(indexes), *shape_yx), resampling=Resampling.average)
            )

    def has_overviews(self) -> bool:
        """Whether the first band comes in smaller sizes too."""
        with _opened(self.path) as dataset:
            return bool(dataset.overviews(self.indexes[0]))


class TiffMask(PixelMask):
    """Where the alpha band of a GeoTIFF, or the mask inside it, keeps a pixel."""

    def __init__(self, path: Path, shape_yx: tuple[int, int]) -> None:
        super().__init__(shape_yx)
        self.path = path

    def read(self, rows: slice, columns: slice, shape_yx: tuple[int, int] | None = None) -> np.ndarray:
        with _opened(self.path) as dataset:
            window = ((rows.start, rows.stop), (columns.start, columns.stop))
            mask: np.ndarray = dataset.dataset_mask(window=window, out_shape=shape_yx) != 0
        return mask


def read(path: Path, choice: Choice) -> Source:
    """Open a GeoTIFF; an alpha band or internal mask becomes missing pixels."""
    refuse_choice(choice, path)
    with _opened(path) as dataset:
        indexes = [i for i in dataset.indexes if dataset.colorinterp[i - 1].name != "alpha"]
        take = [i - 1 for i in indexes]
        dtypes = [np.dtype(dataset.dtypes[i]) for i in take]
        nodatas = {dataset.nodatavals[i] for i in take}
        georeferenced = not dataset.transform.is_identity
        return Source(
            TiffPixels(path, indexes, dataset.shape, np.result_type(*dtypes) if dtypes else "u1"),
            wavelengths_nm=_per_band(dataset, indexes, _wavelength_nm),
            fwhm_nm=_per_band(dataset, indexes, _fwhm_nm),
            good_bands=_per_band(dataset, indexes, _good),
            crs=dataset.crs or None,
            transform=dataset.transform if georeferenced else None,
            nodata=nodatas.pop() if len(nodatas) == 1 else None,
            scale=_uniform([dataset.scales[i] for i in take]),
            offset=_uniform([dataset.offsets[i] for i in take]),
            valid=TiffMask(path, dataset.shape) if _has_mask(dataset, len(indexes) < dataset.count) else None,
            notes=dataset.tags().get(NOTES),
        )


def _uniform(numbers: list[float]) -> Any:
    """One number where all bands share it."""
    return numbers[0] if len(set(numbers)) == 1 else np.asarray(numbers)


def _has_mask(dataset: Any, has_alpha: bool) -> bool:
    """Whether an alpha band, or a mask inside the file, says which pixels are measured."""
    from rasterio.enums import MaskFlags

    flags = dataset.mask_flag_enums[0]
    return has_alpha or (MaskFlags.per_dataset in flags and MaskFlags.nodata not in flags)


def _per_band(dataset: Any, indexes: list[int], find: Callable[[Any, int], Any]) -> list[Any] | None:
    """What the tags say of each band; None unless they say it of all."""
    found = [find(dataset, index) for index in indexes]
    return None if None in found else found


def _wavelength_nm(dataset: Any, index: int) -> float | None:
    return _spectral(dataset, index, "wavelength", "CENTRAL_WAVELENGTH_UM")


def _fwhm_nm(dataset: Any, index: int) -> float | None:
    return _spectral(dataset, index, "fwhm", "FWHM_UM")


def _good(dataset: Any, index: int) -> bool | None:
    text = dataset.tags(index).get("bbl")
    return None if text is None else text.strip() not in ("0", "false", "False")


def _spectral(dataset: Any, index: int, plain: str, imagery: str) -> float | None:
    """A wavelength or width in nm, from the plain tag with its unit or from the IMAGERY domain."""
    tags, domain = dataset.tags(index), dataset.tags(index, ns="IMAGERY")
    if plain in tags:
        return _number_nm(tags[plain], tags.get("wavelength_units"))
    return _number_nm(domain[imagery], "um") if imagery in domain else None


def _number_nm(text: str, unit: str | None) -> float | None:
    """The number in a tag, None where there is none."""
    try:
        converted = spectral_nm(float(text), unit)
    except ValueError:
        return None
    return None if converted is None else float(converted[0])


def write(cube: xr.DataArray, path: Path) -> None:
    """Write tiles of 256 x 256, compressed with a predictor, band after band; piece by piece where lazy.

    Images of more than 1024 pixels a side get overviews in the file, averages of 2 x 2 pixels again and again. A COG
    has overviews and tables before the pixels: it is written twice, the second time with a pixel's bands side by side.
    """
    with needs("GeoTIFF"):
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    packed = pack(cube if cube.dtype != np.float16 else cube.astype("f4"))
    values = packed.values.astype("u1") if packed.values.dtype.kind == "b" else packed.values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with (
                rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
                rasterio.open(path, "w", **_profile_for(path, cube, values)) as dataset,
            ):
                _describe(dataset, cube)
                dataset.scales = [packed.scale] * dataset.count
                dataset.offsets = [packed.offset] * dataset.count
                gaps = _write_pieces(dataset, values, packed.nodata)
            if gaps:
                _set_nodata(path, packed.nodata)
            _add_overviews(path, cube.shape[1:], values.dtype)
            if not gaps:  # looking for missing pixels takes GDAL half of the time
                _set_nodata(path, packed.nodata)
            if _is_cog(path):
                _rearrange(path)
            if not _is_whole(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            raise
        except RasterioError as error:
            found = f"{path.name} that GDAL cannot write ({error})"
            raise OutputError(found, "a GeoTIFF", "write .nc instead") from error


def _profile(cube: xr.DataArray, dtype: np.dtype[Any]) -> dict[str, Any]:
    """The options of a new GeoTIFF."""
    bands, height, width = cube.shape
    side = min(BLOCK, 16 * -(-max(height, width) // 16))
    profile = {
        "driver": "GTiff",
        "count": bands,
        "height": height,
        "width": width,
        "dtype": dtype.name,
        "tiled": True,
        "blockxsize": side,
        "blockysize": side,
        "interleave": "band",
        "compress": "deflate" if isinstance(cube.data, np.ndarray) else "zstd",  # that is 4 times as fast
        "zstd_level": ZSTD_LEVEL,
        "predictor": 3 if dtype.kind == "f" else 2,
        "num_threads": THREADS,
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",
        "alpha": "NO",
    }
    place = {"crs": crs_of(cube), "transform": transform_of(cube)}
    return profile | {key: value for key, value in place.items() if value is not None}


def _profile_for(path: Path, cube: xr.DataArray, values: Any) -> dict[str, Any]:
    """The options, plain where compression saves little of what comes piece by piece, but takes most of the time."""
    profile = _profile(cube, values.dtype)
    if isinstance(values, np.ndarray) or _is_cog(path) or _saved(profile, values) > LEAST_SAVED:
        return profile
    return profile | {"compress": "none", "predictor": 1}


def _saved(profile: dict[str, Any], values: Any) -> float:
    """The share of its size that compression saves of the first piece of lazy values."""
    from rasterio.io import MemoryFile

    rows, columns = next(iter(pieces(values)))
    part = np.asarray(values[:, rows, columns])
    alone = {name: value for name, value in profile.items() if name not in ("crs", "transform")}
    with MemoryFile() as file:
        with file.open(**alone | {"height": part.shape[1], "width": part.shape[2]}) as dataset:
            dataset.write(part)
        return 1 - len(file.getbuffer()) / part.nbytes


def _is_cog(path: Path) -> bool:
    return path.name.lower().endswith(".cog.tif")


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


def _write_pieces(dataset: Any, values: Any, nodata: float | None) -> bool:
    """Write whole blocks, one piece after the other; whether some of their pixels are missing."""
    gaps = False
    for rows, columns in pieces(values):
        part = np.asarray(values[:, rows, columns])
        gaps = gaps or _has(part, nodata)
        dataset.write(part, window=((rows.start, rows.stop), (columns.start, columns.stop)))
    return gaps


def _has(part: np.ndarray, nodata: float | None) -> bool:
    """Whether a value is the one that stands for none."""
    if nodata is not None and np.isnan(nodata):
        return part.size > 0 and bool(np.isnan(part.min()))
    return nodata is not None and bool((part == nodata).any())


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
    with _opened(path) as dataset:
        factors = overview_factors(dataset.shape)
        return all(
            dataset.overviews(band) == factors
            and all(end <= size for level in range(-1, len(factors)) for end in _block_ends(dataset, band, level))
            for band in dataset.indexes
        )


def _block_ends(dataset: Any, band: int, level: int) -> Iterator[float]:
    """Where the blocks of a band, or of its overview `level` (from 0), end in the file; infinite for one left out."""
    where = {"bidx": band} if level < 0 else {"bidx": band, "ovr": level}
    factor = 2 ** (level + 1)
    rows, columns = (
        ceil(ceil(size / factor) / block) for size, block in zip(dataset.shape, dataset.block_shapes[0], strict=True)
    )
    for y, x in product(range(rows), range(columns)):
        offset, length = (dataset.get_tag_item(f"BLOCK_{name}_{x}_{y}", "TIFF", **where) for name in ("OFFSET", "SIZE"))
        yield inf if offset is None else int(offset) + int(length)
