"""What it costs not to be told where hs lies on ms, and how well a displacement that varies is found.

    HYPERSHARP_DATA=FOLDER python benchmarks/placement.py [--methods NAME,..] [--only offsets|fields|large|fused|paris]

Offsets: Jasper Ridge (every third band, Sentinel-2A's response) under blurs whose centre lies off the middle of the
coarse pixel, hs at 35 dB, ms at 40 dB; PSNR (dB) / SAM (degrees) on the ms's own pixels, by default and told PSF,
centre and response, both without consistency. Fields: Jasper Ridge and Berlin's EnMAP image under a smooth
displacement of 2 fine pixels, 35 dB; its error is the root mean square over the scene. Large: the same on Jasper Ridge
mirrored to 640 x 640 pixels, 320 x 320 of hs. Fused: what `auto` makes of the two (every third band) under a field, and
without, against the scene as the ms shows it. Paris: how the result of GSA,
seen through the estimated response, correlates with the ALI image that it was made of, on either image's pixels.
"""

import argparse
import os
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from auto import paris_unmoved
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import map_coordinates

from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube
from hypersharp.io.image import CubeImage
from hypersharp.pair.options import Frame
from hypersharp.pair.place import place
from hypersharp.pair.placement import OnMS
from hypersharp.pair.sensor import PairSensor
from hypersharp.quality.metrics import psnr_sam_ergas
from hypersharp.registration.register import register
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian, gaussian_fwhm
from hypersharp.sensor.srf import find_srf

Image = NDArray[np.float32]
# ratio, taps, sigma, start
OFFSETS = [
    (4, 7, 1.5, 0),
    (4, 8, 1.8, 2),
    (4, 8, 1.8, 3),
    (4, 7, 1.5, 1),
    (3, 6, 1.4, 0),
    (3, 5, 1.2, 2),
    (6, 9, 2.4, 4),
]
METHODS = "bicubic,gsa,glp,sfim,fuse,hysure,cnmf,ssjcn-any"
LARGE_PX = 640
KINDS = ("none", "affine", "half a period", "a period")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--only", choices=["offsets", "fields", "large", "fused", "paris"])
    arguments, data = parser.parse_args(), Path(os.environ["HYPERSHARP_DATA"])
    if arguments.only in (None, "offsets"):
        offsets(data, arguments.methods.split(","))
    if arguments.only in (None, "fields"):
        fields(data)
    if arguments.only in (None, "large"):
        large(data)
    if arguments.only in (None, "fused"):
        fused(data)
    if arguments.only in (None, "paris"):
        real(data)


def offsets(data: Path, methods: list[str]) -> None:
    truth, srf = jasper(data, step=3)
    truth = np.ascontiguousarray(truth[:, :96, :96])
    print(f"| ratio, taps, sigma, centre off | {' | '.join(methods)} |", "|---" * (len(methods) + 1) + "|", sep="\n")
    for ratio, taps, sigma, start in OFFSETS:
        psf = gaussian(taps, sigma, ratio=ratio, start=start, boundary="reflect")
        hs, ms = Sensor(psf, srf, ratio).observe(torch.from_numpy(truth))
        pair = make_cube(add_noise(hs, 35, 1).numpy()), make_cube(add_noise(ms, 40, 2).numpy())
        blind_and_told: tuple[dict[str, Any], ...] = ({}, {"psf": psf, "srf": srf})
        cells = []
        for method in methods:
            found, told = (
                scores(fuse(*pair, method=method, consistent=False, **known).values, truth, ratio)
                for known in blind_and_told
            )
            cells.append(f"{found[0]:.2f} / {found[1]:.2f} ({found[0] - told[0]:+.2f})")
        off = psf.centre_yx()[0] - (ratio - 1) / 2
        print(f"| {ratio}, {taps}, {sigma}, {off:+.1f} | {' | '.join(cells)} |", flush=True)


def scores(sharp: Image, truth: Image, ratio: int) -> tuple[float, float]:
    inside = (slice(None), slice(2 * ratio, -2 * ratio), slice(2 * ratio, -2 * ratio))
    images = (np.ascontiguousarray(image[inside], np.float32) for image in (sharp, truth))
    return psnr_sam_ergas(*images, ratio=ratio, preset="float")[:2]


