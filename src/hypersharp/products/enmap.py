"""EnMAP L2A of DLR: SPECTRAL_IMAGE as GeoTIFF, METADATA.XML, quality layers QL_QUALITY_*.

Reflectance = GainOfBand x number + OffsetOfBand. Bands of the two detectors interleave by wavelength. Layout: the
importers of EnMAP-Box and SNAP, and a qualification product of DLR.
"""

from __future__ import annotations

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files, Xml
from hypersharp.products.quality import Flags, Layer
from hypersharp.products.rasters import Band, Rasters, opened_raster
from hypersharp.stored import Stored

ANY = tuple(range(1, 255))
LAYERS = {"CLOUD": "cloud", "CLOUDSHADOW": "shadow", "CIRRUS": "cirrus", "HAZE": "haze", "SNOW": "snow"}
EMPTY = -1e5  # the mean of a band that holds nothing is -1000000


def read(files: Files, _: str | None) -> Stored | None:
    """Open a product by its folder, archive, METADATA.XML or SPECTRAL_IMAGE."""
    named = (files.named or "").upper()
    base = named.partition("-SPECTRAL_IMAGE")[0].partition("-METADATA.XML")[0] if named.startswith("ENMAP") else ""
    if files.named and not base:
        return None
    pattern = f"{base or 'ENMAP*L2A'}*"
    meta = files.xml(files.one(f"{pattern}METADATA.XML", "EnMAP product"))
    image = files.first(*(f"{pattern}SPECTRAL_IMAGE{end}" for end in (".TIF", ".TIFF", "_COG.TIF*")))
    if image is None:
        raise InputError(f"no SPECTRAL_IMAGE.TIF beside {meta.path}", "a whole EnMAP product", "download it again")
    return opened(files, meta, image, pattern)


def opened(files: Files, meta: Xml, image: str, pattern: str) -> Stored:
    bands = "bandCharacterisation/bandID/"
    nm, fwhm = meta.numbers(f"{bands}wavelengthCenterOfBand"), meta.numbers(f"{bands}FWHMOfBand")
    gain, offset = meta.numbers(f"{bands}GainOfBand"), meta.numbers(f"{bands}OffsetOfBand")
    means = meta.numbers("bandStatistics/bandID/mean")
    path = files.gdal(image)
    with opened_raster(path) as dataset:
        count, nodata = dataset.count, dataset.nodata
    if {len(nm), len(fwhm), len(gain), len(offset)} != {count}:
        raise InputError(f"{len(nm)} bands in {meta.path}, {count} in {image}", "one product", "download it again")
    layers = [
        Layer(Rasters([Band(files.gdal(found), smooth=False)]), {reason: ANY})
        for name, reason in LAYERS.items()
        if (found := files.first(f"{pattern}QL_QUALITY_{name}.TIF", f"{pattern}QL_QUALITY_{name}_COG.TIF*"))
    ]
    pixels = Rasters([Band(path, i + 1) for i in range(count)])
    full = [mean > EMPTY for mean in means] if len(means) == count else None
    level = meta.text("level", "L2A").upper()
    unit = "reflectance" if level.startswith("L2") else "radiance"
    said = [f"EnMAP {level}: {unit} = {gain[0]:g} x number {offset[0]:+g}, as its METADATA.XML says"]
    if full is not None and not all(full):
        said.append(f"{full.count(False)} of {count} bands hold nothing, by its statistics")
    return Stored(
        pixels,
        wavelengths_nm=nm,
        fwhm_nm=fwhm,
        good_bands=full,
        crs=pixels.crs,
        transform=pixels.transform,
        nodata=float(meta.text("specific/backgroundValue", "-32768")) if nodata is None else nodata,
        scale=np.array(gain),
        offset=np.array(offset),
        product=f"EnMAP {level}",
        unit=unit,
        flags=Flags.of(layers),
        applied=tuple(said),
    )
