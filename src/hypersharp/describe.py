"""A cube formatted for display: size, wavelengths, pixel, place."""

import re

import numpy as np
import xarray as xr

from hypersharp.cube import LONLAT, crs_of, fwhm_nm, transform_of, wavelengths_nm


def facts_of(cube: xr.DataArray) -> dict[str, str]:
    """What is known of a cube without reading its pixels; empty where it is not."""
    (bands, height, width), nm, widths = cube.shape, wavelengths_nm(cube), fwhm_nm(cube)
    span = "unknown" if nm is None else f"{nm.min():,.0f} to {nm.max():,.0f} nm" if len(nm) > 1 else f"{nm[0]:,.0f} nm"
    width_nm = "" if nm is None or widths is None else f", {np.median(widths):.3g} nm wide (median)"
    return {
        "Size": f"{width:,} × {height:,} pixels, {counted(bands, 'band')}",
        "Wavelengths": span + width_nm,
        "Pixel": _pixel(cube),
        "Place": _place(cube),
    }


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _pixel(cube: xr.DataArray) -> str:
    """Sides and unit of a pixel."""
    place, crs = transform_of(cube), crs_of(cube)
    if place is None:
        return ""
    width, height = float(np.hypot(place.a, place.d)), float(np.hypot(place.b, place.e))
    sides = f"{width:.6g}" if abs(width - height) < 1e-9 * width else f"{width:.6g} × {height:.6g}"
    unit = "map units" if crs is None else "degrees" if crs.is_geographic else str(crs.linear_units)
    return f"{sides} {'m' if unit == 'metre' else unit}"


def _place(cube: xr.DataArray) -> str:
    """CRS, by EPSG code where it has one, and upper left corner."""
    place, crs = transform_of(cube), crs_of(cube)
    if place is None and all(name in cube.coords for name in LONLAT):
        lon, lat = (float(np.nanmedian(cube.coords[name])) for name in LONLAT)
        return f"in the order of acquisition, by longitudes and latitudes around {lon:.4f}, {lat:.4f}"
    if place is None:
        return "not georeferenced"
    name = re.search(r'"([^"]+)"', str(crs))
    words = "no CRS" if crs is None else str(crs)[:60] if name is None else name[1]
    code = crs and crs.to_epsg()
    return f"{f'EPSG:{code}' if code else words}; upper left corner at {place.c:,.8g}, {place.f:,.8g}"
