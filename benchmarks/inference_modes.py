"""The three ways of running SSJCN over an image, compared on the demo's scene, with a picture of the seams.

    python benchmarks/inference_modes.py -o docs/images/seams.png

Prints a Markdown table: scores by the protocol's preset, the seam ratio (the mean step of the error
across the borders of 64-pixel patches over its mean step elsewhere; 1 is seamless) and seconds. Draws
the true colours, and how far `tiles` and `patches` lie from `whole`.
"""

import argparse
import time
from pathlib import Path
from typing import get_args

import numpy as np
import xarray as xr

from hypersharp.bench.demo import load_indian_pines
from hypersharp.fusion.fuse import fuse
from hypersharp.io.together import save_figure
from hypersharp.networks.inference import PATCH_PX
from hypersharp.pair.options import Mode
from hypersharp.plot.draw import draw_composite, draw_image, new_figure
from hypersharp.plot.errors import rms_error
from hypersharp.quality.metrics import score_cubes
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.atomic import make_folder
from hypersharp.system.build_info import commit, machine

TILE_PX = 64  # the scene has 144 pixels a side: tiles as large as the patches, so that both have borders


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/images/seams.png"))
    out = parser.parse_args().out
    protocol = find_protocol("dian-x4")
    hs, ms, truth = simulate_pair(load_indian_pines(), protocol.sensor())
    fuse(hs, ms, method="ssjcn", scale=1.0)  # warm-up
    results: dict[str, xr.DataArray] = {}
    print(f"AVIRIS Indian Pines, commit {commit()}, {machine()}\n")
    print_line("way", "PSNR (dB)", "SSIM", "SAM (°)", "ERGAS", "seam ratio", "s")
    print_line(*["---"] * 7)
    for mode in get_args(Mode):
        started = time.perf_counter()
        sharp = results[mode] = fuse(hs, ms, method="ssjcn", mode=mode, tile_px=TILE_PX, scale=1.0)
        seconds = time.perf_counter() - started
        scores = score_cubes(sharp, truth, ratio=protocol.ratio, preset=protocol.preset, peak=1.0)
        numbers = (f"{scores.psnr_db:.2f}", f"{scores.ssim:.4f}", f"{scores.sam_deg:.2f}", f"{scores.ergas:.3f}")
        print_line(f"`{mode}`", *numbers, f"{seam_ratio(sharp - truth):.2f}", f"{seconds:.2f}")
    draw(results, out)


def print_line(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def seam_ratio(error: xr.DataArray) -> float:
    """Mean |step| of the error across patch borders over that elsewhere."""
    steps = np.abs(np.diff(error.values, axis=2)).mean((0, 1))
    seams = np.zeros(len(steps), bool)
    seams[PATCH_PX - 1 :: PATCH_PX] = True
    return float(steps[seams].mean() / steps[~seams].mean())


def draw(results: dict[str, xr.DataArray], out: Path) -> None:
    """True colours of `whole`, and the distance of the others from it on one scale."""
    whole, *others = results
    distances = {mode: rms_error(results[mode], results[whole]) for mode in others}
    top = float(np.quantile(np.stack(list(distances.values())), 0.995))
    figure = new_figure(3.6 * len(results), 3.7)
    first, *row = figure.subplots(1, len(results))
    draw_composite(first, results[whole], whole)
    for axes, (mode, distance) in zip(row, distances.items(), strict=True):
        shown = draw_image(axes, distance, f"{mode}: distance from {whole}", cmap="magma", vmin=0, vmax=top)
    figure.colorbar(shown, ax=row, label="RMS over bands", shrink=0.8)
    make_folder(out.parent)
    save_figure(figure, out, dpi=100)


if __name__ == "__main__":
    main()
