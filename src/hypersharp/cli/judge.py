"""The verbs that make pairs with a known truth, and score against it or judge without one: simulate, evaluate."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.shown import json_of, progress_bar, say, shown, size, table
from hypersharp.errors import CallError

if TYPE_CHECKING:
    import xarray as xr

TRUTH = "What it should be, if known; without a pair --variable and --layout are those of its file."


@app.command(rich_help_panel="Scores")
@opt.grouped
def simulate(
    scene: Annotated[Path, typer.Argument(help="Fine hyperspectral scene.", show_default=False)],
    out: opt.Out,
    protocol: Annotated[str | None, typer.Option(help="A named protocol's psf, srf and ratio.")] = None,
    ratio: Annotated[int | None, typer.Option(help="Fine pixels per coarse one.", min=1)] = None,
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    snr_hs: Annotated[float | None, typer.Option(help="Signal to noise of hs in dB; default: no noise.")] = None,
    snr_ms: Annotated[float | None, typer.Option(help="Signal to noise of ms in dB; default: no noise.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    format: opt.FileFormat = "tif",
    variable: Annotated[str | None, typer.Option(help="Variable of the scene's file to read.")] = None,
    layout: Annotated[str | None, typer.Option(help=opt.LAYOUT)] = None,
) -> None:
    """Make hs, ms and truth files from one fine SCENE."""
    from hypersharp.io import open_cube
    from hypersharp.io.together import check_together, save_together
    from hypersharp.simulation.pair import USUAL_SRF, crop_and_scale, make_sensor, simulate_pair, whole_coarse_pixels
    from hypersharp.simulation.protocols import find_protocol

    if (protocol is None) == (ratio is None):
        found = "--protocol and --ratio" if protocol else "neither --protocol nor --ratio"
        raise CallError(found, "one of the two", "give --protocol dian-x4, or --ratio 4 with --psf and --srf")
    if protocol and (psf or srf):
        raise CallError("--psf or --srf with --protocol", "a protocol, or a sensor of your own", "leave one out")
    check_together(("hs", "ms", "truth"), out, format, [scene])
    fine, usual = open_cube(scene, variable=variable, layout=layout), list[str]()
    if protocol:
        rules = find_protocol(protocol)
        fine, sensor = crop_and_scale(rules, fine), rules.sensor()
        whole = whole_coarse_pixels(fine, sensor.ratio)
    else:
        assert ratio is not None
        whole = whole_coarse_pixels(fine, ratio)
        sensor = make_sensor(ratio, psf, srf, whole)
        usual += [f"psf fwhm:{ratio}"] * (not psf) + [f"srf {USUAL_SRF}"] * (not srf)
    pair = simulate_pair(whole, sensor, snr_hs_db=snr_hs, snr_ms_db=snr_ms, seed=seed)
    if whole.shape != fine.shape:
        rows, columns = fine.shape[1:]
        say(f"cropped to {size(whole)}: {columns} x {rows} is no multiple of ratio {sensor.ratio}")
    if usual:
        say(f"by default: {', '.join(usual)} (others by {', '.join(f'--{name.split()[0]}' for name in usual)})")
    cubes = dict(zip(("hs", "ms", "truth"), pair, strict=True))
    for path, cube in zip(save_together(cubes, out, format), cubes.values(), strict=True):
        say(f"{size(cube):24} -> {path}")


@app.command(rich_help_panel="Scores")
@opt.grouped
def evaluate(
    estimate: Annotated[Path, typer.Argument(help="Sharpened image.", show_default=False)],
    reading: opt.Reading,
    truth: Annotated[Path | None, typer.Argument(help=TRUTH, show_default=False)] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Fine pixels per coarse one; ERGAS against TRUTH needs it.", min=1)
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Definitions, against TRUTH: dian, dhsis, float, ssrnet, dlpan.")
    ] = "dian",
    peak: Annotated[float | None, typer.Option(help="Full scale; default: by dtype, 1, or the maximum.")] = None,
    hs: Annotated[Path | None, typer.Option(help="With --ms: judge by the pair it was made from.")] = None,
    ms: Annotated[Path | None, typer.Option(help="As --hs.")] = None,
    psf: opt.Psf = None,
    srf: opt.Srf = None,
    sensor: opt.SensorFile = None,
    coregister: opt.Coregister = "local",
    no_coregister: opt.NoCoregister = False,
    move: opt.Move = None,
    wald: Annotated[
        str | None, typer.Option(help="Method to score at reduced resolution (Wald's protocol), against HS.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score ESTIMATE against TRUTH, or judge it without one by the pair it was made from (--hs, --ms)."""
    from hypersharp.io import open_cube
    from hypersharp.io.image import Image
    from hypersharp.numerics import unit
    from hypersharp.quality.metrics import score_cubes

    if (hs is None) != (ms is None) or (truth is None and hs is None):
        named = "one of --hs and --ms" if hs or ms else "neither TRUTH nor a pair"
        raise CallError(named, "TRUTH, or --hs and --ms, or all three", "name the missing file")
    if truth and not ratio:
        raise CallError("TRUTH without --ratio", "fine pixels per coarse one", "give it, --ratio 4 say")
    if wald and hs is None:
        raise CallError("--wald without a pair", "--hs and --ms", "name the two files")
    if hs is None and (of_pair := reading.said_of_pair()):
        raise CallError(f"{of_pair[0]} without a pair", "--hs and --ms", "give them, or leave it out")
    image, found = open_cube(estimate), dict[str, dict[str, Any]]()
    if truth and ratio:
        variable, layout = (reading.variable, reading.layout) if hs is None else (None, None)
        reference = open_cube(truth, variable=variable, layout=layout)
        used = unit.peak(reference.values) if peak is None else peak
        reference = Image(truth, variable, layout, mask=reading.mask).cube() if reading.mask else reference
        scores = score_cubes(image, reference, ratio=ratio, preset=preset, peak=used)
        found["truth"] = {**scores.as_dict(), "peak": used}
    if hs and ms:
        free = opt.coregisters(coregister, move, no_coregister)
        found |= judged_by_pair(image, *reading.cubes(hs, ms), (sensor, psf, srf), wald, free)
    if json:
        return print(json_of(found["truth"] if list(found) == ["truth"] else found))  # noqa: T201
    show_found(found, "" if peak else ", found by dtype and range; --peak sets it")


