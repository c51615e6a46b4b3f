"""Two cubes as one checked pair on nested grids, and what is known of it."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import fwhm_nm, only_usable, pair_ratio, usable_bands, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.grid import LEAST_RATIO, MOST_RATIO
from hypersharp.pair.align import AlignedPair, align_if_needed, undo_shift
from hypersharp.pair.settings import Settings
from hypersharp.pair.tensors import measured
from hypersharp.sensor.psf import PSF, parse_psf
from hypersharp.sensor.srf import check_common_wavelengths, find_srf

Move = Literal["shift", "none"]


def known_settings(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    psf: str | Path | PSF | None,
    srf: str | Path | NDArray[np.float64] | None,
    ratio: int | None,
) -> Settings:
    """What is known of a pair on nested grids: ratio, wavelengths, sensor as far as given, which pixels are measured.

    Raises: InputError for cubes that are no pair, an unknown psf or srf.
    """
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    found, known_nm = check_pair(coarse, fine, ratio), wavelengths_nm(coarse)
    response = find_srf(str(srf), known_nm) if isinstance(srf, str | Path) else srf
    return Settings(
        ratio=found,
        wavelengths_nm=known_nm,
        ms_wavelengths_nm=wavelengths_nm(fine),
        ms_fwhm_nm=fwhm_nm(fine),
        psf=parse_psf(str(psf), found) if isinstance(psf, str | Path) else psf,
        srf=usable_response(response, hs, ms),
        hs_valid=measured(coarse),
        ms_valid=measured(fine),
    )


@dataclass(frozen=True, eq=False)
class Placed:
    """hs and ms on nested grids, the ms on the hs; `aligned` where their georeferences did not nest."""

    hs: xr.DataArray
    ms: xr.DataArray
    ratio: int
    aligned: AlignedPair | None
    notes: tuple[str, ...]


def place(hs: xr.DataArray, ms: xr.DataArray, *, ratio: int | None, move: Move, psf_told: bool) -> Placed:
    """The pair as `fuse` takes it: aligned where the georeferences do not nest, a proven shift undone.

    Raises: InputError as `align`, and for cubes that are no pair.
    """
    aligned = align_if_needed(hs, ms, ratio, move)
    if aligned:
        hs, ms = aligned.hs, aligned.ms
    found = check_pair(only_usable(hs, "hs"), only_usable(ms, "ms"), ratio)
    if aligned or move == "none" or psf_told:
        return Placed(hs, ms, found, aligned, aligned.notes if aligned else ())
    moved, notes = undo_shift(hs, ms)
    return Placed(hs, moved, found, None, notes)


def placed_as(sharp: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The pair (hs, ms) that `fuse` was given, placed as its result `sharp` says that it was."""
    said = str(sharp.attrs.get("hypersharp", ""))
    undone = "now undone" in said
    if not undone and "; aligned: " not in said:
        return hs, ms
    placed = place(hs, ms, ratio=None, move="shift" if undone else "none", psf_told=False)
    return placed.hs, placed.ms


def check_pair(hs: xr.DataArray, ms: xr.DataArray, ratio: int | None) -> int:
    """The pair's whole ratio.

    Raises: InputError for cubes that cannot be used, swapped ones, sizes of no whole, another or an unheard-of ratio,
        wavelengths that do not meet.
    """
    found = pair_ratio(hs, ms)
    if not LEAST_RATIO <= found <= MOST_RATIO:
        raise InputError(
            f"{found} fine pixels per coarse pixel",
            f"{math.ceil(LEAST_RATIO)} to {MOST_RATIO}",
            "take a finer ms" if found < LEAST_RATIO else "average ms over blocks of pixels first",
        )
    check_common_wavelengths(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))
    if ratio is not None and ratio != found:
        raise InputError(f"sizes of ratio {found}", f"the given ratio {ratio}", "leave --ratio out or check the files")
    if ms.shape[0] > hs.shape[0]:
        raise InputError(
            f"{hs.shape[0]} bands in hs and {ms.shape[0]} in ms",
            "hs with more bands than ms",
            "give the hyperspectral image first",
        )
    return found


def usable_response(srf: NDArray[np.float64] | None, hs: xr.DataArray, ms: xr.DataArray) -> NDArray[np.float64] | None:
    """A response (l, L) without the rows and columns of bands that are left out, if it has them.

    The columns that stay share a row's sum, so that it still is a mean.
    """
    if srf is None:
        return None
    rows, columns = usable_bands(ms), usable_bands(hs)
    if len(srf) == len(rows):
        srf = srf[rows]
    if srf.shape[1] != len(columns) or columns.all():
        return srf
    whole, kept = srf.sum(axis=1, keepdims=True), srf[:, columns]
    part = kept.sum(axis=1, keepdims=True)
    return np.where(part > 0, kept * whole / np.where(part > 0, part, 1), kept)


def note_left_out(hs: xr.DataArray, ms: xr.DataArray, settings: Settings) -> None:
    """Note how many bands and pixels of each image do not count."""
    for name, cube, valid in (("hs", hs, settings.hs_valid), ("ms", ms, settings.ms_valid)):
        bad = np.flatnonzero(~usable_bands(cube))
        if bad.size:
            settings.note(f"{bad.size} of {cube.shape[0]} {name} bands left out, bad or empty")
        if valid is not None:
            missing = valid.numel() - int(valid.sum())
            settings.note(f"{missing} {name} pixels ({missing / valid.numel():.1%}) left out")


def check_units(hs: xr.DataArray, ms: xr.DataArray, settings: Settings) -> None:
    """Note a pair whose means differ so much that the two can hardly be in one unit."""
    hs_mean, ms_mean = (float(np.nanmean(image.values)) for image in (hs, ms))
    if min(hs_mean, ms_mean) > 0 and not 0.2 < ms_mean / hs_mean < 5:
        text = f"the mean of ms is {ms_mean / hs_mean:.2g} times that of hs: are both in the same unit?"
        settings.note(f"warning: {text}")
        warnings.warn(text, stacklevel=3)
