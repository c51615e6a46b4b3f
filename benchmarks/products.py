"""Products fused as they come, on twenty landscapes: miniatures of EnMAP, PRISMA, EMIT with Sentinel-2, and the truth.

    python benchmarks/products.py [FIRST LAST] [METHOD ..]

prints a line a pair, seed and method: PSNR of reflectance over all pixels and bands that the result has, and how far
above bicubic. The miniatures are those of the tests.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hypersharp.cube import transform_of
from hypersharp.fusion.fuse import fuse_images
from hypersharp.io.image import Image
from hypersharp.pair.options import Options

product_files, product_scene = import_module("product_files"), import_module("product_scene")
PAIRS = ("enmap", "prisma", "emit")


def psnr_db(sharp: xr.DataArray, land: Any) -> float:
    """Of reflectance, its peak 1, where the result has values."""
    place = transform_of(sharp)
    assert place is not None
    truth = land.seen(place, sharp.shape[1:], sharp.wavelength.values, sharp.fwhm.values)
    return float(-10 * np.log10(np.nanmean((sharp.values - truth) ** 2)))


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()] or [0, 19]
    methods = [word for word in sys.argv[1:] if not word.isdigit()] or ["auto"]
    for seed in range(numbers[0], numbers[-1] + 1):
        land, folder = product_scene.Landscape(seed), Path(tempfile.mkdtemp())
        ms = Image(product_files.sentinel2(folder, land))
        for name in PAIRS:
            hs = Image(getattr(product_files, name)(folder, land))
            plain, *others = (
                psnr_db(fuse_images(hs, ms, method=method, options=Options())[0], land)
                for method in ("bicubic", *methods)
            )
            for method, found in zip(methods, others, strict=True):
                print(f"{name} seed {seed} {method}: {found:.2f} dB, {found - plain:+.2f} dB over bicubic", flush=True)


if __name__ == "__main__":
    main()
