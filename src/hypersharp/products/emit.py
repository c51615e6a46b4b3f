"""EMIT L2A reflectance and L1B radiance of NASA, NetCDF in the order of acquisition, with the MASK file beside it.

Axes (downtrack, crosstrack, bands); wavelengths, widths and `good_wavelengths` in sensor_band_parameters; longitude and
latitude of each pixel, and a geographic lookup table (GLT, from 1, 0 for none) to a grid of EPSG:4326, in location. The
attributes geotransform and spatial_ref are those of that grid. Layout: the producer's own code (emit-sds).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import InputError, check_name, needs
from hypersharp.products.files import Files
from hypersharp.products.hdf import LookedUp, exact, opened_hdf, opened_in, pixels_of, place_of, text_of
from hypersharp.products.quality import Flags, Layer, unmasked
from hypersharp.stored import Joined, Stored

FILL = -9999.0
AXES = (2, 0, 1)
MASKS = {0: "cloud", 1: "cirrus", 3: "unusable", 4: "near-cloud"}  # 3: the spacecraft itself
UNITS = {"reflectance": "reflectance", "radiance": "radiance"}


def read(files: Files, part: str | None) -> Stored | None:
    """Open a file of the product; part: "map" puts a swath on its map grid, nearest neighbour."""
    with opened_in(files, "EMIT_L2A_RFL_*.nc") as (path, file):
        if file and path.name.startswith("EMIT_L2A_MASK_"):
            found = f"{path}, the masks of a scene of EMIT"
            raise InputError(found, "its EMIT_L2A_RFL_*.nc", "name that; the masks beside it are used by themselves")
        variable = next((name for name in UNITS if name in file), None)
        if variable is None or "sensor_band_parameters" not in file or "location/glt_x" not in file:
            return None
        if part is not None:
            check_name("part of EMIT", part, ["map"])
        stamp = re.search(r"_(\d{8}T\d{6}_\d+_\d+)\.nc$", path.name)
        mask = files.first(f"EMIT_L2A_MASK_*{stamp[1]}.nc") if stamp else None
        return opened(path, file, variable, None if mask is None else files.root / mask, part)


def opened(path: Path, file: Any, variable: str, mask: Path | None, part: str | None) -> Stored:
    parameters, location = file["sensor_band_parameters"], file["location"]
    lon, lat = (np.where((v := location[axis][()]) == FILL, np.nan, v) for axis in ("lon", "lat"))
    mapped = part is not None
    tables = [np.asarray(location[name][()], np.int64) - 1 for name in ("glt_y", "glt_x")] if mapped else []
    if mapped:
        with needs("georeferences"):
            from affine import Affine
        affine = Affine.from_gdal(*map(float, file.attrs["geotransform"]))
        known: dict[str, Any] = {"crs": text_of(file.attrs["spatial_ref"]), "transform": affine}
    else:
        known = place_of(lon, lat)

    def shown(pixels: Any, missing: float) -> Any:
        return LookedUp(pixels, tables[0], tables[1], missing) if mapped else pixels

    layers = []
    if mask is not None:
        with opened_hdf(mask) as flags:
            whole = pixels_of(mask, flags, "mask", AXES)
        layers = [Layer(shown(Joined([whole], [(0, i)]), 0), {reason: (1,)}) for i, reason in MASKS.items()]
    good = np.asarray(parameters["good_wavelengths"][()]) == 1 if "good_wavelengths" in parameters else None
    how = "in the order of acquisition, placed by its longitudes and latitudes"
    how = "put on its map grid by its lookup table (nearest neighbour)" if mapped else how
    return Stored(
        shown(pixels_of(path, file, variable, AXES), FILL),
        wavelengths_nm=exact(parameters["wavelengths"][()]),
        fwhm_nm=exact(parameters["fwhm"][()]),
        good_bands=good,
        nodata=FILL,
        product=f"EMIT {variable}",
        unit=UNITS[variable],
        flags=Flags.of(layers),
        applied=(f"EMIT {variable}, {how}", *unmasked(mask, "MASK file")),
        **known,
    )
