"""PRISMA of ASI, HDF-EOS5: L2D on a map, L2C and L2B in the order of acquisition, L1 radiance; `:pan` is the pan image.

L2: value = min + number x (max - min) / 65535 by the root's L2Scale*, 0 in all bands is no data. L1: number / scale -
offset. Two cubes (row, band, column), wavelengths descending, zero for channels not in use. The corner attributes are
read differently by every public reader, so the affine is fitted to each image's own Latitude and Longitude.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import check_name
from hypersharp.products.files import Files
from hypersharp.products.hdf import exact, opened_in, pixels_of, place_of
from hypersharp.products.quality import Flags, Layer
from hypersharp.stored import Joined, Pixels, Stored

PAN_NM, PAN_WIDTH_NM = 550.0, 300.0  # ASI: 400 to 700 nm
ROW_BAND_COLUMN = (1, 0, 2)
BAD_SHARE = 0.1  # of the bands, from which on their error flags speak against a pixel
PROBED = 8  # bands that show whether a pixel was measured


class Measured(Pixels):
    """(1, y, x) True where one of some bands is not zero."""

    def __init__(self, cube: Any) -> None:
        super().__init__((1, *cube.shape[1:]), bool)
        self.cube = cube
        self.probed = np.unique(np.linspace(0, cube.shape[0] - 1, PROBED).astype(int)).tolist()

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        return np.asarray((self.cube.read(self.probed, rows, columns) != 0).any(axis=0, keepdims=True))


class Distrusted(Pixels):
    """(1, y, x) 1 where a tenth of the bands or more have an error flag."""

    def __init__(self, errors: Any) -> None:
        super().__init__((1, *errors.shape[1:]), "u1")
        self.errors = errors

    def read(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        flags = self.errors.read(range(self.errors.shape[0]), rows, columns) != 0
        return np.asarray(flags.mean(axis=0, keepdims=True) >= BAD_SHARE, "u1")


def read(files: Files, part: str | None) -> Stored | None:
    """Open a .he5; part: "pan" or none."""
    with opened_in(files, "PRS_*.he5") as (path, file):
        swaths = list(file.get("HDFEOS/SWATHS", ()))
        levels = {found[1] for name in swaths if (found := re.fullmatch(r"PRS_(L\w+)_HCO", name))}
        if not levels:
            return None
        if part is not None:
            check_name("part of PRISMA", part, ["pan"])
        level = levels.pop()
        return pan_image(path, file, level) if part else cubes(path, file, level)


def cubes(path: Path, file: Any, level: str) -> Stored:
    """Both hyperspectral cubes as one, by ascending wavelength."""
    group = f"HDFEOS/SWATHS/PRS_{level}_HCO"
    names, bands = ("VNIR", "SWIR"), []
    for image, name in enumerate(names):
        centres, widths = (exact(file.attrs[f"List_{kind}_{name.title()}"]) for kind in ("Cw", "Fwhm"))
        bands += [
            (centres[i], widths[i], image, i, *numbers(file, name.title(), level)) for i in np.flatnonzero(centres > 0)
        ]
    nm, width, images, indices, scale, offset = zip(*sorted(bands), strict=True)
    chosen = [(int(image), int(i)) for image, i in zip(images, indices, strict=True)]
    parts = [pixels_of(path, file, f"{group}/Data Fields/{name}_Cube", ROW_BAND_COLUMN) for name in names]
    pixels = Joined(parts, chosen)
    kind = "SAT_ERR_MATRIX" if level == "L1" else "L2_ERR_MATRIX"
    errors = [f"{group}/Data Fields/{name}_PIXEL_{kind}" for name in names]
    layers = []
    if all(name in file for name in errors):
        flags = Joined([pixels_of(path, file, name, ROW_BAND_COLUMN) for name in errors], chosen)
        layers.append(Layer(Distrusted(flags), {"defective": (1,)}))
    if f"{group}/Data Fields/Cloud_Mask" in file:
        layers.append(Layer(pixels_of(path, file, f"{group}/Data Fields/Cloud_Mask"), {"cloud": (1,)}))
    return Stored(
        pixels,
        wavelengths_nm=nm,
        fwhm_nm=width,
        scale=np.array(scale),
        offset=np.array(offset),
        valid=Measured(pixels),
        product=f"PRISMA {level}",
        unit=unit(level),
        flags=Flags.of(layers),
        applied=(
            f"PRISMA {level}: {unit(level)} by the file's own {'factors' if level == 'L1' else 'minima and maxima'}",
        ),
        **place(file, level, "HCO"),
    )


def pan_image(path: Path, file: Any, level: str) -> Stored:
    """The panchromatic image."""
    pixels = pixels_of(path, file, f"HDFEOS/SWATHS/PRS_{level}_PCO/Data Fields/Cube")
    scale, offset = numbers(file, "Pan", level)
    return Stored(
        pixels,
        wavelengths_nm=[PAN_NM],
        fwhm_nm=[PAN_WIDTH_NM],
        nodata=0,
        scale=scale,
        offset=offset,
        product=f"PRISMA {level} pan",
        unit=unit(level),
        applied=(f"PRISMA {level} pan: {unit(level)} = {scale:.4g} x number {offset:+.4g}",),
        **place(file, level, "PCO"),
    )


def unit(level: str) -> str:
    return "reflectance" if level in ("L2C", "L2D") else "radiance"


def numbers(file: Any, name: str, level: str) -> tuple[float, float]:
    """Scale and offset of "Vnir", "Swir" or "Pan"."""
    if level == "L1":
        return 1 / float(file.attrs[f"ScaleFactor_{name}"]), 0.0 - float(file.attrs[f"Offset_{name}"])
    low, high = (float(file.attrs[f"L2Scale{name}{end}"]) for end in ("Min", "Max"))
    return (high - low) / 65535, low


def place(file: Any, level: str, kind: str) -> dict[str, Any]:
    """Where the image lies, by its own coordinates."""
    fields = file[f"HDFEOS/SWATHS/PRS_{level}_{kind}/Geolocation Fields"]
    end = "" if "Latitude" in fields else "_VNIR"
    epsg = int(file.attrs["Epsg_Code"]) if level == "L2D" and "Epsg_Code" in file.attrs else None
    return place_of(fields[f"Longitude{end}"][()], fields[f"Latitude{end}"][()], epsg)
