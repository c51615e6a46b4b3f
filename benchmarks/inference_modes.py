"""The three ways of running SSJCN over an image, compared on one scene, with a picture of the seams.

    python benchmarks/inference_modes.py --data $HYPERSHARP_DATA -o docs/images/seams.png

Prints a Markdown table (scores by the protocol's preset, seconds, and the seam ratio: the mean step
of the error across the borders of 64-pixel patches, over its mean step elsewhere) and draws the
error of each way around a patch border.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import xarray as xr

from hypersharp.bench.protocols import find_protocol, simulate_pair
from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.bench.score import score_cubes
from hypersharp.methods import fuse
from hypersharp.methods.inference import MODES, PATCH_PX
from hypersharp.plots import draw_image, new_figure, rms_error
from hypersharp.provenance import commit, machine

CROP = slice(128, 384)


def main() -> None:
    arguments = parse_arguments()
    protocol = find_protocol("dian-x4")
    path = find_scenes(protocol, arguments.data, [arguments.scene])[arguments.scene]
    hs, ms, truth = simulate_pair(load_truth(protocol, path), protocol.sensor())
    fuse(hs, ms, scale=1.0)  # warm-up
    errors: dict[str, np.ndarray] = {}
    print(f"{arguments.scene}, commit {commit()}, {machine()}\n")
    print_line("way", "PSNR (dB)", "SSIM", "SAM (°)", "ERGAS", "seam ratio", "s")
    print_line(*["---"] * 7)
    for mode in MODES:
        started = time.perf_counter()
        sharp = fuse(hs, ms, mode=mode, scale=1.0)
        seconds = time.perf_counter() - started
        errors[mode] = rms_error(sharp, truth)
        scores = score_cubes(sharp, truth, ratio=protocol.ratio, preset=protocol.preset, peak=1.0)
        numbers = (f"{scores.psnr_db:.2f}", f"{scores.ssim:.4f}", f"{scores.sam_deg:.2f}", f"{scores.ergas:.3f}")
        print_line(f"`{mode}`", *numbers, f"{seam_ratio(sharp - truth):.2f}", f"{seconds:.2f}")
    draw(errors, arguments.out)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scene", default="stuffed_toys")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/images/seams.png"))
    return parser.parse_args()


def print_line(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def seam_ratio(error: xr.DataArray) -> float:
    """Mean |step| of the error across patch borders over that elsewhere; 1 is seamless."""
    steps = np.abs(np.diff(error.values, axis=2)).mean((0, 1))
    seams = np.zeros(len(steps), bool)
    seams[PATCH_PX - 1 :: PATCH_PX] = True
    return float(steps[seams].mean() / steps[~seams].mean())


def draw(errors: dict[str, np.ndarray], out: Path) -> None:
    """Error maps of the middle of the scene, one colour scale."""
    figure = new_figure(3.4 * len(errors), 3.6)
    top = float(np.quantile(np.stack(list(errors.values()))[:, CROP, CROP], 0.99))
    row = figure.subplots(1, len(errors))
    for panel, (mode, error) in zip(row, errors.items(), strict=True):
        draw_image(panel, error[CROP, CROP], f"{mode}: error, RMS over bands", cmap="viridis", vmin=0, vmax=top)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
