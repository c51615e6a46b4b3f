"""AVIRIS-3 L2A orthorectified reflectance, NetCDF: a group with the cube (band, y, x), the place in the root."""

from __future__ import annotations

import numpy as np

from hypersharp.cube import affine_from
from hypersharp.products.files import Files
from hypersharp.products.hdf import opened_in, pixels_of, spectra_of, text_of
from hypersharp.stored import Stored

AXES_OF_ROOT = (("easting", "northing"), ("x", "y"), ("lon", "lat"))


def read(files: Files, _: str | None) -> Stored | None:
    """Open a .nc whose group `reflectance` or `radiance` holds the cube of that name and its wavelengths."""
    with opened_in(files, "AV3*_ORT.nc") as (path, file):
        unit = next((name for name in ("reflectance", "radiance") if f"{name}/{name}" in file), None)
        if unit is None or f"{unit}/wavelength" not in file:
            return None
        group, name = file[unit], f"{unit}/{unit}"
        fill = group[unit].attrs.get("_FillValue", -9999.0)
        mapping = file.get(text_of(group[unit].attrs.get("grid_mapping", "")) or "transverse_mercator")
        said = {} if mapping is None else mapping.attrs
        xs, ys = next(((file[x][()], file[y][()]) for x, y in AXES_OF_ROOT if x in file and y in file), (None, None))
        return Stored(
            pixels_of(path, file, name),
            **spectra_of(group["wavelength"], group.get("fwhm"), "units"),
            nodata=float(np.ravel(fill)[0]),
            product=f"AVIRIS-3 {unit}",
            unit=unit,
            applied=(f"AVIRIS-3 {unit}, as it is stored",),
            crs=next((text_of(said[key]) for key in ("crs_wkt", "spatial_ref") if key in said), None),
            transform=affine_from(text_of(said["GeoTransform"]) if "GeoTransform" in said else None, xs, ys),
        )