def fields(data: Path) -> None:
    print(
        "| scene, ratio, displacement | found | error (fine px) | tie points | left (fine px) |",
        "|---" * 5 + "|",
        sep="\n",
    )
    for name, (cube, srf) in (("Jasper Ridge", jasper(data)), ("Berlin", berlin(data))):
        for ratio in (2, 4):
            height, width = (side // ratio * ratio for side in cube.shape[1:])
            truth = np.ascontiguousarray(cube[:, :height, :width])
            hs, ms = Sensor(gaussian_fwhm(ratio, ratio), srf, ratio).observe(torch.from_numpy(truth))
            for kind in KINDS:
                field = planted(kind, (height, width))
                displaced = add_noise(torch.from_numpy(bent(ms.numpy(), field)), 35, 2).numpy()
                found = register(add_noise(hs, 35, 1).numpy(), displaced, model="local")
                grid = np.indices((height, width)).reshape(2, -1).astype(float)
                gap = found.field(ratio, (height // ratio, width // ratio))(grid).reshape(field.shape) - field
                error, (kept, asked) = np.sqrt(np.square(gap).sum(0).mean()), found.tie_points
                label = f"{name}, {ratio}, {kind}"
                print(
                    f"| {label} | {found.model} | {error:.3f} | {kept} of {asked} | {found.residual_px:.2f} |",
                    flush=True,
                )


def large(data: Path) -> None:
    cube, srf = jasper(data, step=6)
    truth = np.pad(cube, ((0, 0), (0, LARGE_PX - 100), (0, LARGE_PX - 100)), mode="symmetric")
    hs, ms = Sensor(gaussian_fwhm(2, 2, boundary="reflect"), srf, 2).observe(torch.from_numpy(truth))
    print("| displacement | found | error (fine px) | tie points | s |", "|---" * 5 + "|", sep="\n")
    for kind in KINDS:
        field = planted(kind, truth.shape[1:])
        displaced = add_noise(torch.from_numpy(bent(ms[1:8:2].numpy(), field)), 35, 2).numpy()
        started = process_time()
        placed = place(CubeImage(make_cube(add_noise(hs, 35, 1).numpy())), CubeImage(make_cube(displaced)))
        seconds = process_time() - started
        assert isinstance(placed, OnMS)
        lattice, evidence = placed.lattice, placed.evidence or {"model": "none", "tie_points": (0, 0)}
        there = np.zeros_like(field) + np.array(lattice.offset_px_yx)[:, None, None]
        if lattice.warp and lattice.warp.field:
            there = lattice.warp.field(np.indices(field.shape[1:]).reshape(2, -1).astype(float)).reshape(field.shape)
        error, (kept, asked) = np.sqrt(np.square(there - field).sum(0).mean()), evidence["tie_points"]
        print(f"| {kind} | {evidence['model']} | {error:.3f} | {kept} of {asked} | {seconds:.0f} |", flush=True)


def fused(data: Path) -> None:
    print("| scene, ratio | displacement | auto (PSNR / SAM) | against none (dB) |", "|---" * 4 + "|", sep="\n")
    scenes = (("Jasper Ridge", jasper(data, step=3), 4), ("Berlin", berlin(data, step=3), 2))
    for name, (cube, srf), ratio in scenes:
        height, width = (side // ratio * ratio for side in cube.shape[1:])
        truth, unmoved = np.ascontiguousarray(cube[:, :height, :width]), np.nan
        hs, ms = Sensor(gaussian_fwhm(ratio, ratio, boundary="reflect"), srf, ratio).observe(torch.from_numpy(truth))
        for kind in KINDS[:3]:
            field = planted(kind, (height, width))
            displaced = add_noise(torch.from_numpy(bent(ms.numpy(), field)), 35, 2).numpy()
            sharp = fuse(make_cube(add_noise(hs, 35, 1).numpy()), make_cube(displaced), budget_s=600.0).values
            wanted = bent(truth, field)
            seen = np.isfinite(sharp).all(0)
            psnr, sam = scores(np.where(seen, sharp, wanted), wanted, ratio)
            unmoved = psnr if kind == "none" else unmoved
            print(f"| {name}, {ratio} | {kind} | {psnr:.2f} / {sam:.2f} | {psnr - unmoved:+.2f} |", flush=True)


def real(data: Path) -> None:
    pair = paris_unmoved(data).pair
    srf = PairSensor(pair).sensor.srf
    print("| pixels of | correlation with the ms, band by band |", "|---|---|", sep="\n")
    frames: tuple[Frame, Frame] = ("ms", "hs")
    for frame in frames:
        sharp = fuse(make_cube(pair.hs.numpy()), make_cube(pair.ms.numpy()), method="gsa", frame=frame)
        seen = np.tensordot(srf, np.nan_to_num(sharp.values), 1)
        inside = (slice(6, -6), slice(6, -6))
        pairs = zip(seen, pair.ms.numpy(), strict=True)
        found = [np.corrcoef(ours[inside].ravel(), given[inside].ravel())[0, 1] for ours, given in pairs]
        print(f"| {frame} | {', '.join(f'{value:.3f}' for value in found)} |", flush=True)


def planted(kind: str, shape_yx: tuple[int, int]) -> NDArray[np.float64]:
    """(2, H, W): a displacement of 2 fine pixels, smooth over the scene."""
    y, x = np.meshgrid(*(np.linspace(0, 1, side) for side in shape_yx), indexing="ij")
    kinds = {
        "none": [0 * y, 0 * x],
        "affine": [2 * y - 1 + 0.3 * (2 * x - 1), x - 0.5],
        "half a period": [np.sin(np.pi * x) * np.cos(np.pi * y / 2), -np.cos(np.pi * y)],
        "a period": [np.sin(2 * np.pi * y) * np.cos(np.pi * x), np.sin(2 * np.pi * x + 1)],
    }
    return 2 * np.stack(kinds[kind])


def bent(image: Image, field: NDArray[np.float64]) -> Image:
    """What the image shows at p comes to lie at p + d(p)."""
    grid = np.indices(image.shape[1:]).astype(float)
    places = grid
    for _ in range(12):
        places = grid - np.stack([map_coordinates(axis, places, order=1, mode="nearest") for axis in field])
    return np.stack([map_coordinates(band, places, order=5, mode="mirror") for band in image]).astype(np.float32)


def jasper(data: Path, step: int = 1) -> tuple[Image, NDArray[np.float64]]:
    stored = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")
    cube = (stored["Y"].reshape(198, 100, 100, order="F") / 5000).astype(np.float32)[::step]
    nm = np.linspace(380, 2500, 224)[stored["SlectBands"].ravel() - 1][::step]
    return cube, find_srf("sentinel-2a", nm)


def berlin(data: Path, step: int = 1) -> tuple[Image, NDArray[np.float64]]:
    cube = open_cube(data / "berlin" / "EnMAP_BerlinUrbanGradient.hdr")
    values, nm = np.nan_to_num(np.asarray(cube.values, np.float32))[::step], wavelengths_nm(cube)
    assert nm is not None
    return values / np.quantile(values, 0.999), find_srf("sentinel-2a", nm[::step])


if __name__ == "__main__":
    main()
