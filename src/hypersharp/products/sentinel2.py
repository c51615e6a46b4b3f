"""Sentinel-2 L2A and L1C of ESA: a SAFE folder or its zip, MTD_MSI*.xml, or one band's .jp2.

Reflectance = (number + BOA_ADD_OFFSET) / BOA_QUANTIFICATION_VALUE (L1C: RADIO_ADD_OFFSET, QUANTIFICATION_VALUE); 0 is
no data. The offset came with processing baseline 04.00, in products since 25 January 2022 and in older ones processed
again, so it is taken from the metadata. Clouds: SCL (L2A) or MSK_CLASSI (L1C).
"""

from __future__ import annotations

import re

import numpy as np

from hypersharp.errors import InputError, check_name
from hypersharp.products.files import Files, Xml
from hypersharp.products.quality import Around, Layer, unmasked
from hypersharp.products.rasters import Band, Rasters
from hypersharp.sensor.responses import SRFS, bands_of
from hypersharp.stored import Stored

SIZES_M = {"B2": 10, "B3": 10, "B4": 10, "B8": 10, "B5": 20, "B6": 20, "B7": 20, "B8A": 20, "B11": 20, "B12": 20}
SIZES_M |= {"B1": 60, "B9": 60, "B10": 60}
SETS = {"10m": [band for band, size in SIZES_M.items() if size == 10]}
SETS["20m"] = [band for band, size in SIZES_M.items() if size <= 20]
SCL = {"saturated": (1,), "shadow": (3,), "cloud": (8, 9), "cirrus": (10,), "snow": (11,)}
EDGED = ("cloud", "shadow", "cirrus")  # whose edges reach beyond classes of 20 m: a pixel of these more is left out
CLASSI = {1: "cloud", 2: "cirrus", 3: "snow"}  # bands of the L1C mask
JP2 = re.compile(r".*_(B\d[\dA])(?:_\d\dm)?\.jp2$", re.IGNORECASE)
TOP = "L1C is reflectance at the top of the atmosphere, not at the surface"


def read(files: Files, part: str | None) -> Stored | None:
    """Open a product; part: its bands, as "B2,B3,B4,B11", "10m" (by default) or "20m" (these and those of 20 m)."""
    if files.named and (found := JP2.match(files.named)):
        whole = next((folder for folder in files.root.parents if next(folder.glob("MTD_MSIL*.xml"), None)), None)
        if whole is None:  # what its numbers mean is not known
            band = short(found[1])
            said = f"Sentinel-2 {band} outside its SAFE folder: number / 10000, without the offset it may need (-0.1)"
            return Rasters([Band(str(files.path))]).stored(
                [table("Sentinel-2A")[band]],
                nodata=0,
                scale=1e-4,
                product=f"Sentinel-2 {band}",
                unit="reflectance",
                applied=(said,),
            )
        files, part = Files.around(whole), part or found[1]
    files = Files.around(files.root) if files.named else files
    name = files.first("MTD_MSIL2A.xml", "MTD_MSIL1C.xml")
    if name is None:
        return None
    folder = name.rpartition("/")[0]
    return opened(files, files.xml(name), [other for other in files.names if other.startswith(folder)], part)


def opened(files: Files, meta: Xml, names: list[str], part: str | None) -> Stored:
    level, craft = meta.text("PROCESSING_LEVEL"), meta.text("SPACECRAFT_NAME", "Sentinel-2A")
    surface = level.startswith("Level-2A")
    order = {e.get("bandId"): e.get("physicalBand", "") for e in meta.all("Spectral_Information")}
    with meta.expected():
        divisor = float(meta.text("BOA_QUANTIFICATION_VALUE" if surface else "QUANTIFICATION_VALUE"))
        added = meta.all("BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET")
        offsets = {order[e.get("band_id")]: float(e.text or "") for e in added}
    bands = chosen(part)
    finest, rows = min(SIZES_M[band] for band in bands), list[Band]()
    for band in bands:  # each at its own resolution; of L1C there is just one
        long = band if len(band) == 3 else f"B0{band[1:]}"
        ends = (f"_{long}_{SIZES_M[band]}m.jp2", f"_{long}.jp2")
        images = [name for name in names if name.endswith(ends) and "IMG_DATA/" in name]
        if len(images) != 1:
            what = f"{len(images)} images of {band} beside {meta.path}"
            raise InputError(what, "one tile, whole", "download it again" if not images else "unpack one granule")
        rows.append(Band(files.gdal(images[0]), factor=SIZES_M[band] // finest))
    layers = quality(files, names, finest)
    shift = sorted({offsets.get(band, 0.0) for band in bands})
    said = f"{craft} {level}, baseline {meta.text('PROCESSING_BASELINE', 'unknown')}: reflectance = (number "
    said += f"{' or '.join(f'{value:+g}' for value in shift)}) / {divisor:g}, bands {' '.join(bands)} at {finest} m"
    wider = [
        f"{' '.join(band for band in bands if SIZES_M[band] == size)} from {size} m"
        for size in sorted({SIZES_M[band] for band in bands} - {finest})
    ]
    brought = (f"brought to {finest} m by linear interpolation: {', '.join(wider)}",) if wider else ()
    return Rasters(rows, nodata=0).stored(
        [table(craft)[band] for band in bands],
        layers,
        nodata=0,
        scale=1 / divisor,
        offset=np.array([offsets.get(band, 0.0) / divisor for band in bands]),
        product=f"{craft} {'L2A' if surface else 'L1C'}",
        unit="reflectance",
        applied=(said, *brought, *(() if surface else (TOP,)), *unmasked(layers, "SCL" if surface else "MSK_CLASSI")),
    )


def chosen(part: str | None) -> list[str]:
    """The bands of a part, in the order of their wavelengths where a set is meant."""
    if part in SETS or part is None:
        return sorted(SETS[part or "10m"], key=lambda band: table("Sentinel-2A")[band][0])
    bands = [short(name) for name in part.split(",")]
    for band in bands:
        check_name("band", band, SIZES_M)
    return bands


def short(name: str) -> str:
    """B04 -> B4, as ESA's metadata and the table of responses name bands."""
    return re.sub(r"^B0", "B", name.upper())


def quality(files: Files, names: list[str], finest: int) -> list[Layer]:
    """SCL of L2A, or the masks of L1C, as far as they are there."""
    sizes = [size for size in (20, 60) if size % finest == 0]
    scl = [(name, size) for size in sizes for name in names if name.endswith(f"_SCL_{size}m.jp2")]
    if scl:
        return scl_layers(files.gdal(scl[0][0]), scl[0][1] // finest)
    classi = [name for name in names if name.endswith("MSK_CLASSI_B00.jp2")]
    return [
        Layer(Rasters([Band(files.gdal(name), index, 60 // finest, smooth=False)]), {reason: (1,)})
        for name in classi
        for index, reason in CLASSI.items()
    ]


def scl_layers(path: str, factor: int) -> list[Layer]:
    """The classes of an SCL image whose pixels are `factor` times as wide as those of the bands, and their edges."""
    classes = Rasters([Band(path, factor=factor, smooth=False)])
    near = Around(classes, [value for reason in EDGED for value in SCL[reason]], max(1, factor))
    return [Layer(classes, SCL), Layer(near, {"near-cloud": (1,)})]


def table(craft: str) -> dict[str, tuple[float, float]]:
    """Centre and width (nm) of each band of a spacecraft."""
    return bands_of(craft.lower() if craft.lower() in SRFS else "sentinel-2a").bands
