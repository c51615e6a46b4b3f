"""Spectral response functions: how an ms band weighs the hs bands.

A response is a matrix (l, L) whose rows sum to 1: ms = srf @ hs. Weights are the response at each
hs band's wavelength times that band's share of the axis (half the way to either neighbour), so
that an uneven spectral sampling is integrated, not counted.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike

from hypersharp.errors import InputError, unknown_name
from hypersharp.sensor.measured import find_camera, find_measured
from hypersharp.sensor.psf import FWHM_PER_SIGMA
from hypersharp.sensor.responses import SRFS, Curve
from hypersharp.sensor.tables import FloatArray, Mask, is_table_path, read_table

__all__ = ["SRFS", "band_centres_nm", "band_shares_nm", "find_srf", "gaussian_srf"]

SEEN = 0.5  # an ms band sees wavelengths within its half maximum; from tails alone it would be guessed
UNKNOWN_WIDTH_NM = 100.0  # of an ms band, about that of Landsat's and Sentinel-2's
ADD_NM = (
    'add them, in Python hs.assign_coords(wavelength=("band", nm)), which hsp.save keeps, '
    "or give the srf as a matrix, a row for each ms band"
)
LEAST_TABLE_NM = 100.0  # smaller numbers in a first column are weights, not wavelengths


def find_srf(spec: str, wavelengths_nm: ArrayLike | None, ms_bands: Collection[int] = ()) -> FloatArray:
    """Find a spectral response by name or in a file, for the bands of an hs image.

    Args:
        spec: a name of `SRFS`, of a camera or of a measured curve, with or without bands (`sentinel-2a:B2,B3,B4,B8`);
            or a file (.csv, .npy, .mat, .txt) with the matrix itself, or a table whose first column holds wavelengths
            in nm.
        wavelengths_nm: centres of the hs bands (L,); None only for a matrix.
        ms_bands: how many bands a sensor known by name may have, those of the ms; any number by default.

    Returns:
        (l, L); each row sums to 1.

    Raises:
        InputError: an unknown name or band, another number of them, an unreadable file, or a band that covers none of
            the wavelengths.

    >>> find_srf("nikon-d700", range(400, 701, 10)).shape
    (3, 31)
    """
    if is_table_path(spec):
        return srf_of_file(spec, wavelengths_nm)
    name, _, chosen = spec.partition(":")
    table = SRFS.get(name) or find_camera(name) or find_measured(name)
    if table is None:
        raise unknown_name("spectral response", name, SRFS)
    bands = tuple(chosen.split(",")) if chosen else table.usual
    for band in bands:
        if band not in table.bands:
            raise unknown_name(f"{name} band", band, table.bands)
    if ms_bands and len(bands) not in ms_bands:
        most, named = max(ms_bands), bands if len(bands) > max(ms_bands) else tuple(table.bands)
        found = f"'{spec}' of {len(bands)} band{'s' * (len(bands) > 1)} ({', '.join(bands)}) and ms of {most}"
        do = f"name those of ms, such as {name}:{','.join(named[:most])}"
        do = do if len(named) >= most else "name another sensor, or give the srf as a file"
        raise InputError(found, "one for each ms band, in the order of ms", do)
    if wavelengths_nm is None:
        raise InputError("an hs image without wavelengths", f"some, to apply '{name}'", ADD_NM)
    rows = [table.bands[band] for band in bands]
    if isinstance(table, Curve):
        return curve_srf(table.wavelengths_nm, np.array(rows), bands, wavelengths_nm)
    centres_nm, fwhm_nm = zip(*rows, strict=True)
    return gaussian_srf(centres_nm, fwhm_nm, wavelengths_nm, names=bands)


def gaussian_srf(
    centres_nm: ArrayLike, fwhm_nm: ArrayLike, wavelengths_nm: ArrayLike, *, names: Sequence[str] | None = None
) -> FloatArray:
    """Gaussian spectral responses; a band narrower than the hs spacing sees the hs band it falls on.

    Args:
        centres_nm, fwhm_nm: centre and full width at half maximum of each ms band in nm, (l,).
        wavelengths_nm: centres of the hs bands in nm, (L,).
        names: names of the ms bands (l,), for the message.

    Returns:
        (l, L); each row sums to 1.

    Raises:
        InputError: a width that is not positive, or a band that covers none of the wavelengths.

    >>> gaussian_srf([550], [100], [450, 550, 650]).round(2)
    array([[0.06, 0.89, 0.06]])
    """
    wavelengths = checked_nm(wavelengths_nm)
    centres = np.atleast_1d(np.asarray(centres_nm, dtype=np.float64))
    widths = np.broadcast_to(np.asarray(fwhm_nm, dtype=np.float64), centres.shape)
    if centres.ndim != 1 or not np.isfinite(centres).all() or not (widths > 0).all():
        raise InputError("centres or widths that are not positive", "one of each a band, nm", "check the metadata")
    spacing = band_shares_nm(wavelengths)
    distance = np.abs(wavelengths - centres[:, None])
    exponent = -0.5 * (distance * FWHM_PER_SIGMA / widths[:, None]) ** 2
    seen = ((exponent >= np.log(SEEN)) | (distance <= spacing / 2)).any(axis=1)
    reach = widths * np.sqrt(-2 * np.log(SEEN)) / FWHM_PER_SIGMA
    # the largest exponent of a row is taken off, so that a narrow band between two hs bands keeps its weights
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True)) * spacing
    return rows_that_see(weights, seen, (centres - reach, centres + reach), names, wavelengths)


def band_centres_nm(srf: FloatArray, wavelengths_nm: ArrayLike) -> FloatArray:
    """The response-weighted mean wavelength (l,) of each ms band."""
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    return np.asarray(srf @ wavelengths / srf.sum(axis=1))


def check_response(srf: ArrayLike, ms_bands: int, hs_bands: int) -> None:
    """Raises: InputError for a response (l, L) of other bands than a pair's."""
    shape = np.shape(srf)
    if shape != (ms_bands, hs_bands):
        found = f"a response of {' x '.join(map(str, shape))} (ms x hs bands)"
        do = "give one row per ms band and one column per hs band, or leave it out"
        raise InputError(found, f"{ms_bands} x {hs_bands}, the bands of this pair", do)


