"""A cube formatted for display: size, wavelengths, pixel, place."""

import re

import numpy as np
import xarray as xr

from hypersharp.cube import crs_of, fwhm_nm, transform_of, wavelengths_nm


def size_words(cube: xr.DataArray) -> str:
    """Width, height and bands."""
    bands, height, width = cube.shape
    return f"{width:,} × {height:,} pixels, {counted(bands, 'band')}"


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def wavelength_words(cube: xr.DataArray) -> str:
    nm, widths = wavelengths_nm(cube), fwhm_nm(cube)
    if nm is None:
        return "unknown"
    span = f"{nm.min():,.0f} to {nm.max():,.0f} nm" if len(nm) > 1 else f"{nm[0]:,.0f} nm"
    return span if widths is None else f"{span}, {np.median(widths):.3g} nm wide (median)"


def pixel_words(cube: xr.DataArray) -> str:
    """Sides and unit of a pixel."""
    place, crs = transform_of(cube), crs_of(cube)
    if place is None:
        return ""
    width, height = float(np.hypot(place.a, place.d)), float(np.hypot(place.b, place.e))
    sides = f"{width:.6g}" if abs(width - height) < 1e-9 * width else f"{width:.6g} × {height:.6g}"
    unit = "map units" if crs is None else "degrees" if crs.is_geographic else str(crs.linear_units)
    return f"{sides} {'m' if unit == 'metre' else unit}"


def place_words(cube: xr.DataArray) -> str:
    """CRS and upper left corner."""
    place, crs = transform_of(cube), crs_of(cube)
    if place is None:
        return "not georeferenced"
    name = "no CRS" if crs is None else crs_name(crs)
    return f"{name}; upper left corner at {place.c:,.8g}, {place.f:,.8g}"


def crs_name(crs: object) -> str:
    """EPSG code where there is one, else the name in the CRS's text."""
    code = crs.to_epsg() if hasattr(crs, "to_epsg") else None
    quoted = re.search(r'"([^"]+)"', str(crs))
    return f"EPSG:{code}" if code else quoted[1] if quoted else str(crs)[:60]
