"""torch in float32 and bfloat16 against onnxruntime, on a scene of 512 x 512 x 31 at ratio 4.

    python benchmarks/runtimes.py [--weights NAME|FILE] [--threads N] [--times N] [--json FILE]

The runtimes take turns, so that a machine that is busy slows all of them alike; seconds of the processor hardly count
the others' work. Medians from cubes in memory to a cube in memory, weights loaded, the ONNX file made before. The
differences are those of the results, as shares of the range of torch's in float32.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
import xarray as xr
from fuse_speed import RATIO, SIDE_PX, make_pair

from hypersharp.fusion.fuse import fuse
from hypersharp.quality.metrics import score_cubes
from hypersharp.system.build_info import commit, machine

WAYS: dict[str, dict[str, Any]] = {
    "torch, fp32": {"precision": "fp32"},
    "torch, bf16": {"precision": "bf16"},
    "onnxruntime, fp32": {"runtime": "onnx"},
}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    numbers = measure(arguments.weights, arguments.method, arguments.times)
    print(as_markdown(numbers))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--method", default="ssjcn", help="a method with a network")
    parser.add_argument("--weights", help="packaged weights or a file; default: those that fit")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    return parser.parse_args()


def measure(weights: str | None, method: str, times: int) -> dict[str, Any]:
    """Seconds, PSNR and difference from torch in float32 of each way."""
    hs, ms, truth = make_pair()

    def sharpen(way: str) -> xr.DataArray:
        return fuse(hs, ms, method=method, weights=weights, scale=1.0, consistent=False, **WAYS[way])

    results = {way: sharpen(way) for way in WAYS}
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(times):
        for way in WAYS:
            started, used = perf_counter(), process_time()
            sharpen(way)
            seconds[way].append((perf_counter() - started, process_time() - used))
    base = results["torch, fp32"].values
    rows = {
        way: {
            "seconds": median(wall for wall, _ in seconds[way]),
            "processor_s": median(used for _, used in seconds[way]),
            "psnr_db": score_cubes(results[way], truth, ratio=RATIO, preset="float", peak=1.0).psnr_db,
            "difference": float(np.abs(results[way].values - base).max() / np.ptp(base)),
        }
        for way in WAYS
    }
    about = {"commit": commit(), "machine": machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    return {**about, "method": method, "ways": rows}


def as_markdown(numbers: dict[str, Any]) -> str:
    rows, base = numbers["ways"], numbers["ways"]["torch, fp32"]["processor_s"]
    lines = [
        f"{numbers['method']}, {SIDE_PX} x {SIDE_PX} x 31, ratio {RATIO}; {numbers['machine']}, "
        f"{numbers['threads']} thread(s), torch {numbers['torch']}, commit {numbers['commit']}",
        "",
        "| runtime | seconds | of the processor | relative | PSNR (dB) | largest difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {way} | {row['seconds']:.2f} | {row['processor_s']:.2f} | {row['processor_s'] / base:.2f} "
        f"| {row['psnr_db']:.3f} | {row['difference']:.1e} |"
        for way, row in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
