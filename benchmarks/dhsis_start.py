"""DHSIS's start X_in, which needs no training, against its published figures: python benchmarks/dhsis_start.py DATA

Published at ratio 8 for the 12 test scenes of CAVE (Dian et al. 2018, Table II): bicubic 25.89 dB / SAM 7.62,
X_in 42.87 / 4.81.
Each row changes one thing: where decimation starts (the authors' program: 0, 3 pixels off the centre), the weight
of the prior (paper 5e-4, program 5e-5), and whether a scene is divided by 65535 or by its own maximum, which the
authors do not say. Prints a Markdown table.
"""

import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.networks.inference import first_estimate
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.build_info import commit, machine

# decimation start (3 is centred), weight of the prior, is a scene divided by its maximum
CASES = ((0, 5e-4, True), (0, 5e-4, False), (0, 5e-3, False), (0, 5e-5, False), (3, 5e-4, False))


def main(data_dir: Path) -> None:
    protocol = find_protocol("dian-x8")
    truths = [
        torch.from_numpy(np.asarray(load_truth(protocol, path).values, dtype=np.float32))
        for path in find_scenes(protocol, data_dir, protocol.test).values()
    ]
    print("| decimation from | weight | scaled by | bicubic: PSNR (dB) | SAM (°) | X_in: PSNR (dB) | SAM (°) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for start, weight, by_maximum in CASES:
        sensor = replace(protocol.sensor(), psf=parse_psf(f"gaussian:8:2:start={start}", protocol.ratio))
        scenes = [truth / truth.max() if by_maximum else truth for truth in truths]
        means = " | ".join(f"{value:.2f}" for value in mean_scores(scenes, sensor, weight))
        print(f"| {start} | {weight:g} | {'maximum' if by_maximum else '65535'} | {means} |", flush=True)
    print(f"\nCommit {commit()}; {machine()}.")


def mean_scores(truths: list[torch.Tensor], sensor: Sensor, weight: float) -> list[float]:
    """PSNR and SAM of the bicubic hs and of X_in, means over the scenes."""
    rows = []
    for truth in truths:
        hs, ms = sensor.observe(truth)
        estimates = upsample_bicubic(hs[None], sensor.ratio)[0], first_estimate(hs, ms, sensor, weight)
        rows.append(
            [
                value
                for estimate in estimates
                for value in psnr_sam_ergas(estimate.clamp(0, 1).numpy(), truth.numpy())[:2]
            ]
        )
    return [fmean(column) for column in zip(*rows, strict=True)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
