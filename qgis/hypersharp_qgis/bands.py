"""Which bands of a result show true colour, by the wavelengths in their names. Standard library only."""

import re

RGB_NM = (640.0, 550.0, 460.0)
FARTHEST_NM = 60.0


def wavelengths_nm(names):
    """The wavelengths in names such as "Band 12: 523.1 nm" or "B04 (665 nm)"; None for a name without one."""
    found = (re.search(r"(\d+(?:\.\d+)?)\s*nm\b", name) for name in names)
    return [float(match[1]) if match else None for match in found]


def true_colour(names):
    """The numbers (from 1) of the bands nearest to red, green and blue; None where the names do not tell."""
    known = [(nm, band) for band, nm in enumerate(wavelengths_nm(names), start=1) if nm is not None]
    chosen = []
    for wanted in RGB_NM:
        nm, band = min(known, key=lambda entry: abs(entry[0] - wanted), default=(0.0, None))
        if abs(nm - wanted) > FARTHEST_NM or band in chosen:
            return None
        chosen.append(band)
    return chosen
