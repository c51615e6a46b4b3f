"""ENVI: a text header and a body of plain numbers, BSQ, BIL or BIP, gzipped where `file compression = 1`.

Pixels and spectral metadata are read here (GDAL rounds wavelengths and drops some fields); map info, in its many
forms, is left to GDAL's ENVI driver.
"""

from __future__ import annotations

import gzip
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from math import hypot, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
import xarray as xr

from hypersharp.cube import crs_of, fwhm_nm, good_bands, transform_of, wavelengths_nm
from hypersharp.errors import InputError, OutputError, installed
from hypersharp.io.format import BY_SUFFIX, GEOTIFF, existing, header_of
from hypersharp.io.image import Image
from hypersharp.io.packed import Packed, pack, write_numbers
from hypersharp.products.files import BODIES
from hypersharp.sensor.wavelengths import named_nm, spectral_nm, widths_nm
from hypersharp.stored import NOTES, Stored, check_memory
from hypersharp.system.atomic import staged, through
from hypersharp.system.read_errors import READ_ERRORS, reading, real_path

if TYPE_CHECKING:
    from affine import Affine

DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
AXES = {"bsq": "lhw", "bil": "hlw", "bip": "hwl"}
EXPECTED = "an ENVI header and its body"
FIELD = re.compile(r"^[ \t]*([^=\n{}]+?)[ \t]*=[ \t]*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\{[^}]*\}|[^\n]*)", re.MULTILINE)
DESCRIPTION = "written by hypersharp"
LINE = 100  # characters of encoded notes a line
NO_MARKS = "\"':,[]()/"  # those that mark nothing in a header
DEFLATE_AT_BEST = 1040  # no gzip file holds more than so many times its size


@dataclass(frozen=True)
class Header:
    """The fields of a header, by lower-case name."""

    path: Path
    fields: dict[str, str]

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number >= 0."""
        text = self.fields.get(name, "" if default is None else str(default))
        if not re.fullmatch(r"\d{1,12}", text):
            raise InputError(f"'{name} = {text[:40]}' in {self.path}", "a whole number", f"correct {name}")
        return int(text)

    def numbers(self, name: str) -> list[float] | None:
        """A list of numbers in braces, None where the field is missing or empty."""
        parts = [part for part in self.fields.get(name, "").strip("{} \t\r\n").split(",") if part.strip()]
        try:
            return [float(part) for part in parts] or None
        except ValueError as error:
            raise InputError(f"'{name}' in {self.path} without numbers", "numbers", f"correct {name}") from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows and columns."""
        return self.integer("bands"), self.integer("lines"), self.integer("samples")

    def facts(self, bands: int) -> dict[str, Any]:
        """What the header says of so many bands and their numbers, in the words of `Stored`."""
        unit = self.fields.get("wavelength units")
        centres, widths, flags = (self.numbers(name) for name in ("wavelength", "fwhm", "bbl"))
        gains, factor = self.numbers("data gain values"), self.numbers("reflectance scale factor")
        if gains is None and factor is not None:
            if factor[0] == 0:
                raise InputError(f"a reflectance scale factor of 0 in {self.path}", "another", "correct or remove it")
            gains = [1 / factor[0]]
        nodata = self.numbers("data ignore value")
        names = [name for name in self.fields.get("band names", "").strip("{} \t\r\n").split(",") if name.strip()]
        return {
            "wavelengths_nm": named_nm(names) if centres is None else spectral_nm(centres, unit),
            "fwhm_nm": widths_nm(widths, unit, centres),
            "good_bands": None if flags is None else np.asarray(flags) != 0,
            "nodata": nodata[0] if nodata else None,
            "scale": _one_or_each(gains, bands, 1.0, self),
            "offset": _one_or_each(self.numbers("data offset values"), bands, 0.0, self),
            "notes": unquote("".join(self.fields.get(NOTES, "").strip("{}").split())) or None,
        }


def read(image: Image) -> Stored:
    """Open an ENVI image by its header or its body."""
    path = image.path
    if path.suffix.lower() == ".hdr":
        bodies = _bodies(path)
        if len(bodies) != 1:
            names = ", ".join(body.name for body in bodies) or "no body"
            tiff = next((file.name for file in sorted(path.parent.glob(f"{path.stem}.tif*"))), None)
            do = f"name {tiff}, whose header it is" if tiff else "name the body instead of the header"
            raise InputError(f"{names} for {path}", "one body", do)
        header, body = _header(path), bodies[0]
    else:
        header_path = header_of(path)
        if header_path is None:
            raise InputError(f"no header for {path}", f"{path.stem}.hdr in its folder", "copy the header there")
        header, body = _header(header_path), path
    pixels = _pixels(header, body)
    crs, transform = _place(header, body)
    return Stored(pixels, crs=crs, transform=transform, **header.facts(len(pixels)))


