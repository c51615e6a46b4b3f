"""NEON AOP surface reflectance, HDF5: SITE/Reflectance/Reflectance_Data (y, x, band), place and bands in Metadata."""

from __future__ import annotations

import numpy as np

from hypersharp.errors import needs
from hypersharp.products.files import Files
from hypersharp.products.hdf import opened_in, pixels_of, spectra_of, text_of
from hypersharp.stored import Stored


def read(files: Files, _: str | None) -> Stored | None:
    """Open a .h5."""
    with opened_in(files, "NEON_*.h5") as (path, file):
        site = next((name for name in file if f"{name}/Reflectance/Reflectance_Data" in file), None)
        if site is None:
            return None
        with needs("georeferences"):
            from affine import Affine
        root = file[f"{site}/Reflectance"]
        cube, spectral = root["Reflectance_Data"], root["Metadata/Spectral_Data"]
        scale = float(np.ravel(cube.attrs["Scale_Factor"])[0])
        system = root["Metadata/Coordinate_System"]
        _, column, row, *numbers = text_of(system["Map_Info"][()]).split(",")
        x, y, size_x, size_y = map(float, numbers[:4])
        left, top = x - (float(column) - 1) * size_x, y + (float(row) - 1) * size_y  # counted from 1, outer corners
        return Stored(
            pixels_of(path, file, f"{site}/Reflectance/Reflectance_Data", (2, 0, 1)),
            **spectra_of(spectral["Wavelength"], spectral["FWHM"], "Units"),
            nodata=float(np.ravel(cube.attrs["Data_Ignore_Value"])[0]),
            scale=1 / scale,
            product=f"NEON {site}",
            unit="reflectance",
            applied=(f"NEON {site}: reflectance = number / {scale:g}",),
            crs=int(text_of(system["EPSG Code"][()])),
            transform=Affine(size_x, 0, left, 0, -size_y, top),
        )
