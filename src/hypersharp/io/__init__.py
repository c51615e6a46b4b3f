"""Open and save cubes; the suffix decides the format. One file a format, one row each in `format.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.io.format import ENVI, Format, format_for
from hypersharp.system.atomic import check_parent, staged
from hypersharp.system.elsewhere import address_of, check_writable, staged_elsewhere
from hypersharp.system.read_errors import real_path

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.grid import Window


def open_cube(
    path: str | Path,
    *,
    variable: str | None = None,
    layout: str | None = None,
    shape_yx: tuple[int, int] | None = None,
    nodata: float | None = None,
    bands: Sequence[int] | None = None,
    window: Window | None = None,
    lazy: bool = False,
) -> xr.DataArray:
    """Open an image file, or a folder of band images, as a cube (band, y, x).

    Args:
        path: the file; its suffix names the format, a folder holds one image per band.
        variable: the name of the array, where a .mat, .npz, .nc or .zarr file holds several.
        layout: the order of axes as letters of `lhw` (bands, rows, columns), e.g. "hwl"; "lp" or "pl" for
            bands x pixels or pixels x bands (column-major, as in MATLAB). For files that do not state it.
        shape_yx: rows and columns of a bands x pixels array.
        nodata: the stored number of a missing pixel, whatever the file says.
        bands: indices (from 0) of the bands to read, in this order.
        window: (y0, x0, height, width), the only part to read.
        lazy: back the cube by dask and read when it is computed.

    Returns:
        (L, H, W) in the unit of the file, nodata as NaN, with wavelengths, widths (nm), bad bands, CRS and affine where
        the file has them.

    Raises:
        InputError: the file is missing, broken, of an unknown format, or does not say enough.
        MissingExtraError: its format needs an optional library.

    >>> import numpy as np, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cube.npy"
    >>> np.save(path, np.ones((3, 4, 5)))
    >>> open_cube(path, window=(0, 1, 2, 3)).shape
    (3, 2, 3)
    """
    from hypersharp.io.image import Image

    return Image(Path(path), variable, layout, shape_yx=shape_yx, nodata=nodata).stored().cube(bands, window, lazy)


def save_cube(cube: xr.DataArray, path: str | Path, *, overwrite: bool = True) -> Path:
    """Save a cube with all metadata that the format can hold; the file appears whole or not at all.

    Args:
        cube: (L, H, W); a lazy one is written piece by piece where the format can.
        path: the file; its suffix names the format, none makes a folder of band images. A Zarr store may be one at
            `s3://`, `gs://` or `az://`.
        overwrite: whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        CallError: the suffix names no format.
        InputError: the cube has no pixels, or values that are no real numbers.
        OutputError: the folder cannot be written, the disk is full, or the target must not be replaced.

    >>> import numpy as np, tempfile
    >>> from hypersharp.cube import make_cube
    >>> save_cube(make_cube(np.ones((3, 2, 2))), Path(tempfile.mkdtemp()) / "cube.npy").name
    'cube.npy'
    """
    if not hasattr(cube, "dims"):  # a plain array
        from hypersharp.cube import make_cube

        cube = make_cube(cube)
    elif hasattr(cube, "data_vars"):  # a Dataset, of one image or of variables that are its bands
        from hypersharp.io.given import as_cube

        cube = as_cube(cube, "the dataset")
    path = Path(path)
    found = check_output(path)
    if not overwrite and found.is_there(path):
        raise OutputError(f"{path}, which is there already", "a new path", "remove it, or write elsewhere")
    if cube.dims != ("band", "y", "x") or 0 in cube.shape or cube.dtype.kind not in "iufb":
        raise InputError(f"{cube.dtype} {dict(cube.sizes)}", "a real cube (band, y, x) with pixels", "check the cube")
    here = staged(path, gone=found.goes_with(path)) if address_of(path) is None else None
    with here or staged_elsewhere(path, found.marks) as target:
        found.write(cube, target)
    return path


def check_output(path: str | Path) -> Format:
    """The format of an output; raise now what `save_cube` would raise after a long computation.

    Raises:
        CallError: the suffix names no format, or none that is written to object storage.
        OutputError: the parent folder or bucket is missing or read-only, or the target must not be replaced.
    """
    path = Path(path)
    found = format_for(path)
    if address_of(path) is None:
        check_parent(path)
    else:
        check_writable(path)
    found.check_target(path)
    return found


def check_apart(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """Raise where an output would take the place of an image that is read, or of another output. Raises: CallError."""
    taken = {file: "an image that is read" for path in inputs if path for file in _files_of(path)}
    for path in outputs:
        files = _files_of(path) if path else set()
        if path and not files.isdisjoint(taken):
            what = next(taken[file] for file in files if file in taken)
            raise CallError(f"the output {path}, which is {what}", "a file of its own", "write elsewhere")
        taken |= dict.fromkeys(files, "another output, too")


def _files_of(path: Path) -> set[Path]:
    """The file, and the header of one that has its own, wherever links lead."""
    real = real_path(path)
    return {real, real.with_suffix(".hdr")} if path.suffix.lower() in ENVI.suffixes else {real}
