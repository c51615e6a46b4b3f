"""Scenes of growing size through `hypersharp fuse`: time, memory of all processes together, values a second.

    python benchmarks/large_scene.py DATA -o DIR --sides 2500,5000,10000 --method gsa --memory 3GB

The scene is AVIRIS Jasper Ridge (DATA/jasper_ridge), mirrored over and over and shaded differently in every place, so
that its spectra and detail are real and no two tiles are alike: 60 bands, seen with ratio 4 by a Gaussian blur of 2
pixels and by Landsat 8's first four bands. `--whole` adds the same command untiled, `--in-memory` the fusion alone,
between arrays. Memory is the sum of the proportional set sizes of the command and its children, looked at up to five
times a second but for a fiftieth of the time at most: looking at a process holds it up, which made two workers up to
a tenth slower. Rows go to DIR/rows.jsonl; scenes are made once and reused.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from affine import Affine

from hypersharp.cube import make_cube
from hypersharp.fusion.fuse import fuse
from hypersharp.grid import coarse_transform
from hypersharp.io import open_cube, save_cube
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian
from hypersharp.stored import Pixels
from hypersharp.system.build_info import commit, machine
from hypersharp.system.memory import keep_memory

RATIO, BANDS, MARGIN = 4, 60, 8
PLACE = Affine(5.0, 0, 560_000, 0, -5.0, 4_140_000)
WAVELENGTHS_NM = np.linspace(400, 2450, 198)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with jasper_ridge/")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sides", default="1024,2048", help="fine pixels along a side")
    parser.add_argument("--method", default="gsa")
    parser.add_argument("--memory", default="3GB")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--format", default="tif")
    parser.add_argument("--consistent", action="store_true", help="made consistent with hs, too")
    parser.add_argument("--uncertainty", action="store_true", help="with the half-widths of 90 %% intervals, too")
    parser.add_argument("--whole", action="store_true", help="also untiled")
    parser.add_argument("--in-memory", action="store_true", help="also untiled, without reading and writing")
    arguments = parser.parse_args()
    keep_memory()  # as the command line does
    arguments.out.mkdir(parents=True, exist_ok=True)
    scene = JasperRidge(arguments.data / "jasper_ridge" / "jasperRidge2_R198.mat")
    for side in map(int, arguments.sides.split(",")):
        hs, ms = make_pair(scene, side, arguments.out)
        ways = [["--memory", arguments.memory, "--workers", n] for n in arguments.workers.split(",")]
        agreement = "--consistent" if arguments.consistent else "--no-consistent"
        for options in [*ways, *([[]] if arguments.whole else [])]:
            sharp = arguments.out / f"sharp.{arguments.format}"
            options = [*options, agreement]
            if arguments.uncertainty:
                options += ["--uncertainty", str(arguments.out / f"error.{arguments.format}")]
            row = measure([str(hs), str(ms), "-o", str(sharp), "--method", arguments.method, *options])
            row |= {"output_mb": round(sharp.stat().st_size / 1e6), "first_tile_rmse": error_of(sharp, scene)}
            sharp.unlink()
            report(row, side, arguments.method, " ".join(options), arguments.out)
        if arguments.in_memory:
            row = {"seconds": in_memory_s(hs, ms, arguments.method, consistent=arguments.consistent)}
            report(row, side, arguments.method, f"in memory {agreement}", arguments.out)


def report(row: dict[str, Any], side: int, method: str, options: str, folder: Path) -> None:
    """Complete a row, keep it and print it."""
    row |= {"side": side, "method": method, "options": options, "threads": torch.get_num_threads()}
    row |= {"mega_values_per_s": round(BANDS * side**2 / 1e6 / row["seconds"], 1)}
    row |= {"commit": commit(), "machine": machine()}
    with (folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


class JasperRidge:
    """The scene at any place: 60 bands, 0..1."""

    def __init__(self, path: Path) -> None:
        cube = open_cube(path, variable="Y", layout="lp", shape_yx=(100, 100)).values.astype(np.float32)
        kept = np.linspace(0, len(cube) - 1, BANDS).round().astype(int)
        self.image: np.ndarray = cube[kept] / np.quantile(cube, 0.999)
        self.wavelengths_nm = WAVELENGTHS_NM[kept]

    def __call__(self, rows: range, columns: range) -> np.ndarray:
        """(60, len(rows), len(columns)); rows and columns may be negative."""
        y, x = (folded(np.arange(part.start, part.stop), 100) for part in (rows, columns))
        shade_y = 1 + 0.2 * np.sin(np.arange(rows.start, rows.stop) / 517)
        shade_x = 1 + 0.2 * np.cos(np.arange(columns.start, columns.stop) / 733)
        shaded: np.ndarray = self.image[:, y][:, :, x] * np.outer(shade_y, shade_x).astype(np.float32)
        return shaded


def folded(places: np.ndarray, size: int) -> np.ndarray:
    """Places on an image that is mirrored over and over."""
    around = places % (2 * size)
    mirrored: np.ndarray = np.minimum(around, 2 * size - 1 - around)
    return mirrored


class Seen(Pixels):
    """hs or ms of the scene, made as it is read."""

    def __init__(self, scene: JasperRidge, sensor: Sensor, side: int, coarse: bool) -> None:
        bands = BANDS if coarse else len(sensor.srf)
        self.scene, self.sensor, self.step = scene, sensor, RATIO if coarse else 1
        super().__init__((bands, side // self.step, side // self.step), "f4")

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        margin = MARGIN if self.step > 1 else 0
        spans = [range(part.start * self.step - margin, part.stop * self.step + margin) for part in (rows, columns)]
        fine = torch.from_numpy(self.scene(*spans))
        seen = self.sensor.hs(fine) if self.step > 1 else self.sensor.ms(fine)
        edge = margin // self.step
        inside = slice(edge, -edge or None)
        image: np.ndarray = seen[:, inside, inside].numpy()
        return image[list(bands)]


def make_pair(scene: JasperRidge, side: int, folder: Path) -> tuple[Path, Path]:
    """hs and ms files of that size, made if they are not there."""
    import dask.array as da

    response = np.zeros((4, BANDS))
    for row, (first, last) in enumerate(((435, 510), (510, 590), (630, 690), (845, 895))):
        response[row, (scene.wavelengths_nm >= first - 20) & (scene.wavelengths_nm <= last + 20)] = 1
    response /= response.sum(1, keepdims=True)
    sensor = Sensor(gaussian(8, 2, RATIO, boundary="reflect"), response, RATIO)
    paths = folder / f"hs-{side}.tif", folder / f"ms-{side}.tif"
    for path, coarse in zip(paths, (True, False), strict=True):
        if path.exists():
            continue
        seen = Seen(scene, sensor, side, coarse)
        values = da.from_array(seen, chunks=(-1, 256, 256), name=False, asarray=True)  # type: ignore[no-untyped-call]
        nm = scene.wavelengths_nm if coarse else np.array([475.0, 550.0, 660.0, 870.0])
        place = coarse_transform(PLACE, RATIO) if coarse else PLACE
        save_cube(make_cube(values, wavelengths_nm=nm, crs="EPSG:32610", transform=place), path)
    return paths


def measure(words: list[str]) -> dict[str, Any]:
    """Seconds and peak memory (MB, all processes) of `hypersharp fuse` with these words."""
    started = time.perf_counter()
    run = subprocess.Popen([sys.executable, "-m", "hypersharp", "fuse", *words], stdout=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        looked = time.perf_counter()
        peak = max(peak, sum(memory_of(process) for process in family(run.pid)))
        time.sleep(max(0.2, 49 * (time.perf_counter() - looked)))
    if run.returncode:
        raise SystemExit(f"hypersharp fuse {' '.join(words)} ended with {run.returncode}")
    return {"seconds": round(time.perf_counter() - started, 1), "peak_mb": round(peak / 1e6)}


def in_memory_s(hs: Path, ms: Path, method: str, *, consistent: bool) -> float:
    """Seconds of the fusion alone, of cubes that lie in memory into one there."""
    coarse, fine = open_cube(hs), open_cube(ms)
    started = time.perf_counter()
    fuse(coarse, fine, method=method, consistent=consistent)
    return round(time.perf_counter() - started, 1)


def family(pid: int) -> Iterator[psutil.Process]:
    try:
        own = psutil.Process(pid)
        yield own
        yield from own.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def error_of(path: Path, scene: JasperRidge) -> float:
    """The root mean square error of the first 512 x 512 pixels."""
    found = open_cube(path, window=(0, 0, 512, 512)).values
    return round(float(np.sqrt(np.mean((found - scene(range(512), range(512))) ** 2))), 5)


if __name__ == "__main__":
    main()
