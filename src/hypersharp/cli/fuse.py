"""The verbs of the main job: fuse, align, estimate, demo."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.large import fuse_large, picture_of, show_half_widths, tiles_for
from hypersharp.cli.shown import progress_bar, say, shown, size, table

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.io.image import CubeImage, Image
    from hypersharp.pair.pair import Pair


@app.command(rich_help_panel="The main job")
@opt.grouped
def fuse(
    context: typer.Context,
    hs: opt.Hs,
    ms: opt.Ms,
    out: Annotated[Path, typer.Option("--out", "-o", help="Sharp image to write; its suffix is the format.")],
    fusing: opt.Fusing,
    known: opt.Known,
    reading: opt.Reading,
    large: opt.Large,
    beside: opt.Beside,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            help="Write the half-width of the 90 % prediction interval of each value to this file (plus a PNG preview)."
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report of the run to this folder.")] = None,
    truth: opt.Truth = None,
    point: opt.Points = None,
) -> None:
    """Sharpen HS with MS and write the result; georeferenced images on other grids are aligned first.

    Scenes larger than memory are processed in tiles automatically, or with --memory, --workers or --scheduler.
    """
    from hypersharp.cli.report import check_page, check_shown, make_page, own_command
    from hypersharp.errors import CallError
    from hypersharp.io import check_apart, check_output
    from hypersharp.methods.table import find_method
    from hypersharp.plot.draw import check_picture

    find_method(fusing.method)
    if uncertainty:
        check_picture(picture_of(uncertainty))
    for path in filter(None, (out, uncertainty)):
        check_output(path)
    made = [out, uncertainty, uncertainty and picture_of(uncertainty), *beside.check(out)]
    check_apart(made, [hs, ms, *reading.masks, truth])
    check_page(report, truth, point)
    files, method = reading.images(hs, ms), fusing.method
    chosen = {"method": method, "options": fusing.options(), "uncertainty": uncertainty, **known.given()}
    tiles = tiles_for(*files, method, large, uncertainty=uncertainty is not None)
    if tiles:
        whole = {"--mode": fusing.mode != "whole", "--truth": truth, "--point": point}  # need it in memory
        if refused := [name for name, value in whole.items() if value]:
            expected = "none of --mode tiles, --mode patches, --truth, --point"
            raise CallError(f"{refused[0]} for a scene fused in tiles", expected, "leave it out, or cut the scene")
        cubes = fuse_large(*files, out, tiles=tiles, part=report is not None, **chosen)
    else:
        cubes = fuse_whole(*files, out, check=partial(check_shown, truth=truth, points=point), **chosen)
    if beside.stac or beside.envi_header:
        say("\n".join(f"       -> {path}" for path in beside.write(out, hs, ms)))
    if report:
        from hypersharp.io.image import Image
        from hypersharp.pair.record import Record
        from hypersharp.reporting.findings import Run, gpu_words

        record = Record.of(cubes["result"])
        run = Run(own_command(context), record.seconds, record.peak_bytes, gpu_words())
        sources = dict(zip(("result", "hs", "ms"), (Image(out), *files), strict=True))
        make_page(cubes, report, sources, run, truth=truth, point=point)


def fuse_whole(
    hs: "Image | CubeImage",
    ms: "Image | CubeImage",
    out: Path,
    *,
    method: str,
    uncertainty: Path | None = None,
    check: "Callable[[Pair], None]" = lambda pair: None,
    **chosen: Any,
) -> "dict[str, xr.DataArray]":
    """Fuse in memory, write the result (and its half-widths) and say what was decided; "result", "hs", "ms", "error".

    check, chosen: as `fuse_images` takes them.
    """
    from hypersharp.fusion.fuse import fuse_images
    from hypersharp.io import save_cube
    from hypersharp.system.build_info import peak_bytes
    from hypersharp.uncertainty.predict import check_predictable, predict_for

    def check_all(pair: "Pair") -> None:
        check(pair)
        if uncertainty:
            check_predictable(pair, method, chosen["options"], chosen["psf"], chosen["srf"])

    images = [image.loaded() for image in (hs, ms)]
    started = time.perf_counter()
    with progress_bar(f"fusing with {method}") as progress:
        sharp, fusion = fuse_images(*images, method=method, check=check_all, progress=progress, **chosen)
    seconds = time.perf_counter() - started
    record = fusion.record.took(seconds=round(seconds, 3), peak_bytes=peak_bytes())
    sharp = record.on(sharp)
    save_cube(sharp, out)
    coarse, fine = (image.values for image in images)
    say(f"hs     {size(coarse)}  ({hs.path})\nms     {size(fine)}  ({ms.path})")
    say("\n".join(f"       {line}" for line in record.lines()))
    say(f"sharp  {size(sharp)}, {sharp.encoding.get('dtype', sharp.dtype)}, in {seconds:.1f} s -> {out}")
    cubes = {"result": sharp, "hs": coarse, "ms": fine}
    if uncertainty:
        with progress_bar("predicting the error"):
            cubes["error"] = predict_for(fusion, sharp)
        save_cube(cubes["error"], uncertainty)
        show_half_widths(sharp, cubes["error"], uncertainty)
    return cubes


@app.command(rich_help_panel="The main job")
@opt.grouped
def align(
    hs: opt.Hs,
    ms: opt.Ms,
    out: opt.Out,
    reading: opt.PlainReading,
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
) -> None:
    """Bring HS and MS to one grid, MS co-registered to HS where the images show a displacement."""
    from hypersharp.cube import crs_of, wavelengths_nm
    from hypersharp.io.together import check_together, save_together
    from hypersharp.pair.align import align as align_cubes
    from hypersharp.sensor.srf import find_srf

    check_together(("hs", "ms"), out, format, [hs, ms, *reading.masks])
    coarse, fine = reading.cubes(hs, ms)
    response = None if srf is None else find_srf(srf, wavelengths_nm(coarse), (fine.shape[0],))
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
@opt.grouped
def estimate(
    hs: opt.Hs,
    ms: opt.Ms,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; `fuse --sensor` takes it.")],
    reading: opt.Reading,
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture (.png) of the blur, the responses and the residuals.")
    ] = None,
    ratio: opt.Ratio = None,
) -> None:
    """Find the blur of HS and the response of MS in the pair itself; what is given of them is kept."""
    from hypersharp.io import check_apart
    from hypersharp.io.together import save_figure, write_text
    from hypersharp.networks.checkpoint import check_suffix
    from hypersharp.pair.estimate import study_pair, summarise
    from hypersharp.plot.draw import check_picture
    from hypersharp.sensor.stored import describe_estimate

    check_suffix(out, ".json")
    if plot:
        check_picture(plot)
    check_apart([out, plot], [hs, ms, *reading.masks, *(Path(given) for given in (psf, srf) if given)])
    coarse, fine = reading.cubes(hs, ms)
    study = study_pair(coarse, fine, psf=psf, srf=srf, ratio=ratio)
    found = study.estimate
    write_text(out, describe_estimate(found, study.as_dict()))
    say(f"{summarise(study)}\n          -> {out}")
    if plot:
        from hypersharp.plot.figures import sensor_figure

        residuals, nm = study.diagnosis.residuals, study.spectra.hs_nm
        save_figure(sensor_figure(found.sensor, found.shift_px_yx, residuals, nm), plot)
        say(f"          -> {plot}")


@app.command(rich_help_panel="The main job")
def demo(
    out: opt.Out = Path("hypersharp-demo"),
    device: opt.Device = "auto",
    blind: Annotated[bool, typer.Option(help="Also the scene as two satellites see it, sharpened blind.")] = True,
) -> None:
    """Sharpen a real airborne scene that comes with the dependencies; no file needed."""
    from hypersharp.bench.demo import run_blind, run_demo, write_index

    heading = ["method", "PSNR (dB)", "SSIM", "SAM (deg)", "ERGAS", "s"]
    with progress_bar("sharpening AVIRIS Indian Pines") as progress:
        trained = run_demo(out, device=device, progress=progress)
    say(table(heading, [[name, *map(shown, values)] for name, values in trained.scores.items()]))
    say(f"({'; '.join(trained.record.lines())})\n" + "\n".join(f"-> {path}" for path in trained.paths))
    if blind:
        with progress_bar("sharpening it as two satellites see it") as progress:
            found = run_blind(out / "blind", device=device, progress=progress)
        say("\nAs two satellites see it, with noise, an offset and a cloud, of which nothing is told:")
        say(table(heading, [[name, *map(shown, values)] for name, values in found.scores.items()]))
        say("\n".join(f"-> {path}" for path in (*found.paths, write_index(out, trained, found))))
