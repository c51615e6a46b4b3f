"""Fill that no tag declares: one extreme value in all bands of many pixels, beside a swath or where a mask lay.

A value far below zero beside light is fill; it is left out, and said. Zero may be a shadow, a very large value may be
saturated: these are only named, with the option that leaves them out.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypersharp.cube import check_axes, leave_out, nodata_of
from hypersharp.errors import InputError
from hypersharp.grid import Window
from hypersharp.io.image import CubeImage, CubeParts, Image

LEAST_PIXELS, LEAST_SHARE = 4, 1e-3
FAR_BELOW, FAR_ABOVE = 0.25, 1.5  # of the largest value of light
LEAST, MOST = 1e-15, 1e15  # of the largest value: beyond, squares leave the range of float32
LOOKED_PX = 96  # a side of the nine windows in which a file is looked at


def without_fill(image: Image | CubeImage, name: str) -> tuple[Image | CubeImage, list[str]]:
    """The image with undeclared fill as missing pixels, and what was found, a line each.

    Raises: InputError for wrong axes, for true and false or more than 64 bits, for values too small or too large to
        reckon with.
    """
    outline = image.outline()
    check_axes(outline, name)
    if outline.dtype.kind == "b":
        raise InputError(
            f"{name} of true and false (type bool)", "an image of numbers", "give the image, not a mask of it"
        )
    if outline.dtype.itemsize > 8:
        raise InputError(f"{name} of type {outline.dtype}", "numbers of at most 64 bits", "convert it")
    said = (isinstance(image, Image) and image.nodata is not None) or nodata_of(outline) is not None
    found, seen, top = Counter[float](), 0, 0.0
    for values, missing in _looked_at(image):
        flat = flat_pixels(values) & ~missing
        seen += flat.size
        top = max([top, *(float(np.max(band, where=~flat & np.isfinite(band), initial=0)) for band in values)])
        if said:
            continue
        numbers, counts = np.unique(values[0][flat], return_counts=True)
        found.update({float(number): int(count) for number, count in zip(numbers, counts, strict=True)})
    scale = 1.0 if isinstance(image, CubeImage) else float(np.max(np.abs(image.stored().scale)))
    if top != 0 and not LEAST <= top * scale <= MOST:
        found_text = f"{name} with values up to {top * scale:.3g}"
        raise InputError(found_text, f"{LEAST:g} to {MOST:g}", "give it in another unit, such as reflectance of 0 to 1")
    often = [value for value, n in found.items() if isfinite(value) and n >= max(LEAST_PIXELS, LEAST_SHARE * seen)]
    odd = (value for value in often if value < -FAR_BELOW * top or value == 0 or value > FAR_ABOVE * top)
    fill = min(odd, default=None)
    if fill is None or top == 0:
        return image, []
    text = f"{name} has {fill:g} in all bands of {found[fill] / seen:.2g} of its pixels, and no nodata value"
    if fill < 0:
        return _without(image, fill), [f"{text}: they are left out"]
    text += f": if they are missing, give --{name}-nodata {fill:g}, or nodata={fill:g} where it is opened"
    warnings.warn(text, stacklevel=4)
    return image, [f"warning: {text}"]


def flat_pixels(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(y, x) True where all bands (band, y, x) hold one value; of a single band its least value, and zero."""
    if len(values) == 1:
        return np.asarray((values[0] == np.fmin.reduce(values, axis=None)) | (values[0] == 0))
    flat: NDArray[np.bool_] = np.ones(values.shape[1:], bool)
    for band in values[1:]:
        flat &= band == values[0]
        if not flat.any():
            break
    return flat


def _looked_at(image: Image | CubeImage) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The numbers of a cube in memory, or those that a file stores in nine windows spread over it.

    With (y, x) True where the file says that a pixel is missing.
    """
    valid = None if isinstance(image, CubeImage) else image.stored().valid
    values = image.values.data if isinstance(image, CubeImage) else image.stored().pixels
    if isinstance(image, CubeImage) and isinstance(values, np.ndarray):
        yield values, np.zeros(values.shape[1:], bool)
        return
    for window in nine_windows(values.shape[1:]):
        y, x, height, width = window
        place = slice(y, y + height), slice(x, x + width)
        found = np.asarray(image.cube(window).values if isinstance(image, CubeImage) else values[:, *place])
        yield found, np.zeros(found.shape[1:], bool) if valid is None else ~np.asarray(valid[:, *place], bool)[0]


def nine_windows(shape_yx: tuple[int, int]) -> list[Window]:
    """The nine windows of an image of that shape that are looked at where it is in no memory."""
    sides = [min(side, LOOKED_PX) for side in shape_yx]
    rows, columns = (sorted({0, (side - own) // 2, side - own}) for side, own in zip(shape_yx, sides, strict=True))
    return [(y, x, sides[0], sides[1]) for y in rows for x in columns]


def _without(image: Image | CubeImage, fill: float) -> Image | CubeImage:
    if isinstance(image, Image):
        return replace(image, nodata=fill)
    if isinstance(image, CubeParts):
        return replace(image, fill=fill)
    values = image.values
    kept = leave_out(values, flat_pixels(values.data) & np.asarray(values[0].data == fill))
    kept.encoding |= {"_FillValue": fill, "dtype": values.encoding.get("dtype", values.dtype)}
    return replace(image, values=kept)