def header_beside(tiff: Path) -> Header | None:
    """The header of a TIFF: one of its name in its folder without a body of its own, None for none."""
    path = tiff.with_suffix(".hdr")
    if not path.is_file() or _bodies(path):
        return None
    header = _header(path)
    return header if {"bands", "lines", "samples"} <= set(header.fields) else None


def _bodies(header: Path) -> list[Path]:
    """The files that may be the body of a header."""
    stem = header.with_suffix("")
    if stem.suffix.lower() in BODIES[:-1] and stem.is_file():
        return [stem]
    names = [stem.with_name(stem.name + suffix) for suffix in BODIES]
    exact = [body for body in names if body.is_file()]
    return exact or [body for body in map(existing, names) if body is not None]


def _header(path: Path) -> Header:
    """Parse `name = value` lines; a value in braces may span lines, and hold some in braces."""
    with reading(path, EXPECTED, OSError), path.open("rb") as file:
        content = file.read(2**24)
    coded = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
    text = content.decode(coded, "replace").replace("\r\n", "\n").replace("\r", "\n")  # of old Macs, too
    if not text.lstrip("\ufeffï»¿ \t\n").startswith("ENVI"):
        raise InputError(f"{path} that does not begin with ENVI", EXPECTED, "check the file")
    return Header(path, {name.strip().lower(): value.strip() for name, value in FIELD.findall(text)})


def _pixels(header: Header, body: Path) -> np.ndarray:
    """The body as (band, y, x): mapped into memory, or unzipped."""
    shape = dict(zip("lhw", header.shape, strict=True))
    code, interleave = header.integer("data type"), header.fields.get("interleave", "bsq").lower()
    if code not in DTYPES or interleave not in AXES:
        found = f"data type {code}, interleave {interleave} in {header.path}"
        expected = f"a type among {', '.join(map(str, DTYPES))} and one of {', '.join(AXES)}"
        raise InputError(found, expected, "convert the image")
    order = ">" if header.integer("byte order", 0) else "<"
    dtype, axes = np.dtype(order + DTYPES[code]), AXES[interleave]
    stored = tuple(shape[axis] for axis in axes)
    if 0 in stored:
        raise InputError(f"an image without pixels in {header.path}", "bands, lines and samples", "correct them")
    offset, zipped, count = header.integer("header offset", 0), header.integer("file compression", 0) == 1, prod(stored)
    wanted, there = offset + count * dtype.itemsize, body.stat().st_size
    short = InputError(f"{body} of {there} bytes", f"{wanted} as {header.path.name} says", "copy both files again")
    if there * (DEFLATE_AT_BEST if zipped else 1) < wanted:
        raise short
    if not zipped:
        with reading(body, EXPECTED, *READ_ERRORS):
            flat: np.ndarray = np.memmap(body, dtype, "r", offset, (count,))
    else:
        check_memory(wanted)
        with reading(body, "a whole gzipped body", *READ_ERRORS), gzip.open(body) as file:
            content = file.read(wanted)
        if len(content) < wanted:
            raise short
        flat = np.frombuffer(content, dtype, count, offset)
    return flat.reshape(stored).transpose([axes.index(axis) for axis in "lhw"])


def _one_or_each(numbers: list[float] | None, bands: int, default: float, header: Header) -> Any:
    """One number where all are the same, else one a band."""
    if numbers is None or len(set(numbers)) == 1:
        return default if numbers is None else numbers[0]
    if len(numbers) != bands:
        found = f"{len(numbers)} gains or offsets for {bands} bands in {header.path}"
        raise InputError(found, "one a band", "correct them")
    return np.asarray(numbers)


def _place(header: Header, body: Path) -> tuple[Any, Affine | None]:
    """CRS and affine as GDAL understands the header; (None, None) without map info or without [geo]."""
    if "map info" not in header.fields and "coordinate system string" not in header.fields:
        return None, None
    if not installed("rasterio"):
        warnings.warn("no georeference is read; pip install 'hypersharp[geo]'", stacklevel=3)
        return None, None
    import rasterio
    from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

    errors = RasterioError, CRSError, *READ_ERRORS
    with reading(body, "map info that GDAL understands", *errors), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(body, driver="ENVI") as dataset:
            crs, transform = dataset.crs, None if dataset.transform.is_identity else dataset.transform
            # by its EPSG code where PROJ is sure of one: ENVI's own names (UTM_Zone_33N) say less
            code = crs.to_epsg(confidence_threshold=70) if crs else None
            return code or crs or None, transform


