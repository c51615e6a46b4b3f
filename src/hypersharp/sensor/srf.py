"""Spectral response functions: how an ms band weighs the hs bands.

A response is a matrix (l, L) whose rows sum to 1: ms = srf @ hs. Weights are the response at each
hs band's wavelength times that band's share of the axis (half the way to either neighbour), so
that an uneven spectral sampling is integrated, not counted.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hypersharp.errors import InputError, unknown_name
from hypersharp.sensor.cameras import find_camera
from hypersharp.sensor.psf import FWHM_PER_SIGMA
from hypersharp.sensor.responses import SRFS, Curve
from hypersharp.sensor.tables import FloatArray, is_table_path, read_table

__all__ = ["SRFS", "band_centres_nm", "band_shares_nm", "find_srf", "gaussian_srf"]

SEEN = 0.5  # an ms band sees wavelengths within its half maximum; from tails alone it would be guessed
UNKNOWN_WIDTH_NM = 100.0  # of an ms band, about that of Landsat's and Sentinel-2's
LEAST_TABLE_NM = 100.0  # smaller numbers in a first column are weights, not wavelengths


def find_srf(spec: str, wavelengths_nm: ArrayLike | None, *, drop_unseen: bool = False) -> FloatArray:
    """Find a spectral response by name or in a file, for the bands of an hs image.

    Args:
        spec: a name of `SRFS` or of a camera, with or without bands (`sentinel-2a:B2,B3,B4,B8`); or a file (.csv, .npy,
            .mat, .txt) with the matrix itself, or a table whose first column holds wavelengths in nm.
        wavelengths_nm: centres of the hs bands (L,); None only for a matrix.
        drop_unseen: leave out ms bands that cover none of the wavelengths instead of refusing them.

    Returns:
        (l, L); each row sums to 1.

    Raises:
        InputError: an unknown name or band, an unreadable file, or a band that covers none of the wavelengths.

    >>> find_srf("nikon-d700", range(400, 701, 10)).shape
    (3, 31)
    """
    if is_table_path(spec):
        return _from_file(spec, wavelengths_nm, drop_unseen)
    name, _, chosen = spec.partition(":")
    table = SRFS.get(name) or find_camera(name)
    if table is None:
        raise unknown_name("spectral response", name, SRFS)
    bands = tuple(chosen.split(",")) if chosen else table.usual
    for band in bands:
        if band not in table.bands:
            raise unknown_name(f"{name} band", band, table.bands)
    if wavelengths_nm is None:
        raise InputError("an hs image without wavelengths", f"some, to apply '{name}'", "give the srf as a file")
    rows = [table.bands[band] for band in bands]
    if isinstance(table, Curve):
        return _curve_srf(table.wavelengths_nm, np.array(rows), bands, wavelengths_nm, drop_unseen)
    centres_nm, fwhm_nm = zip(*rows, strict=True)
    return gaussian_srf(centres_nm, fwhm_nm, wavelengths_nm, names=bands, drop_unseen=drop_unseen)


def gaussian_srf(
    centres_nm: ArrayLike,
    fwhm_nm: ArrayLike,
    wavelengths_nm: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    drop_unseen: bool = False,
) -> FloatArray:
    """Gaussian spectral responses; a band narrower than the hs spacing sees the hs band it falls on.

    Args:
        centres_nm, fwhm_nm: centre and full width at half maximum of each ms band in nm, (l,).
        wavelengths_nm: centres of the hs bands in nm, (L,).
        names: names of the ms bands (l,), for the message.
        drop_unseen: leave out ms bands that cover none of the wavelengths instead of refusing them.

    Returns:
        (l, L); each row sums to 1.

    Raises:
        InputError: a width that is not positive, or a band that covers none of the wavelengths.

    >>> gaussian_srf([550], [100], [450, 550, 650]).round(2)
    array([[0.06, 0.89, 0.06]])
    """
    wavelengths = _check_wavelengths(wavelengths_nm)
    centres = np.atleast_1d(np.asarray(centres_nm, dtype=np.float64))
    widths = np.broadcast_to(np.asarray(fwhm_nm, dtype=np.float64), centres.shape)
    if centres.ndim != 1 or not np.isfinite(centres).all() or not (widths > 0).all():
        raise InputError("centres or widths that are not positive numbers", "one of each a band, nm", "mend them")
    spacing = band_shares_nm(wavelengths)
    distance = np.abs(wavelengths - centres[:, None])
    exponent = -0.5 * (distance * FWHM_PER_SIGMA / widths[:, None]) ** 2
    seen = ((exponent >= np.log(SEEN)) | (distance <= spacing / 2)).any(axis=1)
    reach = widths * np.sqrt(-2 * np.log(SEEN)) / FWHM_PER_SIGMA
    kept = _check_seen(seen, names, centres - reach, centres + reach, wavelengths, drop_unseen)
    # the largest exponent of a row is taken off, so that a narrow band between two hs bands keeps its weights
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True)) * spacing
    return _normalised(weights[kept])


def band_centres_nm(srf: FloatArray, wavelengths_nm: ArrayLike) -> FloatArray:
    """The response-weighted mean wavelength (l,) of each ms band."""
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    return np.asarray(srf @ wavelengths / srf.sum(axis=1))


def check_common_wavelengths(
    hs_nm: ArrayLike | None, ms_nm: ArrayLike | None, ms_fwhm_nm: ArrayLike | None = None
) -> None:
    """Raise where wavelengths (L,) and (l,) are known and no ms band reaches into the range of hs.

    An ms band reaches from its centre by half its width, by 50 nm where that is not known.

    Raises: InputError for ranges that do not meet.
    """
    if hs_nm is None or ms_nm is None:
        return
    hs, ms = np.asarray(hs_nm, np.float64), np.asarray(ms_nm, np.float64)
    half = np.asarray(UNKNOWN_WIDTH_NM if ms_fwhm_nm is None else ms_fwhm_nm, np.float64) / 2
    if not ((ms + half >= hs.min()) & (ms - half <= hs.max())).any():
        raise InputError(
            f"hs bands from {hs.min():g} to {hs.max():g} nm and ms bands from {ms.min():g} to {ms.max():g} nm",
            "an ms band that sees some of what hs sees",
            "take an ms of that part of the spectrum",
        )


def _curve_srf(
    table_nm: ArrayLike, rows: FloatArray, names: Sequence[str] | None, wavelengths_nm: ArrayLike, drop_unseen: bool
) -> FloatArray:
    """Rows (l, T) digitised at `table_nm` (T,), interpolated at the wavelengths, zero outside the table."""
    wavelengths = _check_wavelengths(wavelengths_nm)
    grid = np.asarray(table_nm, dtype=np.float64)
    response = np.array([np.interp(wavelengths, grid, row, left=0.0, right=0.0) for row in rows])
    seen = (response >= SEEN * rows.max(axis=1, keepdims=True)).any(axis=1)
    active = rows >= SEEN * rows.max(axis=1, keepdims=True)
    low_nm = np.array([grid[row].min(initial=np.inf) for row in active])
    high_nm = np.array([grid[row].max(initial=-np.inf) for row in active])
    kept = _check_seen(seen, names, low_nm, high_nm, wavelengths, drop_unseen)
    return _normalised(response[kept] * band_shares_nm(wavelengths))


def _from_file(spec: str, wavelengths_nm: ArrayLike | None, drop_unseen: bool) -> FloatArray:
    """The matrix or the table of wavelengths in a file; which of the two, its first column tells."""
    bands = None if wavelengths_nm is None else np.size(np.asarray(wavelengths_nm))
    table = read_table(spec, "spectral response", lambda shape: len(shape) == 2 and bands in (None, *shape))
    first = table[:, 0]
    if table.shape[1] > 1 and first.min() >= LEAST_TABLE_NM and (np.diff(first) > 0).all():
        if wavelengths_nm is None:
            raise InputError("an hs image without wavelengths", f"some, to apply '{spec}'", "give an (l, L) matrix")
        return _curve_srf(first, table[:, 1:].T, None, wavelengths_nm, drop_unseen)
    if bands not in (None, table.shape[1]):
        if table.shape[0] != bands:
            raise InputError(f"{table.shape} in '{spec}'", f"(ms bands, {bands}), rows of weights", "give such a one")
        table = table.T
    seen = table.sum(axis=1) > 0
    if not seen.all() and not drop_unseen:
        raise InputError(
            f"no weight in row {int(np.argmin(seen)) + 1} of '{spec}'", "a positive sum", "leave that ms band out"
        )
    return _normalised(table[seen])


def _check_wavelengths(wavelengths_nm: ArrayLike) -> FloatArray:
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    if wavelengths.ndim != 1 or wavelengths.size == 0 or not (wavelengths > 0).all():
        raise InputError(f"wavelengths of shape {wavelengths.shape}", "positive numbers, one an hs band", "mend them")
    return wavelengths


def band_shares_nm(wavelengths: FloatArray) -> FloatArray:
    """Each band's share of the axis, whatever the order of the bands; 1 for a single band."""
    if wavelengths.size == 1:
        return np.ones(1)
    order = np.argsort(wavelengths, kind="stable")
    ordered = wavelengths[order]
    steps = np.diff(ordered)
    spacing = np.empty_like(wavelengths)
    spacing[order] = (np.append(steps, steps[-1]) + np.append(steps[0], steps)) / 2
    return spacing


def _check_seen(
    seen: np.ndarray,
    names: Sequence[str] | None,
    low_nm: FloatArray,
    high_nm: FloatArray,
    wavelengths: FloatArray,
    drop_unseen: bool,
) -> np.ndarray:
    """The rows to keep; InputError for the first that sees nothing, unless those are to be dropped."""
    if seen.all() or (drop_unseen and seen.any()):
        return seen
    row = int(np.argmin(seen))
    name = names[row] if names else str(row + 1)
    raise InputError(
        f"hs wavelengths from {wavelengths.min():g} to {wavelengths.max():g} nm",
        f"some that ms band {name} sees ({low_nm[row]:.0f} to {high_nm[row]:.0f} nm)",
        "leave that ms band out",
    )


def _normalised(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
