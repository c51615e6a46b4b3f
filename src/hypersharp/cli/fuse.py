"""The verbs of the main job: fuse, align, estimate, demo."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.large import fuse_large, refuse, show_half_widths, tiled_options, tiles_if_too_large
from hypersharp.cli.shown import progress_bar, say, shown, size, table

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import Image
    from hypersharp.pair.options import Options


@app.command(rich_help_panel="The main job")
def fuse(
    context: typer.Context,
    hs: opt.Hs,
    ms: opt.Ms,
    out: Annotated[Path, typer.Option("--out", "-o", help="Sharp image to write; its suffix is the format.")],
    method: opt.Method = "auto",
    budget: Annotated[float, typer.Option(help="Seconds that --method auto may take, about.", min=0)] = 60.0,
    weights: opt.Weights = None,
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    sensor: opt.SensorFile = None,
    ratio: opt.Ratio = None,
    mode: opt.ModeOption = "whole",
    tile: Annotated[int, typer.Option(help="Side of a tile in fine pixels, with --mode tiles.", min=16)] = 128,
    device: opt.Device = "auto",
    precision: opt.PrecisionOption = "auto",
    runtime: opt.RuntimeOption = "torch",
    consistent: Annotated[
        bool | None,
        typer.Option(
            help="Project the result onto the set consistent with HS. Default: only if it scores better at reduced "
            "resolution."
        ),
    ] = None,
    mask: opt.Mask = None,
    hs_mask: opt.HsMask = None,
    saturated: opt.Saturated = None,
    coregister: opt.Coregister = True,
    move: opt.Move = None,
    grid: Annotated[
        Literal["pair", "ms"],
        typer.Option(help="Where MS had to be resampled: nest in HS's pixels, or come back to the MS's own grid."),
    ] = "pair",
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            help="Write the half-width of the 90 % prediction interval of each value to this file (plus a PNG preview)."
        ),
    ] = None,
    trust: Annotated[Path | None, typer.Option(hidden=True)] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report of the run to this folder.")] = None,
    truth: opt.Truth = None,
    point: opt.Points = None,
    memory: opt.Memory = None,
    workers: opt.Workers = None,
    scheduler: opt.Scheduler = None,
    resume: opt.Resume = False,
    variable: opt.Variable = None,
    layout: opt.Layout = None,
    ms_variable: opt.MsVariable = None,
    ms_layout: opt.MsLayout = None,
) -> None:
    """Sharpen HS with MS and write the result; georeferenced images on other grids are aligned first.

    Scenes larger than memory are processed in tiles automatically, or with --memory, --workers or --scheduler.
    """
    from hypersharp.cli.report import check_page
    from hypersharp.io.image import Image
    from hypersharp.methods.table import find_method
    from hypersharp.pair.options import Options
    from hypersharp.sensor.stored import given_sensor

    find_method(method)
    uncertainty = uncertainty or trust  # --trust was its name before
    check_outputs([out, uncertainty], [hs, ms, mask, hs_mask, truth])
    check_page(report, truth, point)
    blur, response, known_ratio = given_sensor(sensor, psf, srf, ratio)
    files = (Image(hs, variable, layout, hs_mask, saturated), Image(ms, ms_variable, ms_layout, mask, saturated))
    known: dict[str, Any] = {"psf": blur, "srf": response, "ratio": known_ratio}
    options = Options(
        weights=weights,
        mode=mode,
        tile_px=tile,
        device=device,
        precision=precision,
        runtime=runtime,
        consistent=consistent,
        budget_s=budget,
        coregister=opt.coregisters(coregister, move),
        grid=grid,
    )
    tiles = tiled_options(memory, workers, scheduler, resume) or tiles_if_too_large(
        *files, method, uncertainty=uncertainty is not None
    )
    chosen: dict[str, Any] = {"method": method, "options": options, "uncertainty": uncertainty, **known}
    if tiles:
        refuse(grid_ms=grid == "ms", mode=mode != "whole", truth=truth, point=point)
        cubes = fuse_large(*files, out, tiles=tiles, part=report is not None, **chosen)
    else:
        cubes = fuse_whole(*files, out, **chosen)
    if report:
        page_of_run(context, cubes, report, files, out, truth=truth, point=point)


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """Raise now what would be wrong with an output after a long computation."""
    from hypersharp.io import check_apart, check_output

    for path in outputs:
        if path:
            check_output(path)
    check_apart(outputs, inputs)


def fuse_whole(
    hs: "Image",
    ms: "Image",
    out: Path,
    *,
    method: str,
    options: "Options",
    uncertainty: Path | None = None,
    **known: Any,
) -> "dict[str, xr.DataArray]":
    """Fuse in memory, write the result (and its half-widths) and say what was decided; "result", "hs", "ms", "error".

    known: psf, srf and ratio, for `fuse_images`.
    """
    from hypersharp.fusion.fuse import fuse_images
    from hypersharp.io import save_cube
    from hypersharp.io.image import CubeImage
    from hypersharp.system.build_info import peak_bytes
    from hypersharp.uncertainty.predict import predict_for

    images = [CubeImage(image.cube(), image.path) for image in (hs, ms)]
    started = time.perf_counter()
    with progress_bar(f"fusing with {method}") as progress:
        sharp, fusion = fuse_images(*images, method=method, options=options, progress=progress, **known)
    seconds = time.perf_counter() - started
    record = fusion.record.took(seconds=round(seconds, 3), peak_bytes=peak_bytes())
    sharp = record.on(sharp)
    save_cube(sharp, out)
    coarse, fine = (image.values for image in images)
    say(f"hs     {size(coarse)}  ({hs.path})\nms     {size(fine)}  ({ms.path})")
    say("\n".join(f"       {line}" for line in record.lines()))
    say(f"sharp  {size(sharp)}, {sharp.dtype}, in {seconds:.1f} s -> {out}")
    cubes = {"result": sharp, "hs": coarse, "ms": fine}
    if uncertainty:
        with progress_bar("predicting the error"):
            cubes["error"] = predict_for(fusion, sharp)
        save_cube(cubes["error"], uncertainty)
        show_half_widths(sharp, cubes["error"], uncertainty)
    return cubes


def page_of_run(
    context: typer.Context,
    cubes: "dict[str, xr.DataArray]",
    folder: Path,
    files: "tuple[Image, Image]",
    out: Path,
    **page: Any,
) -> None:
    """Write the page about a run."""
    from hypersharp.cli.report import make_page, own_command
    from hypersharp.io.image import Image
    from hypersharp.pair.record import Record
    from hypersharp.reporting.facts import Run, gpu_words

    record = Record.of(cubes["result"])
    run = Run(own_command(context), record.seconds, record.peak_bytes, gpu_words())
    make_page(cubes, folder, {"result": Image(out), "hs": files[0], "ms": files[1]}, run, **page)


@app.command(rich_help_panel="The main job")
def align(
    hs: opt.Hs,
    ms: opt.Ms,
    out: opt.Out,
    coregister: Annotated[
        Literal["shift", "affine", "none"],
        typer.Option(help="Model of the displacement that is corrected; none: the georeference alone counts."),
    ] = "shift",
    move: Annotated[Literal["shift", "affine", "none"] | None, typer.Option(hidden=True)] = None,
    keep: Annotated[
        Literal["hs", "ms"], typer.Option(help="Whose pixels stay as they are; the other is resampled.")
    ] = "hs",
    ratio: Annotated[
        int | None, typer.Option(help="Fine pixels per coarse one; default: the nearest whole number.", min=1)
    ] = None,
    srf: opt.Srf = None,
    format: opt.FileFormat = "tif",
    mask: opt.Mask = None,
    hs_mask: opt.HsMask = None,
    saturated: opt.Saturated = None,
    variable: opt.Variable = None,
    layout: opt.Layout = None,
    ms_variable: opt.MsVariable = None,
    ms_layout: opt.MsLayout = None,
) -> None:
    """Bring HS and MS to one grid, MS co-registered to HS where the images show a displacement."""
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
        pair = align_cubes(
            coarse, fine, coregister=move or coregister, keep=keep, ratio=ratio, srf=response, progress=progress
        )
    paths = save_together({"hs": pair.hs, "ms": pair.ms}, out, format)
    for name, given, path in (("hs", coarse, hs), ("ms", fine, ms)):
        say(f"{name}  {size(given)}, {crs_of(given) or 'no CRS'}  ({path})")
    say("\n".join(f"    {note}" for note in pair.notes))
    for made, path in zip((pair.hs, pair.ms), paths, strict=True):
        say(f"{size(made):24} -> {path}")


@app.command(rich_help_panel="The main job")
def estimate(
    hs: opt.Hs,
    ms: opt.Ms,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; `fuse --sensor` takes it.")],
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    ratio: opt.Ratio = None,
    mask: opt.Mask = None,
    hs_mask: opt.HsMask = None,
    saturated: opt.Saturated = None,
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
def demo(out: opt.Out = Path("hypersharp-demo"), device: opt.Device = "auto") -> None:
    """Sharpen a real airborne scene that comes with the dependencies; no file needed."""
    from hypersharp.bench.demo import run_demo

    with progress_bar("sharpening AVIRIS Indian Pines") as progress:
        result = run_demo(out, device=device, progress=progress)
    heading = ["method", "PSNR (dB)", "SSIM", "SAM (deg)", "ERGAS", "s"]
    say(table(heading, [[name, *map(shown, values)] for name, values in result.scores.items()]))
    say(f"({result.notes})\n" + "\n".join(f"-> {path}" for path in result.paths))
