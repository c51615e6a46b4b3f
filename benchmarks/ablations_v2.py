"""What each part of SSJCN's second generation is worth: python benchmarks/ablations_v2.py DATA -o DIR

Trains variants of recipes/ablation-v2.yaml one after the other, each with as many steps as the PFLOP of `--pflop` pay
for and otherwise alike, and scores them on the validation and the test scenes of its protocol. What is in DIR already
is not trained again. Writes DIR/ablations_v2.md and prints it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ablations import score_scenes

from hypersharp.bench.scenes import training_set
from hypersharp.networks.checkpoint import count_parameters, load_weights, to_fast_layout
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.build_info import commit, machine
from hypersharp.train.options import RecordOptions, read_options
from hypersharp.train.record import begin, make_course, train_record

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "ablation-v2.yaml"

# name -> (what it is, options of the network, options of the training)
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "base": ("T = 2, every estimate agrees with both inputs, bodies at half resolution", {}, {}),
    "seed": ("the same from another seed", {}, {"seed": 1}),
    "one": ("T = 1", {"rounds": 1}, {}),
    "joint-ms": ("estimates agree with MS alone", {"joint": "ms"}, {}),
    "joint-off": ("with neither", {"joint": "off"}, {}),
    "full": ("bodies at full resolution", {"resolution": "full"}, {}),
    "quarter": ("bodies at quarter resolution", {"resolution": "quarter"}, {}),
    "regression": ("begun at the local regression", {"start": "regression"}, {}),
    "chains": ("the mean of two chains, one of each start", {"start": ["bicubic", "regression"]}, {}),
    "three": ("T = 3", {"rounds": 3}, {}),
}
HEAD = ["variant", "parameters", "steps", "validation: PSNR (dB)", "SAM (°)", "test: PSNR (dB)", "SAM (°)", "core min"]


def main() -> None:
    call = argparse.ArgumentParser(description=__doc__)
    call.add_argument("data", type=Path)
    call.add_argument("-o", "--out", type=Path, required=True)
    call.add_argument("--pflop", type=float, default=0.025, help="of each training")
    call.add_argument("--only", default=",".join(VARIANTS))
    given = call.parse_args()
    base = read_options(RECIPE)
    assert isinstance(base, RecordOptions)
    o = base.network_options
    title = f"{base.protocol}, {o['features']} features, {o['blocks']} blocks, {given.pflop:g} PFLOP each"
    lines = [f"{title}, crops of {base.crop_px} pixels, {base.batch} a step\n", f"| {' | '.join(HEAD)} |"]
    lines.append("|" + " --- |" * len(HEAD))
    for name in given.only.split(","):
        what, network, training = VARIANTS[name]
        options = replace(base, name=name, network_options=o | network, **training)
        lines.append(f"| {' | '.join([what, *row(options, given.data, given.out / name, given.pflop)])} |")
        (given.out / "ablations_v2.md").write_text("\n".join(lines) + f"\n\nCommit {commit()}; {machine()}.\n")
    print((given.out / "ablations_v2.md").read_text())


def row(options: RecordOptions, data: Path, folder: Path, pflop: float) -> list[str]:
    """The cells of a variant, trained unless it is there."""
    protocol, path = find_protocol(options.protocol), folder / f"{options.name}.safetensors"
    if not path.exists():
        scenes = training_set(options.protocol, data)
        cost = make_course(options, scenes, folder, begin(options, scenes, ()).net).pflop_per_crop * options.batch
        steps = max(1, round(pflop / cost * (1 - options.finish_share)))
        train_record(replace(options, steps=steps), scenes, folder, resume=(folder / "last.pt").exists())
    net, header = load_weights(path)
    to_fast_layout(net)
    cells = [f"{count_parameters(net):,}", f"{header.provenance['step']:,}"]
    for names in (protocol.validation, protocol.test):
        psnr, sam = zip(*(scores[:2] for scores in score_scenes(net, protocol, data, names)), strict=True)
        cells += [f"{fmean(psnr):.2f}", f"{fmean(sam):.2f}"]
    return [*cells, f"{header.provenance['cpu_seconds'] / 60:.1f}"]


if __name__ == "__main__":
    main()
