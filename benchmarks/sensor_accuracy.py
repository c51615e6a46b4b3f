"""How well blur, shift and response are found again in simulated pairs, by scene, kernel, ratio, response and SNR.

    python benchmarks/sensor_accuracy.py DATA [--scenes balloons,clay,jasper] [--snr 35]

DATA holds `cave` (training scenes as published) and `jasper_ridge`. Prints a Markdown table: errors of sigma along
y and x (%), of the centre (fine pixels), of the response (relative L2 of rows of sum one, %), of what it sees of the
scene (relative L2, %; the noise of 35 dB is 1.8 %), CPU seconds. "nm":
what is known of the ms, nothing (-), its centres, or its centres and widths; "nameless": the centres of a sensor that
nobody knows, the bands of the one named moved by 3 %, so that no table helps.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from hypersharp.io import open_cube
from hypersharp.sensor.estimate import complete_sensor
from hypersharp.sensor.moments import find_support
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.responses import SRFS, Bands
from hypersharp.sensor.shapes import BlurShape, blur_weights
from hypersharp.sensor.spectra import Spectra
from hypersharp.sensor.srf import find_srf, gaussian_srf

Floats = NDArray[np.float64]
NAMELESS = "nameless"
KERNELS = {  # sigma along y and x, centre off the coarse pixel's, fine pixels
    "sigma 1": ((1.0, 1.0), (0.0, 0.0)),
    "sigma 1.5": ((1.5, 1.5), (0.0, 0.0)),
    "sigma 2": ((2.0, 2.0), (0.0, 0.0)),
    "sigma 2 x 1.2": ((2.0, 1.2), (0.0, 0.0)),
    "sigma 1.5, off by 1.4, -0.6": ((1.5, 1.5), (1.4, -0.6)),
}


@dataclass(frozen=True)
class Case:
    """A scene under one blur, ratio and response; `known`: what of the MS is given to the estimate."""

    scene: str
    kernel: str
    ratio: int
    response: str
    known: str
    snr_db: float


def main() -> None:
    arguments = parse_arguments()
    print(
        "| scene | blur | ratio | response | nm | SNR (dB) | sigma y, x (%) | centre (px) | response (%) | seen (%) "
        "| s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    loaded: dict[str, tuple[Tensor, Floats]] = {}
    for case in cases(arguments.scenes.split(","), [float(text) for text in arguments.snr.split(",")]):
        if case.scene not in loaded:
            loaded = {case.scene: load(case.scene, arguments.data)}
        print(row(case, *loaded[case.scene]), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(sys.modules[__name__].__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", default="balloons,clay,jasper")
    parser.add_argument("--snr", default="35")
    return parser.parse_args()


def cases(scenes: list[str], snrs: list[float]) -> Iterator[Case]:
    """Every kernel at ratio 4, every ratio at the lopsided one; Jasper Ridge under three amounts of knowledge."""
    for scene in scenes:
        for response in ("sentinel-2a", "landsat-8") if scene == "jasper" else ("nikon-d700",):
            for snr in snrs:
                for kernel in KERNELS:
                    yield Case(scene, kernel, 4, response, "both" if scene == "jasper" else "-", snr)
                for ratio in (3, 6):
                    yield Case(
                        scene, "sigma 1.5, off by 1.4, -0.6", ratio, response, "both" if scene == "jasper" else "-", snr
                    )
                if scene == "jasper":
                    for known in ("centres", NAMELESS, "-"):
                        yield Case(scene, "sigma 1.5", 4, response, known, snr)


def load(scene: str, data: Path) -> tuple[Tensor, Floats]:
    """The scene (L, H, W) scaled to 0..1, and its wavelengths (nm)."""
    if scene == "jasper":
        content = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")
        cube = content["Y"].reshape(198, 100, 100, order="F") / float(content["maxValue"][0, 0])
        return torch.from_numpy(cube), np.linspace(380, 2500, 224)[content["SlectBands"].ravel() - 1]
    values = open_cube(data / "cave" / f"{scene}_ms" / f"{scene}_ms").values
    return torch.from_numpy(values / 65535.0), np.arange(400.0, 701.0, 10)


def row(case: Case, scene: Tensor, nm: Floats) -> str:
    sigma, centre = KERNELS[case.kernel]
    support = find_support(case.ratio)
    psf = support.as_psf(blur_weights(BlurShape("gaussian", sigma, centre), support))
    srf = true_response(case, nm)
    sides = [length // case.ratio * case.ratio for length in scene.shape[1:]]
    pair = Sensor(psf, srf, case.ratio).observe(scene[:, : sides[0], : sides[1]])
    hs, ms = (add_noise(image, case.snr_db, seed) for seed, image in enumerate(pair))
    started = process_time()
    found = complete_sensor(hs, ms, case.ratio, spectra=spectra(case, nm))
    seconds = process_time() - started
    rows = found.sensor.srf / found.sensor.srf.sum(1, keepdims=True)
    wide = [100 * (got / true - 1) for got, true in zip(found.sensor.psf.sigma_yx_px(), sigma, strict=True)]
    off = float(np.hypot(*np.subtract(found.shift_px_yx, centre)))
    wrong = 100 * float(np.linalg.norm(rows - srf) / np.linalg.norm(srf))
    seen, true_seen = (np.tensordot(some, scene.numpy(), 1) for some in (rows, srf))
    unseen = 100 * float(np.linalg.norm(seen - true_seen) / np.linalg.norm(true_seen))
    cells = [
        case.scene,
        case.kernel,
        str(case.ratio),
        case.response,
        case.known,
        f"{case.snr_db:g}",
        f"{wide[0]:+.1f}, {wide[1]:+.1f}",
        f"{off:.2f}",
        f"{wrong:.1f}",
        f"{unseen:.2f}",
        f"{seconds:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def true_response(case: Case, nm: Floats) -> Floats:
    """The response of the case's sensor, or of one that nobody knows."""
    if case.known != NAMELESS:
        return find_srf(case.response, nm)
    centres, widths = bands_of(case)
    return gaussian_srf(centres, widths, nm)


def bands_of(case: Case) -> Floats:
    """Centres and widths (2, l) of the case's sensor, nm."""
    table = SRFS[case.response]
    assert isinstance(table, Bands)
    rows = np.array([table.bands[name] for name in table.usual], dtype=np.float64).T
    return rows * [[1.03], [1.0]] if case.known == NAMELESS else rows


def spectra(case: Case, nm: Floats) -> Spectra:
    """What the case lets the estimate know."""
    if case.known == "-" or not isinstance(SRFS[case.response], Bands):
        return Spectra(nm)
    centres, widths = bands_of(case)
    return Spectra(nm, centres, widths if case.known == "both" else None)


if __name__ == "__main__":
    main()
