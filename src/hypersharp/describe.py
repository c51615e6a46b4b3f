"""A cube formatted for display: size, wavelengths, pixel, place, bands with gaps."""

import re
from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import LONLAT, crs_of, fwhm_nm, good_bands, transform_of, wavelengths_nm
from hypersharp.grid import next_to
from hypersharp.numerics.gappy import MOST_LACKING


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
        lon, lat = float(np.nanmedian(next_to(np.nanmax(lon), lon))), float(np.nanmedian(lat))
        where = f"in the order of acquisition, by longitudes and latitudes around {lon:.4f}, {lat:.4f}"
    return {
        "Size": f"{width:,} × {height:,} pixels, {counted(bands, 'band')}",
        "Wavelengths": span + width_nm,
        "Pixel": pixel,
        "Place": where,
    }


def gap_warnings(cube: xr.DataArray, kept: NDArray[np.intp], name: str) -> Iterator[str]:
    """Which good bands of a cube are not kept since they lack pixels that those kept have."""
    from hypersharp.sensor.diagnosis import runs
    from hypersharp.sensor.spectra import nm_runs

    there, flags, nm = ~np.isnan(cube.values[kept]).any(0), good_bands(cube), wavelengths_nm(cube)
    lacking = np.isnan(cube.values[:, there]).sum(1) / max(int(there.sum()), 1) * (True if flags is None else flags)
    left = np.setdiff1d(np.flatnonzero((lacking > MOST_LACKING) & (lacking < 1)), kept).tolist()
    if left:
        where = f"{name} band{'s' * (len(left) > 1)} {runs(left)}{'' if nm is None else f' ({nm_runs(left, nm)})'}"
        upto = "up to " * (len(left) > 1)
        yield f"{where}: left out, missing in {upto}{lacking[left].max():.1%} of the pixels that the other bands have"


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
