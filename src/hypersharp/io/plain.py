"""What .mat and .npz share: named arrays without axes' names. Which one is the image, which axis is which?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.cube import crs_of, fwhm_nm, good_bands, nodata_of, transform_of, wavelengths_nm
from hypersharp.errors import CallError, InputError, installed, unknown_name
from hypersharp.io.source import Choice, Source, spectral_nm

if TYPE_CHECKING:
    import xarray as xr

LAYOUTS = ("lhw", "hwl", "hlw", "lp", "pl", "hw")
ROWS = ("nrow", "nrows", "rows", "lines")
COLUMNS = ("ncol", "ncols", "columns", "samples")
WAVELENGTHS = ("wavelength", "wavelengths", "wavelength_nm", "wavelengths_nm")
WIDTHS = ("fwhm", "fwhms", "fwhm_nm")
STRIP = 16  # a plain 2-D array longer than so many times its width is taken for bands x pixels


def find_variable(
    path: Path, found: Mapping[str, tuple[tuple[int, ...], Any]], choice: Choice, arrays: Mapping[str, Any]
) -> str:
    """The name of the image among the variables (shape, type): the one asked for, `cube`, or the only one.

    `arrays` holds at least the small ones; row and column counts among them settle which 2-D array fits.
    """
    if choice.variable is not None:
        if choice.variable not in found:
            raise unknown_name("variable", choice.variable, found)
        shape, dtype = found[choice.variable]
        if len(shape) not in (2, 3) or np.dtype(dtype).kind not in "iufb":
            raise InputError(
                f"'{choice.variable}' of type {dtype} and shape {shape}",
                "a 2-D or 3-D array of real numbers",
                "name another variable",
            )
        return choice.variable
    candidates = [name for name, (shape, dtype) in found.items() if _may_be_image(shape, dtype)]
    candidates = candidates or [name for name, (shape, dtype) in found.items() if _may_be_mask(shape, dtype)]
    if "cube" in found and len(found["cube"][0]) in (2, 3) and np.dtype(found["cube"][1]).kind in "iufb":
        return "cube"
    fitting = [name for name in candidates if found[name][0] == _expected_shape(arrays)]
    if len(candidates) != 1 and len(fitting) == 1:
        return fitting[0]
    if not candidates:
        raise InputError(f"no image in {path}", "a 2-D or 3-D array of real numbers", "use another file")
    if len(candidates) > 1:
        listed = ", ".join(f"{name} {'x'.join(map(str, found[name][0]))}" for name in candidates[:8])
        raise InputError(
            f"{len(candidates)} possible images in {path} ({listed})",
            "one",
            "name it: --variable (variable= in Python)",
        )
    return candidates[0]


def _may_be_image(shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether a variable has the axes and the numbers of an image."""
    return np.dtype(dtype).kind in "iuf" and len(shape) in (2, 3) and sum(size > 1 for size in shape) > 1


