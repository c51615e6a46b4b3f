"""The files that the documents speak of as the reader's own: name -> what writes it into a folder."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from affine import Affine

import product_files
from hypersharp.bench.demo import load_indian_pines
from hypersharp.cube import make_cube
from hypersharp.io import save_cube
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian_fwhm
from hypersharp.sensor.responses import SRFS
from hypersharp.sensor.srf import gaussian_srf
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from product_scene import Landscape

UTM, CORNER = "EPSG:32633", (400_000.0, 5_800_000.0)
OFF_M = (7.0, -13.0)  # x, y: how far the second satellite's image lies off


@cache
def camera_pair() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """(hs, ms, truth) of 20 x 20 and 80 x 80 pixels, RGB, ratio 4."""
    return simulate_pair(load_indian_pines()[:, 16:96, 16:96], find_protocol("dian-x4").sensor())


@cache
def satellite_pair() -> tuple[xr.DataArray, xr.DataArray]:
    """40 bands of 30 m without wavelengths, and Sentinel-2's four of 10 m a little off, both georeferenced."""
    random = np.random.default_rng(0)
    nm = np.linspace(420, 2440, 40)
    spectra = 0.3 + 0.2 * np.sin(random.uniform(0, 6, (6, 1)) + nm / random.uniform(150, 400, (6, 1)))
    shares = np.kron(random.random((6, 36, 36)) ** 4, np.ones((2, 2)))
    scene = torch.from_numpy(np.einsum("kl,kyx->lyx", spectra, shares / shares.sum(0)))
    bands = SRFS["sentinel-2a"].bands
    centres, widths = np.array([bands[name] for name in ("B2", "B3", "B4", "B8")]).T
    hs, ms = Sensor(gaussian_fwhm(3.3, 3), gaussian_srf(centres, widths, nm), 3).observe(scene)
    x, y = CORNER
    return (
        make_cube(hs.float().numpy(), crs=UTM, transform=Affine(30, 0, x, 0, -30, y)),
        make_cube(
            ms.float().numpy(),
            wavelengths_nm=centres,
            crs=UTM,
            transform=Affine(10, 0, x + OFF_M[0], 0, -10, y + OFF_M[1]),
        ),
    )


def mask() -> xr.DataArray:
    """A round cloud on the grid of ms."""
    y, x = np.mgrid[:80, :80]
    return make_cube((np.hypot(y - 40, x - 50) < 12)[None].astype(np.uint8))


def band_mean(cube: xr.DataArray) -> xr.DataArray:
    """A pan image of an RGB one."""
    return cube.mean("band", keepdims=True).astype(np.float32)


def write_response(path: Path) -> None:
    """A camera's response: wavelengths, R, G, B."""
    nm = np.arange(400, 701, 10)
    curves = np.exp(-0.5 * ((nm[:, None] - np.array([610, 540, 465])) / 35) ** 2)
    np.savetxt(path, np.column_stack([nm, curves]), delimiter=",", fmt="%.4f", header="nm,R,G,B", comments="")


CUBES: dict[str, Callable[[], xr.DataArray]] = {
    "hyperspectral.tif": lambda: camera_pair()[0],
    "multispectral.tif": lambda: camera_pair()[1],
    "scene.tif": lambda: camera_pair()[2],
    "camera.npy": lambda: camera_pair()[0],
    "rgb.npy": lambda: camera_pair()[1],
    "clouds.tif": mask,
    "pan.tif": lambda: band_mean(camera_pair()[1]),
    "multispectral_coarse.tif": lambda: camera_pair()[0][[5, 15, 25]],
    "enmap.tif": lambda: satellite_pair()[0],
    "sentinel2.tif": lambda: satellite_pair()[1],
}


def emit_swath(folder: Path, land: Landscape) -> Path:
    """EMIT's reflectance and mask in a folder, of a swath that no affine fits."""
    (folder / "emit_bent").mkdir()
    return product_files.emit(folder / "emit_bent", land, "bent").parent


def drone(folder: Path, land: Landscape) -> Path:
    """A drone's two mosaics in a folder."""
    (folder / "flight").mkdir()
    return product_files.drone(folder / "flight", land)[0].parent


PRODUCTS = {
    "EMIT_SWATH": emit_swath,
    "FLIGHT": drone,
    "ENMAP_SCENE": product_files.enmap,
    "S2.SAFE": product_files.sentinel2,
    "PRISMA.he5": product_files.prisma,
}


def write_inputs(text: str, folder: Path) -> None:
    """Every one of these files that a text names."""
    for name, write in PRODUCTS.items():
        if name in text:
            write(folder, Landscape()).rename(folder / name)
    for name, make in CUBES.items():
        if name in text:
            save_cube(make(), folder / name)
    if "camera.csv" in text:
        write_response(folder / "camera.csv")
