"""EnMAP L2A and DESIS L2A of DLR: SPECTRAL_IMAGE as GeoTIFF, METADATA.xml that says what its numbers mean, QL_QUALITY.

Reflectance = gain x number + offset of each band. EnMAP: the bands of its two detectors interleave by wavelength; the
quality layers are QL_QUALITY_*. DESIS: they are bands of QL_QUALITY-2. Layout: the importers of EnMAP-Box, SNAP and
ACOLITE, and a qualification product of DLR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files, Xml
from hypersharp.products.quality import Layer, unmasked
from hypersharp.products.rasters import Band, Rasters, layers_of, opened_raster
from hypersharp.stored import Stored

ANY = tuple(range(1, 255))
ENMAP_LAYERS = {"CLOUD": "cloud", "CLOUDSHADOW": "shadow", "CIRRUS": "cirrus", "HAZE": "haze", "SNOW": "snow"}
EMPTY = -1e5  # the mean of a band that holds nothing is -1000000
DESIS_LAYERS = {1: "shadow", 3: "snow", 4: "haze", 5: "haze", 6: "cloud", 7: "cloud"}  # bands; 2 land, 8 water
DESIS_ENDS = ("-METADATA.XML", "-SPECTRAL_IMAGE.TIF", "-SPECTRAL_IMAGE.HDR")


@dataclass(frozen=True)
class Tags:
    """What the XML of a product called `name` calls things: the element of a band, what that says of it, and others."""

    name: str
    bands: str
    centre: str
    width: str
    gain: str
    offset: str
    level: str
    background: str


ENMAP = Tags(
    "EnMAP",
    "bandCharacterisation/bandID",
    "wavelengthCenterOfBand",
    "FWHMOfBand",
    "GainOfBand",
    "OffsetOfBand",
    "level",
    "specific/backgroundValue",
)
DESIS = Tags(
    "DESIS",
    "bandCharacterisation/band",
    "wavelengthCenterOfBand",
    "wavelengthWidthOfBand",
    "gainOfBand",
    "offsetOfBand",
    "processingLevel",
    "backgroundValue",
)


def read(files: Files, _: str | None) -> Stored | None:
    """Open a product by its folder, archive, METADATA.xml, SPECTRAL_IMAGE.tif or, of DESIS, .hdr."""
    named = files.named or files.first("ENMAP*METADATA.XML", "ENMAP*SPECTRAL_IMAGE*.TIF*") or ""
    return enmap(files) if named.rpartition("/")[2].upper().startswith("ENMAP") else desis(files)


def enmap(files: Files) -> Stored:
    """EnMAP, a quality layer a file."""
    named = (files.named or "").upper()
    pattern = f"{named.partition('-SPECTRAL_IMAGE')[0].partition('-METADATA.XML')[0] or 'ENMAP*L2A'}*"
    meta = files.xml(files.one(f"{pattern}METADATA.XML", "EnMAP product"))
    image = files.first(*(f"{pattern}SPECTRAL_IMAGE{end}" for end in (".TIF", ".TIFF", "_COG.TIF*")))
    if image is None:
        raise InputError(f"no SPECTRAL_IMAGE.TIF beside {meta.path}", "a whole EnMAP product", "download it again")
    means = meta.numbers("bandStatistics/bandID/mean")
    layers = [
        Layer(Rasters([Band(files.gdal(found), smooth=False)]), {reason: ANY})
        for name, reason in ENMAP_LAYERS.items()
        if (found := files.first(f"{pattern}QL_QUALITY_{name}.TIF", f"{pattern}QL_QUALITY_{name}_COG.TIF*"))
    ]
    bands = len(meta.all(f"{ENMAP.bands}/{ENMAP.centre}"))
    full = [mean > EMPTY for mean in means] if len(means) == bands else None
    words = unmasked("cloud" in {reason for layer in layers for reason in layer.reasons}, "QL_QUALITY_CLOUD")
    return spectral_image(files, meta, image, ENMAP, layers, words=words, full=full)


def desis(files: Files) -> Stored:
    """DESIS, its quality layers in the bands of one file."""
    named = (files.named or "").upper()
    base = next((named.removesuffix(end) for end in DESIS_ENDS if named.endswith(end)), "DESIS-HSI-L*")
    meta = files.xml(files.one(f"{base}-METADATA.XML", "DESIS product"))
    image = files.one(f"{base}-SPECTRAL_IMAGE.TIF", "DESIS product")
    quality = files.first(f"{base}-QL_QUALITY-2.TIF")
    layers = layers_of(files.gdal(quality), DESIS_LAYERS, (1,)) if quality else []
    return spectral_image(files, meta, image, DESIS, layers, words=unmasked(quality, "QL_QUALITY-2"))


def spectral_image(
    files: Files,
    meta: Xml,
    image: str,
    tags: Tags,
    layers: Sequence[Layer],
    *,
    words: tuple[str, ...],
    full: Sequence[bool] | None = None,
) -> Stored:
    """The image by its XML; words: more that is said; full: which bands hold something.

    Raises: InputError for metadata of another number of bands.
    """
    nm, fwhm, gain, offset = (
        meta.numbers(f"{tags.bands}/{tag}") for tag in (tags.centre, tags.width, tags.gain, tags.offset)
    )
    path = files.gdal(image)
    with opened_raster(path) as dataset:
        count, nodata = dataset.count, dataset.nodata
    if {len(nm), len(fwhm), len(gain), len(offset)} != {count}:
        raise InputError(f"{len(nm)} bands in {meta.path}, {count} in {image}", "one product", "download it again")
    level = meta.text(tags.level, "L2A").upper()
    unit = "reflectance" if level.startswith("L2") else "radiance"
    source = meta.path.name.rpartition("-")[2]
    said = [f"{tags.name} {level}: {unit} = {gain[0]:g} x number {offset[0]:+g}, as its {source} says"]
    if full is not None and not all(full):
        said.append(f"{list(full).count(False)} of {count} bands hold nothing, by its statistics")
    return Rasters([Band(path, i + 1) for i in range(count)]).stored(
        list(zip(nm, fwhm, strict=True)),
        layers,
        good_bands=full,
        nodata=float(meta.text(tags.background, "-32768")) if nodata is None else nodata,
        scale=np.array(gain),
        offset=np.array(offset),
        product=f"{tags.name} {level}",
        unit=unit,
        applied=(*said, *words),
    )
