"""The main job: two images in, one sharp image out, in the user's units, on the ms's grid."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import fwhm_nm, only_usable, pair_ratio, usable_bands, wavelengths_nm
from hypersharp.errors import InputError, check_name
from hypersharp.grid import LEAST_RATIO, MOST_RATIO
from hypersharp.methods.align import AlignedPair, align_if_needed, to_ms_grid, undo_shift
from hypersharp.methods.auto import AUTO
from hypersharp.methods.base import (
    FuseOptions,
    Method,
    Mode,
    Precision,
    Progress,
    Runtime,
    Settings,
    from_tensor,
    measured,
    to_tensor,
    value_scale,
)
from hypersharp.methods.bicubic import BICUBIC
from hypersharp.methods.cnmf import CNMF
from hypersharp.methods.dbin import DBIN_METHOD
from hypersharp.methods.dhsis import DHSIS_METHOD
from hypersharp.methods.fuse_gauss import FUSE
from hypersharp.methods.glp import GLP
from hypersharp.methods.gsa import GSA
from hypersharp.methods.hysure import HYSURE
from hypersharp.methods.packaged import named_weights
from hypersharp.methods.runtime import with_runtime
from hypersharp.methods.scene import Sample, run_named
from hypersharp.methods.sfim import SFIM
from hypersharp.methods.ssjcn import SSJCN_METHOD
from hypersharp.sensor.psf import PSF, parse_psf
from hypersharp.sensor.srf import check_common_wavelengths, find_srf

Move = Literal["shift", "none"]
OutGrid = Literal["pair", "ms"]

METHODS: dict[str, Method] = {
    "auto": AUTO,
    "bicubic": BICUBIC,
    "cnmf": CNMF,
    "dbin": DBIN_METHOD,
    "dhsis": DHSIS_METHOD,
    "fuse": FUSE,
    "glp": GLP,
    "gsa": GSA,
    "hysure": HYSURE,
    "sfim": SFIM,
    "ssjcn": SSJCN_METHOD,
}


def fuse(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    method: str = "auto",
    weights: str | Path | None = None,
    mode: Mode = "whole",
    tile_px: int = 128,
    device: str = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "torch",
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    consistent: bool | None = None,
    budget_s: float = 60.0,
    move: Move = "shift",
    grid: OutGrid = "pair",
    progress: Progress | None = None,
) -> xr.DataArray:
    """Sharpen hs with ms, after bringing the two to one grid (`align`) where their georeferences do not nest.

    Args:
        hs: hyperspectral image (L, h, w), any unit; NaN where missing.
        ms: multispectral, RGB or panchromatic image (l, H, W) of the same place in the same unit.
        method: a name of METHODS; "auto" tries them on the pair degraded once more and takes the best, or their
            blend, but the network of the weights where some are given.
        weights: packaged name or file, for methods with a network; by default those that fit.
        runtime: what runs a network, "torch" or, in float32, "onnx", as weights in an ONNX file always are.
        mode: how a network runs: "whole" image, blended "tiles" of tile_px, or the paper's "patches".
        psf: blur of hs, a spec such as "gaussian:8:2" or a file; by default the method's own or estimated.
        srf: response (l, L) of ms, a name or a file; by default the one of the weights or estimated.
        ratio: fine pixels per coarse one; by default from the sizes, which it must agree with.
        scale: the value that counts as 1; by default 1 for floats up to about 1, else the 99.9 % quantile of hs.
        consistent: change the result as little as it takes to give back hs, within its noise, when it is
            degraded (`consistency.project`). None: where the psf is known or estimated anyway and that raises the
            scores on the pair degraded once more.
        budget_s: seconds that "auto" may take in all, about.
        move: "shift" moves the ms by a fraction of a pixel to lie on hs where the images prove that it does not, and
            says so; a psf that is given tells where hs's pixels lie, and nothing is moved.
        grid: where ms had to be aligned, the result's: "pair" nests exactly in hs's pixels, "ms" is that of the
            ms given, at the cost of a second resampling.
        progress: called with the fraction done, 0..1.

    Returns:
        (L, H, W) with the bands of hs, the grid and CRS of ms (aligned), the unit and dtype of hs; what was chosen
        stands in attrs["hypersharp"].

    Raises:
        InputError: unusable or ill-matched images, an unknown name, no weights that fit.
    """
    check_name("move", move, get_args(Move))
    check_name("grid", grid, get_args(OutGrid))
    options = FuseOptions(
        weights=weights, mode=mode, tile_px=tile_px, device=device, precision=precision, runtime=runtime,
        consistent=consistent, budget_s=budget_s, progress=progress,
    )  # fmt: skip
    method = method_for(method, weights)
    placed = place(hs, ms, ratio=ratio, move=move, psf_told=psf is not None)
    hs, ms = placed.hs, placed.ms
    settings = settings_for(
        METHODS[method], hs, ms, options, psf=psf, srf=srf, ratio=placed.ratio, notes=placed.notes
    )
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    sample = Sample.of((coarse.shape[1], coarse.shape[2]), placed.ratio)
    unit = value_scale(sample.coarse(coarse.values)) if scale is None else scale
    note_left_out(hs, ms, settings)
    check_units(coarse, fine, settings)
    pair = to_tensor(coarse, unit), to_tensor(fine, unit)
    sharp = from_tensor(run_named(METHODS[method], *pair, settings), hs, ms, unit)
    sharp.attrs["hypersharp"] = "; ".join(
        [f"method {method}, ratio {placed.ratio}, scale {unit:g}", *settings.notes]
    )
    return to_ms_grid(sharp, placed.aligned) if placed.aligned and grid == "ms" else sharp


def settings_for(
    method: Method,
    hs: xr.DataArray,
    ms: xr.DataArray,
    options: FuseOptions,
    *,
    psf: str | Path | PSF | None,
    srf: str | Path | NDArray[np.float64] | None,
    ratio: int | None,
    notes: Sequence[str] = (),
) -> Settings:
    """What a method is told of a pair on nested grids, and what the user chose; notes: what was noted before.

    Raises: as `known_settings` and `with_runtime`.
    """
    known = known_settings(hs, ms, psf=psf, srf=srf, ratio=ratio)
    return with_runtime(method, replace(known, **vars(options), notes=list(notes)))


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


def place(
    hs: xr.DataArray, ms: xr.DataArray, *, ratio: int | None, move: Move, psf_told: bool
) -> Placed:
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


def find_method(name: str) -> Method:
    """A method by name.

    Raises: InputError, with the nearest names, for an unknown one.
    """
    check_name("method", name, METHODS)
    return METHODS[name]


def method_for(name: str, weights: str | Path | None) -> str:
    """The name, or that of the weights' network where weights are given and the method is not.

    Raises: InputError for an unknown method, or weights that are not there.
    """
    find_method(name)
    return named_weights(weights).method if weights is not None and name == AUTO.name else name


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
        raise InputError(
            f"sizes of ratio {found}", f"the given ratio {ratio}", "leave --ratio out or check the files"
        )
    if ms.shape[0] > hs.shape[0]:
        raise InputError(
            f"{hs.shape[0]} bands in hs and {ms.shape[0]} in ms",
            "hs with more bands than ms",
            "give the hyperspectral image first",
        )
    return found


def usable_response(
    srf: NDArray[np.float64] | None, hs: xr.DataArray, ms: xr.DataArray
) -> NDArray[np.float64] | None:
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
