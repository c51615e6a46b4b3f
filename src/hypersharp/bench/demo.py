"""The demo: sharpen a real airborne scene that comes with a dependency, score it, draw it. Twice.

First as the trained network knows it: its own blur, response and ratio, without noise. Then as satellites would see it,
a pair of which nothing is told (`satellite_pair`), sharpened blind by `auto`.

It is AVIRIS over Indian Pines, Indiana, 12 June 1992 (Baumgardner, Biehl, Landgrebe, "220 Band AVIRIS Hyperspectral
Image Data Set", Purdue University Research Repository, doi:10.4231/R7RX991C): 145 x 145 pixels of 20 m, in the 200-band
form that the package tensorly carries. Numbers are 500 x radiance + 1000.

Wavelengths: the first 31 bands are AVIRIS's first spectrometer. CENTRES_NM gives their centres, 400.0 to
696.5 nm, to within about 0.2 nm; band 32 is the second spectrometer's first, at 686.9 nm, so these 31 are
also the channels that lie nearest to 400, 410, ..., 700 nm.

Damage: in tensorly's file every byte 13 (a carriage return) has become 10 (a line feed), as a transfer in
text mode does. A number whose upper byte was 13 (3328 to 3583) so reads 3 x 256 too low, which only its
spectrum shows; `undo_newline_damage` repairs that. A lower byte that was 13 stays 3 too low, 0.006 units
of radiance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import leave_out, make_cube
from hypersharp.errors import needs
from hypersharp.fusion.fuse import fuse
from hypersharp.io.image import Image
from hypersharp.io.together import save_figure, save_together, write_text
from hypersharp.methods.table import AUTO
from hypersharp.pair.record import Record
from hypersharp.plot import draw
from hypersharp.plot.figures import comparison
from hypersharp.quality.metrics import score_cubes
from hypersharp.reporting import write_report
from hypersharp.reporting.build import fill
from hypersharp.reporting.findings import Run
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian_fwhm
from hypersharp.sensor.srf import find_srf
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

PROTOCOL = "dian-x4"
METHODS = ("ssjcn", "bicubic")
PLACES = ((30, 20), (110, 70), (56, 118))  # x, y of the three spectra
BLIND = ("auto", "bicubic")
BUDGET_S = 12.0  # of auto, on a scene this small
SATELLITE_RATIO, SATELLITE_FWHM_PX = 3, 3.4
OFFSET_PX_YX = (0.7, -1.1)
SNR_DB = (35.0, 40.0)  # of hs and of ms
CLOUD_YX, CLOUD_PX = (40, 95), 13
Row = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class DemoResult:
    """Method -> (PSNR dB, SSIM, SAM degrees, ERGAS, seconds), the record of the first, and the files written."""

    scores: dict[str, Row]
    record: Record
    paths: list[Path]


def run_demo(out_dir: Path, *, device: str = "auto", progress: Callable[[float], None] = lambda _: None) -> DemoResult:
    """Simulate a pair, sharpen it with every method of METHODS, write GeoTIFFs, demo.png and a report into out_dir.

    The report is about the first method.

    Raises: MissingExtraError, OutputError.
    """
    protocol = find_protocol(PROTOCOL)
    images = simulate_pair(load_indian_pines(), protocol.sensor())
    how: dict[str, Any] = {"device": device, "scale": 1.0, "consistent": False, "progress": progress}
    found, estimates = run_case(images, METHODS, protocol.ratio, out_dir, asked=out_dir, **how)
    picture = save_figure(comparison(images[0], images[1], estimates, images[2], PLACES), out_dir / "demo.png")
    return replace(found, paths=[*found.paths[:-1], picture, found.paths[-1]])


def run_blind(out_dir: Path, *, device: str = "auto", progress: Callable[[float], None] = lambda _: None) -> DemoResult:
    """Sharpen the pair of two satellites with BLIND, knowing nothing of them; GeoTIFFs and a report into out_dir.

    Raises: MissingExtraError, OutputError.
    """
    how: dict[str, Any] = {"device": device, "progress": progress}
    return run_case(satellite_pair(), BLIND, SATELLITE_RATIO, out_dir, asked=out_dir.parent, **how)[0]


def run_case(
    images: tuple[xr.DataArray, xr.DataArray, xr.DataArray],
    methods: Sequence[str],
    ratio: int,
    out_dir: Path,
    *,
    asked: Path,
    progress: Callable[[float], None],
    **how: Any,
) -> tuple[DemoResult, dict[str, xr.DataArray]]:
    """Sharpen (hs, ms, truth) with the methods, score and write what they make; the report is about the first.

    asked: what the command named as its folder; how: options of `fuse`.
    """
    hs, ms, truth = images
    estimates, scores = dict[str, xr.DataArray](), dict[str, Row]()
    for number, method in enumerate(methods, 1):
        started = perf_counter()
        budget: dict[str, Any] = {"budget_s": BUDGET_S} if method == AUTO.name else {}
        sharp = estimates[method] = fuse(hs, ms, method=method, **how, **budget)
        seconds = perf_counter() - started
        found = score_cubes(sharp, truth, ratio=ratio, preset=find_protocol(PROTOCOL).preset, peak=1.0)
        scores[method] = found.psnr_db, found.ssim, found.sam_deg, found.ergas, seconds
        progress(number / (len(methods) + 1))
    cubes = {"hs": hs, "ms": ms, "truth": truth, **{f"sharp_{name}": cube for name, cube in estimates.items()}}
    paths = save_together(cubes, out_dir, "tif")
    files = dict(zip(("hs", "ms", "truth", "result"), map(Image, paths), strict=False))
    sharp, run = estimates[methods[0]], Run(f"hypersharp demo -o {asked}", scores[methods[0]][-1])
    paths.append(write_report(sharp, hs, ms, out_dir, truth=truth, points=PLACES, run=run, sources=files))
    return DemoResult(scores, Record.of(sharp), paths), estimates


def write_index(out_dir: Path, trained: DemoResult, blind: DemoResult) -> Path:
    """The page that explains both cases and leads to their reports. Raises: OutputError."""
    cases = [("trained", trained, "report.html"), ("blind", blind, "blind/report.html")]
    shown = {name: (result.scores, report) for name, result, report in cases}
    picture = draw.as_data("image/png", (out_dir / "demo.png").read_bytes())
    facts = {"ratio": SATELLITE_RATIO, "snr": SNR_DB, "offset": OFFSET_PX_YX, "picture": picture, "cases": shown}
    return write_text(out_dir / "index.html", fill("demo.html.j2", decisions=list(blind.record.decisions()), **facts))


def satellite_pair() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """(hs, ms, truth) of the scene as EnMAP (60 m here) and Sentinel-2 (B2, B3, B4, 20 m here) would see it.

    Both are noisy, hs lies OFFSET_PX_YX fine pixels off the georeference, and a cloud of ms is left out.
    """
    truth = load_indian_pines()
    blur = gaussian_fwhm(SATELLITE_FWHM_PX, SATELLITE_RATIO).moved(OFFSET_PX_YX, SATELLITE_RATIO)
    sensor = Sensor(blur, find_srf("sentinel-2a:B2,B3,B4", CENTRES_NM), SATELLITE_RATIO)
    hs, ms, truth = simulate_pair(truth, sensor, snr_hs_db=SNR_DB[0], snr_ms_db=SNR_DB[1])
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    return hs, leave_out(ms, np.hypot(y - CLOUD_YX[0], x - CLOUD_YX[1]) < CLOUD_PX), truth


BANDS = np.arange(31)
CENTRES_NM = 400.02 + 9.80 * BANDS + 0.00276 * BANDS**2
FWHM_NM = 9.8
SIDE_PX = 144  # the largest multiple of 16 in 145
PIXEL_M = 20.0
OFFSET, PER_RADIANCE = 1000.0, 500.0
FULL_SCALE_QUANTILE = 0.999
CARRIAGE_RETURN, LINE_FEED = 13, 10

Numbers = NDArray[np.int64]


def load_indian_pines() -> xr.DataArray:
    """The scene as radiance scaled to about 0..1 (1 is its 99.9 % quantile), (31, 144, 144), in pixels of 20 m.

    The affine has its origin at the lower left corner, and there is no CRS: where on Earth is not in the data.
    Raises: MissingExtraError without tensorly or a geo library.
    """
    with needs("the demo", "demo"):
        from affine import Affine
        from tensorly import datasets
    file = Path(datasets.__file__).parent / "data" / "Indian_pines_corrected.npy"
    numbers = np.load(file)[:SIDE_PX, :SIDE_PX, : len(BANDS)].transpose(2, 0, 1).astype(np.int64)
    radiance = np.clip((undo_newline_damage(numbers) - OFFSET) / PER_RADIANCE, 0, None)
    return make_cube(
        np.asarray(np.clip(radiance / np.quantile(radiance, FULL_SCALE_QUANTILE), 0, 1), np.float32),
        wavelengths_nm=CENTRES_NM,
        fwhm_nm=np.full(len(BANDS), FWHM_NM),
        transform=Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, SIDE_PX * PIXEL_M),
    )


def undo_newline_damage(numbers: Numbers) -> Numbers:
    """Numbers (L, H, W) with the upper bytes that were 13 put back, where the file has lost them all.

    Along each pixel's spectrum the cheapest path is chosen (Viterbi) between the number as it stands and,
    where its upper byte is 10, the one 768 higher; a step costs its distance from the bands' usual ratio.
    """
    upper = numbers >> 8
    if (upper == CARRIAGE_RETURN).any():
        return numbers
    doubtful, lift = upper == LINE_FEED, (CARRIAGE_RETURN - LINE_FEED) << 8
    choices = np.stack([numbers, numbers + lift * doubtful]) - OFFSET  # (2, L, H, W)
    cost, came_from = np.zeros_like(choices[:, 0]), []
    for before, band in enumerate(range(1, len(numbers))):
        sure = ~(doubtful[band] | doubtful[before])
        steps = choices[0, band][sure] / np.maximum(choices[0, before][sure], 1)
        usual_ratio = np.median(steps) if sure.any() else 1.0
        step = np.abs(choices[:, None, band] - usual_ratio * choices[None, :, before]) + cost  # (to, from, H, W)
        came_from.append(step.argmin(1))
        cost = step.min(1)
    path = [cost.argmin(0)]
    for previous in reversed(came_from):
        path.append(np.take_along_axis(previous, path[-1][None], 0)[0])
    return np.where(doubtful & (np.stack(path[::-1]) == 1), numbers + lift, numbers)
