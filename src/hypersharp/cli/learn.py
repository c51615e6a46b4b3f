"""The verbs of training and benchmarks: train, adapt, bench, export."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.shown import progress_bar, say
from hypersharp.errors import CallError, HypersharpError, needs


@app.command(rich_help_panel="Training and benchmarks")
def train(
    config: Annotated[Path, typer.Argument(help="YAML file of training options.", show_default=False)],
    data: opt.Data,
    out: opt.Out,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    restartable: Annotated[
        bool, typer.Option("--restartable", help="Go on from the last checkpoint in --out if there is one.")
    ] = False,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu, ... (lightning's words).")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices a node; they share each batch.", min=1)] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, each running this command.", min=1)] = 1,
    strategy: Annotated[str, typer.Option(help="auto, ddp, ... (lightning's words).")] = "auto",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for another process that is silent.", min=1)] = 600.0,
    cache: Annotated[Path | None, typer.Option(help="Folder of degraded scenes to share.")] = None,
    start_from: Annotated[
        list[Path] | None, typer.Option(help="ssjcn-v2: begin with these weights; repeat it, one for each start.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="ssjcn-v2: stop after these; --resume goes on.")] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="ssjcn-v2: let the rate fall from the last checkpoint; it stays.")
    ] = False,
) -> None:
    """Learn weights from a protocol's training scenes."""
    with needs("training", "train"):
        import pytorch_lightning  # noqa: F401
    from hypersharp.bench.scenes import training_set
    from hypersharp.train import record, run
    from hypersharp.train.options import RecordOptions, read_options

    options = read_options(config)
    second = isinstance(options, RecordOptions)
    resume = resume or (restartable and (out / (record.LAST if second else run.CHECKPOINT)).exists())
    others = {"--devices": devices > 1, "--nodes": nodes > 1, "--strategy": strategy != "auto", "--cache": cache}
    of_second = {"--start-from": start_from, "--minutes": minutes, "--finish": finish}
    for name in (name for name, given in (others if second else of_second).items() if given):
        expected = "another network" if second else "network ssjcn-v2"
        raise CallError(f"{name} with network {options.network}", expected, f"leave {name} out")
    if isinstance(options, RecordOptions):
        scenes = training_set(options.protocol, data, options.validation_scenes)
        chosen: dict[str, Any] = {"start_from": start_from or (), "minutes": minutes, "finish_only": finish}
        path = record.train_record(options, scenes, out, resume=resume, **chosen)
    else:
        scenes = training_set(options.protocol, data)
        hardware = run.Hardware(accelerator, devices, nodes, strategy, timeout)
        path = run.train(options, scenes, out, cache_dir=cache, resume=resume, hardware=hardware)
    say(f"{'weights' if path.suffix == '.safetensors' else 'checkpoint'} -> {path}")


@app.command(rich_help_panel="Training and benchmarks")
@opt.grouped
def adapt(
    hs: opt.Hs,
    ms: opt.Ms,
    known: opt.Known,
    reading: opt.Reading,
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights to write (.safetensors).")],
    minutes: Annotated[float, typer.Option(help="Time to learn for at most.", min=0.0)] = 2.0,
    coregister: opt.Coregister = "local",
    no_coregister: opt.NoCoregister = False,
    move: opt.Move = None,
    device: opt.Device = "auto",
) -> None:
    """Learn SSJCN from HS and MS alone, no truth needed; `fuse --weights` takes the result, for other scenes too."""
    from hypersharp.networks.checkpoint import check_suffix
    from hypersharp.train.adapt import AdaptOptions, adapt_pair, summary

    check_suffix(out, ".safetensors")
    coarse, fine = reading.cubes(hs, ms)
    with progress_bar("adapting") as progress:
        outcome = adapt_pair(
            coarse,
            fine,
            out,
            options=AdaptOptions(seconds=60 * minutes),
            coregister=opt.coregisters(coregister, move, no_coregister),
            device=device,
            progress=progress,
            **known.given(),
        )
    for note in outcome.notes:
        say(note)
    again = shlex.join(["fuse", str(hs), str(ms), *reading.words(), "--weights", str(out), "-o", "SHARP.tif"])
    say(f"{summary(outcome)}\nweights -> {out}\nuse them: hypersharp {again}")


