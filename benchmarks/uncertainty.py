"""Coverage and mean width of the predicted errors on scenes outside calibration, as a Markdown table.

    python benchmarks/uncertainty.py DATA [--sets paris,jasper,noisy,pines,cave] [--methods bicubic,gsa] [--calibrate]

DATA holds `cave`, `jasper_ridge`, `paris` and `reference`. Each row: the share of values that the stated 90 %
interval holds, and its mean width as a share of that of the constant width that would hold as many (below 1: narrower).
noisy: Jasper Ridge and crops of CAVE's training scenes with white noise, on which the rule for noise was settled.
oracle: the same of intervals that know the mean error of the 26 values around each; what local scale can give.
cave: the 12 test scenes of dian-x4 with the packaged weights, then all together. `--calibrate` learns the model
stored next to those weights again, from the training and validation scenes, and stores it.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import uniform_filter

from hypersharp import fuse, predict_error
from hypersharp.bench.demo import load_indian_pines
from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.networks.packaged import packaged_weights
from hypersharp.pair.estimate import estimate_pair
from hypersharp.pair.tensors import to_tensor
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.srf import find_srf
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.uncertainty.model import (
    LEAST_ERROR,
    STORED,
    TEMPER,
    Sample,
    as_model,
    draw_sample,
    fit_scale,
    scores_of,
)

PROTOCOL, WEIGHTS, MARGIN = find_protocol("dian-x4"), "ssjcn-dian-x4", 128
AVIRIS_LOST = {*range(3), *range(107, 112), *range(153, 166), *range(219, 224)}
Cubes = tuple[xr.DataArray, xr.DataArray, xr.DataArray]
Values = NDArray[np.float32]


def main() -> None:
    arguments = parse_arguments()
    if arguments.calibrate:
        calibrate(arguments.data)
    print("| data | method | coverage | width / constant width | oracle |\n| --- | --- | --- | --- | --- |")
    for name in arguments.sets.split(","):
        if name == "cave":
            show_cave(arguments.data)
            continue
        for title, cubes, sensor in PAIRS[name](arguments.data):
            for method in arguments.methods.split(","):
                show(title, method, *errors_and_widths(cubes, sensor, method))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="paris,jasper,noisy,pines,cave")
    parser.add_argument("--methods", default="bicubic,gsa,sfim,hysure")
    parser.add_argument("--calibrate", action="store_true")
    return parser.parse_args()


def show(title: str, method: str, errors: Values, widths: Values, guesses: Values) -> None:
    coverage = float((errors <= widths).mean())
    constant = float(np.quantile(errors, coverage))
    oracle = guesses * np.quantile(errors / guesses, coverage)
    shares = f"{coverage:.3f} | {widths.mean() / constant:.2f} | {oracle.mean() / constant:.2f}"
    print(f"| {title} | {method} | {shares} |", flush=True)


def oracle_scale(errors: Values) -> Values:
    """What none can know: the mean error of the 26 values around each, tempered as the intervals are."""
    around = (27 * uniform_filter(errors, 3) - errors).clip(LEAST_ERROR) / 26
    mean = around.mean()
    return np.asarray(mean * (around / mean) ** TEMPER, np.float32)


def errors_and_widths(cubes: Cubes, sensor: Sensor, method: str) -> tuple[Values, Values, Values]:
    """|result - truth|, the half-widths and the oracle's scale, the sensor known."""
    hs, ms, truth = cubes
    sharp = fuse(hs, ms, method=method, psf=sensor.psf, srf=sensor.srf, consistent=False)
    widths = predict_error(sharp, hs, ms, psf=sensor.psf, srf=sensor.srf, consistent=False)
    errors = np.abs(sharp.values - truth.values)
    return errors, widths.values, oracle_scale(errors)


def paris(data: Path) -> Iterator[tuple[str, Cubes, Sensor]]:
    """Hyperion at ratio 3 with ALI, the sensor estimated from the pair."""
    stored = np.load(data / "reference" / "hysure_paris.npz")
    image = loadmat(data / "paris" / "paris_data_hs_ms.mat")["HSim"].transpose(2, 0, 1)
    truth = image / np.quantile(image, 0.999, axis=(1, 2), method="hazen", keepdims=True)
    hs, ms, cube = (make_cube(values.astype(np.float32)) for values in (stored["hs"], stored["ms"], truth))
    yield "Paris, ratio 3", (hs, ms, cube), estimate_pair(hs, ms).sensor


