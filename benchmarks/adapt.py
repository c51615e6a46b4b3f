"""SSJCN without weights for the sensor, as it comes and adapted to the pair, beside methods that need none.

    HYPERSHARP_DATA=FOLDER python benchmarks/adapt.py [--cases NAME,..] [--steps 100,400] [--minutes 0.5,2]

The pairs of benchmarks/auto.py, under the sensor estimated from each; and Paris with the ms moved by the shift that
the estimated blur has, for there the ms lies half a pixel off the Hyperion image that is the truth. Steps of
learning, not seconds, so that a busy machine says the same; with each the seconds of the processor. --minutes: how
well `adapt` keeps to the clock, and what it has learnt by then. PSNR (mean over
bands, dB) and SAM (degrees) by the preset `float`; gains on the held-out tiles of the pair degraded once more.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from auto import CASES, Case, paris, scores
from scipy.ndimage import shift

from hypersharp.errors import InputError
from hypersharp.methods.table import METHODS
from hypersharp.networks.inference import run_network
from hypersharp.pair.options import Options, ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.train.adapt import AdaptOptions, Outcome, adapt

BESIDE = ("bicubic", "gsa", "sfim", "glp", "fuse", "cnmf", "hysure", "kwon-tai")
UNLIMITED_S = 1e6
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cases", default="jasper-sentinel-2-x3,jasper-landsat-8-x6,paris,paris-aligned")
    parser.add_argument("--steps", default="100,400", help="lengths of learning, or nothing")
    parser.add_argument("--minutes", default="", help="budgets by the clock, 0.5,2 say")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print("| pair | method | PSNR (dB) | SAM (degrees) | s (processor) |", "|---|---|---|---|---|", sep="\n")
    for name in arguments.cases.split(","):
        case = {**CASES, "paris-aligned": aligned_paris}[name](Path(os.environ["HYPERSHARP_DATA"]))
        lengths = [AdaptOptions(seconds=UNLIMITED_S, steps=int(text)) for text in arguments.steps.split(",") if text]
        lengths += [AdaptOptions(seconds=60 * float(text)) for text in arguments.minutes.split(",") if text]
        for row in compare(case, lengths):
            rows.append({"case": name, **row})
            print(
                f"| {name} | {row['method']} | {row['psnr_db']:.2f} | {row['sam_deg']:.2f} | {row['seconds']:.1f} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def compare(case: Case, lengths: list[AdaptOptions]) -> Iterator[Row]:
    """The scores of each method, under one sensor, estimated once."""
    pair, chosen = case.pair, Options()
    found = PairSensor(pair).sensor
    known = PairSensor(pair, found.psf, found.srf)
    for name in (*BESIDE, "ssjcn-any"):
        yield timed(name, case, lambda name=name: METHODS[name].learn(pair, known, chosen)(pair, chosen, ignore))
    for options in lengths:
        told: list[Outcome] = []

        def learnt(options: AdaptOptions = options, told: list[Outcome] = told) -> torch.Tensor:
            started = perf_counter()
            net, outcome = adapt(pair, known, chosen, options)
            told.append(replace(outcome, seconds=perf_counter() - started))
            return run_network(net, pair.hs, pair.ms, chosen)

        try:
            row = timed("adapted", case, learnt)
        except InputError as exc:
            print(f"not adapted: {exc}")
            return
        yield row | {"method": describe(options, told[0])}


def describe(options: AdaptOptions, outcome: Outcome) -> str:
    """How long it learned, and what that brought on the held-out tiles."""
    o = outcome
    clock = f", {o.seconds:.1f} of {options.seconds:g} s" if options.seconds < UNLIMITED_S else ""
    gains = f"held-out {o.before_db - o.start_db:+.2f} then {o.after_db - o.before_db:+.2f} dB"
    return f"adapted, {o.steps} steps{clock} ({gains})"


def timed(name: str, case: Case, run: Any) -> Row:
    started = process_time()
    psnr_db, sam_deg = scores(run(), case)
    return {"method": name, "psnr_db": psnr_db, "sam_deg": sam_deg, "seconds": process_time() - started}


def aligned_paris(data: Path) -> Case:
    case = paris(data)
    shift_yx = PairSensor(case.pair).estimate.shift_px_yx
    back = (-shift_yx[0], -shift_yx[1])
    moved = np.stack([shift(band, back, order=3, mode="nearest") for band in case.pair.ms.numpy()])
    return replace(case, pair=replace(case.pair, ms=torch.from_numpy(moved)))


if __name__ == "__main__":
    main()
