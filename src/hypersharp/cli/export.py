"""The verb that takes a network elsewhere: export."""

from pathlib import Path
from typing import Annotated

import typer

from hypersharp.cli.app import app
from hypersharp.cli.shown import say


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
