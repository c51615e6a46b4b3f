"""Pictures of cubes for notebooks and scripts, `hypersharp.plot`: each function returns a matplotlib figure.

    hsp.plot.composites({"hs": hs, "ms": ms, "sharp": sharp}, "infrared")
    hsp.plot.spectra({"hs": hs, "sharp": sharp}, [(120, 45)])

A figure shows itself in Jupyter; in a script `figure.savefig("name.png")`. Places are (x, y): whole numbers count
pixels of the last image from 0, others are map coordinates. Images may lie on grids of their own. Nothing global is
touched: no pyplot, no style.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import xarray as xr

from hypersharp.cube import check_axes, only_usable, wavelengths_nm
from hypersharp.errors import InputError, unknown_name
from hypersharp.pair.estimate import study_pair
from hypersharp.plot.band_curves import axis_label, curve_at, draw_curves
from hypersharp.plot.colour import Limits, Mix, component_mix, composite, composite_limits, infrared_mix, true_mix
from hypersharp.plot.draw import draw_image, new_figure
from hypersharp.plot.errors import draw_error_maps, error_maps
from hypersharp.plot.intervals import trust_figure
from hypersharp.plot.places import Place, find_pixel, same_place
from hypersharp.plot.sensor_figure import sensor_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["true", "infrared", "components"]
Cubes = xr.DataArray | Mapping[str, xr.DataArray]
PANEL = (3.4, 3.5)  # inches
MISSING = "0.85"


def composites(cubes: Cubes, kind: Kind = "true") -> "Figure":
    """Images side by side in colour, each with its own stretch: a cube (L, H, W), or several by name.

    kind: "true" colour; near "infrared", red and green as red, green and blue; the first three principal
    "components" of each.

    Raises: InputError for an unknown kind, or an image whose bands cannot show it. MissingExtraError: no matplotlib.
    """
    named = by_name(cubes)
    figure = new_figure(PANEL[0] * len(named), PANEL[1])
    for axes, (name, cube) in zip(figure.subplots(1, len(named), squeeze=False)[0], named.items(), strict=True):
        draw_composite(axes, cube, mix_for(cube, kind), name)
    return figure


def draw_composite(axes: "Axes", cube: xr.DataArray, mix: Mix, name: str, limits: Limits | None = None) -> None:
    axes.set_facecolor(MISSING)
    draw_image(axes, composite(cube, mix, limits), f"{name}\n{mix.title}".strip())


def mix_for(cube: xr.DataArray, kind: Kind) -> Mix:
    """What of a cube is shown as red, green and blue. Raises: InputError as `composites`."""
    usable = only_usable(cube, "image")
    nm = wavelengths_nm(usable)
    kinds: dict[str, Callable[[], Mix | None]] = {
        "true": lambda: true_mix(nm, len(usable)),
        "infrared": lambda: infrared_mix(nm),
        "components": lambda: component_mix(cube),
    }
    if kind not in kinds:
        raise unknown_name("kind of composite", kind, kinds)
    mix = kinds[kind]()
    if mix is None:
        expected = "wavelengths from green to near infrared" if kind == "infrared" else "three bands at least"
        raise InputError(f"{len(usable)} bands that cannot show it", expected, "choose another kind")
    return mix


def spectra(cubes: Cubes, places: Sequence[Place]) -> "Figure":
    """A panel a place (x, y) with the spectra there of a cube, or of several by name, each on its own grid.

    Raises: InputError for no place, or one outside the last image. MissingExtraError: no matplotlib.
    """
    named = by_name(cubes)
    last = list(named.values())[-1]
    if not places:
        raise InputError("no place", "one (x, y) at least", "name a pixel, [(10, 20)]")
    figure = new_figure(PANEL[0] * len(places) + 0.6, PANEL[1])
    draw_places(figure.subplots(1, len(places), squeeze=False)[0], named, last, places)
    return figure


def draw_places(
    row: Sequence["Axes"], cubes: Mapping[str, xr.DataArray], last: xr.DataArray, places: Sequence[Place]
) -> None:
    """The spectra at places of `last`, of all cubes whose bands lie on the same axis: wavelengths, or numbers."""
    alike = {name: cube for name, cube in cubes.items() if axis_label(cube) == axis_label(last)}
    for axes, pixel in zip(row, [find_pixel(place, last) for place in places], strict=True):
        found = ((name, cube, same_place(pixel, last, cube)) for name, cube in alike.items())
        curves = [curve_at(cube, at, name) for name, cube, at in found if at is not None]
        draw_curves(axes, curves, f"pixel {pixel[1]}, {pixel[0]}", axis_label(last))
    if any(alike):
        row[0].legend(fontsize=8)


def by_name(cubes: Cubes) -> Mapping[str, xr.DataArray]:
    """Cubes by name, one alone under its own. Raises: InputError for something that is no cube."""
    named = {str(cubes.name or ""): cubes} if isinstance(cubes, xr.DataArray) else cubes
    for name, cube in named.items():
        check_axes(cube, name or "image")
    return named


def error_map(estimate: xr.DataArray, truth: xr.DataArray) -> "Figure":
    """Where an estimate (L, H, W) is off its truth: RMS error over bands, in their unit, and spectral angle.

    Raises: InputError for two shapes. MissingExtraError: no matplotlib.
    """
    return error_maps(estimate, truth)


def comparison(
    hs: xr.DataArray,
    ms: xr.DataArray,
    sharp: xr.DataArray,
    truth: xr.DataArray | None = None,
    places: Sequence[Place] = (),
) -> "Figure":
    """hs, ms, a result and its truth, where there is one, in true colour; below their spectra at `places`, and errors.

    All but ms are shown in the stretch of the truth, or of the result.

    Raises: InputError for a place outside the result, a truth of another shape. MissingExtraError: no matplotlib.
    """
    named = {"hs": hs, "ms": ms, "result": sharp} | ({} if truth is None else {"truth": truth})
    rows = 1 + bool(places) + (truth is not None)
    figure = new_figure(PANEL[0] * len(named), PANEL[1] * rows)
    limits = composite_limits(sharp if truth is None else truth, mix_for(sharp, "true"))
    parts = list(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    for axes, (name, cube) in zip(parts.pop(0).subplots(1, len(named)), named.items(), strict=True):
        mix = mix_for(cube, "true")
        draw_composite(axes, cube, mix, name, None if name == "ms" else limits)
    if places:
        row = parts.pop(0).subplots(1, len(places), squeeze=False)[0]
        draw_places(row, named, sharp, places)
    if truth is not None:
        draw_error_maps(parts.pop(0).subplots(1, 2), sharp, truth)
    return figure


def sensor(
    hs: xr.DataArray, ms: xr.DataArray, *, psf: str | Path | None = None, srf: str | Path | None = None
) -> "Figure":
    """Blur of hs, responses of ms, and what is left between the two under them; what is not given is estimated.

    Raises: InputError as `hypersharp estimate`. MissingExtraError: no matplotlib.
    """
    study = study_pair(hs, ms, psf=psf, srf=srf)
    found = study.estimate
    return sensor_figure(found.sensor, found.shift_px_yx, study.diagnosis.residuals, study.spectra.hs_nm)


def trust(sharp: xr.DataArray, error: xr.DataArray, truth: xr.DataArray | None = None) -> "Figure":
    """Where and how far to trust a result: `error` is what `predict_error` gave; with a truth, how often that held.

    Raises: MissingExtraError: no matplotlib.
    """
    return trust_figure(sharp, error, truth)
