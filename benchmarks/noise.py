"""Networks on pairs with noise: beside methods that model it, and as they come where they were trained without.

    python benchmarks/noise.py DATA [--protocol NAME] [--psf gaussian:12:1.5] [--weights NAME,..]

The protocol's validation scenes, by its PSF or another, PSF and response given, with white noise of so many dB added to
hs and ms. PSNR (mean over bands, dB) and SAM (degrees) by the preset `float`, the mean over the scenes. "alone": ms is
not cleaned first. "as it comes": nor is the network told of the noise of hs.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypersharp.bench.scenes import training_set
from hypersharp.methods.cleaned import Cleaned
from hypersharp.methods.table import METHODS
from hypersharp.networks.inference import Inference
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import add_noise
from hypersharp.sensor.psf import parse_psf
from hypersharp.system.build_info import commit, machine

LEVELS_DB: tuple[tuple[float, float] | None, ...] = (None, (50, 55), (40, 45), (35, 40), (30, 35))  # hs, ms
BESIDE = ("ssjcn-any", "fuse", "gsa", "cnmf")


def main() -> None:
    call = argparse.ArgumentParser(description=__doc__)
    call.add_argument("data", type=Path)
    call.add_argument("--protocol", default="dian-x4")
    call.add_argument("--psf", help="as fuse takes it; default: the protocol's")
    call.add_argument("--weights", default="ssjcn2-dian-x4,ssjcn-dian-x4")
    given = call.parse_args()
    scenes = training_set(given.protocol, given.data)
    sensor = scenes.sensor
    sensor = replace(sensor, psf=parse_psf(given.psf, sensor.ratio)) if given.psf else sensor
    heads = ["none" if level is None else f"{level[0]:g} / {level[1]:g} dB" for level in LEVELS_DB]
    table: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for read in scenes.validation.values():
        truth = torch.from_numpy(read())
        hs, ms = sensor.observe(truth)
        for head, level in zip(heads, LEVELS_DB, strict=True):
            noisy = (hs, ms) if level is None else (add_noise(hs, level[0], 1), add_noise(ms, level[1], 2))
            pair = TensorPair(*noisy)
            known = PairSensor(pair, sensor.psf, sensor.srf)
            for name, estimate in estimates(pair, known, given.weights.split(",")):
                images = estimate.clamp(0, 1).numpy(), truth.numpy()
                table[name][head].append(psnr_sam_ergas(*images, ratio=pair.ratio, preset="float")[:2])
    print(f"{given.protocol}, commit {commit()}, {machine()}\n\n| noise of HS / MS | {' | '.join(heads)} |")
    print("|" + "---|" * (1 + len(heads)))
    for name, row in table.items():
        cells = ["{:.2f} / {:.2f}".format(*np.mean(row[head], 0)) if head in row else "" for head in heads]
        print(f"| {name} | {' | '.join(cells)} |")


def estimates(pair: TensorPair, known: PairSensor, weights: list[str]) -> Iterator[tuple[str, Tensor]]:
    for name in weights:
        options = Options(weights=name)
        apply = METHODS["ssjcn"].learn(pair, known, options)
        yield name, apply(pair, options, ignore)
        alone = apply.then if isinstance(apply, Cleaned) else apply
        assert isinstance(alone, Inference)
        if isinstance(apply, Cleaned):
            yield f"{name}, alone", alone(pair, options, ignore)
        if alone.signal is not None:
            net = alone.net.expecting_noise(torch.zeros(len(pair.hs), len(pair.hs)))
            yield f"{name}, as it comes", replace(alone, net=net, signal=None)(pair, options, ignore)
    for name in BESIDE:
        yield name, METHODS[name].learn(pair, known, Options())(pair, Options(), ignore)


if __name__ == "__main__":
    main()
