"""The verb that makes a page to read of a result: report; `fuse --report` makes it with the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.shown import progress_bar, say

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.pair import Pair
    from hypersharp.reporting.findings import Run


@app.command(rich_help_panel="Scores")
@opt.grouped
def report(
    context: typer.Context,
    sharp: Annotated[Path, typer.Argument(help="Sharpened image.", show_default=False)],
    hs: Annotated[Path, typer.Option(help="Hyperspectral image it was made from.", show_default=False)],
    ms: Annotated[Path, typer.Option(help="MS, RGB or pan image it was made from.", show_default=False)],
    out: opt.Out,
    reading: opt.Reading,
    truth: opt.Truth = None,
    preset: opt.Preset = "dian",
    point: opt.Points = None,
    uncertainty: Annotated[
        bool,
        typer.Option(help="Without TRUTH, predict the error: this runs the method once more, at reduced resolution."),
    ] = True,
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    sensor: opt.SensorFile = None,
    weights: opt.Weights = None,
) -> None:
    """Make a page to read of SHARP: pictures, spectra, errors, decisions, sensor; one HTML file in --out."""
    from hypersharp.io.image import Image
    from hypersharp.reporting.findings import Run
    from hypersharp.sensor.stored import sensor_from_args

    check_page(out, truth, point, preset)
    blur, response, _ = sensor_from_args(sensor, psf, srf, None)
    sources = dict(zip(("result", "hs", "ms"), (Image(sharp), *reading.images(hs, ms)), strict=True))
    cubes = {name: image.cube() for name, image in sources.items()}
    known: dict[str, Any] = {"psf": blur, "srf": response, "weights": weights, "preset": preset}
    make_page(
        cubes, out, sources, Run(own_command(context)), truth=truth, point=point, uncertainty=uncertainty, **known
    )


def check_page(out: Path | None, truth: Path | None, point: Sequence[str] | None, preset: str = "dian") -> None:
    """Raise now what would be wrong with a page after a long computation: libraries, folder, points, preset."""
    from hypersharp.errors import CallError, check_name

    if out is None and (truth or point):
        raise CallError("--truth or --point without --report", "a folder for the page", "add --report DIR")
    if out is None:
        return
    from hypersharp.plot.places import parse_point
    from hypersharp.quality.metrics import PRESETS
    from hypersharp.reporting.build import check_libraries
    from hypersharp.system.atomic import make_folder

    check_libraries()
    make_folder(out)
    for text in point or ():
        parse_point(text)
    check_name("metric preset", preset, PRESETS)


def check_shown(pair: "Pair", truth: Path | None, points: Sequence[str] | None) -> None:
    """Raise now what a page would raise of the result of a pair: a truth of another shape, a point outside."""
    import dask.array as da

    from hypersharp.fusion.finish import as_cube
    from hypersharp.io import open_cube
    from hypersharp.plot.places import find_pixel, parse_point
    from hypersharp.reporting.build import check_truth

    shape = (pair.all_bands[0], *pair.placement.fine.shape_yx)
    result = as_cube(da.zeros(shape), pair.placement)  # of which nobody asks a pixel
    if truth:
        check_truth(open_cube(truth, lazy=True), result)
    for text in points or ():
        find_pixel(parse_point(text), result)


def make_page(
    cubes: "Mapping[str, xr.DataArray]",
    out: Path,
    sources: "Mapping[str, Image]",
    run: "Run",
    *,
    truth: Path | None = None,
    point: Sequence[str] | None = None,
    **page: Any,
) -> None:
    """Write the page of "result", "hs", "ms" and perhaps its "error", and say where it is; page: for `write_report`."""
    from hypersharp.io import open_cube
    from hypersharp.io.image import Image
    from hypersharp.plot.places import parse_point
    from hypersharp.reporting import write_report

    files = dict(sources) | ({} if truth is None else {"truth": Image(truth)})
    with progress_bar("writing the report") as progress:
        written = write_report(
            *(cubes["result"], cubes["hs"], cubes["ms"]),
            out,
            truth=None if truth is None else open_cube(truth),
            points=[parse_point(text) for text in point or ()],
            error=cubes.get("error"),
            run=run,
            sources=files,
            progress=progress,
            **page,
        )
    say(f"report -> {written}")


def own_command(context: typer.Context) -> str:
    """The command line that is running, to be repeated; empty where the app was not started by `main`."""
    words = context.find_root().obj
    return "hypersharp " + join(words) if words else ""
