"""A product of DLR (EnMAP, DESIS): a GeoTIFF of many bands, and an XML file that says what its numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files, Xml
from hypersharp.products.quality import Layer
from hypersharp.products.rasters import Band, Rasters, opened_raster
from hypersharp.stored import Stored


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
        layers,
        wavelengths_nm=nm,
        fwhm_nm=fwhm,
        good_bands=full,
        nodata=float(meta.text(tags.background, "-32768")) if nodata is None else nodata,
        scale=np.array(gain),
        offset=np.array(offset),
        product=f"{tags.name} {level}",
        unit=unit,
        applied=(*said, *words),
    )
