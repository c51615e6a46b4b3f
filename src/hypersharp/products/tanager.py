"""Tanager of Planet and Carbon Mapper, HDF-EOS5: surface reflectance or radiance at the sensor, on a map or a swath.

HDFEOS/GRIDS or SWATHS/HYP/Data Fields/{surface_reflectance, toa_radiance} (band, y, x), -9999; wavelengths and widths
are attributes of the cube, the corner stands in StructMetadata.0. Layout: the readers of HyperCoast and ACOLITE.
"""

from __future__ import annotations

import re
from typing import Any

from hypersharp.errors import InputError, needs
from hypersharp.products.files import Files
from hypersharp.products.hdf import opened_in, pixels_of, place_of, text_of
from hypersharp.products.quality import Flags, Layer
from hypersharp.stored import Stored

UNITS = {"surface_reflectance": "reflectance", "toa_radiance": "radiance"}
MASKS = {"beta_cloud_mask": "cloud", "cloud_mask": "cloud", "beta_cirrus_mask": "cirrus", "nodata_pixels": "unusable"}
INFORMATION = "HDFEOS INFORMATION/StructMetadata.0"


def read(files: Files, _: str | None) -> Stored | None:
    """Open a .h5."""
    with opened_in(files, "*_hdf5.h5") as (path, file):
        kind = next((kind for kind in ("GRIDS", "SWATHS") if f"HDFEOS/{kind}/HYP" in file), None)
        if kind is None:
            return None
        root = file[f"HDFEOS/{kind}/HYP"]
        fields = root["Data Fields"]
        name = next((name for name in UNITS if name in fields), None)
        if name is None:
            raise InputError(f"no cube in {path}", f"one of {', '.join(UNITS)}", "use another file")
        cube, where = fields[name], f"HDFEOS/{kind}/HYP/Data Fields"
        layers = [Layer(pixels_of(path, file, f"{where}/{m}"), {r: (1,)}) for m, r in MASKS.items() if m in fields]
        if kind == "GRIDS":
            place = on_grid(file, root)
        else:
            place = place_of(*(root["Geolocation Fields"][axis][()] for axis in ("Longitude", "Latitude")))
        return Stored(
            pixels_of(path, file, f"{where}/{name}"),
            wavelengths_nm=cube.attrs["wavelengths"],
            fwhm_nm=cube.attrs["fwhm"],
            nodata=float(cube.attrs.get("_FillValue", -9999)),
            product=f"Tanager {name.replace('_', ' ')}",
            unit=UNITS[name],
            flags=Flags.of(layers),
            applied=(f"Tanager {name.replace('_', ' ')}, {'on its map grid' if kind == 'GRIDS' else 'a swath'}",),
            **place,
        )


def on_grid(file: Any, root: Any) -> dict[str, Any]:
    """CRS and affine of a map grid: the outer corners of its first and last pixel."""
    with needs("georeferences"):
        from affine import Affine
    text = text_of(file[INFORMATION][()])
    number = r"(-?[\d.]+(?:[eE][-+]?\d+)?)"
    (x, y), (right, bottom) = (
        map(float, re.findall(rf"{name}=\({number},{number}\)", text)[0])
        for name in ("UpperLeftPointMtrs", "LowerRightMtrs")
    )
    width, height = (int(re.findall(rf"\b{name}=(\d+)", text)[0]) for name in ("XDim", "YDim"))
    size = Affine((right - x) / width, 0, x, 0, (bottom - y) / height, y)
    return {"crs": int(root.attrs["epsg_code"]), "transform": size}
