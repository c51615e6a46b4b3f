"""Landsat Collection 2 Level 2 of USGS, a GeoTIFF a band, and HLS v2 of NASA made of Landsat and Sentinel-2.

Landsat: reflectance = REFLECTANCE_MULT x number + REFLECTANCE_ADD, which only the MTL file says (0.0000275 and -0.2
in all of Collection 2); 0 is no data; bits of QA_PIXEL and QA_RADSAT. HLS: 0.0001 x number, -9999, bits of Fmask.
"""

from __future__ import annotations

import re

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files
from hypersharp.products.quality import Layer, unmasked
from hypersharp.products.rasters import Band, Rasters, opened_raster
from hypersharp.sensor.responses import bands_of
from hypersharp.stored import Stored

Reasons = dict[str, tuple[int, ...]]

QA_PIXEL: Reasons = {"near-cloud": (1,), "cirrus": (2,), "cloud": (3,), "shadow": (4,), "snow": (5,)}
FMASK: Reasons = {"cloud": (1,), "near-cloud": (2,), "shadow": (3,), "snow": (4,)}
RADSAT: Reasons = {"saturated": tuple(range(7))}
PARAMETERS = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"
USUAL = {"MULT": 2.75e-5, "ADD": -0.2}


def read(files: Files, _: str | None) -> Stored | None:
    """Open a folder or archive, its MTL file, or one band."""
    scene = (files.named or files.first("L???_L2S?_*_SR_B?.TIF", "HLS.?30.*.B??.tif") or "").rpartition("/")[2]
    if found := re.match(r"(L[COET]0\d)_L2S[PR]_\d{6}_\d{8}_\d{8}_02_\w\w", scene):
        return landsat(files, found[0], found[1])
    if found := re.match(r"HLS\.([SL])30\.T\w{5}\.\w{14}\.v2\.\d", scene):
        return hls(files, found[0], found[1])
    return None


def landsat(files: Files, scene: str, craft: str) -> Stored:
    sensor = {"5": "landsat-5", "7": "landsat-7", "9": "landsat-9"}.get(craft[-1], "landsat-8")
    bands = images_of(files, scene, sensor, "_SR_{}.TIF")
    name = files.first(*(f"{scene}_MTL.{end}" for end in ("json", "xml", "txt")))
    group = None if name is None else files.text(name).partition(PARAMETERS)[2].partition(PARAMETERS)[0]
    scale, offset = ([number(group, kind, band, name) for band in bands] for kind in ("MULT", "ADD"))
    layers = quality(files, {f"{scene}_QA_PIXEL.TIF": QA_PIXEL, f"{scene}_QA_RADSAT.TIF": RADSAT})
    where = "as its MTL file says" if name else "as in all of Collection 2"
    said = f"Landsat {craft[-1]} Collection 2: reflectance = {scale[0]:g} x number {offset[0]:+g}, {where}"
    return Rasters([Band(files.gdal(image)) for image in bands.values()]).stored(
        [bands_of(sensor).bands[band] for band in bands],
        layers,
        scale=np.array(scale),
        offset=np.array(offset),
        nodata=0,
        product=f"Landsat {craft[-1]} L2",
        unit="reflectance",
        applied=(f"{said}, bands {' '.join(bands)}", *unmasked(layers, "QA_PIXEL")),
    )


def hls(files: Files, scene: str, kind: str) -> Stored:
    sensor = "sentinel-2a" if kind == "S" else "landsat-8"
    bands = images_of(files, scene, sensor, ".{}.tif", digits=2)
    with opened_raster(files.gdal(next(iter(bands.values())))) as dataset:
        scale = dataset.scales[0] if dataset.scales[0] != 1 else 1e-4
    layers = quality(files, {f"{scene}.Fmask.tif": FMASK})
    said = f"HLS v2 {kind}30: reflectance = {scale:g} x number, bands {' '.join(bands)}"
    return Rasters([Band(files.gdal(image)) for image in bands.values()]).stored(
        [bands_of(sensor).bands[band] for band in bands],
        layers,
        scale=scale,
        nodata=-9999,
        product=f"HLS {kind}30",
        unit="reflectance",
        applied=(said, *unmasked(layers, "Fmask")),
    )


def images_of(files: Files, scene: str, sensor: str, ending: str, digits: int = 1) -> dict[str, str]:
    """The files of the usual bands of a sensor that are there, by band; of a band that was named, that one."""
    names = {
        band: files.first(scene + ending.format(band if band == "B8A" else f"B{band[1:]:0>{digits}}"))
        for band in bands_of(sensor).usual
    }
    found = {band: name for band, name in names.items() if name}
    if files.named in found.values():
        found = {band: name for band, name in found.items() if name == files.named}
    if not found:
        raise InputError(f"no band of {scene} in {files.path}", "its surface reflectance", "download the product again")
    return found


def quality(files: Files, layers: dict[str, Reasons]) -> list[Layer]:
    """The quality layers that are there, bits all."""
    names = {files.first(name): reasons for name, reasons in layers.items()}
    rasters = {Band(files.gdal(name), smooth=False): reasons for name, reasons in names.items() if name}
    return [Layer(Rasters([band]), reasons, bits=True) for band, reasons in rasters.items()]


def number(group: str | None, kind: str, band: str, name: str | None) -> float:
    """MULT or ADD of a band, in whichever form the MTL file of that name has; the usual one without it.

    Raises: InputError for a file that lacks it.
    """
    if group is None:
        return USUAL[kind]
    found = re.search(rf"REFLECTANCE_{kind}_BAND_{band[1:]}[^-\d]+(-?[\d.]+(?:[eE][-+]?\d+)?)", group)
    if found is None:
        raise InputError(f"no REFLECTANCE_{kind}_BAND_{band[1:]} in {name}", "a whole MTL file", "download it again")
    return float(found[1])
