"""Time, memory and share of this machine's own convolution speed, for a 512 x 512 x 31 scene at ratio 4.

    python benchmarks/fuse_speed.py [--weights NAME|FILE] [--json FILE]

One run measures everything, so that its numbers belong together: seconds are medians of 5 after a warm-up,
weights loaded; the peak is of a fresh process that reads a pair, sharpens it once and ends; the yardstick is
a 64 -> 64 channel 3 x 3 convolution at 512 x 512, bfloat16, channels last. The scene is the demo's, mirrored
to 512 x 512. Keep the machine otherwise idle.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.utils.flop_counter import FlopCounterMode

from hypersharp.bench.demo import load_indian_pines
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube, save_cube
from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.packaged import fitting_weights, named_weights
from hypersharp.quality.metrics import score_cubes
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.build_info import commit, machine, peak_bytes

SIDE_PX, RATIO, CHANNELS, TIMES = 512, 4, 64, 5


def main() -> None:
    arguments = parse_arguments()
    if arguments.once:
        return sharpen_once(arguments.once, arguments.weights)
    numbers = measure_all(arguments.weights)
    print(as_markdown(numbers))
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--weights", help="packaged weights or a file; default: those that fit")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_all(weights: str | None) -> dict[str, Any]:
    """Every number of the table, in SI units but for names that say otherwise."""
    hs, ms, truth = make_pair()
    network_gflop = count_gflop(weights, hs, ms)
    numbers: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "network_gflop": network_gflop,
        "peak_mb": measure_peak_mb(hs, ms, weights),
        "convolution_gflop_per_s": measure_convolution(),
    }
    for precision in ("bf16", "fp32"):
        sharp = fuse(hs, ms, weights=weights, precision=precision, scale=1.0)
        seconds = median_s(lambda p=precision: fuse(hs, ms, weights=weights, precision=p, scale=1.0))  # type: ignore[misc]
        speed = network_gflop / seconds
        numbers[precision] = {
            "seconds": seconds,
            "gflop_per_s": speed,
            "share_of_convolution": speed / numbers["convolution_gflop_per_s"],
            "psnr_db": score_cubes(sharp, truth, ratio=RATIO, preset="float", peak=1.0).psnr_db,
        }
    numbers["bf16_minus_fp32_db"] = numbers["bf16"]["psnr_db"] - numbers["fp32"]["psnr_db"]
    return numbers


def make_pair() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """(hs, ms, truth) of the demo's scene mirrored to SIDE_PX."""
    scene = load_indian_pines()
    margin = SIDE_PX - scene.shape[1]
    values = np.pad(scene.values, ((0, 0), (0, margin), (0, margin)), mode="symmetric")
    return simulate_pair(make_cube(values, wavelengths_nm=wavelengths_nm(scene)), find_protocol("dian-x4").sensor())


def count_gflop(weights: str | None, hs: xr.DataArray, ms: xr.DataArray) -> float:
    """Billions of floating-point operations of one pass (a multiply-add counts as 2)."""
    shape = {"bands": hs.shape[0], "ms_bands": ms.shape[0], "ratio": RATIO}
    found = named_weights(weights) if weights else fitting_weights("ssjcn", shape, wavelengths_nm(hs))[0]
    net, _ = load_weights(found.path)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.tensor(hs.values)[None], torch.tensor(ms.values)[None])
    return float(counter.get_total_flops()) / 1e9


def measure_convolution() -> float:
    """GFLOP/s of one bfloat16 channels-last 3 x 3 convolution."""
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.rand(1, CHANNELS, SIDE_PX, SIDE_PX, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = median_s(lambda: layer(image))
    return 2 * 9 * CHANNELS**2 * SIDE_PX**2 / seconds / 1e9


def median_s(action: Callable[[], Any]) -> float:
    """Median wall-clock seconds of TIMES runs after one more."""
    seconds = []
    for _ in range(TIMES + 1):
        started = perf_counter()
        action()
        seconds.append(perf_counter() - started)
    return median(seconds[1:])


def measure_peak_mb(hs: xr.DataArray, ms: xr.DataArray, weights: str | None) -> float:
    """Peak resident memory of a fresh process that sharpens the pair once, Python and torch included."""
    with tempfile.TemporaryDirectory() as folder:
        save_cube(hs, Path(folder) / "hs.npy")
        save_cube(ms, Path(folder) / "ms.npy")
        command = [sys.executable, __file__, "--once", folder, *(["--weights", weights] if weights else [])]
        child = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(child.stdout.splitlines()[-1])


def sharpen_once(folder: Path, weights: str | None) -> None:
    """The child: read, sharpen, print the peak."""
    fuse(open_cube(folder / "hs.npy"), open_cube(folder / "ms.npy"), weights=weights, scale=1.0)
    print((peak_bytes() or 0) / 2**20)


def as_markdown(numbers: dict[str, Any]) -> str:
    lines = [
        f"{SIDE_PX} x {SIDE_PX} x 31, ratio {RATIO}; {numbers['machine']}, {numbers['threads']} threads, "
        f"torch {numbers['torch']}, commit {numbers['commit']}",
        "",
        "| precision | seconds | GFLOP/s | share of convolution speed | PSNR (dB) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for precision in ("bf16", "fp32"):
        row = numbers[precision]
        lines.append(
            f"| {precision} | {row['seconds']:.2f} | {row['gflop_per_s']:.0f} | {row['share_of_convolution']:.0%} "
            f"| {row['psnr_db']:.3f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Network {numbers['network_gflop']:.0f} GFLOP; convolution alone {numbers['convolution_gflop_per_s']:.0f} "
            f"GFLOP/s; peak memory {numbers['peak_mb']:.0f} MB; bf16 - fp32 {numbers['bf16_minus_fp32_db']:+.4f} dB.",
        ]
    )


if __name__ == "__main__":
    main()
