"""A cube formatted for display: size, wavelengths, pixel, place."""

import re

import numpy as np
import xarray as xr

from hypersharp.cube import LONLAT, crs_of, fwhm_nm, transform_of, wavelengths_nm
from hypersharp.grid import next_to


def facts_of(cube: xr.DataArray) -> dict[str, str]:
    """What is known of a cube without reading its pixels; empty where it is not."""
    (bands, height, width), nm, widths = cube.shape, wavelengths_nm(cube), fwhm_nm(cube)
    span = "unknown" if nm is None else f"{nm.min():,.0f} to {nm.max():,.0f} nm" if len(nm) > 1 else f"{nm[0]:,.0f} nm"
    width_nm = "" if nm is None or widths is None else f", {np.median(widths):.3g} nm wide (median)"
    place, crs, pixel, where = transform_of(cube), crs_of(cube), "", "not georeferenced"
    if place is not None:
        across, down = float(np.hypot(place.a, place.d)), float(np.hypot(place.b, place.e))
        sides = f"{across:.6g}" if abs(across - down) < 1e-9 * across else f"{across:.6g} × {down:.6g}"
        unit = "map units" if crs is None else "degrees" if crs.is_geographic else str(crs.linear_units)
        pixel = f"{sides} {'m' if unit == 'metre' else unit}"
        name, code = re.search(r'"([^"]+)"', str(crs)), crs and crs.to_epsg()
        words = f"EPSG:{code}" if code else "no CRS" if crs is None else str(crs)[:60] if name is None else name[1]
        where = f"{words}; upper left corner at {place.c:,.8g}, {place.f:,.8g}"
    elif all(name in cube.coords for name in LONLAT):
        lon, lat = (cube.coords[name].values for name in LONLAT)
        where = "in the order of acquisition, by longitudes and latitudes"
        if np.isfinite(lon).any() and np.isfinite(lat).any():
            lon, lat = float(np.nanmedian(next_to(np.nanmax(lon), lon))), float(np.nanmedian(lat))
            where += f" around {lon:.4f}, {lat:.4f}"
    return {
        "Size": f"{width:,} × {height:,} pixels, {counted(bands, 'band')}",
        "Wavelengths": span + width_nm,
        "Pixel": pixel,
        "Place": where,
    }


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
