"""The verbs of the main job: fuse, estimate, demo."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypersharp.cli.app import app
from hypersharp.cli.large import (
    Memory,
    Resume,
    Scheduler,
    Workers,
    fuse_large,
    refuse,
    show_trust,
    tiled_options,
    tiles_if_too_large,
)
from hypersharp.cli.options import (
    Device,
    FileFormat,
    HsMask,
    Layout,
    Mask,
    Method,
    ModeOption,
    MoveOption,
    MsLayout,
    MsVariable,
    Out,
    Points,
    PrecisionOption,
    Psf,
    Ratio,
    RuntimeOption,
    Saturated,
    Srf,
    Truth,
    Variable,
    Weights,
)
from hypersharp.cli.shown import progress_bar, say, shown, size, table

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.settings import FuseOptions


@app.command(rich_help_panel="The main job")
def fuse(
    context: typer.Context,
    hs: Annotated[Path, typer.Argument(help="Low-resolution hyperspectral image.", show_default=False)],
    ms: Annotated[Path, typer.Argument(help="High-resolution MS, RGB or pan image.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Sharp image to write; its suffix is the format.")],
    method: Method = "auto",
    budget: Annotated[float, typer.Option(help="Seconds that --method auto may take, about.", min=0)] = 60.0,
    weights: Weights = None,
    psf: Psf = None,
    srf: Srf = None,
    sensor: Annotated[
        Path | None, typer.Option(help="JSON file of `hypersharp estimate`, instead of --psf and --srf.")
    ] = None,
    ratio: Ratio = None,
    mode: ModeOption = "whole",
    tile: Annotated[int, typer.Option(help="Side of a tile in fine pixels, with --mode tiles.", min=16)] = 128,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    runtime: RuntimeOption = "torch",
    consistent: Annotated[
        bool | None,
        typer.Option(
            help="Change the result as little as it takes to give back hs, degraded; default: where that helps."
        ),
    ] = None,
    mask: Mask = None,
    hs_mask: HsMask = None,
    saturated: Saturated = None,
    move: MoveOption = "shift",
    grid: Annotated[
        Literal["pair", "ms"],
        typer.Option(help="Where ms had to be aligned: nest in hs's pixels, or come back to the ms's own grid."),
    ] = "pair",
    trust: Annotated[
        Path | None,
        typer.Option(help="Cube to write: half-widths of a 90 % interval around each value; and a picture."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a page to read about the run; `hypersharp report`.")
    ] = None,
    truth: Truth = None,
    point: Points = None,
    memory: Memory = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resume: Resume = False,
    variable: Variable = None,
    layout: Layout = None,
    ms_variable: MsVariable = None,
    ms_layout: MsLayout = None,
) -> None:
    """Sharpen HS with MS and write the result; georeferenced images on other grids are aligned first.

    A scene that is too large for the memory is fused in tiles, by itself or with --memory, --workers or --scheduler.
    """
    from hypersharp.cli.report import check_page
    from hypersharp.fusion.fuse import find_method
    from hypersharp.io.image import Image
    from hypersharp.pair.settings import FuseOptions
    from hypersharp.sensor.stored import given_sensor

    find_method(method)
    check_outputs([out, trust], [hs, ms, mask, hs_mask, truth])
    check_page(report, truth, point)
    blur, response, known_ratio = given_sensor(sensor, psf, srf, ratio)
    files = (Image(hs, variable, layout, hs_mask, saturated), Image(ms, ms_variable, ms_layout, mask, saturated))
    known: dict[str, Any] = {"psf": blur, "srf": response, "ratio": known_ratio, "move": move}
    options = FuseOptions(
        weights=weights,
        mode=mode,
        tile_px=tile,
        device=device,
        precision=precision,
        runtime=runtime,
        consistent=consistent,
        budget_s=budget,
    )
    tiles = tiled_options(memory, workers, scheduler, resume) or tiles_if_too_large(
        *files, method, trust=trust is not None
    )
    if tiles:
        refuse(grid_ms=grid == "ms", mode=mode != "whole", truth=truth, point=point)
        cubes, seconds = fuse_large(
            *files, out, method=method, tiles=tiles, options=options, trust=trust, part=report is not None, **known
        )
        peak = None
    else:
        cubes, seconds, peak = fuse_whole(*files, out, method=method, options=options, grid=grid, **known)
        if trust:
            cubes["error"] = write_error(cubes, trust, options, psf=blur, srf=response)
    if report:
        told = blur, response, weights, consistent
        page_of_run(
            context,
            cubes,
            report,
            files,
            out,
            told=told,
            seconds=seconds,
            peak=peak,
            truth=truth,
            point=point,
            placed=tiles is not None,
        )


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """Raise now what would be wrong with an output after a long computation."""
    from hypersharp.io import check_apart, check_output

    for path in outputs:
        if path:
            check_output(path)
    check_apart(outputs, inputs)


def page_of_run(
    context: typer.Context,
    cubes: "dict[str, xr.DataArray]",
    folder: Path,
    files: "tuple[Image, Image]",
    out: Path,
    *,
    told: tuple[Any, ...],
    seconds: float,
    peak: int | None,
    **page: Any,
) -> None:
    """Write the page about a run; told: psf, srf, weights and consistency, as `Known` has them."""
    from hypersharp.cli.report import make_page, own_command
    from hypersharp.io.image import Image
    from hypersharp.reporting.facts import Run, gpu_words
    from hypersharp.reporting.findings import Known

    run = Run(own_command(context), seconds, peak, gpu_words())
    make_page(cubes, folder, {"result": Image(out), "hs": files[0], "ms": files[1]}, Known(*told), run, **page)


def fuse_whole(
    hs: "Image", ms: "Image", out: Path, *, method: str, options: "FuseOptions", **known: Any
) -> "tuple[dict[str, xr.DataArray], float, int | None]":
    """Fuse in memory, write the result and say what was decided; "result", "hs", "ms", seconds, peak memory (bytes)."""
    from hypersharp.fusion.fuse import fuse as fuse_cubes
    from hypersharp.io import save_cube
    from hypersharp.system.build_info import peak_bytes

    coarse, fine = hs.cube(), ms.cube()
    started = time.perf_counter()
    with progress_bar(f"fusing with {method}") as progress:
        told = vars(replace(options, progress=progress))
        sharp = fuse_cubes(coarse, fine, method=method, **told, **known)
    seconds, peak = time.perf_counter() - started, peak_bytes()
    save_cube(sharp, out)
    say(f"hs     {size(coarse)}  ({hs.path})\nms     {size(fine)}  ({ms.path})")
    for note in str(sharp.attrs.get("hypersharp", "")).split("; "):
        say(f"       {note}")
    say(f"sharp  {size(sharp)}, {sharp.dtype}, in {seconds:.1f} s -> {out}")
    return {"result": sharp, "hs": coarse, "ms": fine}, seconds, peak


def write_error(
    cubes: "dict[str, xr.DataArray]", path: Path, options: "FuseOptions", *, psf: Any, srf: Any
) -> "xr.DataArray":
    """Predict the error of a result, with the options it was made with; write cube and picture; the cube."""
    from hypersharp.io import save_cube
    from hypersharp.uncertainty.predict import predict_error

    sharp = cubes["result"]
    with progress_bar("predicting the error"):
        error = predict_error(
            sharp,
            cubes["hs"],
            cubes["ms"],
            psf=psf,
            srf=srf,
            weights=options.weights,
            consistent=options.consistent,
            mode=options.mode,
            tile_px=options.tile_px,
            device=options.device,
            precision=options.precision,
        )
    save_cube(error, path)
    show_trust(sharp, error, path)
    return error


@app.command(rich_help_panel="The main job")
def align(
    hs: Annotated[Path, typer.Argument(help="Low-resolution hyperspectral image.", show_default=False)],
    ms: Annotated[Path, typer.Argument(help="High-resolution MS, RGB or pan image.", show_default=False)],
    out: Out,
    move: Annotated[
        Literal["shift", "affine", "none"],
        typer.Option(help="How ms may be moved to lie on hs; none: where its georeference puts it."),
    ] = "shift",
    keep: Annotated[
        Literal["hs", "ms"], typer.Option(help="Whose pixels stay as they are; the other is resampled.")
    ] = "hs",
    ratio: Annotated[
        int | None, typer.Option(help="Fine pixels per coarse one; default: the nearest whole number.", min=1)
    ] = None,
    srf: Srf = None,
    format: FileFormat = "tif",
    mask: Mask = None,
    hs_mask: HsMask = None,
    saturated: Saturated = None,
    variable: Variable = None,
    layout: Layout = None,
    ms_variable: MsVariable = None,
    ms_layout: MsLayout = None,
) -> None:
    """Bring HS and MS to one grid, the ms moved to lie on hs where the images show that it does not."""
    from hypersharp.cube import crs_of, wavelengths_nm
    from hypersharp.io import check_apart
    from hypersharp.io.image import Image
    from hypersharp.io.together import save_together
    from hypersharp.pair.align import align as align_cubes
    from hypersharp.sensor.srf import find_srf

    check_apart([out / f"{name}.{format}" for name in ("hs", "ms")], [hs, ms, mask, hs_mask])
    coarse = Image(hs, variable, layout, hs_mask, saturated).cube()
    fine = Image(ms, ms_variable, ms_layout, mask, saturated).cube()
    response = None if srf is None else find_srf(srf, wavelengths_nm(coarse))
    with progress_bar("aligning") as progress:
        pair = align_cubes(coarse, fine, move=move, keep=keep, ratio=ratio, srf=response, progress=progress)
    paths = save_together({"hs": pair.hs, "ms": pair.ms}, out, format)
    for name, given, path in (("hs", coarse, hs), ("ms", fine, ms)):
        say(f"{name}  {size(given)}, {crs_of(given) or 'no CRS'}  ({path})")
    say("\n".join(f"    {note}" for note in pair.notes))
    for made, path in zip((pair.hs, pair.ms), paths, strict=True):
        say(f"{size(made):24} -> {path}")


@app.command(rich_help_panel="The main job")
def estimate(
    hs: Annotated[Path, typer.Argument(help="Low-resolution hyperspectral image.", show_default=False)],
    ms: Annotated[Path, typer.Argument(help="High-resolution MS, RGB or pan image.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; `fuse --sensor` takes it.")],
    psf: Psf = None,
    srf: Srf = None,
    ratio: Ratio = None,
    mask: Mask = None,
    hs_mask: HsMask = None,
    saturated: Saturated = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png) of the blur, the responses and the residuals.")
    ] = None,
) -> None:
    """Find the blur of HS and the response of MS in the pair itself; what is given of them is kept."""
    from hypersharp.io.image import Image
    from hypersharp.io.together import save_figure, write_text
    from hypersharp.pair.estimate import study_pair, summarise
    from hypersharp.sensor.stored import describe_estimate

    coarse = Image(hs, mask=hs_mask, saturated=saturated).cube()
    fine = Image(ms, mask=mask, saturated=saturated).cube()
    study = study_pair(coarse, fine, psf=psf, srf=srf, ratio=ratio)
    found = study.estimate
    write_text(out, describe_estimate(found, study.as_dict()))
    say(f"{summarise(study)}\n          -> {out}")
    if plot:
        from hypersharp.plot.sensor_figure import sensor_figure

        residuals, nm = study.diagnosis.residuals, study.spectra.hs_nm
        save_figure(sensor_figure(found.sensor, found.shift_px_yx, residuals, nm), plot)
        say(f"          -> {plot}")


@app.command(rich_help_panel="The main job")
def demo(out: Out = Path("hypersharp-demo"), device: Device = "auto") -> None:
    """Sharpen a real airborne scene that comes with the dependencies; no file needed."""
    from hypersharp.bench.demo import run_demo

    with progress_bar("sharpening AVIRIS Indian Pines") as progress:
        result = run_demo(out, device=device, progress=progress)
    heading = ["method", "PSNR (dB)", "SSIM", "SAM (deg)", "ERGAS", "s"]
    say(table(heading, [[name, *map(shown, values)] for name, values in result.scores.items()]))
    say(f"({result.notes})\n" + "\n".join(f"-> {path}" for path in result.paths))
