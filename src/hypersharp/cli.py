"""The command line: one verb a function, each checks its call, opens files, calls the package, prints a summary.

`hypersharp --help` answers at once because torch, xarray and everything on them is imported by the verb that
needs it. A wrong call exits 2, a wrong input 1 with one line on stderr; --debug shows the traceback.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from hypersharp.errors import CallError, HypersharpError

if TYPE_CHECKING:
    import xarray as xr

PIPE_WIDTH = 200  # columns of a table that no screen limits

app = typer.Typer(
    help="Sharpen a hyperspectral image with the multispectral, RGB or panchromatic image of the same place.",
    epilog="First time here? `hypersharp demo` runs the whole thing on a real scene.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Mode = Literal["whole", "tiles", "patches"]
Precision = Literal["auto", "fp32", "bf16"]
LAYOUT = "Axes of a plain array: hwl, lhw, lp or pl (bands, rows, columns, pixels)."
Method = Annotated[str, typer.Option(help="Fusion method; `hypersharp methods` lists them.")]
Weights = Annotated[
    str | None, typer.Option(help="Packaged weights or a .safetensors file; default: those that fit.")
]
ModeOption = Annotated[
    Mode, typer.Option(help="Network on the whole image, blended tiles, or the paper's patches.")
]
Psf = Annotated[
    str | None, typer.Option(help="Blur of hs: gaussian:8:2, fwhm:4.5, box, mtf:0.3, a file, ...")
]
Srf = Annotated[str | None, typer.Option(help="Response of ms: a name (`hypersharp sensors`) or a file.")]
Ratio = Annotated[int | None, typer.Option(help="Fine pixels per coarse one; default: from the sizes.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
PrecisionOption = Annotated[Precision, typer.Option(help="auto takes bf16 where this machine is fast at it.")]
Data = Annotated[Path, typer.Option(help="Folder with the protocol's scenes.", envvar="HYPERSHARP_DATA")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write into; made if missing.")]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with one_line_warnings(debug):
            app(words, prog_name="hypersharp")
    except HypersharpError as exc:
        fail(str(exc), exc.exit_code, debug)
    except MemoryError:
        fail("found too little memory, expected enough for the image, do: try --mode tiles", 1, debug)
    except Exception as exc:  # a fault of ours: still one line, and how to see more
        fail(f"found a fault in hypersharp ({type(exc).__name__}: {exc}), expected none, do: report it with the "
             "output of the same command and --debug", 1, debug)  # fmt: skip
    sys.exit(0)


def fail(message: str, code: int, debug: bool) -> NoReturn:
    """One line on stderr (after the traceback, if asked for) and out."""
    if debug:
        import traceback

        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr)  # noqa: T201
    sys.exit(code)


@contextmanager
def one_line_warnings(debug: bool) -> Iterator[None]:
    """Our own warnings as `warning: ...` on stderr; foreign ones only under --debug."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print("warning: " + " ".join(str(message).split()), file=sys.stderr)  # noqa: T201

    with warnings.catch_warnings():
        warnings.simplefilter("default" if debug else "ignore")
        warnings.filterwarnings("always", module=r"hypersharp\.")
        warnings.showwarning = show
        yield


def say(text: Any) -> None:
    """Print text or a rich table to stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(width=width, highlight=False, soft_wrap=isinstance(text, str)).print(text)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr for what takes over two seconds; gives the function to call with the fraction done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    percent = TextColumn("{task.percentage:.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0, visible=False)
        yield lambda fraction: bar.update(task, completed=fraction, visible=time.monotonic() - started > 2)


def size(cube: "xr.DataArray") -> str:
    """Width, height and bands, as people say them."""
    bands, height, width = cube.shape
    return f"{width} x {height}, {bands} band{'s' * (bands != 1)}"


def show_version(wanted: bool) -> None:
    if wanted:
        from hypersharp import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every verb; `main` sees to --debug wherever it stands."""


