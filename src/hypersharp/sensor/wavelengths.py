"""Wavelengths and widths in nm, in whichever unit and words a file or another program says them."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hypersharp.errors import InputError

NM = {
    1.0: "nm nanometer nanometers nanometre nanometres",
    1e3: "um micron microns micrometer micrometers micrometre micrometres",
    1e6: "mm millimeter millimeters millimetre millimetres",
    1e7: "cm centimeter centimeters centimetre centimetres",
    1e9: "m meter meters metre metres",
    0.1: "a å angstrom angstroms ångström ångströms",
}
UNITS_NM = {name: factor for factor, names in NM.items() for name in names.split()}
PER_NM = {1e7: re.compile(r"wavenumbers?|cm\s*[\^*]*\s*[-−⁻]\s*[1¹]|1\s*/\s*cm")}  # its name -> wavelength x number
PER_NM |= {2.99792458e8: re.compile(r"ghz|gigahertz"), 2.99792458e11: re.compile(r"mhz|megahertz")}
UNSAID = ("", "unknown", "none", "1", "-")
NUMBERED = "index"  # the unit, in ENVI's words, of bands that are only counted
SAME_BAND_NM = 6.0  # half the spacing of 10 nm bands, and a little
LEAST_NM = 100  # sensors of reflected and emitted light see no shorter waves
IN_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*\(?\s*(nm|nanomet(?:er|re)s?|[uµμ]m|micromet(?:er|re)s?|microns?)\b", re.I)


def unit_nm(unit: Any) -> float | None:
    """The nm in one unit of length; None for a unit that is not known.

    >>> unit_nm("Micrometers (um)"), unit_nm("um."), unit_nm("m"), unit_nm("GHz")
    (1000.0, 1000.0, 1000000000.0, None)
    """
    text = str(unit).strip().lower().replace("µ", "u").replace("μ", "u")
    if per_nm(unit) is not None:
        return None
    for word in (text, *re.split(r"[\s()\[\]{}.,;/]+", text)):
        if word in UNITS_NM:
            return UNITS_NM[word]
    return None


def per_nm(unit: Any) -> float | None:
    """The nm of a wavelength times its number in a unit of wavenumber or frequency; None for another unit.

    >>> per_nm("Wavenumber"), per_nm("1/cm"), per_nm("GHz"), per_nm("cm")
    (10000000.0, 10000000.0, 299792458.0, None)
    """
    text = str(unit).strip().lower()
    return next((product for product, names in PER_NM.items() if names.search(text)), None)


def spectral_nm(values: Any, unit: Any) -> np.ndarray | None:
    """Wavelengths in nm; None for none, for mere counting, and, with a warning, in a unit that is not known.

    A unit that is not said is um where all are below 100, else nm.

    Raises: InputError for wavelengths of less than 100 nm.

    >>> spectral_nm([0.479, 2.4], "um").tolist(), spectral_nm([450], None).tolist()
    ([479.0, 2400.0], [450.0])
    """
    found = _in_nm(values, unit, values, "wavelengths")
    if found is not None and np.fmax.reduce(found) < LEAST_NM:
        numbers = np.asarray(values, dtype=float)
        text = f"wavelengths of {np.nanmin(numbers):.4g} to {np.nanmax(numbers):.4g} {unit}"
        raise InputError(text, f"{LEAST_NM} nm or more", "correct their unit, which may be micrometres")
    return found


def widths_nm(values: Any, unit: Any, centres: Any) -> np.ndarray | None:
    """Widths of bands in nm; a unit that is not said is that which the bare numbers of the centres show, else nm.

    Those in wavenumber or frequency belong to centres in the same unit, and are left out without them. Those in um that
    are all wider than their wavelengths are in nm, with a warning.

    >>> widths_nm([0.01], None, [0.479]).tolist(), widths_nm([10], None, [479]).tolist()
    ([10.0], [10.0])
    """
    found = _in_nm(values, unit, [LEAST_NM] if centres is None else centres, "widths")
    if found is None or centres is None or per_nm(unit) is not None:
        return found
    bare, own = np.asarray(values, dtype=float).ravel(), _in_nm(centres, unit, centres, "wavelengths")
    if own is None or own.shape != found.shape or not (found > own).all() or not (bare < own).all():
        return found
    text = f"widths of {bare.min():g} to {bare.max():g} {unit or 'um'}, more than the wavelengths, are taken for nm"
    warnings.warn(text, stacklevel=3)
    return bare


def _in_nm(values: Any, unit: Any, shown: Any, what: str) -> np.ndarray | None:
    """Lengths in nm, their unit, where it is not said, guessed from the wavelengths shown."""
    if values is None:
        return None
    numbers, name = np.asarray(values, dtype=float).ravel(), str(unit or "").strip().lower()
    if not np.isfinite(numbers).any() or name == NUMBERED:
        return None
    factor, product = unit_nm(unit), per_nm(unit)
    if product is not None:
        own = np.asarray(shown, dtype=float).ravel()
        if own.shape != numbers.shape:
            return None
        there = np.where(own > 0, own, np.nan)
        return np.round(product / there if what == "wavelengths" else product * numbers / there**2, 9)
    if name in UNSAID:
        factor = 1e3 if np.fmax.reduce(np.asarray(shown, dtype=float), axis=None) < LEAST_NM else 1.0
    if factor is None:
        warnings.warn(f"{what} in {str(unit)[:40]!r}, a unit that is not known, are left out", stacklevel=4)
        return None
    return numbers if factor == 1 else np.round(numbers * factor, 9)  # 0.479 * 1000 = 478.99999999999994


def in_text(text: str | None) -> tuple[float, str] | None:
    """A wavelength and its unit in the name of a band.

    >>> in_text("Band 3 (569.4 Nanometers)"), in_text("0.865 um"), in_text("B04")
    ((569.4, 'Nanometers'), (0.865, 'um'), None)
    """
    found = IN_TEXT.search(text or "")
    return (float(found[1]), found[2]) if found else None


def named_nm(names: Sequence[str | None]) -> np.ndarray | None:
    """Wavelengths in the names of all bands; None unless each has one.

    >>> named_nm(["band_1 (523.1 nm)", "B2 650nm"]).tolist(), named_nm(["Band 523", "B2 650nm"])
    ([523.1, 650.0], None)
    """
    said = [in_text(name) for name in names]
    if not said or None in said:
        return None
    return np.array([float(nm[0]) for found in said if found and (nm := spectral_nm([found[0]], found[1])) is not None])


def numbers_in(text: Any) -> list[float] | None:
    """The numbers of a list in braces or brackets, as tags hold them; None for anything else.

    >>> numbers_in("{450, 550.5}"), numbers_in("blue, green")
    ([450.0, 550.5], None)
    """
    try:
        return [float(part) for part in re.split(r"[,\s]+", str(text).strip("{}[]() \t\r\n")) if part] or None
    except ValueError:
        return None
