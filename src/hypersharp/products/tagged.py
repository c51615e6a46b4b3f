"""GeoTIFF whose meaning stands beside it: Planet surface reflectance, WorldView with its IMD, Wyvern with its tags."""

from __future__ import annotations

import re

import numpy as np

from hypersharp.errors import InputError
from hypersharp.products.files import Files
from hypersharp.products.quality import unmasked
from hypersharp.products.rasters import Band, Rasters, layers_of, opened_raster
from hypersharp.sensor.responses import bands_of
from hypersharp.stored import Stored

UDM2 = {2: "snow", 3: "shadow", 4: "haze", 5: "haze", 6: "cloud", 8: "unusable"}  # bands; 1 clear, 7 confidence
FOUR = ("blue", "green", "red", "nir")
WORLDVIEW = {"C": "coastal", "B": "blue", "G": "green", "Y": "yellow", "R": "red", "RE": "red-edge", "N": "nir1"}
WORLDVIEW |= {"N2": "nir2", "P": "pan"}


def read(files: Files, _: str | None) -> Stored | None:
    """Open an image by its own name, or that of the STAC item or IMD beside it."""
    named = files.named or files.first("*_SR*.tif", "wyvern_*.tif*", "*.IMD") or ""
    if re.match(r".*_3B_.*SR.*\.(tif|json|xml)$", named, re.IGNORECASE):
        return planet(files, re.sub(r"(_metadata)?\.\w+$", "", named))
    if named.lower().startswith("wyvern_"):
        return wyvern(files, named.rpartition(".")[0])
    imd = files.first(f"{named.rpartition('.')[0]}.IMD")
    return worldview(files, imd) if imd else None


def image_called(files: Files, stem: str) -> str:
    """The GeoTIFF of a name. Raises: InputError where there is none."""
    name = files.first(f"{stem}.tif", f"{stem}.tiff")
    if name is None:
        raise InputError(
            f"no {stem}.tif in {files.root}", "the image beside its metadata", "download the product again"
        )
    return name


def planet(files: Files, stem: str) -> Stored:
    """Surface reflectance of four or eight bands, times 10,000, 0 for no data."""
    name = image_called(files, stem)
    with opened_raster(files.gdal(name)) as dataset:
        described, count = [text or "" for text in dataset.descriptions], dataset.count
    table = bands_of("planet-superdove").bands
    names = described if all(text in table for text in described) else list(table) if count == 8 else list(FOUR)
    if len(names) != count:
        raise InputError(f"{count} bands in {name}", "Planet's 4 or 8", "name the analytic image")
    udm2 = files.first(f"{stem.partition('_3B_')[0]}_3B_udm2*.tif")
    layers = layers_of(files.gdal(udm2), UDM2, range(1, 256)) if udm2 else []
    return Rasters([Band(files.gdal(name), i + 1) for i in range(count)]).stored(
        [table[band] for band in names],
        layers,
        scale=1e-4,
        nodata=0.0,
        product="Planet SR",
        unit="reflectance",
        applied=("Planet surface reflectance = number / 10000", *unmasked(udm2, "UDM2")),
    )


def wyvern(files: Files, stem: str) -> Stored:
    """Radiance at the sensor, W/(m2 sr um), with centre and width as tags of each band."""
    name = image_called(files, stem)
    with opened_raster(files.gdal(name)) as dataset:
        tags = [{key.lower(): value for key, value in dataset.tags(band).items()} for band in dataset.indexes]
        nodata = dataset.nodata
    if not all("wavelength" in tag and "fwhm" in tag for tag in tags):
        raise InputError(f"bands without wavelength in {name}", "Wyvern's tags", "download the product again")
    nm = [(float(tag["wavelength"]), float(tag["fwhm"])) for tag in tags]
    said = ("Wyvern: radiance at the sensor, as it is stored",)
    bands = [Band(files.gdal(name), i + 1) for i in range(len(nm))]
    return Rasters(bands).stored(nm, nodata=nodata, product="Wyvern L1B", unit="radiance", applied=said)


def worldview(files: Files, imd: str) -> Stored | None:
    """Radiance at the sensor = number x absCalFactor / effectiveBandwidth of the IMD, W/(m2 sr um)."""
    text = files.text(imd)
    craft = re.search(r'satId = "(\w+)"', text)
    if craft is None:
        raise InputError(f"no satId in {imd}", "a whole IMD file", "download it again, or take it away")
    if craft[1] not in ("WV02", "WV03"):
        return None
    rows = re.findall(r"BEGIN_GROUP = BAND_(\w+)(.*?)END_GROUP", text, re.DOTALL)
    factors = [
        [re.search(rf"{key} = ([-+\d.eE]+)", row) for key in ("absCalFactor", "effectiveBandwidth")] for _, row in rows
    ]
    scale = [float(factor[1]) / float(width[1]) for factor, width in factors if factor and width]
    table = bands_of("worldview-3" if craft[1] == "WV03" else "worldview-2").bands
    nm = [table[WORLDVIEW[band]] for band, _ in rows if band in WORLDVIEW]
    if not nm or not len(nm) == len(rows) == len(scale):
        raise InputError(
            f"bands {' '.join(band for band, _ in rows) or 'none'} in {imd}", "those of WorldView", "check it"
        )
    name = image_called(files, imd.rpartition(".")[0])
    return Rasters([Band(files.gdal(name), i + 1) for i in range(len(nm))]).stored(
        nm,
        scale=np.array(scale),
        nodata=0.0,
        product=f"WorldView-{craft[1][-1]}",
        unit="radiance",
        applied=("WorldView: radiance at the sensor = number x absCalFactor / effectiveBandwidth, as its IMD says",),
    )
