"""The demo: sharpen a real airborne scene that comes with a dependency, score it, draw it.

Scene: AVIRIS over Indian Pines, Indiana, 12 June 1992 (Baumgardner, Biehl, Landgrebe, "220 Band AVIRIS
Hyperspectral Image Data Set", Purdue University Research Repository, doi:10.4231/R7RX991C), 145 x 145
pixels of 20 m, in the 200-band form that the package tensorly carries. Digital numbers are
500 x radiance + 1000.

Wavelengths: the first 31 bands are AVIRIS's first spectrometer. Their centres, 400.0 to 696.5 nm, are
given by CENTRES_NM to within about 0.2 nm; band 32 is the second spectrometer's first at 686.9 nm, so
the 31 are also the channels that lie nearest to 400, 410, ..., 700 nm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.bench.files import save_figure, save_together
from hypersharp.bench.protocols import find_protocol, simulate_pair
from hypersharp.bench.score import score_cubes
from hypersharp.cube import make_cube
from hypersharp.errors import MissingExtraError
from hypersharp.methods import fuse
from hypersharp.plots import comparison_figure

BANDS = np.arange(31)
CENTRES_NM = 400.02 + 9.80 * BANDS + 0.00276 * BANDS**2
FWHM_NM = 9.8
SIDE_PX = 144  # the largest multiple of 4 and 16 in 145
PIXEL_M = 20.0
DN_OFFSET, DN_PER_RADIANCE = 1000.0, 500.0
FULL_SCALE_QUANTILE = 0.999
PROTOCOL = "dian-x4"
METHODS = ("ssjcn", "bicubic")
PIXELS = ((20, 30), (70, 110), (118, 56))  # y, x of the three spectra


@dataclass(frozen=True)
class DemoResult:
    """Method -> (PSNR dB, SSIM, SAM degrees, ERGAS, seconds), and the files written."""

    scores: dict[str, tuple[float, float, float, float, float]]
    notes: str
    paths: list[Path]


def load_indian_pines() -> xr.DataArray:
    """The scene as radiance scaled to about 0..1, (31, 144, 144), on a plain grid of 20 m pixels.

    The affine has its origin at the scene's corner and there is no CRS, for the scene's place is not in the data.
    Raises: MissingExtraError without tensorly or a geo library.
    """
    try:
        from affine import Affine
        from tensorly import datasets
    except ImportError as exc:
        raise MissingExtraError("the demo", "demo") from exc
    file = Path(datasets.__file__).parent / "data" / "Indian_pines_corrected.npy"
    numbers = np.load(file)[:SIDE_PX, :SIDE_PX, : len(BANDS)].transpose(2, 0, 1)
    radiance = np.clip((numbers.astype(np.float32) - DN_OFFSET) / DN_PER_RADIANCE, 0, None)
    values = radiance / np.float32(np.quantile(radiance, FULL_SCALE_QUANTILE))
    affine = Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, SIDE_PX * PIXEL_M)
    fwhm_nm = np.full(len(BANDS), FWHM_NM)
    return make_cube(np.clip(values, 0, 1), wavelengths_nm=CENTRES_NM, fwhm_nm=fwhm_nm, transform=affine)


def run_demo(
    out_dir: Path, *, device: str = "auto", progress: Callable[[float], None] = lambda _: None
) -> DemoResult:
    """Simulate a pair, sharpen it with every method of METHODS, write GeoTIFFs and demo.png into out_dir.

    Raises: MissingExtraError, OutputError.
    """
    hs, ms, truth = simulate_pair(load_indian_pines(), find_protocol(PROTOCOL).sensor())
    estimates, scores = {}, {}
    for number, method in enumerate(METHODS):
        started = perf_counter()
        estimates[method] = fuse(hs, ms, method=method, device=device, scale=1.0)
        scores[method] = (*score(estimates[method], truth), perf_counter() - started)
        progress((number + 1) / (len(METHODS) + 1))
    cubes = {
        "hs": hs,
        "ms": ms,
        "truth": truth,
        **{f"sharp_{name}": cube for name, cube in estimates.items()},
    }
    paths = save_together(cubes, out_dir, "tif")
    figure = comparison_figure(hs, ms, estimates, truth, PIXELS)
    paths.append(save_figure(figure, out_dir / "demo.png"))
    return DemoResult(scores, str(estimates[METHODS[0]].attrs.get("hypersharp", "")), paths)


def score(estimate: xr.DataArray, truth: xr.DataArray) -> tuple[Any, Any, Any, Any]:
    """PSNR, SSIM, SAM and ERGAS in the protocol's own preset."""
    scores = score_cubes(estimate, truth, ratio=4, preset=find_protocol(PROTOCOL).preset, peak=1.0)
    return scores.psnr_db, scores.ssim, scores.sam_deg, scores.ergas
