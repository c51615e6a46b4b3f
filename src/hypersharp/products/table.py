"""The products that can be opened, a row each; the first whose file names fit and that knows the content reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hypersharp.errors import InputError
from hypersharp.products.files import ARCHIVES, Files, changed, split_part

if TYPE_CHECKING:
    from hypersharp.stored import Stored


@dataclass(frozen=True)
class Product:
    """A row of the table.

    Attributes:
        file: the file of this folder whose `read(files, part)` opens it, or gives None for what it does not know.
        title: what it is called.
        names: patterns, one of which the name of the file, or of one in the folder or archive, must fit.
        give: what to name on the command line.
        parts: what may follow behind a colon.
        proven: how it was proven to be read right.
        elsewhere: whether it names files elsewhere, which a viewer does not follow.
    """

    file: str
    title: str
    names: tuple[str, ...]
    give: str
    parts: str = ""
    proven: str = "miniatures"
    elsewhere: bool = False

    def fits(self, names: Iterable[str]) -> bool:
        """Whether one of the files has such a name."""
        return any(fnmatch(name.lower(), pattern.lower()) for name in names for pattern in self.names)

    def read(self, files: Files, part: str | None) -> Stored | None:
        """Open it, None where the content is something else. Raises: InputError for a broken one, an unknown part."""
        if part is not None and not self.parts:
            raise InputError(f"the part '{part}' of {files.path}", "none for this product", "leave it out")
        found: Stored | None = import_module(f"hypersharp.products.{self.file}").read(files, part)
        return found


PRODUCTS = (
    Product(
        "dlr",
        "EnMAP L2A",
        ("ENMAP*METADATA.XML", "ENMAP*SPECTRAL_IMAGE*.TIF*"),
        "folder, .zip, METADATA.XML or SPECTRAL_IMAGE.TIF",
    ),
    Product("prisma", "PRISMA L2D, L2C, L2B, L1", ("*.he5",), ".he5", "pan", "miniatures; L2B not at all"),
    Product(
        "emit",
        "EMIT L2A, L1B",
        ("*.nc",),
        "EMIT_L2A_RFL_*.nc, its MASK file beside it",
        "map",
        "miniatures; L1B not at all",
    ),
    Product(
        "sentinel2",
        "Sentinel-2 L2A, L1C",
        ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml", "*_B??.jp2", "*_B??_??m.jp2"),
        "SAFE folder, .zip, MTD_MSIL2A.xml or one band's .jp2",
        "10m, 20m, or bands such as B2,B3,B4,B11",
        "miniatures; L1C not at all",
    ),
    Product(
        "landsat",
        "Landsat 4-9 Collection 2 Level 2, HLS v2",
        ("L???_L2S?_*_SR_B?.TIF", "L???_L2S?_*_MTL.*", "HLS.?30.*.B??.tif"),
        "folder, .tar, *_MTL.txt or one band's .TIF",
        proven="miniatures of Landsat 8 and HLS S30; others not at all",
    ),
    Product(
        "dlr",
        "DESIS L2A",
        ("DESIS*METADATA.xml", "DESIS*SPECTRAL_IMAGE.tif", "DESIS*SPECTRAL_IMAGE.hdr"),
        "folder, .zip, METADATA.xml or SPECTRAL_IMAGE.tif",
    ),
    Product("aviris3", "AVIRIS-3 L2A", ("*.nc",), "AV3*_RFL_ORT.nc"),
    Product("tanager", "Tanager", ("*.h5",), "*_sr_hdf5.h5", proven="miniatures; radiance not at all"),
    Product("neon", "NEON AOP reflectance", ("*.h5",), "NEON_*_reflectance.h5"),
    Product(
        "tagged",
        "Planet SuperDove SR",
        ("*_3B_*SR*.tif", "*_3B_*SR*.json"),
        ".tif or STAC item, its UDM2 beside it",
        proven="miniatures; 4 bands not at all",
    ),
    Product("tagged", "Wyvern L1B", ("wyvern_*.tif", "wyvern_*.tiff", "wyvern_*.json"), ".tiff or STAC item"),
    Product(
        "tagged",
        "WorldView-2, WorldView-3",
        ("*.IMD", "*-M?AS*.TIF", "*-P?AS*.TIF"),
        ".TIF or .IMD",
        proven="miniatures of WorldView-3; others not at all",
    ),
    Product(
        "dimap",
        "Pléiades 1, SPOT 6 and 7",
        ("DIM_PHR*.XML", "DIM_SPOT*.XML", "IMG_PHR*.TIF", "IMG_SPOT*.TIF", "IMG_PHR*.JP2", "IMG_SPOT*.JP2"),
        "folder, DIM_*.XML or IMG_*.TIF, orthorectified",
        proven="miniatures of Pléiades; SPOT not at all",
    ),
    Product("hyperion", "Hyperion L1T", ("EO1H*_B???_L1*.TIF",), "folder"),
    Product(
        "stac",
        "STAC items",
        ("*.json",),
        "item's .json, here or at https://",
        "names of assets, such as red,nir,swir16",
        "miniatures over HTTP; catalogues in the cloud not at all",
        elsewhere=True,
    ),
    Product("pace", "PACE OCI L2", ("*.nc",), "refused: pixels of 1.2 km", proven="-"),
)
HDF = (".he5", ".h5", ".nc")  # of products in HDF5
OWN_SUFFIXES = (".he5", ".h5", ".jp2", ".xml", *ARCHIVES)  # of products alone


def find_product(path: Path) -> Stored | None:
    """The opened product at a path, None where it is none that is known.

    Raises: InputError for a product that cannot be read.
    """
    real, part = split_part(path)
    try:
        version = changed(real)
    except (OSError, ValueError):  # which the reader of formats answers
        return None
    return _found(real, part, version)


def is_product_name(path: Path) -> bool:
    """Whether a file, a folder or an archive may be a product, before anything is opened.

    >>> is_product_name(Path("HLS.S30.T33UUU.2024168T101031.v2.0.B02.tif")), is_product_name(Path("sharp.tif"))
    (True, False)
    """
    return _several(path) or any(product.fits([path.name]) for product in PRODUCTS)


@lru_cache(maxsize=64)
def _fitting(path: Path, _version: int) -> list[Product]:
    """The products whose names fit that of a file, or of one in the folder or archive."""
    names = [name.rpartition("/")[2] for name in Files.around(path).names] if _several(path) else [path.name]
    return [product for product in PRODUCTS if product.fits(names)]


def seems_product(path: Path) -> bool:
    """Whether one seems to lie at a path, by the names of files in it alone."""
    real, _ = split_part(path)
    return real.exists() and any(not product.elsewhere for product in _fitting(real, changed(real)))


def _several(path: Path) -> bool:
    """Whether a path leads to several files."""
    return path.is_dir() or path.suffix.lower() in ARCHIVES


@lru_cache(maxsize=8)
def _found(path: Path, part: str | None, version: int) -> Stored | None:
    """Metadata are read once, however many windows are read of the pixels, until the file changes."""
    for product in _fitting(path, version):
        if (found := product.read(Files.around(path), part)) is not None:
            return found
    if part is not None or path.suffix.lower() in OWN_SUFFIXES:
        do = "unpack it and name the image in it" if path.suffix.lower() in ARCHIVES else "convert it"
        expected = "one of `hypersharp products`, as it was downloaded"
        raise InputError(f"no known product in {path}", expected, do)
    return None
