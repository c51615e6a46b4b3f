"""Planted shifts found, and the way from files to a GeoTIFF on real pairs: align_real.py DATA OUT [METHOD,..].

DATA holds jasper_ridge, paris and berlin. For each method the result, seen through the sensor estimated from the
pair, is held against the hs given: ||D B result - hs|| / ||hs|| a band, the border of the blur left out.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from scipy.io import loadmat
from scipy.ndimage import shift

from hypersharp.cube import make_cube, transform_of, wavelengths_nm
from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube, save_cube
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.align import AlignedPair, align
from hypersharp.pair.tensors import to_tensor
from hypersharp.registration.register import register
from hypersharp.sensor.estimate import complete_sensor
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import PSF, gaussian_fwhm
from hypersharp.sensor.srf import find_srf
from hypersharp.sensor.tables import FloatArray

PLANTED_PX = (0.3, 1.4, 3.0)
AVIRIS_NM = np.linspace(380, 2500, 224)


def planted(name: str, hs: FloatArray, ms: FloatArray) -> None:
    """How far the shift found is off the one planted, down by so much and left by as much, fine pixels."""
    y, x = register(hs, ms).shift_px_yx
    print(f"{name}: as it is ({y:+.3f}, {x:+.3f}) fine pixels")
    for by in PLANTED_PX:
        moved = np.array([shift(band, (by, -by), order=5, mode="reflect") for band in ms])
        started = time.perf_counter()
        found = register(hs, moved)
        error_y, error_x = found.shift_px_yx[0] - y - by, found.shift_px_yx[1] - x + by
        print(
            f"  planted {by:3}: off by ({error_y:+.3f}, {error_x:+.3f}), stated error {found.error_px:.3f}, "
            f"correlation {found.correlation:.4f}, {time.perf_counter() - started:.1f} s"
        )


def jasper(folder: Path, ratio: int, response: str) -> tuple[FloatArray, FloatArray]:
    """A simulated pair, 35 dB on hs and 40 dB on ms."""
    stored = loadmat(folder / "jasperRidge2_R198.mat")
    side = 100 // ratio * ratio
    scene = torch.tensor(stored["Y"].reshape(198, 100, 100, order="F")[:, :side, :side] / 5000.0)
    srf = find_srf(response, AVIRIS_NM[stored["SlectBands"].ravel() - 1])
    psf = gaussian_fwhm(ratio, ratio)
    hs, ms = Sensor(PSF(psf.kernel, psf.start_yx, "reflect"), srf, ratio).observe(scene)
    return add_noise(hs, 35, 0).numpy(), add_noise(ms, 40, 1).numpy()


def end_to_end(name: str, hs_path: Path, ms_path: Path, out: Path, methods: list[str]) -> None:
    """Files -> pair -> result -> file, and how well each result gives hs back."""
    started = time.perf_counter()
    pair = align(open_cube(hs_path), open_cube(ms_path))
    print(f"{name}, aligned in {time.perf_counter() - started:.0f} s", *pair.notes, sep="\n  ")
    unit, ratio = value_scale(pair.hs.values), pair.grid.ratio
    hs, ms = to_tensor(pair.hs, unit), to_tensor(pair.ms, unit)
    sensor = complete_sensor(hs, ms, ratio).sensor
    for method in methods:
        started = time.perf_counter()
        path = save_cube(fuse(pair.hs, pair.ms, method=method), out / f"{name}-{method}.tif")
        seconds = time.perf_counter() - started
        sharp = open_cube(path)
        back = sensor.hs(to_tensor(sharp, unit))
        edge = -(-max(sensor.psf.kernel.shape) // (2 * ratio))
        inside = (slice(None), slice(edge, -edge), slice(edge, -edge))
        errors = ((back - hs)[inside].flatten(1).norm(dim=1) / hs[inside].flatten(1).norm(dim=1)).numpy()
        known = wavelengths_nm(sharp)
        print(
            f"  {method:8} {seconds:5.0f} s, relative error a band: median {np.median(errors):.2%}, "
            f"worst {errors.max():.2%}; {0 if known is None else len(known)} wavelengths; {corner_gap(sharp, pair)}"
        )


def corner_gap(sharp: xr.DataArray, pair: AlignedPair) -> str:
    """The largest distance of the file's corners from hs's, fine pixels."""
    to_sharp, to_hs = transform_of(sharp), transform_of(pair.hs)
    if to_sharp is None or to_hs is None:
        return "no georeference"
    rows, columns = pair.hs.shape[1:]
    corners = [(x, y) for x in (0, columns) for y in (0, rows)]
    ratio = pair.grid.ratio
    gaps = [np.subtract(to_sharp @ (ratio * x, ratio * y), to_hs @ (x, y)) / abs(to_sharp.a) for x, y in corners]
    return f"corners off by {np.abs(gaps).max():.1e} fine pixels"


def main(data: Path, out: Path, methods: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for ratio in (3, 4):
        for response in ("sentinel-2a", "landsat-8"):
            planted(f"Jasper Ridge, {response}, ratio {ratio}", *jasper(data / "jasper_ridge", ratio, response))
    pan = loadmat(data / "paris" / "paris_data_hs_pan.mat")
    hs, fine = pan["HSim"].transpose(2, 0, 1), pan["PCim"][None]
    planted("Paris, pan, ratio 3", hs, fine)
    save_cube(make_cube(hs), out / "paris-hs.npy")
    save_cube(make_cube(fine), out / "paris-pan.npy")
    end_to_end("paris-pan", out / "paris-hs.npy", out / "paris-pan.npy", out, methods)
    berlin = data / "berlin"
    end_to_end(
        "berlin",
        berlin / "EnMAP_BerlinUrbanGradient.hdr",
        berlin / "HighResolution_BerlinUrbanGradient.hdr",
        out,
        methods,
    )


if __name__ == "__main__":
    names = sys.argv[3] if len(sys.argv) > 3 else "bicubic,gsa,glp,hysure"
    main(Path(sys.argv[1]), Path(sys.argv[2]), names.split(","))
