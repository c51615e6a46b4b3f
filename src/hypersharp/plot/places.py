"""Places (x, y) that people name, and the pixels (y, x) of images on grids of their own that hold them."""

import math

import numpy as np
import xarray as xr

from hypersharp.cube import crs_of, transform_of
from hypersharp.errors import CallError, InputError

Place = tuple[float, float]  # x, y; whole numbers count pixels from 0, others are map coordinates
Pixel = tuple[int, int]  # y, x


def parse_point(text: str) -> Place:
    """`X,Y`: whole numbers stay whole, for they count pixels. Raises: CallError for anything but two numbers."""
    try:
        x, y = (float(part) if set(part) & set(".eE") else int(part) for part in text.split(","))
    except ValueError as exc:
        raise CallError(f"the point '{text}'", "two numbers X,Y", "write --point 120,45, say") from exc
    return x, y


def find_pixel(place: Place, cube: xr.DataArray) -> Pixel:
    """The pixel (y, x) at a place (x, y): whole numbers count pixels from 0, others are map coordinates.

    Beyond the pixels whole numbers are map coordinates too, where the image has a CRS.

    Raises: InputError for a place outside the image.
    """
    x, y = place
    height, width = cube.shape[1:]
    whole = not any(isinstance(number, float | np.floating) for number in place)
    if whole and 0 <= x < width and 0 <= y < height:
        return int(y), int(x)
    affine = transform_of(cube)
    if affine is not None and not (whole and crs_of(cube) is None):
        column, row = ~affine @ (float(x), float(y))
        if 0 <= column < width and 0 <= row < height:
            return math.floor(row), math.floor(column)
    inside = f"whole pixels from 0,0 to {width - 1},{height - 1} (column,row)"
    if affine is not None:
        xs, ys = zip(*(affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))), strict=True)
        inside += f" or map coordinates x {min(xs):.10g} to {max(xs):.10g}, y {min(ys):.10g} to {max(ys):.10g}"
    raise InputError(f"the point {x:.12g},{y:.12g} outside the result", inside, "choose a point inside")


def same_place(pixel_yx: Pixel, fine: xr.DataArray, other: xr.DataArray) -> Pixel | None:
    """The pixel of another image that holds the middle of one of `fine`; None where it does not reach there.

    By their affines where both have one, None where their CRS differ; else both are taken to show one extent.
    """
    here, there = transform_of(fine), transform_of(other)
    middle = pixel_yx[1] + 0.5, pixel_yx[0] + 0.5
    if here is not None and there is not None:
        if crs_of(fine) != crs_of(other):
            return None
        x, y = ~there @ (here @ middle)
    else:
        y, x = (at * other.shape[1 + n] / fine.shape[1 + n] for n, at in enumerate(middle[::-1]))
    found = int(np.floor(y + 1e-6)), int(np.floor(x + 1e-6))
    inside = 0 <= found[0] < other.shape[1] and 0 <= found[1] < other.shape[2]
    return found if inside else None