@app.command(rich_help_panel="Training and benchmarks")
def bench(
    what: Annotated[
        str,
        typer.Argument(
            help="A protocol (`hypersharp protocols`), table1, table2, table3, or figures.", show_default=False
        ),
    ],
    data: opt.Data,
    out: opt.Out,
    methods: Annotated[
        str,
        typer.Option(
            help="Methods, separated by commas, networks with their weights: "
            "bicubic,ssjcn:ssjcn-dian-x4-t1; +c after a name for a consistent result, +e for an ensemble; "
            "default: those of the table, or bicubic,ssjcn."
        ),
    ] = "",
    scenes: Annotated[str, typer.Option(help="Scenes, separated by commas; default: all test scenes.")] = "",
    weights: Annotated[
        str | None, typer.Option(help="Weights of the networks in --methods that name none, or of the figures.")
    ] = None,
    mode: opt.Mode = "whole",
    device: opt.Device = "auto",
    precision: opt.Precision = "auto",
) -> None:
    """Run methods over test scenes: rows, tables in Markdown, LaTeX and CSV; or draw the paper's figures."""
    from hypersharp.bench.report import mean_table
    from hypersharp.bench.run import parse_methods, run_bench, with_weights
    from hypersharp.bench.tables import find_table
    from hypersharp.simulation.protocols import find_protocol

    if what == "figures":  # 4 to 6 of the SSJCN paper
        from hypersharp.bench.figures import WEIGHTS, draw_all

        with progress_bar("drawing") as progress:
            paths = draw_all(data, out, weights=weights or WEIGHTS, device=device, progress=progress)
        return say("\n".join(f"-> {path}" for path in paths))
    wanted = tuple(name.strip() for name in scenes.split(",") if name.strip())
    asked, parts, rows = parse_methods(methods), find_table(what), list[dict[str, Any]]()
    for part in parts:
        chosen = with_weights(asked or part.methods, weights)
        options = replace(part, methods=chosen, scenes=wanted, mode=mode, device=device, precision=precision)
        place = out / part.protocol if len(parts) > 1 else out
        with progress_bar(f"bench {what}, {part.protocol}") as show:
            made = run_bench(options, data, place, on_row=lambda number, of, _: show(number / of))
        if finished := [row for row in made if "error" not in row]:
            say(mean_table(finished, find_protocol(part.protocol).preset))
        say(f"rows.jsonl, table.md, table.tex, table.csv -> {place}")
        rows += made
    if failed := [row for row in rows if "error" in row]:
        raise HypersharpError(f"{len(failed)} of {len(rows)} rows failed", "none", "see Failed in table.md")


@app.command(rich_help_panel="Training and benchmarks")
def export(
    weights: Annotated[str, typer.Argument(help="Packaged weights or a .safetensors file.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model to write (.onnx).")],
    start: Annotated[
        bool, typer.Option("--start", help="SSJCN takes its start as a third input, as --mode tiles needs.")
    ] = False,
) -> None:
    """Write the network of WEIGHTS as ONNX, for images of any size, once it agrees with torch."""
    from hypersharp.networks.checkpoint import load_weights
    from hypersharp.networks.onnx.export import LARGEST_DIFFERENCE, check_exportable, export_onnx
    from hypersharp.networks.onnx.session import read_onnx
    from hypersharp.networks.packaged import named_weights

    found = named_weights(weights)
    check_exportable(found.header, out)
    difference = export_onnx(*load_weights(found.path), out, start=start)
    file = read_onnx(out)
    optional = [f"{name} (optional)" for name in file.optional if not name.startswith("held_")]
    inputs = ", ".join([*file.images, *optional])
    say(
        f"{found}: {inputs} -> estimate\nlargest difference from torch {difference:.1e} of the range of values, "
        f"{LARGEST_DIFFERENCE:g} allowed\n{out.stat().st_size / 1e6:.1f} MB -> {out}"
    )