def check_common_wavelengths(hs_nm: ArrayLike | None, ms_nm: ArrayLike | None, ms_fwhm_nm: ArrayLike | None) -> None:
    """Raise where wavelengths (L,) and (l,) are known and no ms band reaches into the range of hs.

    An ms band reaches from its centre by half its width, by 50 nm where that is not known.

    Raises: InputError for ranges that do not meet.
    """
    if hs_nm is None or ms_nm is None or not (np.isfinite(hs_nm).any() and np.isfinite(ms_nm).any()):
        return
    hs, ms = np.asarray(hs_nm, np.float64), np.asarray(ms_nm, np.float64)
    half = np.asarray(UNKNOWN_WIDTH_NM if ms_fwhm_nm is None else ms_fwhm_nm, np.float64) / 2
    (low, high), (ms_low, ms_high) = ((np.nanmin(nm), np.nanmax(nm)) for nm in (hs, ms))
    if not ((ms + half >= low) & (ms - half <= high)).any():
        raise InputError(
            f"hs bands from {low:g} to {high:g} nm and ms bands from {ms_low:g} to {ms_high:g} nm",
            "an ms band that sees some of what hs sees",
            "take an ms of that part of the spectrum",
        )


def curve_srf(
    table_nm: ArrayLike, rows: FloatArray, names: Sequence[str] | None, wavelengths_nm: ArrayLike
) -> FloatArray:
    """Rows (l, T) digitised at `table_nm` (T,), interpolated at the wavelengths, zero outside the table."""
    wavelengths = checked_nm(wavelengths_nm)
    grid = np.asarray(table_nm, dtype=np.float64)
    response = np.array([np.interp(wavelengths, grid, row, left=0.0, right=0.0) for row in rows])
    half = SEEN * rows.max(axis=1, keepdims=True)
    seen = (response >= half).any(axis=1)
    edges_nm = np.array([(grid[row].min(initial=np.inf), grid[row].max(initial=-np.inf)) for row in rows >= half]).T
    weights = response * band_shares_nm(wavelengths)
    return rows_that_see(weights, seen, (edges_nm[0], edges_nm[1]), names, wavelengths)


