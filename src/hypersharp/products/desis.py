"""DESIS L2A of DLR: SPECTRAL_IMAGE as GeoTIFF, METADATA.xml, quality layers in the bands of QL_QUALITY-2.

Reflectance = gainOfBand x number + offsetOfBand. Layout: the importers of EnMAP-Box and ACOLITE.
"""

from __future__ import annotations

from hypersharp.products.dlr import Tags, spectral_image
from hypersharp.products.files import Files
from hypersharp.products.quality import unmasked
from hypersharp.products.rasters import layers_of
from hypersharp.stored import Stored

QUALITY = {1: "shadow", 3: "snow", 4: "haze", 5: "haze", 6: "cloud", 7: "cloud"}  # bands; 2 land, 8 water
TAGS = Tags(
    "DESIS",
    "bandCharacterisation/band",
    "wavelengthCenterOfBand",
    "wavelengthWidthOfBand",
    "gainOfBand",
    "offsetOfBand",
    "processingLevel",
    "backgroundValue",
)
ENDS = ("-METADATA.XML", "-SPECTRAL_IMAGE.TIF", "-SPECTRAL_IMAGE.HDR")


def read(files: Files, _: str | None) -> Stored | None:
    """Open a product by its folder, archive, METADATA.xml, SPECTRAL_IMAGE.tif or .hdr."""
    named = (files.named or "").upper()
    base = next((named.removesuffix(end) for end in ENDS if named.endswith(end)), "DESIS-HSI-L*")
    meta = files.xml(files.one(f"{base}-METADATA.XML", "DESIS product"))
    image = files.one(f"{base}-SPECTRAL_IMAGE.TIF", "DESIS product")
    quality = files.first(f"{base}-QL_QUALITY-2.TIF")
    layers = layers_of(files.gdal(quality), QUALITY, (1,)) if quality else []
    return spectral_image(files, meta, image, TAGS, layers, words=unmasked(quality, "QL_QUALITY-2"))
