"""Images that GDAL reads, through rasterio: pixels by window, and what it knows of bands, place and missing pixels.

Here PNG and JPEG, as the fine image of a pair, read only; `geotiff` and `bands` read through it.

What GDAL takes for granted is looked at here: an alpha band that is none (GDAL calls the fourth of four plain bands
so), the pages of a TIFF, a palette, a place by control points or a camera model.
"""

import warnings
from collections.abc import Sequence
from itertools import groupby, product
from math import sqrt
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import InputError
from hypersharp.grid import Grid, Places, affine_through, next_to, on_map
from hypersharp.io.image import Image
from hypersharp.io.picture import upright
from hypersharp.products.rasters import opened_raster
from hypersharp.sensor.wavelengths import named_nm, numbers_in, spectral_nm, widths_nm
from hypersharp.stored import NOTES, Pixels, Stored, one_or_each
from hypersharp.system.read_errors import check_within

SEEN_PX = 256  # a side of the nine windows in which an alpha band is looked at
LEAST_PLAIN = 0.9  # of an alpha band's values are 0 or opaque; those of a band of light are not
PLANE_PX = 0.05  # more, and control points are asked whether they are those of a swath
GCP_PX = 0.5  # that control points may lie off the affine that stands for them
LEAST_POINTS = 4  # along a side, of the cubic splines that place a swath
MOST_PX = 2**26  # of an image whose every pixel gets a place
MOST_BANDS = 20_000
Part = tuple[str, int]  # GDAL's name of a page, or the file's own path, and the number of a band in it


class RasterPixels(Pixels):
    """The numbers of some bands of an image, of one page or of several."""

    def __init__(self, driver: str, parts: Sequence[Part], shape_yx: tuple[int, int], dtype: Any) -> None:
        super().__init__((len(parts), *shape_yx), dtype)
        self.driver, self.parts = driver, list(parts)

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return self.coarse(bands, rows, columns, (rows.stop - rows.start, columns.stop - columns.start))

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """As `read`, averaged to shape_yx by GDAL, which takes the overview nearest above that."""
        window, planes = ((rows.start, rows.stop), (columns.start, columns.stop)), []
        for page, parts in groupby((self.parts[band] for band in bands), key=itemgetter(0)):
            with opened_raster(page, self.driver) as dataset:
                planes.append(self._from(dataset, [index for _, index in parts], window, shape_yx))
        return planes[0] if len(planes) == 1 else np.concatenate(planes)

    def _from(self, dataset: Any, indexes: list[int], window: Any, shape_yx: tuple[int, int]) -> np.ndarray:
        from rasterio.enums import Resampling

        shape = len(indexes), *shape_yx
        return np.asarray(dataset.read(indexes, window=window, out_shape=shape, resampling=Resampling.average))

    def has_overviews(self) -> bool:
        """Whether the first band comes in smaller sizes too."""
        page, index = self.parts[0]
        with opened_raster(page, self.driver) as dataset:
            return bool(dataset.overviews(index))


class RasterMask(RasterPixels):
    """(1, y, x) True where the alpha band of an image, or the mask inside it, keeps a pixel."""

    def _from(self, dataset: Any, indexes: list[int], window: Any, shape_yx: tuple[int, int]) -> np.ndarray:
        return np.asarray(dataset.dataset_mask(window=window, out_shape=shape_yx) != 0)[np.newaxis]


class PalettePixels(RasterPixels):
    """(n, y, x) What a table of colours holds for the index numbers of the one band of an image."""

    def __init__(self, driver: str, part: Part, shape_yx: tuple[int, int], table: np.ndarray) -> None:
        super().__init__(driver, [part] * len(table), shape_yx, table.dtype)
        self.table = table

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        """The colours of the pixels nearest to the middles of blocks."""
        page, index = self.parts[0]
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        with opened_raster(page, self.driver) as dataset:
            numbers = np.asarray(dataset.read(index, window=window, out_shape=shape_yx))
        return self.table[list(bands)][:, np.minimum(numbers, self.table.shape[1] - 1)]


