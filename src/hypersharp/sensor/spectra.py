"""Which hs bands an ms band can see, by their wavelengths."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hypersharp.errors import InputError
from hypersharp.sensor.responses import SRFS, Bands
from hypersharp.sensor.shapes import Axis
from hypersharp.sensor.srf import UNKNOWN_WIDTH_NM, band_shares_nm, check_apart_nm, check_known_nm, gaussian_srf
from hypersharp.sensor.tables import FloatArray, Mask

REACH = 0.25  # of its wavelength: how far an ms band of unknown width may see
SAME_CENTRE = 0.012  # of a wavelength: published and nominal centres of one band differ by less
GAP = 1.5  # times the median spacing: bands further apart are no neighbours
LEAST_BANDS = 3  # below which any sensor's centres might match


@dataclass(frozen=True, eq=False)
class Spectra:
    """Wavelengths (nm) of the hs bands (L,); of the ms bands centre and full width at half maximum (l,), or None."""

    hs_nm: FloatArray | None = None
    ms_nm: FloatArray | None = None
    ms_fwhm_nm: FloatArray | None = None

    def __post_init__(self) -> None:
        """Raises: InputError where some bands have no wavelength, or all hs bands the same; all without are unknown."""
        for name, nm in (("hs", self.hs_nm), ("ms", self.ms_nm)):
            if nm is not None and not np.isfinite(nm).any():
                object.__setattr__(self, f"{name}_nm", None)
            elif nm is not None:
                check_known_nm(nm, name)
        if self.hs_nm is not None:
            check_apart_nm(self.hs_nm)

    @cached_property
    def recognised(self) -> str | None:
        """The sensor of `SRFS` whose bands have the centres of the ms, where its widths are not known.

        That with a band of its own at each of them, the nearest; of published or nominal ones, as a file may state
        either; of a series with the same nominal ones its first. None below three bands.

        >>> Spectra(ms_nm=np.array([492.1, 559, 664.9, 832.9])).recognised
        'sentinel-2b'
        """
        if self.ms_nm is None or self.ms_fwhm_nm is not None or len(self.ms_nm) < LEAST_BANDS:
            return None
        found = {}
        for name in SRFS:
            published, _, nominal = known_bands(name)
            gaps = (np.abs(centres - self.ms_nm[:, None]) / self.ms_nm[:, None] for centres in (published, nominal))
            distance = np.minimum(*gaps)
            if distance.size and len(set(distance.argmin(axis=1))) == len(self.ms_nm):
                found[name] = float(distance.min(axis=1).max())
        best = min(found, key=lambda name: found[name], default=None)
        return best if best and found[best] <= SAME_CENTRE else None

    @property
    def gaps(self) -> tuple[int, ...]:
        """The hs bands i that have no neighbour i + 1: the spacing there exceeds 1.5 times the median one.

        >>> Spectra(np.array([400.0, 410, 420, 500, 510])).gaps
        (2,)
        """
        if self.hs_nm is None or len(self.hs_nm) < 3:
            return ()
        steps = np.abs(np.diff(self.hs_nm))
        return tuple(int(i) for i in np.flatnonzero(steps > GAP * np.median(steps)))

    def bands_nm(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Centres and widths (l,) of the ms bands: as given, or those of the sensor that was recognised."""
        if self.recognised is None or self.ms_nm is None:
            return self.ms_nm, self.ms_fwhm_nm
        centres, widths, _ = known_bands(self.recognised)
        nearest = np.abs(centres - self.ms_nm[:, None]).argmin(axis=1)
        return centres[nearest], widths[nearest]

    def axis(self, bands: int) -> Axis:
        """Where the hs bands lie: nm, or their numbers."""
        if self.hs_nm is None:
            return Axis(np.arange(float(bands)), np.ones(bands))
        return Axis(np.asarray(self.hs_nm, dtype=np.float64), band_shares_nm(self.hs_nm))