def judged_by_pair(
    image: "xr.DataArray",
    hs: "xr.DataArray",
    ms: "xr.DataArray",
    known: tuple[Path | None, str | None, str | None],
    wald: str | None,
    coregister: "opt.Richest",
) -> dict[str, dict[str, Any]]:
    """What hs and ms say of the image, placed and seen by a sensor as its record says, else as `fuse` finds them.

    known: sensor file, psf, srf.
    """
    from hypersharp.fusion.fuse import fuse
    from hypersharp.io.image import CubeImage
    from hypersharp.methods.table import find_method
    from hypersharp.pair.estimate import estimate_pair
    from hypersharp.pair.place import place
    from hypersharp.pair.record import Record
    from hypersharp.quality.judge import judge_placed, wald_scores
    from hypersharp.sensor.stored import sensor_from_args

    if wald:
        find_method(wald)
    blur, response, ratio = sensor_from_args(*known, None)
    record, looked_for = Record.find(image), coregister if blur is None else "none"
    known_place = dict(record.placement) if record else None
    placed = place(CubeImage(hs), CubeImage(ms), ratio=ratio, coregister=looked_for, known=known_place)
    hs, ms = placed.read(placed.everything)
    with progress_bar("judging by the pair") as progress:
        sensor = None if record is None or blur is not None or response is not None else record.known_sensor()
        sensor = sensor or estimate_pair(hs, ms, psf=blur, srf=response, ratio=ratio).sensor
        progress(0.2)
        placing = list(record.placed if record else placed.notes)
        judgement = judge_placed(image, hs, ms, sensor).as_dict()
        found: dict[str, dict[str, Any]] = {"pair": judgement | {"placing": placing}}
        progress(0.5)
        if wald:
            again = partial(fuse, method=wald, psf=sensor.psf, srf=sensor.srf, consistent=False)
            found["wald"] = {"method": wald, **wald_scores(again, hs, ms, sensor).as_dict()}
    return found


def show_found(found: dict[str, dict[str, Any]], peak_note: str) -> None:
    """The scores against a truth, what the pair says, and Wald's scores, as far as there are any."""
    if "truth" in found:
        peak = found["truth"].pop("peak")
        say(table(["score", "value"], [[name, shown(value)] for name, value in found["truth"].items()]))
        say(f"full scale {peak:g}{peak_note}")
    if "pair" in found:
        from hypersharp.quality.judge import judged

        rows = [[name, shown(value), meaning] for name, value, meaning in judged(found["pair"])]
        say(table(["without a truth", "value", "tells"], rows))
        coarse, fine = (found["pair"][name] for name in ("hs_left_out", "ms_left_out"))
        left_out = f"left out: {coarse:.1%} of the hs pixels, {fine:.1%} of the fine ones"
        say("\n".join([*found["pair"]["placing"], left_out]))
    if "wald" in found:
        method = found["wald"].pop("method")
        say(table([f"wald, {method}", "value"], [[name, shown(value)] for name, value in found["wald"].items()]))
        say("the pair at reduced resolution, fused by the method, against the given hs: a level coarser")