def check_target(path: Path) -> None:
    """Raise where writing this body would replace the header of another image, or follow the link of one file alone."""
    body, header = _body_of(path), _header_of(path)
    if other := describes_other(header, body):
        raise OutputError(f"{header}, which describes {other}", "a name of its own", f"write {other} or rename")
    links = [file for file in (body, header) if file.is_symlink()]
    if links and real_path(header).with_suffix("") not in (real_path(body), real_path(body).with_suffix("")):
        found = f"the link {links[0]} without one of {body.name} and {header.name} each to an image and its header"
        raise OutputError(found, "both or none", f"name {real_path(links[0])}")


def describes_other(header: Path, own: Path) -> str | None:
    """The name of the image that a header describes, if it is another than `own`; None where there is no such header.

    One without an image, which hypersharp wrote, describes none.
    """
    found = existing(header)
    if found is None:
        return None
    others = [body.name for body in _bodies(found) if body.name != own.name] or ([] if own.is_file() else _rarer(found))
    if others or own.is_file():
        return others[0] if others else None
    with found.open("rb") as file:
        ours = DESCRIPTION.encode() in file.read(2**10)
    return None if ours else "an image that is not here"


def headers_of_tiff(tiff: Path) -> list[Path]:
    """The header of a TIFF, as in `header_beside`, if it may be that of nothing else."""
    with suppress(InputError):
        found = header_beside(tiff)
        if found and all(Path(name).suffix.lower() in GEOTIFF.suffixes for name in _rarer(found.path)):
            return [found.path]
    return []


def _rarer(header: Path) -> list[str]:
    """The names of TIFFs that a header may describe, and of files of no known suffix that may be its body."""
    names, least = list[str](), 1
    with suppress(InputError):
        least = prod(_header(header).shape)  # bytes, of what holds so many numbers
    with suppress(OSError):
        for file in sorted(header.parent.iterdir()):
            kind = GEOTIFF if (end := file.suffix.lower()) in GEOTIFF.suffixes else BY_SUFFIX.get(end)
            if file.stem != header.stem or not file.is_file() or end == ".hdr":
                continue
            if kind is GEOTIFF or (kind is None and file.stat().st_size >= least):
                names.append(file.name)
    return names


def _body_of(path: Path) -> Path:
    """The body that is written, .img where the header is named."""
    return path if path.suffix.lower() != ".hdr" else path.with_suffix(".img")


def _header_of(path: Path) -> Path:
    """The header that is written, of the name that was given if any was."""
    return path if path.suffix.lower() == ".hdr" else path.with_suffix(".hdr")


def goes_with(path: Path) -> list[Path]:
    """Statistics of ENVI, and headers in other words, of an image that is there, which would be read with the next."""
    body = _body_of(path)
    others = [body.with_suffix(end) for end in (".hdr", ".HDR", ".sta")]
    return [body.with_name(f"{body.name}.hdr"), *others] if body.is_file() else []


def write(cube: xr.DataArray, path: Path) -> None:
    """Write body and header; .bil and .bip are interleaved so, all else is BSQ.

    The rows of a mirrored grid, such as one from south to north, are written the other way round: a header can hold a
    rotation, and nothing else.
    """
    place = transform_of(cube)
    if place is not None and place.determinant > 0:
        cube = cube.isel(y=slice(None, None, -1))
    packed = pack(cube)
    kind = packed.values.dtype.str[1:]
    dtype = {"b1": "u1", "i1": "i2"}.get(kind, kind)
    interleave = path.suffix.lower()[1:]
    interleave = interleave if interleave in AXES else "bsq"
    write_numbers(packed.values, _body_of(path), "<" + dtype, ["lhw".index(axis) for axis in AXES[interleave]])
    _header_of(path).write_bytes(_text(_fields(cube, packed, dtype, interleave)))


def check_beside(tiff: Path) -> Path:
    """The header beside a TIFF to write. Raises: OutputError where that name is the header of another image."""
    header = tiff.with_suffix(".hdr")
    for place in {header, through(header)}:
        if other := describes_other(place, tiff):
            raise OutputError(f"{place}, which describes {other}", "a name of its own", "rename it")
    return header


