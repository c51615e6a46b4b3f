"""EnMAP L2A of DLR: SPECTRAL_IMAGE as GeoTIFF, METADATA.XML, quality layers QL_QUALITY_*.

Reflectance = GainOfBand x number + OffsetOfBand. Bands of the two detectors interleave by wavelength. Layout: the
importers of EnMAP-Box and SNAP, and a qualification product of DLR.
"""

from __future__ import annotations

from hypersharp.errors import InputError
from hypersharp.products.dlr import Tags, spectral_image
from hypersharp.products.files import Files
from hypersharp.products.quality import Layer, unmasked
from hypersharp.products.rasters import Band, Rasters
from hypersharp.stored import Stored

ANY = tuple(range(1, 255))
LAYERS = {"CLOUD": "cloud", "CLOUDSHADOW": "shadow", "CIRRUS": "cirrus", "HAZE": "haze", "SNOW": "snow"}
TAGS = Tags(
    "EnMAP",
    "bandCharacterisation/bandID",
    "wavelengthCenterOfBand",
    "FWHMOfBand",
    "GainOfBand",
    "OffsetOfBand",
    "level",
    "specific/backgroundValue",
)
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
    means = meta.numbers("bandStatistics/bandID/mean")
    layers = [
        Layer(Rasters([Band(files.gdal(found), smooth=False)]), {reason: ANY})
        for name, reason in LAYERS.items()
        if (found := files.first(f"{pattern}QL_QUALITY_{name}.TIF", f"{pattern}QL_QUALITY_{name}_COG.TIF*"))
    ]
    bands = len(meta.all(f"{TAGS.bands}/{TAGS.centre}"))
    full = [mean > EMPTY for mean in means] if len(means) == bands else None
    words = unmasked("cloud" in {reason for layer in layers for reason in layer.reasons}, "QL_QUALITY_CLOUD")
    return spectral_image(files, meta, image, TAGS, layers, words=words, full=full)