def read(image: Image) -> Stored:
    """Open a picture (PNG, JPEG), with its world file, or else upright as its EXIF data say the camera was held.

    A word is said of that, and of the tone curve that it may carry.
    """
    driver = "PNG" if image.path.suffix.lower() == ".png" else "JPEG"
    stored = read_raster(image.path, driver)
    stored = upright(stored, image.path, [image.path])
    if stored.pixels.dtype == np.uint8:
        text = f"{image.path.name} has 8 bits, maybe with a camera's tone curve: it is taken for light as it is"
        warnings.warn(text, stacklevel=3)
    return stored


def read_raster(path: Path, driver: str) -> Stored:
    """Open an image that GDAL reads; an alpha band or internal mask becomes missing pixels.

    Raises: InputError for a file that is broken, holds complex numbers or is placed by what is no affine.
    """
    check_within(path.parent, path.name.partition(".")[0], deep=False)  # GDAL opens many by names like this one's
    with opened_raster(str(path), driver) as dataset:
        from rasterio.enums import MaskFlags  # which `opened_raster` knows to be there

        if dataset.count > MOST_BANDS:
            raise InputError(f"{path} of {dataset.count} bands", f"at most {MOST_BANDS}", "check the file")
        palette = _palette(path, driver, dataset)
        if palette is not None:
            return palette
        alpha = _alpha(dataset, path)
        pages = _pages(path, dataset)
        pieces = [_piece(page, path, driver, alpha) for page in pages or [str(path)]]
        known = {
            name: [entry for found in pieces for entry in found[name]]
            for name in ("parts", "dtypes", "flags", "nodata", "scale", "offset")
        }
        dtypes, flags = known["dtypes"], known["flags"]
        masks = dataset.mask_flag_enums[0] if dataset.count else ()
        inside = MaskFlags.per_dataset in masks and MaskFlags.alpha not in masks and MaskFlags.nodata not in masks
        masked = alpha is not None or inside
        return Stored(
            RasterPixels(driver, known["parts"], dataset.shape, np.result_type(*dtypes) if dtypes else "u1"),
            **_place(path, dataset),
            wavelengths_nm=joined([found["wavelengths_nm"] for found in pieces]),
            fwhm_nm=joined([found["fwhm_nm"] for found in pieces]),
            good_bands=None if None in flags else [flag.strip() not in ("0", "false", "False") for flag in flags],
            nodata=one_or_each(known["nodata"]),
            scale=np.array(known["scale"]),
            offset=np.array(known["offset"]),
            valid=RasterMask(driver, [(str(path), 1)], dataset.shape, bool) if masked else None,
            notes=dataset.tags().get(NOTES),
        )


def joined(each: Sequence[Any]) -> np.ndarray | None:
    """What every page, or every file, says of its bands; None unless all do."""
    return None if any(found is None for found in each) else np.concatenate([np.ravel(found) for found in each])


def _piece(page: str, path: Path, driver: str, alpha: int | None) -> dict[str, Any]:
    """Bands of one page, and what is known of each."""
    with opened_raster(page, driver) as dataset:
        indexes = [index for index in dataset.indexes if index != alpha]
        dtypes = [np.dtype(dataset.dtypes[index - 1]) for index in indexes]
        if any(dtype.kind not in "iuf" for dtype in dtypes):
            raise InputError(f"{path} of type {dtypes[0]}", "real numbers", "convert it")
        tags = [{name.lower(): text for name, text in dataset.tags(index).items()} for index in indexes]
        imagery = [dataset.tags(index, ns="IMAGERY") for index in indexes]
        whole = {name.lower(): text for name, text in (dataset.tags() | dataset.tags(ns="ENVI")).items()}
        # wavelengths and widths: by the tags of each band (with their unit, or the IMAGERY domain), of all, or names
        unit = tags[0].get("wavelength_units") if tags else None
        centres, widths = _numbers(tags, "wavelength"), _numbers(tags, "fwhm")
        if centres is None:
            centres, widths, unit = _numbers(imagery, "CENTRAL_WAVELENGTH_UM"), _numbers(imagery, "FWHM_UM"), "um"
        if centres is None:
            lists = [numbers_in(whole.get(name, whole.get(f"{name}s"))) for name in ("wavelength", "fwhm")]
            centres, widths = (found if found is not None and len(found) == len(tags) else None for found in lists)
            unit = whole.get("wavelength_units", whole.get("wavelength units"))
        named = named_nm([dataset.descriptions[index - 1] for index in indexes]) if centres is None else None
        nm = spectral_nm(centres, unit) if named is None else named
        return {
            "parts": [(page, index) for index in indexes],
            "dtypes": dtypes,
            "wavelengths_nm": nm,
            "fwhm_nm": widths_nm(widths, unit, centres if named is None else named),
            "flags": [tag.get("bbl") for tag in tags],
            "nodata": [dataset.nodatavals[index - 1] for index in indexes],
            "scale": [dataset.scales[index - 1] for index in indexes],
            "offset": [dataset.offsets[index - 1] for index in indexes],
        }


