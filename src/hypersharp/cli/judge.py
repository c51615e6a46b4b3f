"""The verbs that make pairs with a known truth and score against it: simulate, evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hypersharp.cli.app import app
from hypersharp.cli.options import LAYOUT, Out, Psf, Srf
from hypersharp.cli.shown import say, shown, size, table
from hypersharp.errors import CallError


@app.command(rich_help_panel="Scores")
def simulate(
    scene: Annotated[Path, typer.Argument(help="Fine hyperspectral scene.", show_default=False)],
    out: Out,
    protocol: Annotated[str | None, typer.Option(help="A named protocol's psf, srf and ratio.")] = None,
    ratio: Annotated[int | None, typer.Option(help="Fine pixels per coarse one.", min=1)] = None,
    psf: Psf = None,
    srf: Srf = None,
    snr_hs: Annotated[
        float | None, typer.Option(help="Signal to noise of hs in dB; default: no noise.")
    ] = None,
    snr_ms: Annotated[
        float | None, typer.Option(help="Signal to noise of ms in dB; default: no noise.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    format: Annotated[Literal["tif", "mat", "npy", "nc"], typer.Option(help="Format of the files.")] = "tif",
    variable: Annotated[str | None, typer.Option(help="Variable of the scene's file to read.")] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT)] = None,
) -> None:
    """Make hs, ms and truth files from one fine SCENE."""
    from hypersharp.bench.files import save_together
    from hypersharp.bench.protocols import simulate_pair
    from hypersharp.bench.simulate import as_protocol_wants, find_sensor, whole_coarse_pixels
    from hypersharp.io import open_cube

    if (protocol is None) == (ratio is None):
        raise CallError("--protocol and --ratio" if protocol else "neither --protocol nor --ratio", "one of the two",
                        "give --protocol dian-x4, or --ratio 4 with --psf and --srf")  # fmt: skip
    if protocol and (psf or srf):
        raise CallError(
            "--psf or --srf beside --protocol", "a protocol, or a sensor of your own", "leave one out"
        )
    fine = as_protocol_wants(protocol, open_cube(scene, variable=variable, layout=layout))
    sensor = find_sensor(protocol, ratio, psf, srf, fine)
    truth = whole_coarse_pixels(fine, sensor.ratio)
    pair = simulate_pair(truth, sensor, snr_hs_db=snr_hs, snr_ms_db=snr_ms, seed=seed)
    cubes = dict(zip(("hs", "ms", "truth"), pair, strict=True))
    for path, cube in zip(save_together(cubes, out, format), cubes.values(), strict=True):
        say(f"{size(cube):24} -> {path}")


@app.command(rich_help_panel="Scores")
def evaluate(
    estimate: Annotated[Path, typer.Argument(help="Sharpened image.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="What it should be.", show_default=False)],
    ratio: Annotated[float, typer.Option(help="Fine pixels per coarse one; ERGAS needs it.", min=1)],
    preset: Annotated[str, typer.Option(help="Definitions: dian, dhsis, float, ssrnet, dlpan.")] = "dian",
    peak: Annotated[
        float | None, typer.Option(help="Full scale; default: by dtype, 1, or the maximum.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score ESTIMATE against TRUTH."""
    from hypersharp.bench.score import find_peak, score_cubes
    from hypersharp.io import open_cube

    reference = open_cube(truth)
    used = find_peak(reference) if peak is None else peak
    scores = score_cubes(open_cube(estimate), reference, ratio=ratio, preset=preset, peak=used).as_dict()
    if json:
        from json import dumps

        return print(dumps({**scores, "peak": used}))  # noqa: T201
    say(table(["score", "value"], [[name, shown(value)] for name, value in scores.items()]))
    say(f"full scale {used:g}{'' if peak else ', found by dtype and range; --peak sets it'}")
