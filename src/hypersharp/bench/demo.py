"""The demo: sharpen a real airborne scene that comes with a dependency (indian_pines.py), score it, draw it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from hypersharp.bench.indian_pines import load_indian_pines
from hypersharp.fusion.fuse import fuse
from hypersharp.io.image import Image
from hypersharp.io.together import save_figure, save_together
from hypersharp.pair.record import Record
from hypersharp.plot.figures import comparison
from hypersharp.quality.score import score_cubes
from hypersharp.reporting import write_report
from hypersharp.reporting.facts import Run
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

PROTOCOL = "dian-x4"
METHODS = ("ssjcn", "bicubic")
PLACES = ((30, 20), (110, 70), (56, 118))  # x, y of the three spectra


@dataclass(frozen=True)
class DemoResult:
    """Method -> (PSNR dB, SSIM, SAM degrees, ERGAS, seconds), and the files written."""

    scores: dict[str, tuple[float, float, float, float, float]]
    notes: str
    paths: list[Path]


def run_demo(out_dir: Path, *, device: str = "auto", progress: Callable[[float], None] = lambda _: None) -> DemoResult:
    """Simulate a pair, sharpen it with every method of METHODS, write GeoTIFFs, demo.png and a report into out_dir.

    The report is about the first method.

    Raises: MissingExtraError, OutputError.
    """
    protocol = find_protocol(PROTOCOL)
    hs, ms, truth = simulate_pair(load_indian_pines(), protocol.sensor())
    estimates, scores = {}, {}
    for number, method in enumerate(METHODS):
        started = perf_counter()
        estimates[method] = fuse(hs, ms, method=method, device=device, scale=1.0, consistent=False)
        seconds = perf_counter() - started
        found = score_cubes(estimates[method], truth, ratio=protocol.ratio, preset=protocol.preset, peak=1.0)
        scores[method] = (found.psnr_db, found.ssim, found.sam_deg, found.ergas, seconds)
        progress((number + 1) / (len(METHODS) + 1))
    cubes = {"hs": hs, "ms": ms, "truth": truth, **{f"sharp_{name}": cube for name, cube in estimates.items()}}
    paths = save_together(cubes, out_dir, "tif")
    paths.append(save_figure(comparison(hs, ms, estimates, truth, PLACES), out_dir / "demo.png"))
    files = dict(zip(("hs", "ms", "truth", "result"), map(Image, paths), strict=False))
    sharp, run = estimates[METHODS[0]], Run(f"hypersharp demo -o {out_dir}", scores[METHODS[0]][-1])
    paths.append(write_report(sharp, hs, ms, out_dir, truth=truth, points=PLACES, run=run, sources=files))
    return DemoResult(scores, "; ".join(Record.of(sharp).lines()), paths)