@app.command(rich_help_panel="The main job")
def fuse(
    hs: Annotated[Path, typer.Argument(help="Low-resolution hyperspectral image.", show_default=False)],
    ms: Annotated[Path, typer.Argument(help="High-resolution MS, RGB or pan image.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Sharp image to write; its suffix is the format.")],
    method: Method = "ssjcn",
    weights: Weights = None,
    psf: Psf = None,
    srf: Srf = None,
    sensor: Annotated[
        Path | None, typer.Option(help="JSON file of `hypersharp estimate`, instead of --psf and --srf.")
    ] = None,
    ratio: Ratio = None,
    mode: ModeOption = "whole",
    tile: Annotated[
        int, typer.Option(help="Side of a tile in fine pixels, with --mode tiles.", min=16)
    ] = 128,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    variable: Annotated[
        str | None, typer.Option(help="Variable of the hs file (.mat, .nc, .npz) to read.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT)] = None,
    ms_variable: Annotated[str | None, typer.Option(help="As --variable, for ms.")] = None,
    ms_layout: Annotated[str | None, typer.Option(help="As --layout, for ms.")] = None,
) -> None:
    """Sharpen HS with MS and write the result."""
    from hypersharp.io import check_output, open_cube, save_cube
    from hypersharp.methods import find_method
    from hypersharp.methods import fuse as fuse_cubes
    from hypersharp.sensor.stored import given_sensor

    find_method(method)
    check_output(out)
    blur, response, known_ratio = given_sensor(sensor, psf, srf, ratio)
    coarse = open_cube(hs, variable=variable, layout=layout)
    fine = open_cube(ms, variable=ms_variable, layout=ms_layout)
    started = time.perf_counter()
    with progress_bar(f"fusing with {method}") as progress:
        sharp = fuse_cubes(
            coarse, fine, method=method, weights=weights, psf=blur, srf=response, ratio=known_ratio, mode=mode,
            tile_px=tile, device=device, precision=precision, progress=progress,
        )  # fmt: skip
    seconds = time.perf_counter() - started
    save_cube(sharp, out)
    say(f"hs     {size(coarse)}  ({hs})\nms     {size(fine)}  ({ms})")
    for note in str(sharp.attrs.get("hypersharp", "")).split("; "):
        say(f"       {note}")
    say(f"sharp  {size(sharp)}, {sharp.dtype}, in {seconds:.1f} s -> {out}")


@app.command(rich_help_panel="The main job")
def estimate(
    hs: Annotated[Path, typer.Argument(help="Low-resolution hyperspectral image.", show_default=False)],
    ms: Annotated[Path, typer.Argument(help="High-resolution MS, RGB or pan image.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write; `fuse --sensor` takes it.")],
    psf: Psf = None,
    srf: Srf = None,
    ratio: Ratio = None,
) -> None:
    """Find the blur of HS and the response of MS in the pair itself; what is given of them is kept."""
    from hypersharp.bench.files import write_text
    from hypersharp.io import open_cube
    from hypersharp.methods.estimate import estimate_pair, summarise
    from hypersharp.sensor.stored import describe_estimate

    found = estimate_pair(open_cube(hs), open_cube(ms), psf=psf, srf=srf, ratio=ratio)
    write_text(out, describe_estimate(found))
    say(f"{summarise(found)}\n          -> {out}")


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


@app.command(rich_help_panel="Training and benchmarks")
def train(
    config: Annotated[Path, typer.Argument(help="YAML file of training options.", show_default=False)],
    data: Data,
    out: Out,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu, ... (lightning's words).")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices a node; they share each batch.", min=1)] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, each running this command.", min=1)] = 1,
    strategy: Annotated[str, typer.Option(help="auto, ddp, ... (lightning's words).")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder of degraded scenes to share.")] = None,
) -> None:
    """Learn weights from a protocol's training scenes."""
    from hypersharp.bench.training import train_on_protocol
    from hypersharp.train.options import read_options
    from hypersharp.train.run import Hardware

    path = train_on_protocol(
        read_options(config), data, out, resume=resume, cache_dir=cache,
        hardware=Hardware(accelerator, devices, nodes, strategy),
    )  # fmt: skip
    say(f"weights -> {path}")


@app.command(rich_help_panel="Training and benchmarks")
def bench(
    protocol: Annotated[
        str, typer.Argument(help="Protocol; `hypersharp protocols` lists them.", show_default=False)
    ],
    data: Data,
    out: Out,
    methods: Annotated[str, typer.Option(help="Methods, separated by commas.")] = "bicubic,ssjcn",
    scenes: Annotated[str, typer.Option(help="Scenes, separated by commas; default: all test scenes.")] = "",
    weights: Weights = None,
    mode: ModeOption = "whole",
    device: Device = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Run methods over a protocol's test scenes: rows, a table in Markdown and CSV."""
    from hypersharp.bench.protocols import find_protocol
    from hypersharp.bench.report import mean_table
    from hypersharp.bench.run import BenchOptions, run_bench

    chosen = BenchOptions(protocol, names(methods), names(scenes), weights, mode, device, precision)
    with progress_bar(f"bench {protocol}") as progress:
        rows = run_bench(chosen, data, out, on_row=lambda number, of, _: progress(number / of))
    finished = [row for row in rows if "error" not in row]
    if finished:
        say(mean_table(finished, find_protocol(protocol).preset))
    say(f"rows.jsonl, table.md, table.csv -> {out}")
    if len(finished) < len(rows):
        failed = len(rows) - len(finished)
        raise HypersharpError(f"{failed} of {len(rows)} rows failed", "none", "see Failed in table.md")


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@app.command(rich_help_panel="What there is")
def methods() -> None:
    """List the fusion methods."""
    from hypersharp.methods import METHODS

    rows = [
        [m.name, m.title, m.paper, ", ".join(m.needs) or "-", str(m.halo_px), m.licence]
        for m in METHODS.values()
    ]
    say(table(["name", "method", "paper", "needs", "halo (px)", "licence"], rows))


@app.command(rich_help_panel="What there is")
def weights() -> None:
    """List the packaged weights."""
    from hypersharp.methods.packaged import packaged_weights

    rows = []
    for entry in packaged_weights().values():
        header, made = entry.header, entry.header.provenance
        nm = header.wavelengths_nm
        rows.append([
            entry.name, header.network, str(header.options["bands"]), str(header.options["ms_bands"]),
            str(header.options["ratio"]), f"{nm[0]:.0f} to {nm[-1]:.0f}" if nm else "-",
            str(made.get("protocol", "-")), shown(made.get("val_psnr_db", "-")),
        ])  # fmt: skip
    say(
        table(
            ["name", "network", "hs bands", "ms bands", "ratio", "nm", "protocol", "validation PSNR (dB)"],
            rows,
        )
    )


@app.command(rich_help_panel="What there is")
def sensors() -> None:
    """List the spectral responses known by name."""
    from hypersharp.sensor.srf import SRFS

    rows = [[name, " ".join(entry.usual), " ".join(sorted(set(entry.bands) - set(entry.usual))) or "-", entry.source]
            for name, entry in SRFS.items()]  # fmt: skip
    say(table(["name", "bands", "more, by name:band,band", "source"], rows))


@app.command(rich_help_panel="What there is")
def protocols() -> None:
    """List the named protocols: scenes, blur, response, ratio, metrics."""
    from hypersharp.bench.protocols import PROTOCOLS

    rows = [[p.name, p.dataset, str(p.ratio), p.psf_spec, p.srf,
             f"{len(p.train)} / {len(p.validation)} / {len(p.test)}", p.preset]
            for p in PROTOCOLS.values()]  # fmt: skip
    say(table(["name", "data set", "ratio", "psf", "srf", "train / val. / test", "preset"], rows))


@app.command(rich_help_panel="The main job")
def demo(
    out: Out = Path("hypersharp-demo"),
    device: Device = "auto",
) -> None:
    """Sharpen a real airborne scene that comes with the dependencies; no file needed."""
    from hypersharp.bench.demo import run_demo

    with progress_bar("sharpening AVIRIS Indian Pines") as progress:
        result = run_demo(out, device=device, progress=progress)
    heading = ["method", "PSNR (dB)", "SSIM", "SAM (deg)", "ERGAS", "s"]
    say(table(heading, [[name, *map(shown, values)] for name, values in result.scores.items()]))
    say(f"({result.notes})\n" + "\n".join(f"-> {path}" for path in result.paths))


def table(heading: list[str], rows: list[list[str]]) -> Any:
    """A rich table without boxes."""
    from rich.table import Table

    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in heading:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def shown(value: Any) -> str:
    """A number as people read it: four significant decimals at most."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
