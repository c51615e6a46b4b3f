"""The pictures of the gallery, all of AVIRIS Indian Pines: `python docs/gallery.py DIR` draws them."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import shift

from hypersharp.bench.demo import PLACES, load_indian_pines
from hypersharp.cube import leave_out
from hypersharp.fusion.fuse import fuse
from hypersharp.io.together import save_figure
from hypersharp.pair.estimate import study_pair
from hypersharp.plot import figures
from hypersharp.plot.figures import sensor_figure
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.uncertainty.predict import predict_error

METHODS = ("bicubic", "gsa", "hysure", "ssjcn")
RIVALS = ("gsa", "cnmf", "hysure", "dbin", "ssjcn")
SHIFT_PX_YX = (0.6, -0.4)
Cubes = dict[str, xr.DataArray]


@cache
def pair() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """(hs, ms, truth) under dian-x4."""
    return simulate_pair(load_indian_pines(), find_protocol("dian-x4").sensor())


@cache
def sharp(method: str) -> xr.DataArray:
    hs, ms, _ = pair()
    return fuse(hs, ms, method=method, consistent=False)


def comparison() -> Figure:
    hs, ms, truth = pair()
    return figures.comparison(hs, ms, {name: sharp(name) for name in METHODS}, truth, PLACES)


def shifted() -> Figure:
    """What an ms that lies off by a fraction of a pixel costs where the PSF ignores it."""
    hs, ms, truth = pair()
    off = ms.copy(data=np.stack([shift(band, SHIFT_PX_YX, order=3, mode="nearest") for band in ms.values]))
    results = {
        "--psf gaussian:8:2": fuse(hs, off, method="gsa", consistent=False, psf="gaussian:8:2"),
        "by default": fuse(hs, off, method="gsa", consistent=False),
    }
    return figures.error_map(results, truth)


def methods() -> Figure:
    """What the methods that look at ms err by, on a scale of their own."""
    return figures.error_map({name: sharp(name) for name in RIVALS}, pair()[2])


def masked() -> Figure:
    """A cloud in ms, masked: it takes no part, and it is missing in the result."""
    hs, ms, _ = pair()
    y, x = np.mgrid[: ms.shape[1], : ms.shape[2]]
    cloud = np.hypot(y - 60, x - 90) < 22
    with_cloud = ms.copy(data=np.where(cloud, 1.5, ms.values).astype(np.float32))
    result = fuse(hs, leave_out(with_cloud, cloud), method="gsa")
    return figures.composites({"hs": hs, "ms with a cloud": with_cloud, "result": result})


def sensor() -> Figure:
    study = study_pair(*pair()[:2])
    found = study.estimate
    return sensor_figure(found.sensor, found.shift_px_yx, study.diagnosis.residuals, study.spectra.hs_nm)


def uncertainty() -> Figure:
    hs, ms, truth = pair()
    result = sharp("gsa")
    return figures.uncertainty(result, predict_error(result, hs, ms, consistent=False), truth)


PICTURES: dict[str, Callable[[], Figure]] = {
    "comparison": comparison,
    "methods": methods,
    "shifted": shifted,
    "masked": masked,
    "sensor": sensor,
    "uncertainty": uncertainty,
}


def draw_all(folder: Path) -> None:
    """Every picture as NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        save_figure(draw(), folder / f"{name}.png", dpi=90)


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