def _may_be_mask(shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether a variable is one band of true and false; taken where there is no image of numbers."""
    return np.dtype(dtype).kind == "b" and len(shape) == 2


def _expected_shape(arrays: Mapping[str, Any]) -> tuple[int, int] | None:
    """(bands, pixels) from counts stored beside the image, as in the Jasper Ridge file."""
    bands, shape = scalar(arrays, ("nband", "nbands", "bands")), _stored_shape_yx(arrays)
    return None if bands is None or shape is None else (bands, shape[0] * shape[1])


def _stored_shape_yx(arrays: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns that the file stores beside the image."""
    rows, columns = scalar(arrays, ROWS), scalar(arrays, COLUMNS)
    return None if rows is None or columns is None else (rows, columns)


def scalar(arrays: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """A positive whole number stored under one of the names, whatever their case."""
    for name, array in arrays.items():
        if name.lower() in names and np.size(array) == 1 and np.asarray(array).dtype.kind in "iuf":
            number = float(np.ravel(array)[0])
            return int(number) if np.isfinite(number) and number == int(number) and number > 0 else None
    return None


def with_stored(choice: Choice, arrays: Mapping[str, Any], default: str | None = None) -> Choice:
    """The caller's choice, filled up with what the file stores of layout and shape."""
    layout = choice.layout or text(arrays, "layout") or default
    return Choice(choice.variable, layout, choice.shape_yx or _stored_shape_yx(arrays))


def described(image: Any, arrays: Mapping[str, Any]) -> Source:
    """The source of an image (band, y, x) and the variables beside it."""
    bands = image.shape[0]
    centres, widths = listed(arrays, WAVELENGTHS, bands), listed(arrays, WIDTHS, bands)
    unit = text(arrays, "wavelength_units")
    return Source(
        image,
        wavelengths_nm=None if centres is None else spectral_nm(centres, unit),
        fwhm_nm=None if widths is None else spectral_nm(widths, unit or "nm"),
        good_bands=listed(arrays, ("good_band", "good_bands", "bbl"), bands),
        crs=text(arrays, "crs_wkt"),
        transform=affine_of_six(listed(arrays, ("transform",), 6)),
        nodata=_nodata(arrays),
    )


def laid_out(array: np.ndarray, choice: Choice, what: str, arrays: Mapping[str, Any]) -> np.ndarray:
    """The array as (band, y, x); one band or bands x pixels where it has two axes."""
    if array.ndim == 2:
        return _from_two_axes(array, choice, what)
    return array.transpose(order_lhw(array.shape, choice, what, arrays))


def order_lhw(shape: tuple[int, ...], choice: Choice, what: str, arrays: Mapping[str, Any]) -> list[int]:
    """Which of three axes are bands, rows and columns, by the layout given or by what the shape shows."""
    _check_layout(choice.layout)
    if len(shape) != 3:
        raise InputError(f"{what} with {len(shape)} axes", "2 or 3", "reshape it")
    if choice.layout is not None and len(choice.layout) == 3:
        return [choice.layout.index(axis) for axis in "lhw"]
    if choice.layout == "hw" and 1 in (shape[0], shape[2]):  # one band, with an axis for it
        return [0, 1, 2] if shape[0] == 1 else [2, 0, 1]
    lengths = {np.size(other) for other in arrays.values() if np.size(other) > 1}
    return [_recognised(shape, what, lengths).index(axis) for axis in "lhw"]


def _check_layout(layout: str | None) -> None:
    """Raise on a layout that is in no list."""
    if layout is not None and layout not in LAYOUTS:
        raise CallError(f"the layout '{layout[:20]}'", f"one of {', '.join(LAYOUTS)}", "choose one")


def _recognised(shape: tuple[int, ...], what: str, lengths: set[int]) -> str:
    """The layout that a shape shows: bands lie along the odd axis, or along that of a stored list."""
    first, middle, last = shape
    if first == middle:
        return "hwl"
    if middle == last:
        return "lhw"
    if first != last and (first in lengths) != (last in lengths):
        return "lhw" if first in lengths else "hwl"
    raise InputError(
        f"{what} of {first} x {middle} x {last}, which may be bands first or last",
        "axes that are told apart",
        "give the layout hwl (rows, columns, bands) or lhw",
    )


def _from_two_axes(array: np.ndarray, choice: Choice, what: str) -> np.ndarray:
    """One band (y, x), or bands x pixels counted down the columns as MATLAB does."""
    _check_layout(choice.layout)
    layout = choice.layout
    pixels = None if choice.shape_yx is None else choice.shape_yx[0] * choice.shape_yx[1]
    if layout not in ("lp", "pl", "hw"):
        layout = "lp" if pixels == array.shape[1] else "pl" if pixels == array.shape[0] else None
    if layout == "hw" or (layout is None and max(array.shape) <= STRIP * min(array.shape)):
        return array[np.newaxis]
    if layout is None or choice.shape_yx is None or pixels not in array.shape:
        raise InputError(
            f"{what} of {array.shape[0]} x {array.shape[1]}, which looks like bands x pixels",
            "rows x columns that multiply to the number of pixels",
            "open it in Python with shape_yx=(rows, columns), or give the layout hw if it is one band",
        )
    rows, columns = choice.shape_yx
    spectra = array.T if layout == "pl" else array
    if spectra.shape[1] != pixels:
        raise InputError(f"{what} with {spectra.shape[1]} pixels", f"{rows} x {columns}", "mend shape_yx or layout")
    return spectra.reshape(spectra.shape[0], columns, rows).transpose(0, 2, 1)


def listed(arrays: Mapping[str, Any], names: tuple[str, ...], count: int) -> np.ndarray | None:
    """The list of `count` numbers under one of the names, whatever their case."""
    for name, array in arrays.items():
        if name.lower() in names and np.size(array) == count and np.asarray(array).dtype.kind in "iufb":
            return np.asarray(array).ravel()
    return None


def text(arrays: Mapping[str, Any], name: str) -> str | None:
    """The text stored under a name."""
    array = arrays.get(name)
    if array is None or np.asarray(array).dtype.kind != "U" or np.size(array) == 0:
        return None
    return "".join(str(part) for part in np.ravel(array)) or None


def affine_of_six(numbers: Sequence[float] | np.ndarray | None) -> Any:
    """The affine of six numbers a, b, c, d, e, f; None for others and without [geo]."""
    if numbers is None or len(numbers) != 6 or not np.all(np.isfinite(numbers)) or not installed("affine"):
        return None
    from affine import Affine

    return Affine(*(float(number) for number in numbers))


def _nodata(arrays: Mapping[str, Any]) -> float | None:
    """The stored nodata value."""
    number = listed(arrays, ("nodata",), 1)
    return None if number is None else float(number[0])


def _unused_nodata(cube: xr.DataArray) -> np.ndarray | None:
    """The cube's nodata value, None where a real pixel has it (the pixels are written as they are)."""
    nodata = nodata_of(cube)
    if nodata is None or "scale_factor" in cube.encoding or bool((cube == nodata).any()):
        return None
    return np.array(nodata)


def beside(cube: xr.DataArray) -> dict[str, Any]:
    """All that is known about a cube but its pixels, as named arrays."""
    crs, transform = crs_of(cube), transform_of(cube)
    known = {
        "wavelength": wavelengths_nm(cube),
        "fwhm": fwhm_nm(cube),
        "good_band": good_bands(cube),
        "crs_wkt": None if crs is None else np.array(crs.to_wkt()),
        "transform": None if transform is None else np.array(transform[:6]),
        "nodata": _unused_nodata(cube),
    }
    return {name: value for name, value in known.items() if value is not None} | {"wavelength_units": np.array("nm")}
