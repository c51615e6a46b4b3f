"""Products fused as they come, on twenty landscapes: miniatures of EnMAP, PRISMA, EMIT with Sentinel-2, and the truth.

    python benchmarks/products.py ROWS.jsonl [--seeds 20] [--methods gsa,auto]

appends a row a pair, seed and method to ROWS.jsonl, skips what is there, and prints a table of all rows: PSNR of
reflectance over all pixels and bands that the result has, how far above bicubic, and how far off its place the result
lies (fine pixels, the shift that explains most of what is left to the truth). The miniatures are those of the tests;
"bent" is a swath on no plane, placed by its longitudes and latitudes; "pan" is such a one with its own pan image, where
the result stays along the orbit.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hypersharp.cube import transform_of
from hypersharp.fusion.fuse import fuse_images
from hypersharp.io.image import Image
from hypersharp.pair.options import Options
from hypersharp.system.build_info import commit

product_files, product_scene = import_module("product_files"), import_module("product_scene")
PAIRS = {
    "enmap": "enmap",
    "prisma": "prisma",
    "emit": "emit",
    "emit-bent": "emit bent",
    "prisma-bent": "prisma L2C bent",
    "prisma-pan": "prisma L2C bent",
}
ASKED_DB = {"enmap": 30, "prisma": 33, "emit": 30, "emit-bent": 30, "prisma-bent": 33, "prisma-pan": 0}
ABOVE_BICUBIC_DB = dict.fromkeys(PAIRS, 8) | {"prisma-pan": 0}  # of one band, nothing but the place is asked
OFF_PX = 0.1


def seen_again(sharp: xr.DataArray, land: Any) -> Any:
    """The truth on the grid of a result, or along the orbit of the bent swath, at the pixels of PRISMA's pan."""
    place, ground = transform_of(sharp), None
    if place is None:
        place, ground = product_scene.in_orbit(30, 24) @ Affine.scale(1 / 6), product_scene.swaying
    return land.seen(place, sharp.shape[1:], sharp.wavelength.values, sharp.fwhm.values, ground)


def psnr_db(sharp: xr.DataArray, truth: Any) -> float:
    """Of reflectance, its peak 1, where the result has values."""
    return float(-10 * np.log10(np.nanmean((sharp.values - truth) ** 2)))


def off_px(sharp: xr.DataArray, truth: Any) -> float:
    """The length of the shift d that fits sharp - truth = -gradient(truth) . d best, over all bands."""
    left, slopes = sharp.values - truth, np.stack(np.gradient(truth, axis=(1, 2)))
    there = np.isfinite(left) & np.isfinite(slopes).all(0)
    found = np.linalg.lstsq(slopes[:, there].T, -left[there], rcond=None)[0]
    return float(np.hypot(*found))


def rows_of(seed: int, methods: list[str], known: set[tuple[str, int, str]]) -> Any:
    """A row a pair and method of one landscape that is not known yet."""
    land, folder = product_scene.Landscape(seed), Path(tempfile.mkdtemp())
    ms = Image(product_files.sentinel2(folder, land))
    for name, words in PAIRS.items():
        wanted = [method for method in ("bicubic", *methods) if (name, seed, method) not in known]
        if wanted:
            product, *options = words.split()
            (folder / name).mkdir()
            hs = Image(getattr(product_files, product)(folder / name, land, *options))
        for method in wanted:
            started = time.process_time()
            fine = Image(Path(f"{hs.path}:pan")) if name.endswith("-pan") else ms
            sharp, _ = fuse_images(hs, fine, method=method, options=Options())
            truth = seen_again(sharp, land)
            yield {
                "pair": name,
                "seed": seed,
                "method": method,
                "psnr_db": round(psnr_db(sharp, truth), 2),
                "off_px": round(off_px(sharp, truth), 3),
                "cpu_s": round(time.process_time() - started, 1),
                "commit": commit(),
            }


def table(rows: list[dict[str, Any]]) -> str:
    """A line a pair and method: how many landscapes, PSNR least and mean, gain over bicubic, and how far off."""
    plain = {(row["pair"], row["seed"]): row["psnr_db"] for row in rows if row["method"] == "bicubic"}
    lines = [
        f"{'pair':12} {'method':8} landscapes  PSNR dB: least  mean  over bicubic: least  mean  off px: most  asked"
    ]
    for name in PAIRS:
        for method in dict.fromkeys(row["method"] for row in rows if row["method"] != "bicubic"):
            own = [row for row in rows if (row["pair"], row["method"]) == (name, method)]
            if own:
                found = np.array([row["psnr_db"] for row in own])
                gains = found - np.array([plain[name, row["seed"]] for row in own])
                off = max(row["off_px"] for row in own)
                held = found.min() >= ASKED_DB[name] and gains.min() >= ABOVE_BICUBIC_DB[name] and off <= OFF_PX
                lines.append(
                    f"{name:12} {method:8} {len(own):10}  {found.min():14.2f} {found.mean():5.2f}  "
                    f"{gains.min():19.2f} {gains.mean():5.2f}  {off:12.3f}  {'held' if held else 'missed'}"
                )
    return "\n".join(lines)


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("rows", type=Path)
    words.add_argument("--seeds", type=int, default=20)
    words.add_argument("--methods", default="gsa,auto")
    given = words.parse_args()
    rows = [json.loads(line) for line in given.rows.read_text().splitlines()] if given.rows.exists() else []
    warnings.simplefilter("ignore")
    for seed in range(given.seeds):
        known = {(row["pair"], row["seed"], row["method"]) for row in rows}
        for row in rows_of(seed, given.methods.split(","), known):
            rows.append(row)
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
