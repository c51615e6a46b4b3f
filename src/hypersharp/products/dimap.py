"""Pléiades 1A/1B and SPOT 6/7 of Airbus, orthorectified: DIM_*.XML (DIMAP 2) and the image that it names.

Radiance (W/(m2 sr um)) = number / GAIN + BIAS of each band; products of RADIOMETRIC_PROCESSING "REFLECTANCE" hold
reflectance times 10,000 (their Band_Reflectance says so), "DISPLAY" a picture. The order of bands in the file is that
of BAND_INDEX, red first. Layout: public readers of DIMAP; no product of the maker was at hand.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files, Xml
from hypersharp.products.rasters import Band, Rasters
from hypersharp.sensor.responses import bands_of
from hypersharp.stored import Stored

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAMES = {"B0": "blue", "B1": "green", "B2": "red", "B3": "nir", "P": "pan", "PAN": "pan"}
SENSORS = {"PHR": "pleiades-1a", "SPOT": "spot-6"}  # of one design with 1B, and with 7
TITLES = {"PHR": "Pléiades", "SPOT": "SPOT"}


def read(files: Files, _: str | None) -> Stored | None:
    """Open a folder or archive of one image, its DIM file, or the image."""
    named = files.named or ""
    stem = re.sub(r"^(?:IMG|DIM)_|_R\dC\d|\.\w+$", "", named, flags=re.IGNORECASE)
    name = files.one(f"DIM_{stem}*.XML" if stem else "DIM_*.XML", "image of Pléiades or SPOT with its DIM file")
    meta = files.xml(name)
    mission = meta.text("Source_Identification/MISSION", "").upper().partition(" ")[0]
    if mission not in SENSORS:
        return None
    return opened(files, meta, name.rpartition("/")[0], mission)


def opened(files: Files, meta: Xml, folder: str, mission: str) -> Stored:
    hrefs = [element.get("href", "") for element in meta.all("Data_File/DATA_FILE_PATH")]
    if len(hrefs) != 1:
        do = "make one of them: gdalbuildvrt and gdal_translate, or gdalwarp"
        raise InputError(f"{len(hrefs)} image files in {meta.path}", "one", do)
    image = str(PurePosixPath(folder) / hrefs[0])
    if image not in files.names:
        raise InputError(f"no {hrefs[0][:80]} beside {meta.path}", "the image that it names", "download it again")
    with meta.expected():
        order = [(int(child(row, "BAND_INDEX")), child(row, "BAND_ID")) for row in meta.all("Raster_Index")]
        bands = [(index, band) for index, band in order if band in NAMES]
        table = bands_of(SENSORS[mission]).bands
        rows = [table[NAMES[band]] for _, band in bands]
        kind = meta.text("RADIOMETRIC_PROCESSING", "BASIC").upper()
        factors = {
            child(row, "BAND_ID"): (float(child(row, "GAIN")), float(child(row, "BIAS")))
            for row in meta.all("Band_Reflectance" if kind == "REFLECTANCE" else "Band_Radiance")
        }
        empty = [
            child(row, "SPECIAL_VALUE_COUNT")
            for row in meta.all("Special_Value")
            if "NODATA" in " ".join(row.itertext())
        ]
        nodata = float(empty[0]) if empty else 0.0
    if not bands:
        raise InputError(f"no band that is known in {meta.path}", "B0 to B3, or P", "give the image by itself")
    usual = {band: (1e4, 0.0) for _, band in bands} if kind == "REFLECTANCE" else {}
    known = usual | factors
    title = f"{TITLES[mission]} {meta.text('Source_Identification/MISSION_INDEX', '')}".strip()
    if kind == "DISPLAY" or not all(band in known for _, band in bands):
        scale, offset, unit = [1.0] * len(bands), [0.0] * len(bands), None
        said = f"{title}: numbers of a picture, which may carry a tone curve: order BASIC or REFLECTANCE"
    else:
        scale, offset = [1 / known[band][0] for _, band in bands], [known[band][1] for _, band in bands]
        unit = "reflectance" if kind == "REFLECTANCE" else "radiance"
        said = f"{title}: {unit} at the sensor = number / gain + bias, as its DIM file says"
    return Rasters([Band(files.gdal(image), index) for index, _ in bands]).stored(
        rows, nodata=nodata, scale=np.array(scale), offset=np.array(offset), product=title, unit=unit, applied=(said,)
    )


def child(row: Element, tag: str) -> str:
    """The text of a child. Raises: AttributeError where there is none."""
    found = row.find(f"{{*}}{tag}")
    text: str = found.text.strip()  # type: ignore[union-attr]
    return text
