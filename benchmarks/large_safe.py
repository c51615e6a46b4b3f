"""A whole tile of Sentinel-2 and an EnMAP of 1000 x 1000 pixels, fused as they come: seconds, memory, PSNR.

    python benchmarks/large_safe.py DIR [--memory 4GB] [--method gsa]

writes a SAFE of 10,980 x 10,980 pixels and a product of EnMAP (1000 x 1000 pixels of 30 m, 224 bands) into DIR, where
they are not there yet, runs `hypersharp fuse` on the two paths, and prints a line of JSON. The ground is made of blocks
of 60 m of five materials. Memory as in `large_scene.py`; the PSNR is that of the first 256 rows of the result.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from large_scene import measure

from hypersharp.cube import transform_of
from hypersharp.io import open_cube
from hypersharp.system.build_info import commit, machine

product_files, product_scene = import_module("product_files"), import_module("product_scene")
SIDE, HS_SIDE, BANDS, BLOCK_PX = 10_980, 1000, 224, 6
LEFT, TOP, PIXEL_M, FWHM_NM = 300_000.0, 5_900_040.0, 10, 9.0
SAFE = "S2A_MSIL2A_20240616T101031_N0510_R022_T33UUU_20240616T160612.SAFE"
ENMAP = "ENMAP01-____L2A-DT0000000001_20240615T101500Z_001_V010402_20240616T000000Z"
NM = np.linspace(420, 2450, BANDS)
ROW = (SIDE - 3 * HS_SIDE) // 2 // BLOCK_PX * BLOCK_PX  # of the ms, where hs begins but for a pixel


def blocks() -> Any:
    """The material of each block of 60 m, (y, x)."""
    random, n = np.random.default_rng(0), SIDE // BLOCK_PX
    fields = random.integers(0, 5, (n // 8 + 1, n // 8 + 1)).repeat(8, 0).repeat(8, 1)[:n, :n]
    return np.where(random.random((n, n)) < 0.25, random.integers(0, 5, (n, n)), fields)


def reflectance(nm: float, width: float) -> Any:
    """Of the materials, (5,)."""
    grid = product_scene.GRID_NM
    weights = np.exp(-4 * np.log(2) * ((grid - nm) / width) ** 2)
    return product_scene.SPECTRA @ (weights / weights.sum())


def write_safe(safe: Path, materials: Any) -> None:
    images, tags = safe / "GRANULE/L2A_T33UUU_A046912_20240616T101029/IMG_DATA", product_files.tags
    place, options = Affine(PIXEL_M, 0, LEFT, 0, -PIXEL_M, TOP), {"BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024}
    for band in ("B02", "B03", "B04", "B08"):
        nm, width, _ = product_files.S2[band]
        numbers = np.round(reflectance(nm, width) * 10_000 + 1000).astype("u2")[materials]
        path = images / f"R10m/T33UUU_20240616T101031_{band}_10m.jp2"
        product_files.write_raster(path, numbers.repeat(BLOCK_PX, 0).repeat(BLOCK_PX, 1), place, **options)
    classes = np.full((SIDE // 2, SIDE // 2), 4, "u1")
    scl = images / "R20m/T33UUU_20240616T101031_SCL_20m.jp2"
    product_files.write_raster(scl, classes, place @ Affine.scale(2), **options)
    order = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
    bands = "".join(f'<Spectral_Information bandId="{i}" physicalBand="{band}"/>' for i, band in enumerate(order))
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(len(order)))
    known = {"PROCESSING_LEVEL": "Level-2A", "PROCESSING_BASELINE": "05.10", "SPACECRAFT_NAME": "Sentinel-2A"}
    words = tags(**known, BOA_QUANTIFICATION_VALUE=10_000)
    (safe / "MTD_MSIL2A.xml").write_text(f"<a>{words}{offsets}{bands}</a>")


def write_enmap(folder: Path, materials: Any) -> None:
    """Its pixels lie a pixel of the ms further down and right than three by three of those, with noise."""
    random, base, tags = np.random.default_rng(1), folder / folder.name, product_files.tags
    first, count = ROW // BLOCK_PX, HS_SIDE // 2 + 1
    own = materials[first : first + count, first : first + count].repeat(2, 0).repeat(2, 1)[:HS_SIDE, :HS_SIDE]
    below, right, both = np.roll(own, -1, 0), np.roll(own, -1, 1), np.roll(own, (-1, -1), (0, 1))
    corner = PIXEL_M * (ROW + 1)
    place = Affine(3 * PIXEL_M, 0, LEFT + corner, 0, -3 * PIXEL_M, TOP - corner)
    profile = {"driver": "GTiff", "width": HS_SIDE, "height": HS_SIDE, "count": BANDS, "dtype": "int16", "tiled": True}
    profile |= {"crs": product_scene.EPSG, "transform": place, "nodata": -32768, "bigtiff": "IF_SAFER"}
    folder.mkdir(parents=True)
    with rasterio.open(f"{base}-SPECTRAL_IMAGE.TIF", "w", interleave="band", **profile) as file:
        for band, nm in enumerate(NM, 1):
            values = reflectance(nm, FWHM_NM)
            mixed = (4 * values[own] + 2 * values[below] + 2 * values[right] + values[both]) / 9
            file.write(np.round(mixed * 10_000 + random.normal(0, 5, mixed.shape)).astype("i2"), band)
    for layer in ("CLOUD", "CLOUDSHADOW", "HAZE", "SNOW"):
        path = Path(f"{base}-QL_QUALITY_{layer}.TIF")
        product_files.write_raster(path, np.zeros((HS_SIDE, HS_SIDE), "u1"), place, 255)
    rows = (tags(wavelengthCenterOfBand=nm, FWHMOfBand=FWHM_NM, GainOfBand=1e-4, OffsetOfBand=0) for nm in NM)
    bands = tags(backgroundValue=-32768, bandCharacterisation="".join(f"<bandID>{row}</bandID>" for row in rows))
    means = tags(bandStatistics=f"<bandID>{tags(mean=0.2)}</bandID>" * BANDS)
    parts = tags(base=tags(level="L2A"), specific=bands, product=means)
    Path(f"{base}-METADATA.XML").write_text(f"<level_X>{parts}</level_X>")


def psnr_db(sharp: Path, materials: Any) -> float:
    """Of the first 256 rows against the ground."""
    found = open_cube(sharp, window=(0, 0, 256, open_cube(sharp, lazy=True).shape[2]))
    place = transform_of(found)
    assert place is not None
    rows = (round((TOP - place.f) / PIXEL_M) + np.arange(found.shape[1])) // BLOCK_PX
    columns = (round((place.c - LEFT) / PIXEL_M) + np.arange(found.shape[2])) // BLOCK_PX
    here = materials[rows[:, None], columns]
    squares = [
        np.nanmean((plane - reflectance(nm, FWHM_NM)[here]) ** 2) for plane, nm in zip(found.values, NM, strict=True)
    ]
    return float(-10 * np.log10(np.mean(squares)))


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("folder", type=Path)
    words.add_argument("--memory", default="4GB")
    words.add_argument("--method", default="gsa")
    given = words.parse_args()
    materials, safe, enmap = blocks(), given.folder / SAFE, given.folder / ENMAP
    if not (safe / "MTD_MSIL2A.xml").exists():
        write_safe(safe, materials)
    if not enmap.exists():
        write_enmap(enmap, materials)
    sharp = given.folder / "sharp.tif"
    options = ["--method", given.method, "--memory", given.memory, "--workers", "1"]
    row = measure([str(enmap), str(safe), "-o", str(sharp), *options])
    row |= {"psnr_db": round(psnr_db(sharp, materials), 2), "method": given.method, "memory": given.memory}
    print(json.dumps(row | {"commit": commit(), "machine": machine()}))


if __name__ == "__main__":
    main()
