"""A folder of band images: CAVE's layout `<scene>/<scene>_01.png` .. `_31.png`, possibly one folder deeper.

Numbers are as stored. What images cannot say (wavelengths, place) lies in a file `bands.json` of those written here.
"""

import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.conventions.arrays import affine_of_six, metadata_of
from hypersharp.errors import InputError, OutputError, installed
from hypersharp.io.bands import band_files, read_bands
from hypersharp.io.format import GEOTIFF
from hypersharp.io.image import Image
from hypersharp.io.picture import same_orientation, warn_turned
from hypersharp.stored import NOTES, Pixels, Stored
from hypersharp.system.read_errors import READ_ERRORS, reading

TIFFS = GEOTIFF.suffixes
IMAGES = (".png", *TIFFS)
SIDECAR = "bands.json"
CAVE_BANDS = 31
CAVE_NM = range(400, 701, 10)
EXPECTED = "a whole band image"
KNOWN = {"nodata": float, "crs_wkt": str, NOTES: str} | dict.fromkeys(
    ("wavelength_nm", "fwhm_nm", "good_band", "transform"), list
)
SAVED_AS = {"u1": "u1", "b1": "u1", "u2": "u2", "i1": "i4", "i2": "i4", "i4": "i4"}  # else f4; unsigned as .png


class BandImages(Pixels):
    """One image a band; of an image with several channels (RGBA) the first."""

    def __init__(self, files: list[Path]) -> None:
        first = _plane(files[0])
        super().__init__((len(files), *first.shape), first.dtype)
        self.files = files

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        planes = []
        for band in bands:
            plane = _plane(self.files[band])
            if plane.shape != self.shape[1:] or plane.dtype != self.dtype:
                found = f"{plane.dtype} of {plane.shape[0]} x {plane.shape[1]} in {self.files[band]}"
                expected = f"{self.dtype} of {self.shape[1]} x {self.shape[2]} as in {self.files[0].name}"
                raise InputError(found, expected, "remove or convert that image")
            planes.append(plane[rows, columns])
        return np.stack(planes)


def _plane(path: Path) -> np.ndarray:
    """The first channel of an image (y, x), upright."""
    from PIL import Image, ImageOps

    errors = (*READ_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning)
    with reading(path, EXPECTED, *errors), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # as an open file: Pillow maps a named TIFF by the rows of the upright image, and garbles one that lies
        with path.open("rb") as file, Image.open(file, formats=("PNG", "TIFF")) as image:
            plane = np.asarray(ImageOps.exif_transpose(image))
    return plane if plane.ndim == 2 else plane[..., 0]


def read(image: Image) -> Stored:
    """Open a folder of numbered band images, or a folder that holds just one such folder.

    GeoTIFFs that another program made are read by GDAL, with the place and scale that they state.
    """
    tiffs = foreign_tiffs(image.path)
    if tiffs:
        return read_bands(tiffs)
    folder = image.path
    with reading(folder, "a readable folder", OSError):
        files = _numbered(folder)
        nested = [] if files else [child for child in sorted(folder.iterdir()) if child.is_dir() and _numbered(child)]
    if not files:
        if len(nested) != 1:
            found = f"{len(nested)} scenes in {folder}" if nested else f"no band images in {folder}"
            expected = "images whose names end in a number, such as scene_01.png"
            raise InputError(found, expected, "name the scene's own folder")
        folder = nested[0]
        files = _numbered(folder)
    known, pixels = _known(folder / SIDECAR), BandImages(files)
    warn_turned(folder.name, same_orientation(files), pixels.shape[1:])
    cave = not known and len(files) == CAVE_BANDS and files[0].stem == f"{folder.name}_01"
    return Stored(
        pixels,
        wavelengths_nm=np.array(CAVE_NM, float) if cave else known.get("wavelength_nm"),
        fwhm_nm=known.get("fwhm_nm"),
        good_bands=known.get("good_band"),
        crs=known.get("crs_wkt"),
        transform=affine_of_six(known.get("transform")),
        nodata=known.get("nodata"),
        notes=known.get(NOTES),
    )


