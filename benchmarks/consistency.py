"""What consistency does to SSJCN's packaged weights on the validation scenes of dian-x4, by weight and noise of hs.

Usage: HYPERSHARP_DATA=folder python benchmarks/consistency.py [SNR_DB ...]
"""

import os
import sys

import numpy as np
import torch

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.cube import make_cube
from hypersharp.fusion.consistency import project
from hypersharp.fusion.fuse import fuse
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol

PROTOCOL = find_protocol("dian-x4")
WEIGHTS = ("ssjcn-dian-x4-t1", "ssjcn-dian-x4")
FIXED = (1e-1, 1e-2, 1e-3, 1e-4)


def psnr_db(image: torch.Tensor, truth: torch.Tensor) -> float:
    """The preset `dian`'s, alone: SSIM would take longer than all the rest."""
    gaps = (image.clamp(0, 1) * 255).round() - (truth * 255).round()
    return float((20 * np.log10(255) - 10 * gaps.square().mean((1, 2)).log10()).mean())


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
                same = [torch.full((len(given),), w) for w in FIXED]
                fixed = [psnr_db(project(sharp, given, sensor, weights=w)[0], truth) for w in same]
                image = project(sharp, given, sensor)[0]
                row = [psnr_db(sharp, truth), *fixed, psnr_db(image, truth)]
                print(name, weights, snr_db or np.inf, *(f"{value:.3f}" for value in row), sep=" | ", flush=True)


if __name__ == "__main__":
    main([None, *(float(word) for word in sys.argv[1:])])
