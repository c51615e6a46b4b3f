"""Pictures of real pairs and of what `fuse` makes of them, drawn from your own copy of the data into a folder.

    python benchmarks/pictures.py DATA -o FOLDER [--pairs paris,paris-pan,berlin]

DATA holds `paris` (Hyperion with ALI: nine bands, and pan at its true ratio) and `berlin` (EnMAP-like with HyMap). The
terms of these scenes do not let pictures of them come with this project, so they are yours to make. Each shows hs, ms
and the result in true colour, whole and a part enlarged, spectra of two pixels marked there beside those of the coarse
pixels over them, and how far the result, degraded again, lies from the given hs in each band.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.io import loadmat

from hypersharp import fuse, judge
from hypersharp.cube import make_cube, wavelengths_nm
from hypersharp.io import open_cube
from hypersharp.io.together import save_figure
from hypersharp.pair.record import Record, placed_as
from hypersharp.plot.draw import OKABE_ITO, draw_composite, draw_marks, new_figure
from hypersharp.quality.judge import Judgement
from hypersharp.sensor.responses import SRFS, Bands

Pair = tuple[xr.DataArray, xr.DataArray]
Floats = NDArray[np.float64]
RATIO = 3  # of both Paris pairs
PART = 0.4  # of the sides is enlarged
PLACES = ((0.3, 0.35), (0.65, 0.6))  # rows and columns in that part
LAST_VNIR = 70  # Hyperion's bands up to here see VNIR; all are 10 nm apart


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--pairs", default=",".join(PAIRS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.pairs.split(","):
        given = PAIRS[name](arguments.data)
        sharp = fuse(*given)
        placement = placed_as(sharp, *given).placement
        hs, ms = placement.read(placement.everything)
        path = arguments.out / f"{name}.png"
        save_figure(draw(hs, ms, sharp, judge(sharp, hs, ms)), path)
        print(f"{name}: {Record.of(sharp)}\n-> {path}", flush=True)


def paris(data: Path) -> Pair:
    """Hyperion, averaged over 3 x 3 pixels, and ALI's nine bands, which have the pixels it had."""
    stored = loadmat(data / "paris" / "paris_data_hs_ms.mat")
    coarse = stored["HSim"].reshape(72 // RATIO, RATIO, 72 // RATIO, RATIO, -1).mean((1, 3))
    table = SRFS["ali"]
    assert isinstance(table, Bands)
    centres = np.array([table.bands[name][0] for name in table.usual])
    return as_cube(coarse, hyperion_nm(stored["non_del_bands"])), as_cube(stored["MSim"], centres)


def paris_pan(data: Path) -> Pair:
    """Hyperion at 30 m and ALI's pan at 10 m."""
    stored = loadmat(data / "paris" / "paris_data_hs_pan.mat")
    hs = as_cube(stored["HSim"], hyperion_nm(stored["non_del_bands"]))
    return hs, as_cube(np.atleast_3d(stored["PCim"]), None)


def berlin(data: Path) -> Pair:
    hs, ms = (f"{name}_BerlinUrbanGradient.hdr" for name in ("EnMAP", "HighResolution"))
    return open_cube(data / "berlin" / hs), open_cube(data / "berlin" / ms)


def hyperion_nm(bands: Floats) -> Floats:
    """The wavelengths of Hyperion's bands by their numbers from 1 (USGS), to a nanometre."""
    numbers = bands.ravel()
    return np.where(numbers <= LAST_VNIR, 355.6 + 10.175 * (numbers - 1), 851.9 + 10.09 * (numbers - 71))


def as_cube(image: Floats, nm: Floats | None) -> xr.DataArray:
    """An image (y, x, band)."""
    values = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    return make_cube(values, wavelengths_nm=nm)


PAIRS: dict[str, Callable[[Path], Pair]] = {"paris": paris, "paris-pan": paris_pan, "berlin": berlin}


def draw(hs: xr.DataArray, ms: xr.DataArray, sharp: xr.DataArray, said: Judgement) -> Figure:
    """Above the whole images and the residual of each band, below a part of them and spectra."""
    figure = new_figure(17, 8)
    above, below = figure.subplots(2, 4, width_ratios=(1, 1, 1, 1.3))
    images = {"hs": hs, "ms": ms, "result": sharp}
    for (name, cube), axes in zip(images.items(), above[:3], strict=True):
        draw_composite(axes, cube, name)
    ratio = ms.shape[1] // hs.shape[1]
    y, x = (int(size * (1 - PART) / 2) for size in hs.shape[1:])
    height, width = (int(size * PART) for size in hs.shape[1:])
    pixels = [(int(row * height * ratio), int(column * width * ratio)) for row, column in PLACES]
    parts = {name: part(cube, (y, x, height, width), 1 if name == "hs" else ratio) for name, cube in images.items()}
    for (name, cube), axes in zip(parts.items(), below[:3], strict=True):
        draw_composite(axes, cube, name)
    draw_marks(below[2], pixels)
    draw_both(below[3], parts["hs"], parts["result"], pixels)
    draw_residual(above[3], said)
    return figure


def part(cube: xr.DataArray, place: tuple[int, int, int, int], factor: int) -> xr.DataArray:
    """First row and column, rows and columns in coarse pixels, cut out."""
    y, x, height, width = (factor * length for length in place)
    return cube[:, y : y + height, x : x + width]


def draw_both(axes: Axes, hs: xr.DataArray, sharp: xr.DataArray, pixels: list[tuple[int, int]]) -> None:
    """The spectra at the pixels (y, x) of the result, and of the coarse pixels they lie in."""
    nm, ratio = wavelengths_nm(hs), sharp.shape[1] // hs.shape[1]
    where = np.arange(len(hs)) if nm is None else nm
    for n, (y, x) in enumerate(pixels):
        colour, name = OKABE_ITO[1 + n], "AB"[n]
        axes.plot(where, sharp.values[:, y, x], color=colour, label=f"{name}, result")
        axes.plot(where, hs.values[:, y // ratio, x // ratio], "--", color=colour, label=f"{name}, hs")
    axes.set_title("spectra")
    axes.set_xlabel("band" if nm is None else "wavelength (nm)")
    axes.legend()


def draw_residual(axes: Axes, said: Judgement) -> None:
    """How far the degraded result lies from hs, by band."""
    nm, percent = said.wavelengths_nm, 100 * said.hs_residual
    axes.plot(np.arange(len(percent)) if nm is None else nm, percent, ".", color=OKABE_ITO[6])
    axes.set_title(f"degraded result against hs: median {np.nanmedian(percent):.2g} %")
    axes.set_xlabel("band" if nm is None else "wavelength (nm)")
    axes.set_ylabel("relative error (%)")
    axes.set_ylim(bottom=0)


if __name__ == "__main__":
    main()