def jasper(data: Path) -> Iterator[tuple[str, Cubes, Sensor]]:
    """AVIRIS as seen by two satellites at ratio 3; at ratio 6 its 16 pixels are too few to degrade."""
    flat = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")["Y"]
    image = flat.reshape(198, 100, 100).transpose(0, 2, 1).astype(np.float32)
    nm = np.array([380 + 2120 * band / 223 for band in range(224) if band not in AVIRIS_LOST])
    scene = make_cube(image[:, :99, :99] / np.quantile(image, 0.999), wavelengths_nm=nm)
    for satellite in ("sentinel-2a", "landsat-8"):
        sensor = Sensor(parse_psf("fwhm:3", 3), find_srf(satellite, nm), 3)
        yield f"Jasper Ridge, {satellite}, ratio 3", simulate_pair(scene, sensor), sensor


def noisy(data: Path) -> Iterator[tuple[str, Cubes, Sensor]]:
    """Jasper Ridge and every fifth of CAVE's training scenes with white noise."""
    ridge = next(cubes[2] for _, cubes, _ in jasper(data))
    scenes = find_scenes(PROTOCOL, data, PROTOCOL.train[::5])
    crops = {name: load_truth(PROTOCOL, path)[:, 128:368, 128:368] for name, path in scenes.items()}
    generator = np.random.default_rng(0)
    for ratio, snr_db in ((3, 34), (4, 28)):
        for name, scene in ({"Jasper Ridge": ridge} | crops).items():
            scene = scene[:, : scene.shape[1] // ratio * ratio, : scene.shape[2] // ratio * ratio]
            power = np.sqrt((scene.values**2).mean((1, 2), keepdims=True)) * 10 ** (-snr_db / 20)
            noise = power * generator.normal(size=scene.shape)
            nm = wavelengths_nm(scene)
            assert nm is not None
            truth = make_cube((scene.values + noise).astype(np.float32), wavelengths_nm=nm)
            srf = find_srf("sentinel-2a", nm) if name == "Jasper Ridge" else PROTOCOL.sensor().srf
            sensor = Sensor(parse_psf(f"gaussian:{3 * ratio}:{ratio / 2:g}", ratio), srf, ratio)
            yield f"{name}, {snr_db} dB, ratio {ratio}", simulate_pair(truth, sensor), sensor


def pines(_: Path) -> Iterator[tuple[str, Cubes, Sensor]]:
    """AVIRIS over Indian Pines, on which nothing was settled; its noise is left in."""
    scene = load_indian_pines()
    for name, bands, ratio, blur in (
        ("landsat-9", "B1,B2,B3,B4", 3, "gaussian:9:1.4"),
        ("ikonos", "blue,green,red", 4, "gaussian:12:2"),
    ):
        srf = find_srf(f"{name}:{bands}", wavelengths_nm(scene))
        sensor = Sensor(parse_psf(blur, ratio), srf, ratio)
        yield f"Indian Pines, {name}, ratio {ratio}", simulate_pair(scene, sensor), sensor


PAIRS = {"paris": paris, "jasper": jasper, "noisy": noisy, "pines": pines}


def show_cave(data: Path) -> None:
    every: list[tuple[Values, Values, Values]] = []
    for name, path in find_scenes(PROTOCOL, data, PROTOCOL.test).items():
        hs, ms, truth = simulate_pair(load_truth(PROTOCOL, path), PROTOCOL.sensor())
        sharp = fuse(hs, ms, method="ssjcn", weights=WEIGHTS, consistent=False)
        widths = predict_error(sharp, hs, ms, weights=WEIGHTS)
        errors = np.abs(sharp.values - truth.values)
        every.append((errors, widths.values, oracle_scale(errors)))
        show(name, "ssjcn", *every[-1])
    together = (np.concatenate([one[k].ravel() for one in every]) for k in range(3))
    show("the 12 test scenes", "ssjcn", *together)


def calibrate(data: Path) -> None:
    """Fit on the middles of the training and validation scenes, at full resolution; store next to the weights."""
    samples: list[Sample] = []
    sensor = PROTOCOL.sensor()
    for path in find_scenes(PROTOCOL, data, PROTOCOL.validation + PROTOCOL.train).values():
        cubes = simulate_pair(load_truth(PROTOCOL, path), sensor)
        hs, ms, truth = (to_tensor(cube, 1.0) for cube in cubes)
        sharp = to_tensor(fuse(*cubes[:2], method="ssjcn", weights=WEIGHTS, consistent=False), 1.0)
        middle = torch.zeros(truth.shape[1:], dtype=torch.bool)
        middle[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
        samples.append(draw_sample(sharp, truth, (hs, ms), sensor, middle))
    scale = fit_scale(samples, len(PROTOCOL.wavelengths_nm))
    model = as_model(*scale, np.concatenate([scores_of(sample, *scale) for sample in samples]))
    weights = packaged_weights()[WEIGHTS].path
    digest = sha256(weights.read_bytes()).hexdigest()
    content = {"model": asdict(model), "psf": sensor.psf.to_dict(), "sha256": digest}
    weights.with_suffix(STORED).write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