def _numbers(tags: list[dict[str, str]], name: str) -> list[float] | None:
    """A number of each band; None unless all have one."""
    found = [numbers_in(tag.get(name)) for tag in tags]
    return [number[0] for number in found if number] if found and all(found) else None


def _alpha(dataset: Any, path: Path) -> int | None:
    """The number of the band that says how opaque pixels are; a band called so whose values are many is none."""
    named = [index for index in dataset.indexes if dataset.colorinterp[index - 1].name == "alpha"]
    if not named:
        return None
    kind = np.dtype(dataset.dtypes[named[0] - 1])
    opaque, plain, seen = np.iinfo(kind).max if kind.kind in "iu" else 1, 0, 0
    rows, columns = (
        [(start, min(size, start + SEEN_PX)) for start in sorted({0, last // 2, last})]
        for size, last in ((size, max(0, size - SEEN_PX)) for size in dataset.shape)
    )
    for window in product(rows, columns):
        values = dataset.read(named[0], window=window)
        plain, seen = plain + int(np.isin(values, (0, 1, opaque)).sum()), seen + values.size
    if plain >= LEAST_PLAIN * seen:
        return int(named[0])
    text = f"band {named[0]} of {path.name} is called alpha, but holds many values: it is taken for a band of the image"
    warnings.warn(text, stacklevel=4)
    return None


def _pages(path: Path, dataset: Any) -> list[str]:
    """The pages of a file that has several, as GDAL names them, in their order; those unlike the first are left out.

    With a word, where they have its size (a preview, a mask), or where the others are several.
    """
    names = [name for name in dataset.subdatasets if name.startswith("GTIFF_DIR:")]
    names.sort(key=lambda name: int(name.split(":")[1]))  # which GDAL lists as texts: 1, 10, 11, 2
    first, kept, others, resized = (dataset.count, dataset.dtypes[0]), list[str](), 0, 0
    for name in names:
        with opened_raster(name, "GTiff") as page:
            if page.shape != dataset.shape:
                resized += 1
            elif (page.count, page.dtypes[0]) == first:
                kept.append(name)
            else:
                others += 1
    if others or len(kept) > 1:
        left = {"of other bands or another type": others, "of another size": resized}
        texts = [f"{count} {what} left out" for what, count in left.items() if count]
        text = f"pages of {path.name}: {len(kept)} with its {len(kept) * dataset.count} bands"
        warnings.warn(", ".join([text, *texts]), stacklevel=4)
    return kept if len(kept) > 1 else []


def _palette(path: Path, driver: str, dataset: Any) -> Stored | None:
    """An image of one band with a table of colours, as red, green and blue, or one band of grey."""
    if dataset.count != 1 or dataset.colorinterp[0].name != "palette" or dataset.dtypes[0] not in ("uint8", "uint16"):
        return None
    table = dataset.colormap(1)
    colours = np.zeros((4, max(table) + 1), np.uint8)
    for number, colour in table.items():
        colours[:, number] = colour
    red, green, blue, opacity = colours
    grey = np.array_equal(red, green) and np.array_equal(red, blue)
    kept = (opacity > 0)[np.newaxis]
    if dataset.nodata is not None and 0 <= dataset.nodata < kept.shape[1]:
        kept[0, int(dataset.nodata)] = False
    what = "one band of grey" if grey else "red, green and blue"
    warnings.warn(f"{path.name} holds index numbers of a palette, which are read as {what}", stacklevel=4)
    part: Part = str(path), 1
    return Stored(
        PalettePixels(driver, part, dataset.shape, colours[:1] if grey else colours[:3]),
        valid=None if kept.all() else PalettePixels(driver, part, dataset.shape, kept),
        **_place(path, dataset),
    )


def _plane(points: Places, places: Places) -> tuple[Any, float]:
    """The affine through control points, and how many pixels off it they lie at most; infinite where it is none."""
    affine = affine_through(points, places)
    if len(points[0]) < 3 or affine.determinant == 0 or 0 in np.ptp(places, axis=1):
        return affine, np.inf
    fitted = on_map(Grid((1, 1), affine), points)
    gap = max(float(np.abs(found - own).max()) for found, own in zip(fitted, places, strict=True))
    return affine, gap / sqrt(abs(affine.determinant))


def _lonlat(pixels: np.ndarray, ground: np.ndarray, shape_yx: tuple[int, int]) -> np.ndarray | None:
    """The degrees (2, y, x) of pixels' centres by splines through a full grid of control points; None where it is none.

    pixels (2, n): row and column of each point; ground (2, n): its degrees.
    """
    rows, columns = (np.unique(axis) for axis in pixels)
    full = len(np.unique(pixels, axis=1).T) == pixels.shape[1] == len(rows) * len(columns)
    if not full or min(len(rows), len(columns)) < LEAST_POINTS or shape_yx[0] * shape_yx[1] > MOST_PX:
        return None
    from scipy.interpolate import RectBivariateSpline

    turned = np.stack([next_to(ground[0, 0], ground[0]), ground[1]])
    planes = turned[:, np.lexsort(pixels[::-1])].reshape(2, len(rows), len(columns))
    y, x = (np.arange(side) + 0.5 for side in shape_yx)
    return np.stack([RectBivariateSpline(rows, columns, plane)(y, x) for plane in planes])


def _place(path: Path, dataset: Any) -> dict[str, Any]:
    """CRS and affine, of control points too where they lie on one; `lonlat` where they are a grid in degrees.

    Raises: InputError for other control points, and for a camera model alone.
    """
    if not dataset.transform.is_identity:
        return {"crs": dataset.crs or None, "transform": dataset.transform}
    points, crs = dataset.gcps
    if points:
        columns, rows, xs, ys = np.array([(p.col, p.row, p.x, p.y) for p in points], float).T
        affine, off = _plane((columns, rows), (xs, ys))
        if crs and crs.is_geographic:  # across the date line the way round the Earth may be as straight, but mirrors
            across = _plane((columns, rows), (next_to(xs[0], xs), ys))
            affine, off = min((affine, off), across, key=lambda one: (one[1] > GCP_PX, one[0].determinant > 0))
        swath = off > PLANE_PX and crs and crs.is_geographic
        lonlat = _lonlat(np.stack([rows, columns]), np.stack([xs, ys]), dataset.shape) if swath else None
        if lonlat is not None:
            return {"lonlat": lonlat}
        if off <= GCP_PX:
            return {"crs": crs or None, "transform": affine}
        found = f"{path} placed by {len(points)} control points" + (
            f" up to {off:.3g} pixels off a grid" if np.isfinite(off) else ""
        )
        do = "warp it: gdalwarp -tps IN OUT, or take the points out: gdal_edit.py -unsetgcp"
        raise InputError(found, "an affine, or points that lie on one", do)
    if dataset.rpcs:
        found = f"{path} placed by a camera model (RPC) alone"
        raise InputError(found, "an image on a grid", "orthorectify it: gdalwarp -rpc IN OUT")
    return {"crs": dataset.crs or None}
