"""Two images of one place as a pair: where hs and ms lie on each other, found once.

Geometry first, by georeferences or sizes; then the images themselves show how far they lie off each other. By default
the ms keeps its pixels and hs is described on them (`lattice`); for whoever compares with a truth on the pixels of hs,
those stay and the ms is resampled once (`align`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np

from hypersharp.cube import (
    check_axes,
    check_cube,
    crs_of,
    fwhm_nm,
    good_bands,
    grid_of,
    shape_text,
    transform_of,
    wavelengths_nm,
)
from hypersharp.errors import InputError, check_name, installed
from hypersharp.grid import LEAST_RATIO, MOST_RATIO, Grid, Window, fits_exactly, nests, swath_in_swath, whole_ratio
from hypersharp.io.image import CubeImage, FlippedImage, Image
from hypersharp.pair.align import (
    Straight,
    check_both_placed,
    place_note,
    plan_alignment,
    registered,
    registered_window,
    shift_message,
)
from hypersharp.pair.bands import MovedBands, with_bands_together, with_hs_bands_together
from hypersharp.pair.fill import without_fill
from hypersharp.pair.lattice import Lattice, by_georeference, natively
from hypersharp.pair.native import NativeImage, native_image
from hypersharp.pair.options import Coregister, Frame, Options
from hypersharp.pair.pair import Pair, check_pair
from hypersharp.pair.placement import OnHS, OnMS, Placement
from hypersharp.pair.resample import affine_type, project
from hypersharp.registration.displaced import START_SIGMA
from hypersharp.registration.register import LEAST_CORRELATION, Model, Registration
from hypersharp.registration.spread import FEW, register_spread, spread
from hypersharp.sensor.srf import check_common_wavelengths

if TYPE_CHECKING:
    import xarray as xr

P = TypeVar("P", bound=Placement)
TURNED = 1e-6  # of a pixel's side: less is upright
IN_SWATH = (
    "hs and ms are in the order of acquisition, and so is the result, with longitude and latitude of each pixel "
    "(.nc and .zarr keep them, .tif control points)"
)


def place(
    hs: Image | CubeImage,
    ms: Image | CubeImage,
    *,
    ratio: int | None = None,
    coregister: Coregister = "local",
    frame: Frame = "ms",
    known: Mapping[str, Any] | None = None,
) -> Placement:
    """hs and ms on nested grids, co-registered where the images show that one lies off.

    Args:
        ratio: fine pixels per coarse one; by default from the sizes or georeferences, which it must agree with.
        coregister: the richest displacement that is looked for.
        frame: whose pixels stay as they are.
        known: what `Placement.described` gave of the same images, instead of looking.

    Raises: InputError for images that cannot be read or used, swapped ones, one without a place beside one with it,
        sizes of no whole, another or an unheard-of ratio, no common ground or wavelengths.
    """
    check_name("co-registration", coregister, get_args(Coregister))
    check_name("frame", frame, get_args(Frame))
    (hs, hs_fill), (ms, ms_fill) = (without_fill(image.resolved(), name) for image, name in ((hs, "hs"), (ms, "ms")))
    keeps_hs = (known["frame"] if known else frame) == "hs"
    if not keeps_hs and (axes := opposed(hs.outline(), ms.outline())):
        hs = FlippedImage.of(hs, axes)
    outlines = hs.outline(), ms.outline()
    for name, image, outline in zip(("hs", "ms"), (hs, ms), outlines, strict=True):
        check_axes(outline, name)
        image.check()
        flags = good_bands(outline)
        if image.in_memory and (flags is None or flags.any()):
            check_cube(outline if flags is None else outline.isel(band=np.flatnonzero(flags)), name)
    grids, start_px_yx, swath = checked_grids(*outlines, ratio)
    notes = (*hs_fill, *ms_fill, *swath)
    if known and (off_px_yx := known.get("ms_bands_px_yx")):
        ms = MovedBands.of(ms, np.array(off_px_yx))
    if known and (off_px_yx := known.get("hs_bands_px_yx")):
        hs = MovedBands.of_hs(hs, np.array(off_px_yx))
    native = None if keeps_hs or (known and not known.get("native")) else native_image(hs)
    if keeps_hs:
        placed: Placement = on_hs(hs, ms, grids, ratio, coregister, known)
    else:
        placed = on_ms(native or hs, ms, grids, ratio, coregister, known, start_px_yx=start_px_yx)
    return replace(placed, notes=(*notes, *placed.notes))


def pair_of(
    hs: Image | CubeImage, ms: Image | CubeImage, options: Options, *, psf: object = None, ratio: int | None = None
) -> Pair:
    """The pair of two images, placed and checked as a user chose. Raises: InputError as `place` and `check_pair`."""
    placement = place(hs, ms, ratio=ratio, coregister=options.coregister_with(psf), frame=options.frame)
    return check_pair(placement, scale=options.scale, destripe=options.destripe, despike=not options.keep_changed)


def opposed(hs: xr.DataArray, ms: xr.DataArray) -> tuple[int, ...]:
    """The axes (0 rows, 1 columns) along which upright grids of one CRS run against each other, as south-up ones do."""
    coarse, fine = transform_of(hs), transform_of(ms)
    if coarse is None or fine is None or crs_of(hs) != crs_of(ms):
        return ()
    to_ms = ~fine @ coarse
    if abs(to_ms.b) > TURNED * abs(to_ms.e) or abs(to_ms.d) > TURNED * abs(to_ms.a):
        return ()
    return tuple(axis for axis, step in enumerate((to_ms.e, to_ms.a)) if step < 0)


def checked_grids(
    hs: xr.DataArray, ms: xr.DataArray, ratio: int | None
) -> tuple[tuple[Grid, Grid], tuple[float, float], tuple[str, ...]]:
    """The grids of a pair, where hs begins in an ms of its own extent (fine pixels), and what is to be said of it.

    Raises: InputError as `place`.
    """
    units = hs.attrs.get("units"), ms.attrs.get("units")
    if set(units) == {"radiance", "reflectance"}:
        found = f"hs in {units[0]} and ms in {units[1]}"
        raise InputError(found, "one unit", "use the surface reflectance (level 2) of both, or the radiance of both")
    if ms.shape[0] > hs.shape[0]:
        swapped = hs[0].size > ms[0].size
        raise InputError(
            f"hs of {shape_text(hs)} and ms of {shape_text(ms)} (bands x rows x columns)",
            "an hs with more bands and fewer pixels than the ms",
            "swap the two, hs comes first" if swapped else "give the hyperspectral image first",
        )
    check_common_wavelengths(wavelengths_nm(hs), wavelengths_nm(ms), fwhm_nm(ms))
    coarse, fine = grid_of(hs), grid_of(ms)
    check_both_placed(coarse, fine)
    plain = Grid(coarse.shape_yx), Grid(fine.shape_yx)
    if fine.off is not None and (coarse.off is not None or nests(*plain)):  # PRISMA and its pan
        return plain, swath_in_swath(coarse, fine, checked_ratio(*plain, ratio), project), (IN_SWATH,)
    return (coarse, fine), (0.0, 0.0), ()


def on_ms(
    hs: Image | CubeImage,
    ms: Image | CubeImage,
    grids: tuple[Grid, Grid],
    ratio: int | None,
    coregister: Coregister,
    known: Mapping[str, Any] | None,
    *,
    start_px_yx: tuple[float, float],
) -> Placement:
    """The pair on the pixels of the ms; grids: those of hs and ms; the others as in `place` and `checked_grids`."""
    coarse, fine = grids
    if known is not None:
        if isinstance(hs, NativeImage):
            coarse = hs.grid(coarse)
        return OnMS.of(hs, ms, fine, Lattice.from_dict(dict(known), coarse, fine), evidence=known.get("evidence"))
    lattice, notes = first_lattice(coarse, fine, ratio, start_px_yx), list[str]()
    if isinstance(hs, NativeImage):
        native_yx = hs.values.shape[1], hs.values.shape[2]
        coarse, lattice = natively(lattice, native_yx, hs.to_given, coarse, fine, ratio)
        notes.append(hs.note)
    first = OnMS.of(hs, ms, fine, lattice)
    if not lattice.nested:
        notes.append(place_note(first.blocks, first.fine, lattice.true_ratio, lattice.ratio))
    evidence, sigma_px = None, START_SIGMA * lattice.ratio
    if coregister != "none":
        first, found, window = registered_together(first, coregister)
        hs, ms = first.hs, first.ms
        notes += first.notes
        if found.moved:
            if found.model == "shift":
                lattice = lattice.displaced(found.shift_px_yx, coarse, fine)
            else:
                lattice = lattice.bent(found.field(lattice.ratio, window[2:], window[:2]), coarse, fine)
            notes.append(shift_message(found, fine))
            evidence = found.evidence()
            sigma_px = found.sigma_px
        elif not lattice.nested:
            notes.append(shift_message(found, fine))
    if lattice.warp:
        box = lattice.fine_window(registered_window(lattice.shape_yx, lattice.ratio))
        lattice = replace(lattice, warp=lattice.warp.guided(hs, ms, box, lattice.ratio, sigma_px))
        notes.append("hs resampled once, onto blocks of ms pixels; ms as it is")
    return OnMS.of(hs, ms, fine, lattice, notes=tuple(notes), evidence=evidence)


def first_lattice(hs: Grid, ms: Grid, ratio: int | None, start_px_yx: tuple[float, float]) -> Lattice:
    """That of two grids, before the images themselves are looked at. Raises: InputError as `place`."""
    georeferenced = hs.transform is not None and ms.transform is not None
    if georeferenced and not fits_exactly(hs, ms):
        return by_georeference(hs, ms, ratio)
    whole = checked_ratio(hs, ms, ratio)
    lattice = Lattice((0, 0, *ms.shape_yx), whole, float(whole))
    return lattice.displaced(start_px_yx, hs, ms) if any(start_px_yx) else lattice


def registered_together(first: P, richest: Model) -> tuple[P, Registration, Window]:
    """The pair with the bands of each image on each other, with notes where they were not, then its `displacement`."""
    found, window = displacement(first, richest)
    if apart := with_hs_bands_together(first, found, window):
        first = apart
        found, window = displacement(first, richest)
    if together := with_bands_together(first, found, window):
        first = replace(first, ms=together, notes=(*first.notes, together.note()))
        found, window = displacement(first, richest)
    return first, found, window


def displacement(first: Placement, richest: Model) -> tuple[Registration, Window]:
    """How hs and ms, placed so far, lie off each other, and the window that this is known of."""
    window, everything = registered_window(first.shape_yx, first.ratio), first.everything
    model: Model = richest if installed("affine") else "shift"  # without, only a shift can be described
    found = registered(*first.read(window), model=model if window == everything else "shift")
    if window != everything and not found.correlation > 0:  # of a lake, or of no pixel: others show more
        others = [registered(*first.read(part), model="shift") for part in spread(first.shape_yx, FEW)]
        found = max([found, *others], key=lambda one: np.nan_to_num(one.correlation))
    if window == everything or model == "shift" or found.correlation < LEAST_CORRELATION:
        return found, window
    over_all = register_spread(
        found,
        first.shape_yx,
        first.ratio,
        lambda part: registered(*first.read(part), model="shift"),
        affine_only=model == "affine",
    )
    return over_all, window if over_all is found else everything


def on_hs(
    hs: Image | CubeImage,
    ms: Image | CubeImage,
    grids: tuple[Grid, Grid],
    ratio: int | None,
    coregister: Coregister,
    known: Mapping[str, Any] | None,
) -> Placement:
    """The pair on the pixels of hs; grids: those of hs and ms; the others as in `place`."""
    coarse, fine = grids
    ratio = ratio if known is None else known["ratio"]
    model: Straight = "shift" if coregister == "local" else coregister
    placed = all(grid.crs is not None and grid.transform is not None for grid in (coarse, fine))
    if placed and not fits_exactly(coarse, fine):
        to_ms = None if known is None or known["to_ms"] is None else affine_type()(*known["to_ms"])
        notes: tuple[str, ...] = ()
        if model != "none" and known is None:  # on the ms's own pixels, where georeferences alone put hs
            first = OnMS.of(hs, ms, fine, first_lattice(coarse, fine, ratio, (0.0, 0.0)))
            if together := with_bands_together(first, *displacement(first, "shift")):
                ms, notes = together, (together.note(),)
        found = plan_alignment(coarse, fine, (hs.cube, ms.cube), ratio=ratio, coregister=model, known=to_ms)
        y, x, *shape = found.grid.window
        size, notes = (shape[0], shape[1]), (*notes, *found.notes)
        return OnHS(hs, ms, size, found.grid.ratio, found.grid.ms, notes, corner_yx=(y, x), alignment=found)
    nested = OnHS(hs, ms, coarse.shape_yx, checked_ratio(coarse, fine, ratio), fine)
    if known is not None:
        shift = known["shift_px_yx"]
        return replace(nested, shift_px_yx=None if shift is None else (shift[0], shift[1]))
    if model == "none":
        return nested
    nested, registration, _ = registered_together(nested, "shift")
    if not registration.moved:
        return nested
    moved_once = f"ms resampled once: {shift_message(registration, fine)}"
    return replace(nested, shift_px_yx=registration.shift_px_yx, notes=(*nested.notes, moved_once))


def checked_ratio(hs: Grid, ms: Grid, wanted: int | None) -> int:
    """The pair's whole ratio. Raises: InputError for one that is none, unheard of, or not the wanted one."""
    found = whole_ratio(hs, ms)
    if not LEAST_RATIO <= found <= MOST_RATIO:
        advice = "take a finer ms" if found < LEAST_RATIO else "average ms over blocks of pixels first"
        raise InputError(f"{found} fine pixels per coarse pixel", f"{math.ceil(LEAST_RATIO)} to {MOST_RATIO}", advice)
    if wanted not in (None, found):
        raise InputError(f"sizes of ratio {found}", f"the given ratio {wanted}", "leave --ratio out or check the files")
    return found
