"""Whether hs and ms are in one unit: by what their products say, else by what the pair itself shows.

ms is regressed on hs seen through the response that its wavelengths and widths state. In one unit the slope is near 1
and the intercept near 0; plain numbers of Sentinel-2 give 10,000, a forgotten offset (BOA_ADD_OFFSET) 0.1 of
reflectance.
"""

import math
import warnings
from contextlib import suppress

import numpy as np
import xarray as xr

from hypersharp.cube import fwhm_nm, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.sensor.spectra import Spectra, restrict

LEAST_PIXELS = 20
LEAST_CORRELATION = 0.7
SCALE_POWER = 2  # of ten: a slope from there on, either way, is a scale that is missing
ROUND_POWER = 0.15  # of ten: a slope that is so near to a whole one
OFFSET, NEAR = 0.1, 0.03  # of reflectance


def unit_warnings(hs: xr.DataArray, ms: xr.DataArray) -> tuple[str, ...]:
    """What is odd about the units of a pair on nested grids, and the options that would mend it."""
    text = _by_regression(hs, ms)
    if text is None:
        hs_mean, ms_mean = (float(np.nanmean(image.values, dtype=np.float64)) for image in (hs, ms))
        if min(hs_mean, ms_mean) <= 0 or 0.2 < ms_mean / hs_mean < 5:
            return ()
        text = f"the mean of ms is {ms_mean / hs_mean:.2g} times that of hs: are both in the same unit?"
    warnings.warn(text, stacklevel=4)
    return (text,)


def _by_regression(hs: xr.DataArray, ms: xr.DataArray) -> str | None:
    """A scale that is missing, and an offset that was forgotten, told from slope and intercept."""
    line = regressed(hs, ms)
    if line is None:
        return None
    slope, intercept = line
    power = round(math.log10(slope)) if slope > 0 else 0
    factor = 10.0**power if abs(power) >= SCALE_POWER else 1.0
    if factor != 1 and abs(math.log10(slope) - power) > ROUND_POWER:
        return None  # no power of ten, as 8-bit numbers are: no option would mend it
    offset = intercept / factor if factor >= 1 else 0.0
    forgotten = factor >= 1 and abs(offset - OFFSET) < NEAR
    if factor == 1 and not (forgotten and float(np.nanmean(hs.values)) < 1):
        return None
    if factor < 1:
        return f"hs is about {1 / slope:.3g} times what ms says: {_options('hs', hs, 1 / factor, 0.0)} would mend that"
    found = [f"about {slope:.3g} times what hs says"] if factor > 1 else []
    if forgotten:
        above = "that" if found else "what hs says"
        found.append(f"{offset:.2f} above {above}, as where Sentinel-2's offset of -0.1 was forgotten")
    wanted = _options("ms", ms, factor, OFFSET if forgotten else 0.0)
    return f"ms is {' and '.join(found)}: {wanted} would mend that"


def _options(name: str, cube: xr.DataArray, factor: float, offset: float) -> str:
    """The options that divide values by the factor and take the offset away."""
    scale, added = (float(cube.encoding.get(key, default)) for key, default in (("scale_factor", 1), ("add_offset", 0)))
    words = [f"--{name}-scale {scale / factor:g}"] if scale / factor != 1 else []
    words += [f"--{name}-offset {added / factor - offset:g}"] if added / factor - offset else []
    return " ".join(words)


def regressed(hs: xr.DataArray, ms: xr.DataArray) -> tuple[float, float] | None:
    """Slope and intercept of ms on hs seen through its stated response: medians over the ms bands; None if unknown."""
    rows, ratio = None, ms.shape[1] // hs.shape[1]
    with suppress(InputError):  # no wavelength in common
        spectra = Spectra(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))
        _, rows = restrict(len(ms), len(hs), spectra)
    if rows is None or ms.shape[1:] != (hs.shape[1] * ratio, hs.shape[2] * ratio):
        return None
    values = np.asarray(hs.values, np.float64)
    blocks = np.asarray(ms.values, np.float64).reshape(len(ms), hs.shape[1], ratio, hs.shape[2], ratio).mean((2, 4))
    there = np.isfinite(values).all(0) & np.isfinite(blocks).all(0)
    lines = []
    for row, plane in zip(rows, blocks, strict=True):
        seen, measured = np.tensordot(row, values[:, there], 1), plane[there]
        if row.any() and there.sum() >= LEAST_PIXELS and min(seen.std(), measured.std()) > 0:
            correlation = np.corrcoef(seen, measured)[0, 1]
            slope = measured.std() / seen.std()
            lines += [(slope, measured.mean() - slope * seen.mean())] if correlation > LEAST_CORRELATION else []
    return None if not lines else tuple(float(value) for value in np.median(lines, axis=0))  # type: ignore[return-value]