def foreign_tiffs(folder: Path, depth: int = 0) -> list[Path]:
    """The bands among the GeoTIFFs of a folder without our own description, where rasterio is there to read them."""
    with reading(folder, "a readable folder", OSError):
        images = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGES and file.name[0] != ".")
        within = [child for child in folder.iterdir() if child.is_dir() and child.name[0] != "."]
    files = [file for file in images if file.suffix.lower() in TIFFS and file.is_file()]
    if not files and len(within) == 1 and depth < 1:
        return foreign_tiffs(within[0], depth + 1)
    foreign = 2 * len(files) > len(images) and not (folder / SIDECAR).is_file() and installed("rasterio")
    return band_files(files) if foreign else []


def _numbered(folder: Path) -> list[Path]:
    """The images `..._<number>.png` or .tif in the order of their numbers, which must be without gap."""
    found: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        number = re.search(r"(\d{1,6})$", file.stem)
        if number is None or file.suffix.lower() not in IMAGES or file.name.startswith(".") or not file.is_file():
            continue
        index = int(number[1])
        if index in found:
            raise InputError(f"{found[index].name} and {file.name} in {folder}", "one image a band", "remove one")
        found[index] = file
    numbers = sorted(found)
    if numbers and numbers[-1] - numbers[0] != len(numbers) - 1:
        gap = next(index for index in range(numbers[0], numbers[-1]) if index not in found)
        raise InputError(f"no band {gap} in {folder}", f"bands {numbers[0]}..{numbers[-1]}", "add the missing image")
    return [found[index] for index in numbers]


def _known(sidecar: Path) -> dict[str, Any]:
    """What bands.json says."""

    def fits(value: Any, kind: type) -> bool:
        numbers = kind is not list or all(isinstance(entry, float | bool) for entry in value or ())
        return value is None or (isinstance(value, kind) and numbers)

    if not sidecar.is_file():
        return {}
    with reading(sidecar, "the JSON that hypersharp wrote", *READ_ERRORS):
        known = json.loads(sidecar.read_text(encoding="utf-8"), parse_int=float)
        sound = all(fits(known.get(name), kind) for name, kind in KNOWN.items())
    if not sound:
        raise InputError(f"{sidecar} with other content", "lists of numbers, a nodata value, a CRS", "remove it")
    return known  # type: ignore[no-any-return]


def check_target(path: Path) -> None:
    """Raise where a folder with anything but band images would be replaced."""
    if not path.is_dir():
        if path.exists():
            raise OutputError(f"the file {path}", "a folder to write or replace", "choose another name")
        return
    files = [file for file in sorted(path.iterdir()) if file.name != SIDECAR]
    others = [file.name for file in files if file.suffix.lower() not in IMAGES]
    if others:
        raise OutputError(f"{path} with {others[0]} in it", "a new folder, or one of bands only", "write elsewhere")


def write(cube: xr.DataArray, path: Path) -> None:
    """Write one image a band: PNG for 8 and 16 bits unsigned, else TIFF of 32 bits (float64 is rounded to that).

    Warns of whole numbers too large for 32 bits, which become floating.
    """
    from PIL import Image

    dtype = SAVED_AS.get(cube.dtype.str[1:], "f4")
    if cube.dtype.kind in "iu" and dtype == "f4":
        lowest, highest = (int(limit) for limit in (cube.min(), cube.max()))
        dtype = "i4" if np.iinfo("i4").min <= lowest and highest <= np.iinfo("i4").max else dtype
        if dtype == "f4":
            text = f"{cube.dtype} with {max(highest, -lowest):,} is saved as float32, exact up to 16,777,216: "
            warnings.warn(text + "write .tif, .npy or .nc to keep all", stacklevel=3)
    suffix = ".png" if dtype.startswith("u") else ".tif"
    digits = max(2, len(str(cube.sizes["band"])))
    quick: dict[str, Any] = {"compress_level": 1} if suffix == ".png" else {}
    path.mkdir()
    for band in range(cube.sizes["band"]):
        plane = np.ascontiguousarray(np.asarray(cube[band].data), dtype)
        Image.fromarray(plane).save(path / f"{path.name}_{band + 1:0{digits}d}{suffix}", **quick)
    known = {"axes": "one image a band, rows from the top"}
    for name, value in metadata_of(cube).items():
        if name != "wavelength_units" and (name != "nodata" or np.isfinite(value)):
            known[{"wavelength": "wavelength_nm", "fwhm": "fwhm_nm"}.get(name, name)] = value.tolist()
    (path / SIDECAR).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
