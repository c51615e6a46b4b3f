"""Methods for a panchromatic guide on a real pair at reduced resolution: Paris, Hyperion with ALI's pan at ratio 3.

    python benchmarks/pan.py DATA [--methods bicubic,gsa,..]

Wald's protocol: both images are reduced by 3 through a Gaussian of FWHM 3 pixels, which the methods are told, and the
Hyperion image is the truth. Results are as the methods make them, not made consistent. DATA holds paris/.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.sensor.observe import degraded
from hypersharp.sensor.psf import gaussian_fwhm
from hypersharp.system.build_info import commit, machine

RATIO, ROWS, COLUMNS = 3, 72, 57  # of hs: whole coarse pixels once more


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with paris/")
    parser.add_argument("--methods", default="bicubic,gsa,glp,sfim,liu-xiao-li")
    arguments = parser.parse_args()
    pair = loadmat(arguments.data / "paris" / "paris_data_hs_pan.mat")
    truth = as_image(pair["HSim"][:ROWS, :COLUMNS].transpose(2, 0, 1))
    pan = as_image(pair["PCim"][None, : ROWS * RATIO, : COLUMNS * RATIO])
    psf = gaussian_fwhm(RATIO, RATIO, boundary="reflect")
    hs, ms = (make_cube(degraded(image, psf, RATIO).numpy()) for image in (truth, pan))
    print(
        f"commit {commit()}, {machine()}",
        "| method | PSNR (dB) | SAM (°) | ERGAS | s |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    for method in arguments.methods.split(","):
        started = time.process_time()
        made = fuse(hs, ms, method=method, psf=psf, coregister="none", consistent=False, scale=1.0)
        seconds = time.process_time() - started
        psnr_db, sam_deg, ergas = psnr_sam_ergas(made.values, truth.numpy(), ratio=RATIO, preset="float")
        print(f"| {method} | {psnr_db:.2f} | {sam_deg:.2f} | {ergas:.2f} | {seconds:.1f} |", flush=True)


def as_image(values: np.ndarray) -> torch.Tensor:
    """Its 0.999 quantile is 1."""
    image = torch.from_numpy(values.astype(np.float32))
    return image / float(np.quantile(values, 0.999))


if __name__ == "__main__":
    main()
