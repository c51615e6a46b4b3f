"""Miniatures of satellite and airborne products over a `Landscape`, in the makers' layouts, as small as they go.

Names, axes, units, fill values and metadata are those that the makers' documents and public readers agree on.
"""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from product_scene import EPSG, SIDE_M, Landscape, disc, on_map

CLOUD = 0.8  # reflectance
S2 = {"B02": (492.4, 66, 10), "B03": (559.8, 36, 10), "B04": (664.6, 31, 10), "B08": (832.8, 106, 10)}
S2 |= {"B05": (704.1, 15, 20), "B11": (1613.7, 91, 20)}


def write_raster(path: Path, values: Any, place: Affine, nodata: float | None = None, **more: Any) -> Path:
    """A GeoTIFF or .jp2 of values (band, y, x) or (y, x)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = np.atleast_3d(values.T).T if values.ndim == 2 else values
    profile = {"count": len(planes), "height": planes.shape[1], "width": planes.shape[2], "dtype": planes.dtype}
    profile |= {"crs": EPSG, "transform": place} | ({} if nodata is None else {"nodata": nodata})
    jp2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
    with rasterio.open(path, "w", **(profile | (jp2 if path.suffix == ".jp2" else {"driver": "GTiff"}) | more)) as file:
        file.write(planes)
    for beside in path.parent.glob("*.aux.xml"):
        beside.unlink()
    return path


def tags(**texts: Any) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for tag, text in texts.items())


def enmap(folder: Path, land: Landscape) -> Path:
    """EnMAP L2A, 48 of its 224 bands; a cloud and its shadow, corners that were not seen, four empty bands."""
    name, side, place = (
        "ENMAP01-____L2A-DT0000000001_20240615T101500Z_001_V010402_20240616T000000Z",
        24,
        on_map(30, 345, 405),
    )
    nm = np.sort(np.r_[np.linspace(418, 993, 20), np.linspace(902, 2445, 28)])
    values = land.seen(place, (side, side), nm, 9.0)
    cloud = disc(30, (side, side), (510, 285), 60)
    values[:, cloud] = CLOUD
    numbers = np.round(values * 10000).astype("i2")
    numbers[:, np.tri(side, side, -18, dtype=bool)] = -32768
    empty = (nm > 1330) & (nm < 1420)
    numbers[empty] = -32768
    base = folder / name / name
    write_raster(Path(f"{base}-SPECTRAL_IMAGE.TIF"), numbers, place, -32768)
    for layer, flags in {
        "CLOUD": cloud,
        "CLOUDSHADOW": np.roll(cloud, (4, -3), (0, 1)),
        "HAZE": cloud & False,
        "SNOW": cloud & False,
    }.items():
        write_raster(Path(f"{base}-QL_QUALITY_{layer}.TIF"), flags.astype("u1"), place, 255)
    write_raster(Path(f"{base}-QL_VNIR.TIF"), np.zeros((3, side, side), "u1"), place)
    listed = "".join(
        f"<bandID>{tags(wavelengthCenterOfBand=w, FWHMOfBand=9.0, GainOfBand=0.0001, OffsetOfBand=0)}</bandID>"
        for w in nm
    )
    means = "".join(f"<bandID>{tags(mean=-1000000 if e else 0.2)}</bandID>" for e in empty)
    specific = tags(backgroundValue=-32768, bandCharacterisation=listed)
    meta = tags(base=tags(level="L2A"), specific=specific, product=tags(bandStatistics=means))
    Path(f"{base}-METADATA.XML").write_text(f"<level_X>{meta}</level_X>")
    return folder / name


def sentinel2(folder: Path, land: Landscape, baseline: str = "05.10") -> Path:
    """Sentinel-2 L2A in a SAFE folder, 1440 m wide; an offset since baseline 04.00; a cloud, an empty corner."""
    added = 1000 if baseline >= "04.00" else 0
    safe = folder / f"S2A_MSIL2A_20240616T101031_N{baseline.replace('.', '')}_R022_T33UUU_20240616T160612.SAFE"
    images = safe / "GRANULE/L2A_T33UUU_A046912_20240616T101029/IMG_DATA"
    order = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
    for band, (nm, width, size) in S2.items():
        n, place = SIDE_M // size, on_map(size)
        numbers = np.round(land.seen(place, (n, n), np.array([nm]), width)[0] * 10000 + added)
        cloud = disc(20, (SIDE_M // 20, SIDE_M // 20), (1150, 260), 110)
        numbers[np.kron(cloud, np.ones((20 // size, 20 // size), bool))] = CLOUD * 10000 + added
        numbers[disc(size, (n, n), (0, 0), 120)] = 0
        write_raster(images / f"R{size}m/T33UUU_20240616T101031_{band}_{size}m.jp2", numbers.astype("u2"), place)
    n = SIDE_M // 20
    classes = np.where(disc(20, (n, n), (1150, 260), 110), 9, 4).astype("u1")
    classes[disc(20, (n, n), (0, 0), 120)] = 0
    write_raster(images / "R20m/T33UUU_20240616T101031_SCL_20m.jp2", classes, on_map(20))
    spectral = "".join(f'<Spectral_Information bandId="{i}" physicalBand="{band}"/>' for i, band in enumerate(order))
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{-added}</BOA_ADD_OFFSET>' for i in range(13)) if added else ""
    info = tags(
        PROCESSING_LEVEL="Level-2A",
        PROCESSING_BASELINE=baseline,
        SPACECRAFT_NAME="Sentinel-2A",
        BOA_QUANTIFICATION_VALUE=10000,
    )
    root = 'n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd"'
    (safe / "MTD_MSIL2A.xml").write_text(f"<{root}>{info}{offsets}{spectral}</n1:Level-2A_User_Product>")
    return safe
