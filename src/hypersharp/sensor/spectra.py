"""Which hs bands an ms band can see, as far as wavelengths tell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hypersharp.errors import InputError
from hypersharp.sensor.moments import Mask
from hypersharp.sensor.shapes import Axis
from hypersharp.sensor.srf import band_shares_nm, gaussian_srf
from hypersharp.sensor.tables import FloatArray

REACH = 0.25  # of its wavelength: how far an ms band of unknown width may see


@dataclass(frozen=True, eq=False)
class Spectra:
    """Wavelengths (nm) of the hs bands (L,); of the ms bands centre and full width at half maximum (l,), or None."""

    hs_nm: FloatArray | None = None
    ms_nm: FloatArray | None = None
    ms_fwhm_nm: FloatArray | None = None

    def axis(self, bands: int) -> Axis:
        """Where the hs bands lie: nm, or their numbers."""
        if self.hs_nm is None:
            return Axis(np.arange(float(bands)), np.ones(bands))
        return Axis(np.asarray(self.hs_nm, dtype=np.float64), band_shares_nm(self.hs_nm))


def restrict(
    coverage: Sequence[Sequence[int]], bands: int, spectra: Spectra
) -> tuple[Mask, FloatArray | None]:
    """(l, L) the hs bands each ms band may see, and the responses (l, L) its own wavelengths and widths state.

    An ms band that sees none of them keeps a row of False. Raises: InputError where all do.
    """
    allowed = np.zeros((len(coverage), bands), bool)
    for row, seen in zip(allowed, coverage, strict=True):
        row[list(seen)] = True
    if spectra.hs_nm is None or spectra.ms_nm is None:
        return allowed, None
    axis, widths = spectra.axis(bands), spectra.ms_fwhm_nm
    reach = REACH * spectra.ms_nm if widths is None else widths
    distance = np.abs(axis.places - spectra.ms_nm[:, None])
    allowed &= distance <= np.maximum(reach[:, None], axis.shares)
    if not allowed.any():
        raise InputError(
            f"hs from {nm_range(spectra.hs_nm)} and ms from {nm_range(spectra.ms_nm)}",
            "images that share wavelengths",
            "check the wavelengths, or give the srf",
        )
    return allowed, None if widths is None else stated_rows(spectra.ms_nm, widths, axis.places, allowed)


def stated_rows(centres: FloatArray, widths: FloatArray, places: FloatArray, allowed: Mask) -> FloatArray:
    """The Gaussian of each ms band that sees something, zeros for the others."""
    rows = np.zeros(allowed.shape)
    for m in np.flatnonzero(allowed.any(1)):
        try:
            rows[m] = gaussian_srf(centres[m : m + 1], widths[m : m + 1], places)[0]
        except InputError:  # seen by the tails alone
            continue
    return rows


def nm_range(wavelengths: FloatArray) -> str:
    """The extent of a list of wavelengths, as people read it.

    >>> nm_range(np.array([400.0, 700.4]))
    '400 to 700 nm'
    """
    low, high = wavelengths.min(), wavelengths.max()
    return f"{low:.0f} to {high:.0f} nm" if high > low else f"{low:.0f} nm"


def nm_runs(indices: Sequence[int], wavelengths: FloatArray) -> str:
    """Ranges of wavelength of the bands `indices`, neighbours drawn together.

    >>> nm_runs([0, 1, 3], np.array([400.0, 410, 420, 900]))
    '400 to 410 nm, 900 nm'
    """
    parts = np.split(np.asarray(indices), np.flatnonzero(np.diff(indices) > 1) + 1)
    return ", ".join(nm_range(wavelengths[part]) for part in parts)
