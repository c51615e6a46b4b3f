"""Files of named arrays (.mat, .npz, .nc, .zarr): which is the image, which axis is which, what else is known."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.cube import crs_of, fwhm_nm, good_bands, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError, installed, unknown_name
from hypersharp.sensor.wavelengths import spectral_nm, widths_nm
from hypersharp.stored import NOTES, Stored

LAYOUTS = ("lhw", "hwl", "hlw", "lp", "pl", "hw")
BANDS = ("nband", "nbands", "bands")
ROWS = ("nrow", "nrows", "rows", "lines")
COLUMNS = ("ncol", "ncols", "columns", "samples")
WAVELENGTHS = ("wavelength", "wavelengths", "wavelength_nm", "wavelengths_nm", "wl", "wvl", "lambda", "wave", "centers")
COUNTED = ("bands", "band")  # lists of these names are wavelengths where their numbers can be
LEAST_NM, MOST_NM = 200, 20_000
WIDTHS = ("fwhm", "fwhms", "fwhm_nm")
GOOD_BANDS = ("good_band", "good_bands", "bbl", "good_wavelengths")
BANDS_LAST = 4  # a last axis that is so many times shorter than the others is taken for the bands
LEAST_SIDE = 8  # pixels of an image; smaller arrays show nothing by their shape
NAME_IT = "name it: --variable, of ms --ms-variable (variable= in Python)"
STRIP = 16  # a plain 2-D array longer than so many times its width is taken for bands x pixels


@dataclass(frozen=True)
class Wanted:
    """What the caller says of an image among the arrays of a file: its name and its axes. An `Image` is one, too."""

    path: Path
    variable: str | None = None
    layout: str | None = None
    shape_yx: tuple[int, int] | None = None


def find_variable(
    image: Wanted, found: Mapping[str, tuple[tuple[int, ...], Any]], arrays: Mapping[str, Any] | None = None
) -> str:
    """The name of the image among the variables (shape, type): the one asked for, `cube`, or the only one.

    `arrays` holds at least the small ones; row and column counts among them settle which 2-D array fits.

    Raises: InputError where none or several may be the image.
    """
    kinds = {name: (len(shape), np.dtype(dtype).kind) for name, (shape, dtype) in found.items()}
    if image.variable is not None:
        check_whole(image, [name for name, kind in kinds.items() if _is_real(*kind)])
        if image.variable not in found:
            raise unknown_name("variable", image.variable, found)
        if not _is_real(*kinds[image.variable]):
            shape, dtype = found[image.variable]
            what = f"'{image.variable}' of type {dtype} and shape {shape}"
            raise InputError(what, "a 2-D or 3-D array of real numbers", "name another variable")
        return image.variable
    if "cube" in found and _is_real(*kinds["cube"]):
        return "cube"
    candidates = [
        name
        for name, (axes, kind) in kinds.items()
        if _is_real(axes, kind) and kind != "b" and sum(size > 1 for size in found[name][0]) > 1
    ] or [name for name, kind in kinds.items() if kind == (2, "b")]  # a mask, where there is no image of numbers
    bands, shape_yx = scalar(arrays or {}, BANDS), _stored_shape_yx(arrays or {})
    if len(candidates) > 1 and bands is not None and shape_yx is not None:  # as in the Jasper Ridge file
        fitting = [name for name in candidates if found[name][0] == (bands, shape_yx[0] * shape_yx[1])]
        candidates = fitting if len(fitting) == 1 else candidates
    if not candidates:
        raise InputError(f"no image in {image.path}", "a 2-D or 3-D array of real numbers", "use another file")
    cubes = [name for name in candidates if kinds[name][0] == 3 and 1 not in found[name][0]]
    maps = [found[name][0] for name in candidates if name not in cubes]
    planes = [shape for name in cubes for shape in (found[name][0][1:], found[name][0][:2])]  # bands first or last
    if len(cubes) == 1 and maps and all(shape in planes for shape in maps):  # labels, a mask
        others = ", ".join(name for name in candidates if name != cubes[0])
        warnings.warn(
            f"'{cubes[0]}' is read of {image.path}, not {others}: name another by --variable, of ms by --ms-variable",
            stacklevel=4,
        )
        return cubes[0]
    if len(candidates) > 1:
        listed = ", ".join(f"{name} {'x'.join(map(str, found[name][0]))}" for name in candidates[:8])
        what = f"{len(candidates)} possible images in {image.path} ({listed})"
        raise InputError(what, "one", NAME_IT)
    return candidates[0]


def check_whole(image: Wanted, names: Iterable[str]) -> None:
    """Raise an InputError where what is named is a struct, a cell or a group that holds arrays of these names."""
    inside = [name for name in names if image.variable and re.match(re.escape(image.variable) + r"[./{]", name)]
    if inside:
        found = f"'{image.variable}' in {image.path}, which holds {len(inside)} arrays ({', '.join(inside[:8])})"
        raise InputError(found.replace("1 arrays", "1 array"), "one array", f"name it: --variable {inside[0]}")


def _is_real(axes: int, kind: str) -> bool:
    """Whether an array of so many axes and this kind of numbers can be an image at all."""
    return axes in (2, 3) and kind in "iufb"


def _stored_shape_yx(arrays: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns that the file stores with the image."""
    rows, columns = scalar(arrays, ROWS), scalar(arrays, COLUMNS)
    return None if rows is None or columns is None else (rows, columns)


