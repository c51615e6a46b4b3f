"""What each part of SSJCN is worth: python benchmarks/ablations.py DATA -o DIR [--cache DIR]

Trains variants of recipes/ablation.yaml, one after the other, with the same steps, patches and seed, and scores them on
the validation and the test scenes of its protocol. "D error": mean |D(truth) - what the sensor sees| of the last
iteration's degradation block on the validation scenes, spectral / spatial, values in 0..1. What is in DIR already is
not trained again. Writes DIR/ablations.md and prints it.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from hypersharp.bench.scenes import find_scenes, load_truth, training_set
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import count_parameters, load_weights, to_fast_layout
from hypersharp.networks.inference import run_network
from hypersharp.pair.options import Options
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.simulation.protocols import Protocol, find_protocol
from hypersharp.system.build_info import commit, machine
from hypersharp.train.options import TrainOptions, read_options
from hypersharp.train.run import CHECKPOINT, train

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "ablation.yaml"

# name -> (what it is, options of the network, options of the training)
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "base": ("the paper's network: T = 2, own blocks in each iteration, loss L1 alone", {}, {}),
    "seed": ("the same from another seed", {}, {"seed": 1}),
    "no-blocks": ("no degradation blocks: hs and ms themselves are fused", {"compare": "none"}, {}),
    "no-ms-error": ("no error map of ms", {"compare": "hs"}, {}),
    "no-hs-error": ("no error map of hs", {"compare": "ms"}, {}),
    "lambda-deg": ("degradation loss, weight 0.1", {}, {"lambda_deg": 0.1}),
    "true-sensor": ("the true degradation instead of a learnt one", {"degradation": "sensor"}, {}),
    "shared-blocks": ("iterations share the degradation block", {"share": "degradation"}, {}),
    "shared-all": ("iterations share all weights", {"share": "all"}, {}),
    "one": ("T = 1", {"iterations": 1}, {}),
    "three": ("T = 3", {"iterations": 3}, {}),
}


def main() -> None:
    call = argparse.ArgumentParser(description=__doc__)
    call.add_argument("data", type=Path)
    call.add_argument("-o", "--out", type=Path, required=True)
    call.add_argument("--cache", type=Path)
    given = call.parse_args()
    base = read_options(RECIPE)
    assert isinstance(base, TrainOptions)
    protocol = find_protocol(base.protocol)
    lines = [heading(base)]
    for name, (what, net_options, options) in VARIANTS.items():
        chosen = replace(base, name=name, network_options=base.network_options | net_options, **options)
        weights = trained(chosen, given.data, given.out, given.cache)
        lines.append(line(what, weights, protocol, given.data))
        (given.out / "ablations.md").write_text("\n".join(lines) + f"\n\nCommit {commit()}; {machine()}.\n")
    print((given.out / "ablations.md").read_text())


def heading(base: TrainOptions) -> str:
    title = f"{base.protocol}, {base.network_options['features']} features, {base.steps} steps of {base.batch} patches"
    cells = [
        "variant",
        "parameters",
        "validation: PSNR (dB)",
        "SAM (°)",
        "test: PSNR (dB)",
        "SAM (°)",
        "D error",
        "min",
    ]
    return f"{title}\n\n| {' | '.join(cells)} |\n|{' --- |' * len(cells)}"


def trained(options: TrainOptions, data: Path, out: Path, cache: Path | None) -> Path:
    """The weights of a variant, trained unless they are there."""
    folder = out / options.name
    path = folder / f"{options.name}.safetensors"
    if not path.exists():
        resume = (folder / CHECKPOINT).exists()
        train(options, training_set(options.protocol, data), folder, resume=resume, cache_dir=cache)
    return path


def line(what: str, weights: Path, protocol: Protocol, data: Path) -> str:
    """A row of the table."""
    net, header = load_weights(weights)
    to_fast_layout(net)
    validation = list(score_scenes(net, protocol, data, protocol.validation))
    test = list(score_scenes(net, protocol, data, protocol.test))
    scores = [fmean(row[k] for row in rows) for rows in (validation, test) for k in (0, 1)]
    gaps = [fmean(row[k] for row in validation) for k in (2, 3)]
    error = "-" if np.isnan(gaps[0]) else f"{gaps[0]:.3f} / {gaps[1]:.3f}"
    cells = [what, f"{count_parameters(net):,}", *(f"{score:.2f}" for score in scores), error]
    return f"| {' | '.join(cells)} | {header.provenance['minutes']:.0f} |"


def score_scenes(
    net: FusionNetwork, protocol: Protocol, data: Path, names: tuple[str, ...]
) -> Iterable[tuple[float, float, float, float]]:
    """PSNR (dB), SAM (degrees), spectral and spatial D error of each scene; NaN without a block that is used."""
    sensor = protocol.sensor()
    for path in find_scenes(protocol, data, names).values():
        truth = torch.from_numpy(np.asarray(load_truth(protocol, path).values, dtype=np.float32))
        hs, ms = sensor.observe(truth)
        estimate = run_network(net, hs, ms, Options()).clamp(0, 1)
        gaps = degradation_gaps(net, truth, hs, ms)
        yield (*psnr_sam_ergas(estimate.numpy(), truth.numpy(), preset=protocol.preset)[:2], *gaps)


def degradation_gaps(
    net: FusionNetwork, truth: torch.Tensor, hs: torch.Tensor, ms: torch.Tensor
) -> tuple[float, float]:
    if vars(net.options).get("compare", "none") == "none":
        return float("nan"), float("nan")
    with torch.inference_mode():
        ms_hat, hs_hat = net.degrade(truth[None])[-1]
    return float((ms_hat[0] - ms).abs().mean()), float((hs_hat[0] - hs).abs().mean())


if __name__ == "__main__":
    main()
