"""What consistency does to SSJCN's packaged weights on the validation scenes of dian-x4, by weight and noise of hs.

Usage: HYPERSHARP_DATA=folder python benchmarks/consistency.py [SNR_DB ...]
"""

import os
import sys

import numpy as np
import torch

from hypersharp.bench.protocols import find_protocol, simulate_pair
from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.cube import make_cube
from hypersharp.methods import fuse
from hypersharp.methods.consistency import change, project
from hypersharp.sensor.observe import Sensor
from hypersharp.solve.linops import BlurDecimation

PROTOCOL = find_protocol("dian-x4")
WEIGHTS = ("ssjcn-dian-x4-t1", "ssjcn-dian-x4")
FIXED = (1e-1, 1e-2, 1e-3, 1e-4)


def psnr_db(image: torch.Tensor, truth: torch.Tensor) -> float:
    """The preset `dian`'s, alone: SSIM would take longer than all the rest."""
    gaps = (image.clamp(0, 1) * 255).round() - (truth * 255).round()
    return float((20 * np.log10(255) - 10 * gaps.square().mean((1, 2)).log10()).mean())


def changed(estimate: torch.Tensor, hs: torch.Tensor, sensor: Sensor, weight: float) -> torch.Tensor:
    """The estimate with one given weight for all bands."""
    kernel, (_, height, width) = torch.tensor(sensor.psf.kernel).to(hs), estimate.shape
    power = BlurDecimation(kernel, (height, width), sensor.ratio, sensor.psf.start_yx).coarse_power()
    counts = hs.new_ones(hs.shape[1:])
    weights = torch.full((len(hs),), weight)
    return estimate + change(hs - sensor.hs(estimate), weights, sensor, power, counts)


def main(noises: list[float | None]) -> None:
    sensor = PROTOCOL.sensor()
    print("scene | weights | SNR of hs | before |", " | ".join(f"w = {w:g}" for w in FIXED), "| likeliest w")
    for name, path in find_scenes(PROTOCOL, os.environ["HYPERSHARP_DATA"], PROTOCOL.validation).items():
        scene = load_truth(PROTOCOL, path)
        for snr_db in noises:
            hs, ms, _ = simulate_pair(scene, sensor, snr_hs_db=snr_db, seed=1)
            given, truth = torch.tensor(hs.values), torch.tensor(scene.values)
            for weights in WEIGHTS:
                sharp = torch.tensor(fuse(hs, make_cube(ms.values), weights=weights, scale=1.0).values)
                fixed = [psnr_db(changed(sharp, given, sensor, w), truth) for w in FIXED]
                found = project(sharp, given, sensor)
                row = [psnr_db(sharp, truth), *fixed, psnr_db(found.image, truth)]
                print(
                    name, weights, snr_db or np.inf, *(f"{value:.3f}" for value in row), sep=" | ", flush=True
                )


if __name__ == "__main__":
    main([None, *(float(word) for word in sys.argv[1:])])
