"""Scores and seconds of the quick methods on real and simulated pairs, psf and srf not given to them.

    HYPERSHARP_DATA=FOLDER python benchmarks/classics.py [--methods bicubic,gsa,...] [--sensor] [--json FILE]

Pairs: Paris (Hyperion and ALI at ratio 3, real; its truth is the Hyperion image, whose 0.999 quantile a band is 1) and
Jasper Ridge under a Sentinel-2-like ms at ratio 3 and a Landsat-8-like one at ratio 6, blurred by a Gaussian of FWHM
ratio, 35 dB of noise in both. PSNR (mean over bands), SAM and ERGAS by the preset `float`. `--sensor`: the simulated
pairs come with their psf and srf. Seconds hold the sensor's estimation; keep the machine otherwise idle.
"""

import argparse
import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr
from scipy.io import loadmat

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.quality.metrics import score
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.srf import find_srf
from hypersharp.simulation.pair import simulate_pair

METHODS = "bicubic,gsa,sfim,glp,cnmf,fuse,hysure"
AVIRIS_BANDS = 224
REMOVED = (*range(1, 4), *range(108, 113), *range(154, 167), *range(220, 225))  # of Jasper Ridge, from 1
JASPER = {
    "Jasper Ridge, Sentinel-2-like, ratio 3": ("sentinel-2a", 3),
    "Jasper Ridge, Landsat-8-like, ratio 6": ("landsat-8", 6),
}
SNR_DB = 35.0
Case = tuple[xr.DataArray, xr.DataArray, xr.DataArray, Sensor | None]


def main() -> None:
    arguments = parse_arguments()
    names, rows = arguments.methods.split(","), []
    print("| pair | method | PSNR dB | SAM ° | ERGAS | s |", "|---|---|---|---|---|---|", sep="\n")
    for scene, (hs, ms, truth, sensor) in cases(Path(os.environ["HYPERSHARP_DATA"])).items():
        known: dict[str, Any] = {"psf": sensor.psf, "srf": sensor.srf} if arguments.sensor and sensor else {}
        fuse(hs, ms, method="bicubic", device="cpu")  # what a first call loads counts for nobody
        for name in names:
            start = perf_counter()
            sharp = fuse(hs, ms, method=name, device="cpu", scale=1.0, consistent=False, frame="hs", **known)
            rows.append(row(scene, name, sharp, truth, perf_counter() - start))
            print(as_markdown(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--sensor", action="store_true", help="give the simulated pairs' psf and srf")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    return parser.parse_args()


def cases(data: Path) -> dict[str, Case]:
    """Scene -> (hs, ms, truth, sensor where it is known)."""
    return {"Paris, ratio 3": paris(data)} | {
        scene: jasper_ridge(data, srf, ratio) for scene, (srf, ratio) in JASPER.items()
    }


def paris(data: Path) -> Case:
    """The reference's inputs; the truth in full, which the reference has projected on its subspace."""
    with np.load(data / "reference" / "hysure_paris.npz") as content:
        hs, ms = (make_cube(content[name].astype(np.float32)) for name in ("hs", "ms"))
    image = loadmat(data / "paris" / "paris_data_hs_ms.mat")["HSim"].transpose(2, 0, 1)
    truth = image / np.quantile(image, 0.999, axis=(1, 2), method="hazen", keepdims=True)
    return hs, ms, make_cube(truth.astype(np.float32)), None


def jasper_ridge(data: Path, srf: str, ratio: int) -> Case:
    """A simulated pair, the 0.999 quantile of the scene scaled to 1."""
    content = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")
    values = content["Y"].reshape(-1, 100, 100, order="F").astype(np.float32)
    side = 100 // ratio * ratio
    kept = np.setdiff1d(np.arange(1, AVIRIS_BANDS + 1), REMOVED)
    nm = np.linspace(380, 2500, AVIRIS_BANDS)[kept - 1]
    scene = make_cube(values[:, :side, :side] / np.quantile(values, 0.999), wavelengths_nm=nm)
    sensor = Sensor(parse_psf(f"fwhm:{ratio}:boundary=reflect", ratio), find_srf(srf, nm), ratio)
    hs, ms, truth = simulate_pair(scene, sensor, snr_hs_db=SNR_DB, snr_ms_db=SNR_DB)
    return hs, ms, truth, sensor


def row(scene: str, method: str, sharp: xr.DataArray, truth: xr.DataArray, seconds: float) -> dict[str, Any]:
    ratio = int(scene.rsplit(" ", 1)[1])
    found = score(sharp.values, truth.values, ratio=ratio, preset="float")
    scores = {name: round(getattr(found, name), 3) for name in ("psnr_db", "sam_deg", "ergas")}
    return {"scene": scene, "method": method, **scores, "seconds": round(seconds, 2)}


def as_markdown(found: dict[str, Any]) -> str:
    numbers = f"{found['psnr_db']:.2f} | {found['sam_deg']:.2f} | {found['ergas']:.2f} | {found['seconds']:.1f}"
    return f"| {found['scene']} | {found['method']} | {numbers} |"


if __name__ == "__main__":
    main()
