"""The verb for many pairs: batch."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.fuse import fuse_whole
from hypersharp.cli.large import fuse_large, tiles_for
from hypersharp.cli.report import own_command
from hypersharp.cli.shown import say

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.batch.pairs import PairFiles
    from hypersharp.batch.run import Row
    from hypersharp.io.image import CubeImage, Image

MOST_FAILED = 100  # that the exit code tells apart: beyond lie those of shells and signals
PAIRS = (
    "CSV file with a heading hs,ms (and, as needed, name,mask,hs_mask,sensors) and a line a pair; or folders that hold "
    "an image hs and an image ms each."
)


@app.command(rich_help_panel="The main job")
@opt.grouped
def batch(
    context: typer.Context,
    pairs: Annotated[list[Path], typer.Argument(help=PAIRS, show_default=False)],
    out: opt.Out,
    fusing: opt.Fusing,
    known: opt.Known,
    reading: opt.Reading,
    large: opt.Large,
    format: opt.FileFormat = "tif",
    redo: Annotated[bool, typer.Option("--redo", help="Make again what an earlier run has made.")] = False,
) -> None:
    """Sharpen many pairs: results, a summary.csv and an index.html in --out; the exit code is how many failed (to 100).

    Blur and response are estimated once for all pairs of the same bands and ratio, or with the same word in the column
    sensors; where HS lies on MS is found for each pair. A batch that is repeated makes what is missing or has changed.
    """
    from hypersharp.batch.pairs import find_pairs
    from hypersharp.batch.run import SUMMARY, Batch, write_page
    from hypersharp.batch.sensors import SharedSensors
    from hypersharp.errors import installed, noted_on_stop
    from hypersharp.methods.table import find_method
    from hypersharp.pair.sensor import told_apart
    from hypersharp.system.atomic import make_folder
    from hypersharp.system.build_info import release

    find_method(fusing.method)
    options, given = fusing.options(), known.given()
    sensors, drawn = SharedSensors(out / "sensors", fusing.method, options, given), installed("jinja2")

    def sharpen(pair: "PairFiles", target: Path) -> "tuple[str, Mapping[str, xr.DataArray]]":
        hs, ms = replace(reading, mask=pair.mask, hs_mask=pair.hs_mask).images(pair.hs, pair.ms)
        path = out / "logs" / f"{pair.name}.txt"  # what `fuse` says of a pair
        make_folder(path.parent)
        with path.open("w", encoding="utf-8") as log, redirect_stdout(log):
            tiles = tiles_for(hs, ms, fusing.method, large)
            coarse: Image | CubeImage = hs if tiles else hs.loaded()
            fine: Image | CubeImage = ms if tiles else ms.loaded()
            name, sensor = sensors.of(pair, coarse, fine)
            shared = replace(options, psf_is_centred=sensor["psf"] is not given["psf"])
            chosen = {"method": fusing.method, "options": shared, "uncertainty": None, **sensor}
            if tiles:
                return name, fuse_large(hs, ms, target, tiles=tiles, part=True, **chosen)
            return name, fuse_whole(coarse, fine, target, **chosen)

    files = [told_apart(one) for one in (known.psf, known.srf, known.sensor, fusing.weights)]
    said = {"fusing": asdict(fusing), "known": asdict(known), "reading": asdict(reading)}
    call, found = {"version": release(), "files": files, **said}, find_pairs(pairs, reading.mask, reading.hs_mask)
    todo = Batch(found, out, format, call, sharpen, pictured=drawn, redo=redo)
    todo.check()
    rows = list["Row"]()
    with noted_on_stop(lambda: f"{len(rows)} of {len(todo.pairs)} pairs kept: repeat the call to go on"):
        for row, before in todo.rows():
            rows.append(row)
            say(f"{len(rows):>4}/{len(todo.pairs)}  {row.name}  {row.told(kept=before)}")
    failed = sum(row.status == "failed" for row in rows)
    say(f"{len(rows) - failed} done, {failed} failed -> {out / SUMMARY}")
    if drawn:
        say(f"          page -> {write_page(rows, out / 'index.html', own_command(context))}")
    if failed:
        raise typer.Exit(min(failed, MOST_FAILED))
