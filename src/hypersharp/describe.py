"""A cube formatted for display: size, wavelengths, pixel, place, bands with gaps or saturated."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import LONLAT, crs_of, fwhm_nm, good_bands, transform_of, wavelengths_nm
from hypersharp.grid import next_to
from hypersharp.numerics.gappy import MOST_LACKING

FLAT_TOP = 0.01  # of the pixels of a band
STEEPER = 3  # times as many pixels as have the next value


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


def gap_warnings(cube: xr.DataArray, kept: NDArray[np.intp], name: str) -> Iterator[str]:
    """Which good bands of a cube are not kept since they lack pixels that those kept have."""
    there, flags = ~np.isnan(cube.values[kept]).any(0), good_bands(cube)
    lacking = np.isnan(cube.values[:, there]).sum(1) / max(int(there.sum()), 1) * (True if flags is None else flags)
    left = np.setdiff1d(np.flatnonzero((lacking > MOST_LACKING) & (lacking < 1)), kept).tolist()
    if left:
        share = f"{'up to ' * (len(left) > 1)}{lacking[left].max():.1%}"
        yield f"{named_bands(cube, left, name)}: left out, missing in {share} of the pixels that the other bands have"


def saturation_warnings(cube: xr.DataArray, kept: NDArray[np.intp], name: str) -> Iterator[str]:
    """Which of the bands kept have many pixels at their largest value, more than their values thin out towards it."""
    tops, shares = dict[int, Any](), list[float]()
    for band in kept.tolist():
        values = cube.values[band][~np.isnan(cube.values[band])]
        at_top = values == values.max()
        share, below = float(at_top.mean()), values[~at_top]
        if share > FLAT_TOP and below.size and at_top.sum() > STEEPER * (below == below.max()).sum():
            tops[band] = values.max()
            shares.append(share)
    if tops:
        values, most = set(tops.values()), f"{'up to ' * (len(tops) > 1)}{max(shares):.1%}"
        option = "hs-mask FILE" if name == "hs" else "mask FILE"
        if len(values) == 1:
            option = f"saturated {str(values.pop()).removesuffix('.0')}"
        where = f"{named_bands(cube, list(tops), name)}: {most} of the pixels lie at the largest value"
        yield f"{where}; if they are saturated, --{option} leaves them out"


def named_bands(cube: xr.DataArray, bands: list[int], name: str) -> str:
    """Bands with their numbers, from 1, and wavelengths."""
    from hypersharp.sensor.diagnosis import runs
    from hypersharp.sensor.spectra import nm_runs

    nm = wavelengths_nm(cube)
    return f"{name} band{'s' * (len(bands) > 1)} {runs(bands)}{'' if nm is None else f' ({nm_runs(bands, nm)})'}"


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