def write_beside(cube: xr.DataArray, tiff: Path) -> Path:
    """Write the header that tells ENVI, and whoever reads headers, of the bands of a TIFF that was saved of the cube.

    Raises: OutputError where that name is the header of another image.
    """
    header = check_beside(tiff)
    packed = pack(cube)
    code = next((code for code, name in DTYPES.items() if name == packed.values.dtype.str[1:]), None)
    fields = _fields(cube, packed, DTYPES[code or 4], "bsq") | {"file type": "TIFF", "data type": code}
    with staged(header) as place:
        place.write_bytes(_text(fields))
    return header


def _text(fields: dict[str, Any]) -> bytes:
    """A header of such fields; those that are None are left out."""
    lines = "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None)
    return f"ENVI\n{lines}".encode("latin-1", errors="replace")


def _fields(cube: xr.DataArray, packed: Packed, dtype: str, interleave: str) -> dict[str, Any]:
    """The header of a cube, name by name; None where nothing is known."""
    bands, height, width = cube.shape
    flags = good_bands(cube)
    scaled = packed.scale != 1 or packed.offset != 0
    wkt, notes = crs_of(cube), None
    if wkt is not None:
        from rasterio.errors import CRSError

        try:
            wkt = wkt.to_wkt(version="WKT1_ESRI")
        except CRSError:  # no such form of it
            wkt = wkt.to_wkt()
    if NOTES in cube.attrs:  # what could end a field or a line is percent-encoded, lines are short
        encoded = quote(str(cube.attrs[NOTES]), safe=NO_MARKS)
        notes = "\n ".join(encoded[start : start + LINE] for start in range(0, len(encoded), LINE))
    return {
        "description": f"{{{DESCRIPTION}}}",
        "samples": width,
        "lines": height,
        "bands": bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": next(code for code, name in DTYPES.items() if name == dtype),
        "interleave": interleave,
        "byte order": 0,
        "map info": _map_info(cube),
        "coordinate system string": None if wkt is None else f"{{{wkt}}}",
        "data ignore value": None if packed.nodata is None or np.isnan(packed.nodata) else repr(packed.nodata),
        "data gain values": _braced([packed.scale] * bands) if scaled else None,
        "data offset values": _braced([packed.offset] * bands) if scaled else None,
        "wavelength units": None if wavelengths_nm(cube) is None and fwhm_nm(cube) is None else "Nanometers",
        "wavelength": _braced(wavelengths_nm(cube)),
        "fwhm": _braced(fwhm_nm(cube)),
        "bbl": None if flags is None else _braced(flags.astype(int)),
        NOTES: None if notes is None else f"{{\n {notes}}}",
    }


def _braced(numbers: Any) -> str | None:
    """A list as ENVI writes it, every digit kept."""
    return None if numbers is None else "{" + ", ".join(repr(number) for number in np.asarray(numbers).tolist()) + "}"


def _map_info(cube: xr.DataArray) -> str | None:
    """First pixel, pixel size, projection and rotation; None, with a warning, for a sheared grid."""
    place = transform_of(cube)
    if place is None:
        return None
    size_x, size_y = hypot(place.a, place.d), hypot(place.b, place.e)
    angle = np.arctan2(-place.d, place.a)
    cos, sin = np.cos(angle), np.sin(angle)
    exact = type(place)(size_x * cos, -size_y * sin, place.c, -size_x * sin, -size_y * cos, place.f)
    if not exact.almost_equals(place, 1e-9 * max(size_x, size_y)):
        warnings.warn("ENVI holds no sheared grid: the place is not written; write .tif to keep it", stacklevel=3)
        return None
    crs = crs_of(cube)
    code = crs.to_epsg() if crs is not None else None
    name, zone, units = "Arbitrary", "", ""
    if code is not None and (32601 <= code <= 32660 or 32701 <= code <= 32760):
        name, zone = "UTM", f", {code % 100}, {'North' if code < 32700 else 'South'}, WGS-84"
        units = ", units=Meters"
    elif crs is not None:
        name = "Geographic Lat/Lon" if crs.is_geographic else "Projected"
        metric = not crs.is_geographic and crs.linear_units_factor[1] == 1
        units = ", units=Degrees" if crs.is_geographic else ", units=Meters" if metric else ""
    turn = "" if angle == 0 else f", rotation={-float(np.degrees(angle))!r}"
    numbers = ", ".join(repr(float(number)) for number in (1, 1, place.c, place.f, size_x, size_y))
    return "{" + f"{name}, {numbers}{zone}{units}{turn}" + "}"
