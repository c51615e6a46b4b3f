"""A STAC item (.json, here or at an https:// address): bands of one scene as GeoTIFFs elsewhere, read by windows.

Bands are the assets of one band that `eo:bands` (STAC 1.0) or `bands` (1.1) describe; their numbers mean what `raster:`
fields say, else the file. Items of Element 84 that say `earthsearch:boa_offset_applied` state an offset that is in the
numbers already. Masks: the assets scl (Sentinel-2), qa_pixel (Landsat), Fmask (HLS).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from hypersharp.errors import InputError, check_name
from hypersharp.products.files import Files
from hypersharp.products.landsat import FMASK, QA_PIXEL
from hypersharp.products.quality import Layer, unmasked
from hypersharp.products.rasters import Band, Rasters, opened_raster
from hypersharp.products.sentinel2 import scl_layers
from hypersharp.stored import Stored
from hypersharp.system.elsewhere import is_on_network, name_elsewhere
from hypersharp.system.read_errors import READ_ERRORS, reading, real_path

BITS = {"qa_pixel": QA_PIXEL, "fmask": FMASK}
SHOWN = {"visual", "overview", "thumbnail"}  # roles of assets that are pictures
REFLECTANCE = ("sentinel-2", "landsat", "hls")  # collections begin so
NUMBERS = ("scale", "offset", "nodata")


@dataclass(frozen=True)
class Asset:
    """A band of the item: its asset's name, GDAL's name of the file, centre and width (nm), size (m), what it says."""

    name: str
    path: str
    nm: float
    fwhm_nm: float | None
    size_m: float
    said: dict[str, Any]


def read(files: Files, part: str | None) -> Stored | None:
    """Open an item that was named; part: names of assets, by default those of the finest pixels."""
    if files.named is None or not files.named.lower().endswith(".json"):
        return None
    with reading(files.path, "a STAC item", *READ_ERRORS):
        item = json.loads(files.text(files.named))
        if not isinstance(item, dict) or item.get("type") != "Feature" or "stac_version" not in item:
            return None
        found = bands_of(files.path, item)
        if part is None:
            finest = min(asset.size_m for asset in found)
            chosen = sorted((asset for asset in found if asset.size_m == finest), key=lambda asset: asset.nm)
        else:
            known = {asset.name: asset for asset in found}
            for name in part.split(","):
                check_name(f"asset of {files.path.name}", name, known)
            chosen = [known[name] for name in part.split(",")]
        return opened(files.path, item, chosen)


def bands_of(path: Path, item: dict[str, Any]) -> list[Asset]:
    """The assets that are one band of light, GeoTIFF before JPEG 2000, each name of a band once."""
    found, seen = list[Asset](), set[str]()
    assets = sorted(item["assets"].items(), key=lambda pair: "geotiff" not in str(pair[1].get("type")).lower())
    for name, asset in assets:
        bands = asset.get("eo:bands") or asset.get("bands") or []
        centre = bands[0].get("center_wavelength", bands[0].get("eo:center_wavelength")) if len(bands) == 1 else None
        raster = "tiff" in str(asset.get("type")).lower() or "jp2" in str(asset.get("type")).lower()
        if centre is None or not raster or SHOWN & set(asset.get("roles", ())) or str(bands[0].get("name")) in seen:
            continue
        seen.add(str(bands[0].get("name")))
        width = bands[0].get("full_width_half_max", bands[0].get("eo:full_width_half_max"))
        said = {**bands[0], **asset, **(asset.get("raster:bands") or [{}])[0]}
        size = said.get("spatial_resolution", said.get("raster:spatial_resolution", said.get("gsd")))
        size = item.get("properties", {}).get("gsd") if size is None else size
        place = located(path, asset["href"])
        wide = None if width is None else 1000 * float(width)
        found.append(Asset(name, place, 1000 * float(centre), wide, float(size or 0), said))
    if not found:
        raise InputError(f"no band with a wavelength in {path}", "assets with eo:bands", "give the bands' own files")
    return found


def opened(path: Path, item: dict[str, Any], chosen: list[Asset]) -> Stored:
    properties, collection = item.get("properties", {}), str(item.get("collection", ""))
    finest = min(asset.size_m for asset in chosen) or 1.0
    scale, offset, nodata = numbers(chosen)
    applied = properties.get("earthsearch:boa_offset_applied") is True and any(offset)
    said = f"{collection or 'STAC item'} {item.get('id', '')}: value = {scale[0]:g} x number {offset[0]:+g}, by "
    said += "the item" if any("scale" in asset.said or "raster:scale" in asset.said for asset in chosen) else "the file"
    if applied:
        said = said.replace(f"{offset[0]:+g}", "+0") + ", whose numbers have its offset already, as it says"
        offset = [0.0] * len(chosen)
    bands = [Band(asset.path, factor=max(1, round((asset.size_m or finest) / finest))) for asset in chosen]
    layers = quality(path, item, finest)
    known = collection.startswith(REFLECTANCE)
    return Rasters(bands, nodata=nodata).stored(
        [(asset.nm, asset.fwhm_nm) for asset in chosen],
        layers,
        nodata=nodata,
        scale=np.array(scale),
        offset=np.array(offset),
        product=f"STAC item of {collection or 'no collection'}",
        unit="reflectance" if known else None,
        applied=(
            f"{said}, assets {' '.join(asset.name for asset in chosen)}",
            *unmasked(layers or not known, "quality asset"),
        ),
    )


def numbers(chosen: list[Asset]) -> tuple[list[float], list[float], float | None]:
    """Scale and offset of each asset, and the number for no data, by the item, else by the first file."""
    with opened_raster(chosen[0].path) as dataset:
        own = dataset.scales[0], dataset.offsets[0], dataset.nodata
    found = [
        [
            asset.said.get(name, asset.said.get(f"raster:{name}", default))
            for name, default in zip(NUMBERS, own, strict=True)
        ]
        for asset in chosen
    ]
    nodata = found[0][2]
    known = isinstance(nodata, int | float)
    return [float(row[0]) for row in found], [float(row[1]) for row in found], float(nodata) if known else None


def quality(path: Path, item: dict[str, Any], finest_m: float) -> list[Layer]:
    """The quality layers among the assets."""
    layers = list[Layer]()
    for name, asset in item["assets"].items():
        size = float(asset.get("gsd") or (asset.get("raster:bands") or [{}])[0].get("spatial_resolution") or 0)
        if name.lower() == "scl":
            layers += scl_layers(located(path, asset["href"]), max(1, round((size or 20) / finest_m)))
        elif (bits := BITS.get(name.lower())) is not None:
            layer = Rasters(
                [Band(located(path, asset["href"]), factor=max(1, round((size or 30) / finest_m)), smooth=False)]
            )
            layers.append(Layer(layer, bits, bits=True))
    return layers


def located(item: Path, href: str) -> str:
    """GDAL's name of a file that an item names. Raises: InputError for one here that lies outside its folder."""
    for named in (href, place := item.parent / href):
        if (name := name_elsewhere(named)) is not None and is_on_network(name):
            return name
    place = place if place.exists() else item.parent / unquote(href)
    if not real_path(place).is_relative_to(real_path(item.parent)):
        raise InputError(f"{href[:80]} in {item}", "files beside it, or addresses", "move them beside the item")
    return str(place)
