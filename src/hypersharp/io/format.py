"""The formats of images: their suffixes and what each can do, in one table that loads none of their libraries."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.products.files import split_part
from hypersharp.products.table import HDF, OWN_SUFFIXES, find_product, is_product_name
from hypersharp.system.elsewhere import address_of, name_elsewhere, storage
from hypersharp.system.read_errors import check_regular

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.stored import Stored


@dataclass(frozen=True)
class Format:
    """A row of the table of formats: what a format can do.

    Attributes:
        file: the file of this folder with its `read(image)`, `write(cube, path)`, where something may stand in the
            way of writing, `check_target(path)`, and where other files may describe an image, `goes_with(path)`.
        suffixes: those that name it; "" is a folder.
        options: whether `variable`, `layout` and `shape_yx` apply, because it does not name its image, or the axes.
        streamed: whether a lazy cube (L, H, W) is written piece by piece.
        compressed: whether it may be smaller than its pixels, and is safe on a disk that fills up all the same.
        nodata: whether it says which number stands for missing pixels.
        upload: whether its files cannot point at other files, so that a browser may send them.
        folder: whether it is a folder.
        written: whether it is written too, not only read.
        half: whether it holds floats of 16 bits.
        marks: the names of files right in its folder that make this a store, of a format that is written to object
            storage, too.
        guard: the least setting of `guarded` by which it is opened in a child; "" for what is plain numbers.

    >>> format_for(Path("sharp.tif")).streamed
    True
    """

    file: str
    suffixes: tuple[str, ...]
    options: bool = False
    streamed: bool = False
    compressed: bool = False
    nodata: bool = False
    upload: bool = False
    folder: bool = False
    written: bool = True
    half: bool = False
    marks: tuple[str, ...] = ()
    guard: Literal["risky", "all", ""] = "all"

    def read(self, image: Image) -> Stored:
        """Open an existing image of this format. Raises: CallError for options that do not apply; InputError."""
        if not self.options and (image.variable, image.layout, image.shape_yx) != (None, None, None):
            found = f"variable, layout or shape_yx for {image.path}"
            raise CallError(found, "none for this format", "leave them out")
        stored: Stored = self._code().read(image)
        return stored

    def write(self, cube: xr.DataArray, path: Path) -> None:
        """Write a cube (L, H, W) to a path of this format."""
        self._code().write(cube if self.half or cube.dtype != "float16" else cube.astype("f4"), path)

    def is_there(self, path: Path) -> bool:
        """Whether something is at a path, or an address."""
        if address_of(path) is None:
            return path.exists()
        with storage(path) as (files, name):
            return bool(files.exists(name))

    def is_store(self, path: Path) -> bool:
        """Whether a store of this format is there: a folder, or objects at an address, with one of its marks."""
        if address_of(path) is None:
            return any((path / mark).exists() for mark in self.marks)
        with storage(path) as (files, name):
            return any(files.exists(f"{name}/{mark}") for mark in self.marks)

    def check_target(self, path: Path) -> None:
        """Raise an OutputError where writing would replace something else than an image."""
        if path.is_dir() and not self.folder:
            raise OutputError(f"the folder {path}", "a file to write or replace", "choose another name")
        if hasattr(self._code(), "check_target"):
            self._code().check_target(path)

    def goes_with(self, path: Path) -> list[Path]:
        """The files that describe the image at a path and no other, which go when it is replaced."""
        found: list[Path] = self._code().goes_with(path) if hasattr(self._code(), "goes_with") else []
        return found

    def _code(self) -> Any:
        return import_module(f"hypersharp.io.{self.file}")


ENVI = Format("envi", (".hdr", ".img", ".bsq", ".bil", ".bip", ".dat"), streamed=True, nodata=True, guard="")
GEOTIFF = Format("geotiff", (".tif", ".tiff"), streamed=True, compressed=True, nodata=True, upload=True)
FOLDER = Format("folder", ("",), folder=True)
ZARR = Format(
    "zarr",
    (".zarr",),
    options=True,
    streamed=True,
    compressed=True,
    nodata=True,
    folder=True,
    half=True,
    marks=("zarr.json", ".zgroup", ".zarray", ".zmetadata"),
    guard="risky",
)
FORMATS = (
    GEOTIFF,
    ENVI,
    Format("mat", (".mat",), options=True, guard="risky"),
    Format("npy", (".npy",), options=True, streamed=True, upload=True, half=True, guard=""),
    Format("npy", (".npz",), options=True, upload=True, half=True),
    Format("netcdf", (".nc",), options=True, streamed=True, nodata=True, guard="risky"),
    ZARR,
    Format("raster", (".png", ".jpg", ".jpeg"), upload=True, written=False),
    FOLDER,
)
BY_SUFFIX = {suffix: format for format in FORMATS for suffix in format.suffixes}


def suffixes(**wanted: bool) -> tuple[str, ...]:
    """The suffixes of the formats that can do (or not) what is asked, such as `streamed=True`; without that of folders.

    >>> suffixes(upload=True)
    ('.tif', '.tiff', '.npy', '.npz', '.png', '.jpg', '.jpeg')
    """
    fitting = (form for form in FORMATS if all(getattr(form, name) == value for name, value in wanted.items()))
    return tuple(suffix for form in fitting for suffix in form.suffixes if suffix)


def check_there(path: Path) -> None:
    """Raise an InputError where no file or folder of that name is there, or an empty file; what is elsewhere may be."""
    if name_elsewhere(path) is not None:
        return
    try:
        check_regular(path)
        empty = path.stat().st_size == 0 and path.is_file()
    except FileNotFoundError as error:
        raise InputError(f"no file {path}", "an existing image", "check the path") from error
    except (OSError, ValueError) as error:  # a name too long, a null byte, no permission
        raise InputError(f"no readable file {str(path)[:200]!r}", "an existing image", "check the path") from error
    if empty:
        raise InputError(f"{path} with zero bytes", "an image", "write or download it again")


def format_of(path: Path) -> Format:
    """The format of an image that is there. Raises: InputError as `check_there`, and where it cannot be read."""
    check_there(path)
    if name_elsewhere(path) is not None:
        if path.suffix.lower() in GEOTIFF.suffixes:
            return GEOTIFF
        if path.suffix.lower() in ZARR.suffixes and address_of(path) is not None:
            return ZARR
        expected = "a GeoTIFF, a jp2 of Sentinel-2, a STAC item (.json), or in object storage a .zarr"
        raise InputError(f"{path} elsewhere", expected, "download it first")
    known = BY_SUFFIX.get(path.suffix.lower())
    if path.is_dir():
        return known if known and known.folder else FOLDER
    if known and known is not FOLDER:
        return known
    if header_of(path) is not None:
        return ENVI
    expected = f"a folder of bands, one of {', '.join(suffixes())}, or a product (`hypersharp products`)"
    raise InputError(f"{path} of an unknown format", expected, "convert it")


def open_stored(image: Image) -> Stored:
    """Open the product, or the image of a format, that is there, in a child where `guarded` says so.

    Raises: InputError as `format_of`; CallError.
    """
    from hypersharp.io.guarded import guard, open_guarded

    if guard() == "none":
        return open_here(image)
    suffix = split_part(image.path)[0].suffix.lower()
    if suffix in HDF:
        least = "risky"
    else:
        own = suffix in OWN_SUFFIXES or is_product_name(image.path)
        least = "all" if own else format_of(image.path).guard
    return open_guarded(image) if least in ("risky", guard()) else open_here(image)


def open_here(image: Image) -> Stored:
    """As `open_stored`, in this process."""
    plain = (image.variable, image.layout, image.shape_yx) == (None, None, None)
    found = find_product(image.path) if plain else None
    return format_of(image.path).read(image) if found is None else found


def header_of(body: Path) -> Path | None:
    """The ENVI header of a body, None where there is none."""
    found = (existing(name) for name in (body.with_suffix(".hdr"), body.with_name(body.name + ".hdr")))
    return next((header for header in found if header is not None), None)


def existing(path: Path) -> Path | None:
    """The file of this name, or of one that differs in upper and lower case alone; None where there is none."""
    if path.is_file():
        return path
    with suppress(OSError):
        others = (other for other in path.parent.iterdir() if other.name.lower() == path.name.lower())
        return next((other for other in others if other.is_file()), None)
    return None


def format_for(path: Path) -> Format:
    """The format in which a path is written, by its suffix. Raises: CallError where that names none."""
    found = BY_SUFFIX.get(path.suffix.lower())
    if found is None or not found.written or not path.name:
        expected = f"a folder or a name ending in one of {', '.join(suffixes(written=True))}"
        raise CallError(f"the output {path}", expected, "change its suffix")
    if name_elsewhere(path) is not None and not (found.marks and address_of(path)):
        expected = f"s3://, gs:// or az:// and a name ending in {', '.join(ZARR.suffixes)}, or a path on this machine"
        raise CallError(f"the output {path} elsewhere", expected, "write it here, then copy it")
    return found
