"""Hyperion L1T of USGS: a GeoTIFF a band, radiance times 40 (bands 1 to 70) or 80, W/(m2 sr um).

Its wavelengths stand in no file: the two detectors' bands are 10.18 and 10.09 nm apart, from 355.59 and 851.92 nm on.
Calibrated are bands 8 to 57 and 77 to 224 (USGS, EO-1 user guide).
"""

from __future__ import annotations

import re

import numpy as np

from hypersharp.products.files import Files
from hypersharp.products.rasters import Band, Rasters
from hypersharp.stored import Stored

CALIBRATED = (*range(8, 58), *range(77, 225))
FIRST_OF_SWIR = 71
WIDTH_NM = 10.9


def read(files: Files, _: str | None) -> Stored | None:
    """Open a folder or archive."""
    found = {
        int(match[1]): name for name in files.names if (match := re.search(r"EO1H\w+_B(\d{3})_L1[TG]S?T?\.TIF$", name))
    }
    bands = sorted(CALIBRATED, key=centre_nm)
    chosen = [band for band in bands if band in found]
    if not chosen:
        return None
    return Rasters([Band(files.gdal(found[band])) for band in chosen]).stored(
        [(centre_nm(band), WIDTH_NM) for band in chosen],
        nodata=0.0,
        scale=np.array([1 / (40 if band < FIRST_OF_SWIR else 80) for band in chosen]),
        product="Hyperion L1T",
        unit="radiance",
        applied=(
            f"Hyperion: radiance = number / 40 or 80, {len(chosen)} of {len(found)} bands, those that are calibrated",
        ),
    )


def centre_nm(band: int) -> float:
    """The centre of a band by its number, to half a nanometre.

    >>> round(centre_nm(8)), round(centre_nm(57)), round(centre_nm(77)), round(centre_nm(224))
    (427, 925, 912, 2395)
    """
    return 355.59 + 10.1757 * (band - 1) if band < FIRST_OF_SWIR else 851.92 + 10.0868 * (band - FIRST_OF_SWIR)
