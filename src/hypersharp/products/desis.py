"""DESIS L2A of DLR: SPECTRAL_IMAGE as GeoTIFF, METADATA.xml, quality layers in the bands of QL_QUALITY-2.

Reflectance = gainOfBand x number + offsetOfBand. Layout: the importers of EnMAP-Box and ACOLITE.
"""

from __future__ import annotations

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files
from hypersharp.products.quality import Flags
from hypersharp.products.rasters import Band, Rasters, layers_of, opened_raster
from hypersharp.stored import Stored

QUALITY = {1: "shadow", 3: "snow", 4: "haze", 5: "haze", 6: "cloud", 7: "cloud"}  # bands; 2 land, 8 water
ENDS = ("-METADATA.XML", "-SPECTRAL_IMAGE.TIF", "-SPECTRAL_IMAGE.HDR")


def read(files: Files, _: str | None) -> Stored | None:
    """Open a product by its folder, archive, METADATA.xml, SPECTRAL_IMAGE.tif or .hdr."""
    named = (files.named or "").upper()
    base = next((named.removesuffix(end) for end in ENDS if named.endswith(end)), "DESIS-HSI-L*")
    meta = files.xml(files.one(f"{base}-METADATA.XML", "DESIS product"))
    image = files.one(f"{base}-SPECTRAL_IMAGE.TIF", "DESIS product")
    bands = "bandCharacterisation/band/"
    nm, fwhm = meta.numbers(f"{bands}wavelengthCenterOfBand"), meta.numbers(f"{bands}wavelengthWidthOfBand")
    gain, offset = meta.numbers(f"{bands}gainOfBand"), meta.numbers(f"{bands}offsetOfBand")
    path, quality = files.gdal(image), files.first(f"{base}-QL_QUALITY-2.TIF")
    with opened_raster(path) as dataset:
        count, nodata = dataset.count, dataset.nodata
    if {len(nm), len(fwhm), len(gain), len(offset)} != {count}:
        raise InputError(f"{len(nm)} bands in {meta.path}, {count} in {image}", "one product", "download it again")
    pixels = Rasters([Band(path, i + 1) for i in range(count)])
    layers = layers_of(files.gdal(quality), QUALITY, (1,)) if quality else []
    level = meta.text("processingLevel", "L2A")
    unit = "reflectance" if level.startswith("L2") else "radiance"
    return Stored(
        pixels,
        wavelengths_nm=nm,
        fwhm_nm=fwhm,
        crs=pixels.crs,
        transform=pixels.transform,
        nodata=float(meta.text("backgroundValue", "-32768")) if nodata is None else nodata,
        scale=np.array(gain),
        offset=np.array(offset),
        product=f"DESIS {level}",
        unit=unit,
        flags=Flags.of(layers),
        applied=(f"DESIS {level}: {unit} = {gain[0]:g} x number {offset[0]:+g}, as its METADATA.xml says",),
    )
