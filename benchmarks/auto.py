"""`--method auto` beside each of its candidates, on pairs whose blur and response none is told.

    HYPERSHARP_DATA=FOLDER python benchmarks/auto.py [--cases NAME,..] [--budget SECONDS] [--json FILE]

Jasper Ridge under Sentinel-2-like and Landsat-8-like ms at ratios 3 and 6 (blur of FWHM ratio, 40 dB in both), under
a pan and a six-band camera with noise of 40 and 30 dB, two scenes of CAVE's training set (256 x 256 pixels), those
four with drawn responses and an anisotropic or shifted blur; and Paris (Hyperion and ALI at ratio 3, real; its truth
is the Hyperion image, whose 0.999 quantile a band is 1), its ms moved onto the hs as `fuse` does, and as it is.
Candidates are run at full size, as they are and made consistent (+c), under the sensor estimated once. PSNR (mean
over bands, dB) and SAM (degrees) by the preset `float`.
The cases of FRESH settled nothing: other responses, blurs, ratios and noise, made once auto's rules stood.
The gap is auto's PSNR less that of the best single candidate. Seconds are auto's, and of the processor: a busy
machine makes the clock, and so the budget, say something else. --cases: some of them, see CASES and FRESH.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from hypersharp.bench.demo import load_indian_pines
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.fusion.choose.auto import CANDIDATES, choose_best
from hypersharp.fusion.consistency import make_consistent
from hypersharp.fusion.learn import learn
from hypersharp.io import open_cube
from hypersharp.io.image import CubeImage
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.place import place
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, parse_psf
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM
from hypersharp.sensor.spectra import Spectra
from hypersharp.sensor.srf import find_srf

AVIRIS_BANDS_NM = np.linspace(380, 2500, 224)
Floats = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """A pair, its truth (L, H, W) and what was done to it before."""

    pair: TensorPair
    truth: Tensor
    notes: tuple[str, ...] = ()


def main() -> None:
    arguments = parse_arguments()
    rows, known = [], {**CASES, **FRESH}
    print("| pair | candidates (PSNR / SAM) | auto | gap | s (processor) |", "|---|---|---|---|---|", sep="\n")
    for name in arguments.cases.split(","):
        rows.append(compare(name, known[name](Path(os.environ["HYPERSHARP_DATA"])), arguments.budget))
        print(as_markdown(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cases", default=",".join([*CASES, *FRESH]))
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def compare(name: str, case: Case, budget_s: float) -> Row:
    """One row: every candidate's scores at full size, and auto's."""
    options, sensor = Options(budget_s=budget_s), PairSensor(case.pair)
    started, started_clock = process_time(), perf_counter()
    choice = choose_best(case.pair, sensor, options, CANDIDATES)
    sharpener, made = learn(choice, case.pair, sensor, options)
    chosen = scores(sharpener(case.pair, options) if made is None else made, case)
    seconds = {"processor": process_time() - started, "clock": perf_counter() - started_clock}
    notes = [*case.notes, *sensor.notes, choice.why, *(f"skipped: {text}" for text in choice.skipped)]
    return {"case": name, **beside_best(dict(single_scores(case)), chosen), "seconds": seconds, "notes": notes}


def beside_best(singles: Row, auto: tuple[float, ...]) -> Row:
    """The scores of auto and of all single candidates, the best of these, and by how much auto leads it."""
    best = max(singles, key=lambda single: singles[single][0])
    return {"singles": singles, "best": best, "auto": auto, "gap_db": auto[0] - singles[best][0]}


def single_scores(case: Case) -> Any:
    """(name, (PSNR, SAM)) of each candidate that fits, and of it made consistent."""
    sensor, options = PairSensor(case.pair), Options()
    for method in CANDIDATES:
        try:
            estimate = method.learn(case.pair, sensor, options)(case.pair, options, ignore)
        except InputError:
            continue
        yield method.name, scores(estimate, case)
        yield f"{method.name}+c", scores(make_consistent(estimate, case.pair, sensor.psf)[0], case)


def scores(estimate: Tensor, case: Case) -> tuple[float, float]:
    return psnr_sam_ergas(estimate.numpy(), case.truth.numpy(), preset="float")[:2]


def as_markdown(row: Row) -> str:
    singles = ", ".join(f"{name} {psnr:.2f}/{sam:.2f}" for name, (psnr, sam) in row["singles"].items())
    picked = next(note for note in row["notes"] if note.startswith("auto ")).split(" (compared")[0]
    (psnr, sam), seconds = row["auto"], row["seconds"]["processor"]
    return f"| {row['case']} | {singles} | {picked}: {psnr:.2f}/{sam:.2f} | {row['gap_db']:+.2f} | {seconds:.0f} |"


def simulated(scene: Tensor, sensor: Sensor, wavelengths_nm: Floats | None, snr_db: float | None) -> Case:
    """A scene (L, y, x), cut to whole coarse pixels, as a sensor sees it."""
    height, width = (size // sensor.ratio * sensor.ratio for size in scene.shape[1:])
    truth = scene[:, :height, :width]
    hs, ms = sensor.observe(truth)
    if snr_db is not None:
        hs, ms = add_noise(hs, snr_db, seed=1), add_noise(ms, snr_db, seed=2)
    return Case(TensorPair(hs, ms, spectra=Spectra(wavelengths_nm)), truth)


def jasper(response: str | Floats, psf: PSF | None, ratio: int, snr_db: float = 40.0) -> Callable[[Path], Case]:
    """Jasper Ridge under a named or drawn response and a blur, by default a Gaussian of FWHM ratio."""

    def make(data: Path) -> Case:
        stored = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")
        values = stored["Y"].reshape(198, 100, 100, order="F").astype(np.float32)
        known_nm = AVIRIS_BANDS_NM[stored["SlectBands"].ravel() - 1]
        srf = find_srf(response, known_nm) if isinstance(response, str) else response
        blur = psf or parse_psf(f"fwhm:{ratio}:boundary=reflect", ratio)
        scene = torch.from_numpy(np.ascontiguousarray(values / np.quantile(values, 0.999)))
        return simulated(scene, Sensor(blur, srf, ratio), known_nm, snr_db)

    return make


def cave(
    scene: str,
    corner_yx: tuple[int, int],
    psf: PSF,
    response: str | Floats,
    ratio: int = 4,
    snr_db: float | None = None,
) -> Callable[[Path], Case]:
    """256 x 256 pixels of a CAVE scene."""

    def make(data: Path) -> Case:
        values = open_cube(data / "cave" / f"{scene}_ms").values.astype(np.float32) / 65535
        y, x = corner_yx
        part = torch.from_numpy(values[:, y : y + 256, x : x + 256])
        nm = np.array(CAVE_WAVELENGTHS_NM)
        srf = find_srf(response, nm) if isinstance(response, str) else response
        return simulated(part, Sensor(psf, srf, ratio), nm, snr_db)

    return make


def pines(response: str, psf: PSF, ratio: int, snr_db: float) -> Callable[[Path], Case]:
    """AVIRIS over Indian Pines, 31 bands of 400 to 700 nm, 144 x 144 pixels."""

    def make(_: Path) -> Case:
        scene = load_indian_pines()
        nm = wavelengths_nm(scene)
        assert nm is not None
        values = torch.from_numpy(np.ascontiguousarray(scene.values))
        return simulated(values, Sensor(psf, find_srf(response, nm), ratio), nm, snr_db)

    return make


def paris(data: Path) -> Case:
    """The pair as `fuse` takes it: the ms moved onto the hs, and so onto the truth, where the images prove a shift."""
    case = paris_unmoved(data)
    placement = place(*(CubeImage(make_cube(image.numpy())) for image in (case.pair.hs, case.pair.ms)), frame="hs")
    moved = placement.read(placement.everything)[1]
    return replace(case, pair=replace(case.pair, ms=torch.from_numpy(moved.values)), notes=placement.notes)


def paris_unmoved(data: Path) -> Case:
    """The inputs of the reference and the scaled Hyperion image, which lies half a fine pixel off the ms."""
    with np.load(data / "reference" / "hysure_paris.npz") as content:
        hs, ms = (torch.from_numpy(content[name]).float() for name in ("hs", "ms"))
    image = loadmat(data / "paris" / "paris_data_hs_ms.mat")["HSim"].transpose(2, 0, 1)
    truth = image / np.quantile(image, 0.999, axis=(1, 2), method="hazen", keepdims=True)
    return Case(TensorPair(hs, ms), torch.from_numpy(truth).float())


def tilted(sigma_yx: tuple[float, float], degrees: float, shift_px_yx: tuple[float, float], ratio: int = 4) -> PSF:
    """A Gaussian: deviations along its own axes in coarse pixels, its centre off by fine pixels."""
    half = 0.0 if ratio % 2 else 0.5
    places = np.arange(4 * ratio + 1) - 2 * ratio + half
    y, x = np.meshgrid(places + shift_px_yx[0], places + shift_px_yx[1], indexing="ij")
    angle = np.deg2rad(degrees)
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    wide, high = ratio * sigma_yx[1], ratio * sigma_yx[0]
    kernel = np.exp(-0.5 * ((along / high) ** 2 + (across / wide) ** 2))
    start = (ratio - 1) // 2
    return PSF(kernel / kernel.sum(), (start, start), "reflect")


def drawn(ms_bands: int, bands: int, seed: int) -> Floats:
    """(l, L): ragged bell curves across the spectrum; of one, a broad one."""
    random = np.random.default_rng(seed)
    one = ms_bands == 1
    centres = np.array([0.4]) if one else np.linspace(0.12, 0.88, ms_bands) + random.uniform(-0.05, 0.05, ms_bands)
    widths = np.array([0.25]) if one else random.uniform(0.04, 0.1, ms_bands)
    curves = np.exp(-0.5 * ((np.linspace(0, 1, bands) - centres[:, None]) / widths[:, None]) ** 2)
    curves *= random.uniform(0.8, 1.2, curves.shape)
    rows: Floats = curves / curves.sum(axis=1, keepdims=True)
    return rows


SENTINEL_2, LANDSAT_8 = "sentinel-2a:B2,B3,B4,B5,B6,B7,B8,B8A,B11,B12", "landsat-8:B1,B2,B3,B4,B5,B6,B7"
CASES: dict[str, Callable[[Path], Case]] = {
    "jasper-sentinel-2-x3": jasper(SENTINEL_2, None, 3),
    "jasper-sentinel-2-x6": jasper(SENTINEL_2, None, 6),
    "jasper-landsat-8-x3": jasper(LANDSAT_8, None, 3),
    "jasper-landsat-8-x6": jasper(LANDSAT_8, None, 6),
    "cave-beads": cave("beads", (128, 128), tilted((0.55, 0.35), 30, (0, 0)), drawn(3, 31, 1)),
    "cave-feathers": cave("feathers", (100, 60), tilted((0.45, 0.45), 0, (0.6, -0.4)), drawn(4, 31, 2)),
    "jasper-pan": jasper(drawn(1, 198, 3), tilted((0.5, 0.4), 60, (0, 0)), 4),
    "jasper-30-db": jasper(drawn(6, 198, 4), tilted((0.4, 0.4), 0, (0.3, 0.2)), 4, 30.0),
    "paris": paris,
    "paris-unmoved": paris_unmoved,
}
FRESH: dict[str, Callable[[Path], Case]] = {
    "pines-landsat-9-x3": pines("landsat-9:B1,B2,B3,B4", tilted((0.5, 0.35), 45, (0, 0), 3), 3, 35.0),
    "pines-ikonos-x5": pines("ikonos:blue,green,red", parse_psf("mtf:0.3", 5), 5, 30.0),
    "cave-cloth-spot-6-x2": cave(
        "cloth", (120, 40), tilted((0.6, 0.6), 0, (0.4, 0.3), 2), "spot-6:blue,green,red", 2, 40.0
    ),
    "cave-glass-tiles-x8": cave("glass_tiles", (60, 160), tilted((0.4, 0.5), 20, (0, 0), 8), drawn(5, 31, 11), 8, 45.0),
    "jasper-spot-6-x5": jasper("spot-6", tilted((0.3, 0.3), 0, (0, 0), 5), 5, 25.0),
    "pines-spot-6-x4-22-db": pines("spot-6:blue,green,red", tilted((0.45, 0.45), 0, (0, 0)), 4, 22.0),
    "jasper-ali-x3-26-db": jasper("ali", tilted((0.5, 0.4), 10, (0.3, 0.2), 3), 3, 26.0),
    "cave-hairs-x4-24-db": cave("hairs", (100, 100), tilted((0.5, 0.5), 0, (0, 0)), drawn(3, 31, 21), 4, 24.0),
    "jasper-ikonos-x2": jasper("ikonos", tilted((0.7, 0.5), 80, (-0.3, 0.5), 2), 2, 35.0),
}

if __name__ == "__main__":
    main()