def scalar(arrays: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """A positive whole number stored under one of the names, whatever their case."""
    found = listed(arrays, names, 1)
    number = 0.0 if found is None else float(found[0])
    return int(number) if np.isfinite(number) and number == int(number) and number > 0 else None


def listed(arrays: Mapping[str, Any], names: tuple[str, ...], count: int) -> np.ndarray | None:
    """The list of `count` numbers under one of the names, whatever their case."""
    found = (numbers_of(array, count) for name, array in arrays.items() if str(name).lower() in names)
    return next((numbers for numbers in found if numbers is not None), None)


def numbers_of(array: Any, count: int) -> np.ndarray | None:
    """The numbers of an array that holds so many, which is only read then; else None."""
    if np.size(array) != count or (values := np.asarray(array)).dtype.kind not in "iufb":
        return None
    return values.ravel()


def text(arrays: Mapping[str, Any], name: str) -> str | None:
    array = np.asarray(arrays.get(name, 0))
    return "".join(str(part) for part in array.ravel()) or None if array.dtype.kind == "U" else None


def with_stored(image: Wanted, arrays: Mapping[str, Any], default: str | None = None) -> Wanted:
    """The image with what the file stores of layout and shape, where the caller says nothing."""
    layout = image.layout or text(arrays, "layout") or default
    return replace(image, layout=layout, shape_yx=image.shape_yx or _stored_shape_yx(arrays))


def described(pixels: Any, arrays: Mapping[str, Any]) -> Stored:
    """An image (band, y, x) and what the variables stored with it say of it."""
    bands = pixels.shape[0]
    unit, nodata = text(arrays, "wavelength_units"), listed(arrays, ("nodata",), 1)
    centres = listed(arrays, WAVELENGTHS, bands)
    if centres is None and bands > 1:
        counted = listed(arrays, COUNTED, bands)
        centres = None if counted is None or counted.min() < LEAST_NM or counted.max() > MOST_NM else counted
    for name, array in arrays.items() if centres is None else ():
        if str(name).lower() in WAVELENGTHS and np.size(array) > 1 and np.asarray(array).dtype.kind in "iuf":
            left = f"'{name}' of {np.size(array)} numbers is left out, for the image has {bands} bands"
            warnings.warn(left, stacklevel=4)
    return Stored(
        pixels,
        wavelengths_nm=spectral_nm(centres, unit),
        fwhm_nm=widths_nm(listed(arrays, WIDTHS, bands), unit, centres),
        good_bands=listed(arrays, GOOD_BANDS, bands),
        crs=text(arrays, "crs_wkt"),
        transform=affine_of_six(listed(arrays, ("transform",), 6)),
        nodata=None if nodata is None else float(nodata[0]),
        notes=text(arrays, NOTES),
    )


def affine_of_six(numbers: Sequence[float] | np.ndarray | None) -> Any:
    """The affine of six numbers a, b, c, d, e, f; None for others and without [geo]."""
    if numbers is None or len(numbers) != 6 or not np.all(np.isfinite(numbers)) or not installed("affine"):
        return None
    from affine import Affine

    return Affine(*(float(number) for number in numbers))


def laid_out(
    array: np.ndarray, image: Wanted, what: str, arrays: Mapping[str, Any], *, matlab: bool = False
) -> np.ndarray:
    """The array as (band, y, x). One of two axes is one band, or bands x pixels counted down the columns as in MATLAB.

    Raises: as `order_lhw`.
    """
    if array.ndim != 2:
        return array.transpose(order_lhw(array.shape, image, what, arrays, matlab=matlab))
    _check_layout(image.layout)
    layout, pixels = image.layout, None if image.shape_yx is None else image.shape_yx[0] * image.shape_yx[1]
    if layout not in ("lp", "pl", "hw"):
        layout = "lp" if pixels == array.shape[1] else "pl" if pixels == array.shape[0] else None
    if layout == "hw" or (layout is None and max(array.shape) <= STRIP * min(array.shape)):
        return array[np.newaxis]
    if layout is None or image.shape_yx is None or pixels not in array.shape:
        found = f"{what} of {array.shape[0]} x {array.shape[1]}, which looks like bands x pixels"
        do = "open it in Python with shape_yx=(rows, columns), or give the layout hw if it is one band"
        raise InputError(found, "rows x columns that multiply to the number of pixels", do)
    rows, columns = image.shape_yx
    spectra = array.T if layout == "pl" else array
    if spectra.shape[1] != pixels:
        raise InputError(f"{what} with {spectra.shape[1]} pixels", f"{rows} x {columns}", "change shape_yx or layout")
    return spectra.reshape(spectra.shape[0], columns, rows).transpose(0, 2, 1)


def order_lhw(
    shape: tuple[int, ...], image: Wanted, what: str, arrays: Mapping[str, Any], *, matlab: bool = False
) -> list[int]:
    """Which of three axes are bands, rows and columns, by the layout given or by what the shape shows.

    matlab: what it leaves open is (rows, columns, bands), unless the first axis is short like that of bands.

    Raises: CallError for an unknown layout, InputError for a shape that does not show it.
    """
    _check_layout(image.layout)
    if len(shape) != 3:
        raise InputError(f"{what} with {len(shape)} axes", "2 or 3", "reshape it")
    if image.layout is not None and len(image.layout) == 3:
        return [image.layout.index(axis) for axis in "lhw"]
    if image.layout == "hw" and 1 in (shape[0], shape[2]):  # one band, with an axis for it
        return [0, 1, 2] if shape[0] == 1 else [2, 0, 1]
    first, middle, last = shape
    lengths = {np.size(other) for other in arrays.values() if np.size(other) > 1}
    if first != last and (first in lengths) != (last in lengths):  # a list has as many entries as there are bands
        return [0, 1, 2] if first in lengths else [2, 0, 1]
    if first == middle:
        return [2, 0, 1]
    if middle == last:
        return [0, 1, 2]
    if matlab and first * BANDS_LAST > min(middle, last):
        return [2, 0, 1]
    found = f"{what} of {first} x {middle} x {last}, which may be bands first or last"
    raise InputError(found, "axes that differ clearly", "give the layout hwl (rows, columns, bands) or lhw")


def plain_order(shape: tuple[int, ...], what: str, do: str) -> None:
    """Check that the axes of a bare array can be (band, y, x).

    Raises: InputError where they look like (y, x, band).
    """
    first, middle, last = shape
    if min(first, middle) >= LEAST_SIDE and (first == middle != last or last * BANDS_LAST <= min(first, middle)):
        found = f"{what} of {first} x {middle} x {last}, which looks like bands last"
        raise InputError(found, "(band, y, x)", do)


def _check_layout(layout: str | None) -> None:
    if layout is not None and layout not in LAYOUTS:
        raise CallError(f"the layout '{layout[:20]}'", f"one of {', '.join(LAYOUTS)}", "choose one")


def metadata_of(cube: xr.DataArray) -> dict[str, Any]:
    """All that is known about a cube but its pixels, as named arrays.

    The nodata value only where no pixel has it: the pixels are written as they are.
    """
    crs, place, nodata = crs_of(cube), transform_of(cube), nodata_of(cube)
    unused = nodata is not None and "scale_factor" not in cube.encoding and not bool((cube == nodata).any())
    known = {
        "wavelength": wavelengths_nm(cube),
        "fwhm": fwhm_nm(cube),
        "good_band": good_bands(cube),
        "crs_wkt": None if crs is None else np.array(crs.to_wkt()),
        "transform": None if place is None else np.array(place[:6]),
        "nodata": np.array(nodata) if unused else None,
        "wavelength_units": np.array("nm"),
        NOTES: np.array(str(cube.attrs[NOTES])) if NOTES in cube.attrs else None,
    }
    return {name: value for name, value in known.items() if value is not None}
