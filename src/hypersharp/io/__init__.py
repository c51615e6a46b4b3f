"""Open and save cubes; the suffix decides the format. One file a format, one row each below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.io import envi, folder, geotiff, mat, netcdf, npy, zarr
from hypersharp.io.source import Choice, Source
from hypersharp.system.atomic import check_parent, staged

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.grid import Window

FOLDER = ""  # a path without a suffix

READERS: dict[str, Callable[[Path, Choice], Source]] = {
    ".tif": geotiff.read,
    ".tiff": geotiff.read,
    ".hdr": envi.read,
    ".img": envi.read,
    ".bsq": envi.read,
    ".bil": envi.read,
    ".bip": envi.read,
    ".dat": envi.read,
    ".mat": mat.read,
    ".npy": npy.read,
    ".npz": npy.read_npz,
    ".nc": netcdf.read,
    ".zarr": zarr.read,
    FOLDER: folder.read,
}

WRITERS: dict[str, Callable[[xr.DataArray, Path], None]] = {
    ".tif": geotiff.write,
    ".tiff": geotiff.write,
    ".hdr": envi.write,
    ".img": envi.write,
    ".bsq": envi.write,
    ".bil": envi.write,
    ".bip": envi.write,
    ".dat": envi.write,
    ".mat": mat.write,
    ".npy": npy.write,
    ".npz": npy.write_npz,
    ".nc": netcdf.write,
    ".zarr": zarr.write,
    FOLDER: folder.write,
}

GUARDS: dict[str, Callable[[Path], None]] = {
    ".hdr": envi.check_target,
    ".img": envi.check_target,
    ".bsq": envi.check_target,
    ".bil": envi.check_target,
    ".bip": envi.check_target,
    ".dat": envi.check_target,
    ".zarr": zarr.check_target,
    FOLDER: folder.check_target,
}


def open_cube(
    path: str | Path,
    *,
    variable: str | None = None,
    layout: str | None = None,
    shape_yx: tuple[int, int] | None = None,
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
        bands: indices (from 0) of the bands to read, in this order.
        window: (y0, x0, height, width), the only part to read.
        lazy: back the cube by dask and read when it is computed.

    Returns:
        (L, H, W) in the unit of the file, nodata as NaN, with wavelengths, widths, bad bands, CRS and affine where
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
    return open_source(path, variable=variable, layout=layout, shape_yx=shape_yx).cube(bands, window, lazy)


def open_source(
    path: str | Path, *, variable: str | None = None, layout: str | None = None, shape_yx: tuple[int, int] | None = None
) -> Source:
    """Open an image for reading parts of it again and again (`Source.values`, `coarse.read_coarse`).

    Raises: as `open_cube`.
    """
    path = Path(path)
    return _reader(path)(path, Choice(variable, layout, shape_yx))


def _reader(path: Path) -> Callable[[Path, Choice], Source]:
    """The reader for an existing path."""
    try:
        if not path.exists():
            raise InputError(f"no file {path}", "an existing image", "check the path")
        empty = path.is_file() and path.stat().st_size == 0
    except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
        raise InputError(f"no readable file {str(path)[:200]!r}", "an existing image", "check the path") from error
    if empty:
        raise InputError(f"{path} with zero bytes", "an image", "write or download it again")
    suffix = path.suffix.lower()
    if path.is_dir() and suffix != ".zarr":
        return folder.read
    if path.is_file() and (suffix == FOLDER or suffix not in READERS) and envi.has_header(path):
        return envi.read
    if suffix == FOLDER or suffix not in READERS:
        raise InputError(f"{path} of an unknown format", f"a folder of bands or one of {_suffixes()}", "convert it")
    return READERS[suffix]


def _suffixes() -> str:
    """The suffixes that can be read and written, as people read them."""
    return ", ".join(suffix for suffix in READERS if suffix)


def save_cube(cube: xr.DataArray, path: str | Path, *, overwrite: bool = True) -> Path:
    """Save a cube with all metadata that the format can hold; the file appears whole or not at all.

    Args:
        cube: (L, H, W).
        path: the file; its suffix names the format, none makes a folder of band images.
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
    path = Path(path)
    check_output(path)
    if not overwrite and path.exists():
        raise OutputError(f"{path}, which is there already", "a new path", "remove it, or write elsewhere")
    if cube.dims != ("band", "y", "x") or 0 in cube.shape or cube.dtype.kind not in "iufb":
        raise InputError(f"{cube.dtype} {dict(cube.sizes)}", "a real cube (band, y, x) with pixels", "check the cube")
    with staged(path) as target:
        WRITERS[path.suffix.lower()](cube, target)
    return path


def check_output(path: str | Path) -> None:
    """Raise now what `save_cube` would raise after a long computation.

    Raises:
        CallError: the suffix names no format.
        OutputError: the parent folder is missing or read-only, or the target must not be replaced.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS or not path.name:
        raise CallError(f"the output {path}", f"a folder or a name ending in one of {_suffixes()}", "change its suffix")
    check_parent(path)
    if suffix in GUARDS:
        GUARDS[suffix](path)
    if path.is_dir() and suffix not in (FOLDER, ".zarr"):
        raise OutputError(f"the folder {path}", "a file to write or replace", "choose another name")


def check_apart(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """Raise where an output would take the place of an image that is read, or of another output.

    Raises: CallError.
    """
    taken = {file: "an image that is read" for path in inputs if path for file in _files_of(path)}
    for path in outputs:
        files = _files_of(path) if path else set()
        if path and not files.isdisjoint(taken):
            what = next(taken[file] for file in files if file in taken)
            raise CallError(f"the output {path}, which is {what}", "a file of its own", "write elsewhere")
        taken |= dict.fromkeys(files, "another output, too")


def _files_of(path: Path) -> set[Path]:
    """The file, and the header of one that has its own, wherever links lead."""
    real = path.resolve()
    return {real, real.with_suffix(".hdr")} if READERS.get(path.suffix.lower()) is envi.read else {real}