def srf_of_file(spec: str, wavelengths_nm: ArrayLike | None) -> FloatArray:
    """The matrix in a file, or the table whose first column is wavelengths: they rise, from 100 nm up."""
    bands = None if wavelengths_nm is None else np.size(np.asarray(wavelengths_nm))
    table = read_table(spec, "spectral response", lambda shape: len(shape) == 2 and bands in (None, *shape))
    first = table[:, 0]
    if table.shape[1] > 1 and first.min() >= LEAST_TABLE_NM and (np.diff(first) > 0).all():
        if wavelengths_nm is None:
            raise InputError("an hs image without wavelengths", f"some, to apply '{spec}'", ADD_NM)
        return curve_srf(first, table[:, 1:].T, None, wavelengths_nm)
    if bands not in (None, table.shape[1]):
        if table.shape[0] != bands:
            raise InputError(f"{table.shape} in '{spec}'", f"(ms bands, {bands}), rows of weights", "give such a one")
        table = table.T
    seen = table.sum(axis=1) > 0
    if not seen.all():
        raise InputError(
            f"no weight in row {int(np.argmin(seen)) + 1} of '{spec}'", "a positive sum", "leave that ms band out"
        )
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def checked_nm(wavelengths_nm: ArrayLike) -> FloatArray:
    """The wavelengths (L,) of hs bands. Raises: InputError unless they are positive and not all the same."""
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    if wavelengths.ndim == 1:
        check_known_nm(wavelengths, "hs")
    if wavelengths.ndim != 1 or wavelengths.size == 0 or not (wavelengths > 0).all():
        found = f"wavelengths of shape {wavelengths.shape}, the least {wavelengths.min(initial=np.inf):g} nm"
        raise InputError(found, "positive numbers, one an hs band", "check the metadata")
    check_apart_nm(wavelengths)
    return wavelengths


def check_known_nm(wavelengths: FloatArray, what: str) -> None:
    """Raises: InputError where some of the bands of an image have no wavelength."""
    missing = np.flatnonzero(~np.isfinite(wavelengths))
    if missing.size:
        found = f"{what} band {missing[0] + 1} of the {wavelengths.size} that count without a wavelength (nan)"
        raise InputError(
            found, "one for each band", "correct the wavelengths, flag the band as bad, or take them all out"
        )


def check_apart_nm(wavelengths: FloatArray) -> None:
    """Raises: InputError where all of several hs bands have one wavelength, as where nobody filled them in."""
    if wavelengths.size > 1 and np.ptp(wavelengths) == 0:
        found = f"{wavelengths.size} hs bands, all at {wavelengths[0]:g} nm"
        raise InputError(found, "the wavelength of each band", "correct the wavelengths, or take them out")


def band_shares_nm(wavelengths: FloatArray) -> FloatArray:
    """Each band's share of the axis, whatever the order of the bands; 1 for a single band."""
    if wavelengths.size == 1:
        return np.ones(1)
    order = np.argsort(wavelengths, kind="stable")
    spacing = np.empty_like(wavelengths)
    spacing[order] = np.gradient(wavelengths[order])
    return spacing


def rows_that_see(
    weights: FloatArray,
    seen: Mask,
    edges_nm: tuple[FloatArray, FloatArray],
    names: Sequence[str] | None,
    wavelengths: FloatArray,
) -> FloatArray:
    """The rows of weights that see something, each of sum 1; InputError for another."""
    if seen.all():
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))
    row = int(np.argmin(seen))
    name, low, high = names[row] if names else row + 1, edges_nm[0][row], edges_nm[1][row]
    raise InputError(
        f"hs wavelengths from {wavelengths.min():g} to {wavelengths.max():g} nm",
        f"some that ms band {name} sees ({low:.0f} to {high:.0f} nm)",
        "leave that ms band out",
    )