def known_bands(name: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centres, widths and nominal centres (nm) of a sensor's bands but its pan; none of a curve."""
    table = SRFS[name]
    bands = {band: row for band, row in table.bands.items() if band != "pan"} if isinstance(table, Bands) else {}
    rows = [(*row, table.nominal.get(band, row[0])) for band, row in bands.items() if isinstance(table, Bands)]
    centres, widths, nominal = np.array(rows, np.float64).reshape(-1, 3).T
    return centres, widths, nominal


def restrict(ms_bands: int, bands: int, spectra: Spectra) -> tuple[Mask, FloatArray | None]:
    """(l, L) the hs bands each ms band may see, and the responses (l, L) its own wavelengths and widths state.

    Those are Gaussians. Everything without wavelengths. An ms band that sees none of them keeps a row of False, and of
    zeros. Raises: InputError where all do.
    """
    allowed = np.ones((ms_bands, bands), bool)
    centres, widths = spectra.bands_nm()
    if spectra.hs_nm is None or centres is None:
        return allowed, None
    axis = spectra.axis(bands)
    reach = REACH * centres if widths is None else widths
    distance = np.abs(axis.places - centres[:, None])
    allowed &= distance <= np.maximum(reach[:, None], axis.shares)
    if not allowed.any():
        raise InputError(
            f"hs from {nm_range(spectra.hs_nm)} and ms from {nm_range(centres)}",
            "images that share wavelengths",
            "check the wavelengths, or give the srf",
        )
    if widths is None:
        return allowed, None
    stated = np.zeros(allowed.shape)
    for m in np.flatnonzero(allowed.any(1)):
        with suppress(InputError):  # of a band that is seen by its tails alone
            stated[m] = gaussian_srf(centres[m : m + 1], widths[m : m + 1], axis.places)[0]
    return allowed, stated


def coverage_notes(spectra: Spectra) -> list[str]:
    """Which hs bands lie beyond all that the ms sees, and which ms bands beyond hs, in words; of known wavelengths.

    >>> ms_nm, widths = np.array([520.0, 650, 1600]), np.full(3, 60.0)
    >>> first, second = coverage_notes(Spectra(np.array([500.0, 600, 1190, 1200]), ms_nm, widths))
    >>> first.partition(":")[0], second.partition(":")[0]
    ('ms sees 460 to 710 nm, 1540 to 1660 nm', 'no hs band lies at ms band 3 (1600 nm)')
    """
    centres, widths = spectra.bands_nm()
    if spectra.hs_nm is None or centres is None:
        return []
    reach = np.full(len(centres), UNKNOWN_WIDTH_NM) if widths is None else widths
    seen = list[tuple[float, float]]()  # parts of the spectrum; those less than 100 nm apart are drawn together
    for low, high in sorted(zip((centres - reach).tolist(), (centres + reach).tolist(), strict=True)):
        if seen and low - seen[-1][1] <= UNKNOWN_WIDTH_NM:
            seen[-1] = seen[-1][0], max(seen[-1][1], high)
        else:
            seen.append((low, high))
    beyond = np.flatnonzero(~np.any([(low <= spectra.hs_nm) & (spectra.hs_nm <= high) for low, high in seen], axis=0))
    notes = list[str]()
    if beyond.size:
        bands = f"{beyond.size} hs band{'s' * (beyond.size > 1)} beyond ({nm_runs(beyond.tolist(), spectra.hs_nm)})"
        listed = ", ".join(f"{low:.0f} to {high:.0f} nm" for low, high in seen)
        notes.append(f"ms sees {listed}: the detail of {bands} is inferred from the bands that it sees")
    distance = np.abs(spectra.hs_nm - centres[:, None])
    blind = np.flatnonzero((distance > np.maximum(reach[:, None], band_shares_nm(spectra.hs_nm))).all(1))
    if blind.size:
        bands = ", ".join(f"{m + 1} ({centres[m]:.0f} nm)" for m in blind)
        what = f"no hs band lies at ms band{'s' * (blind.size > 1)} {bands}"
        shown = "they show" if blind.size > 1 else "it shows"
        notes.append(f"{what}: what {shown} is related to the others by the images alone")
    return notes


def nm_range(wavelengths: FloatArray) -> str:
    """The extent of a list of wavelengths, formatted for display.

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
