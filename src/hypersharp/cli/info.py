"""The verbs that say what can be read, and what a file is."""

from pathlib import Path
from typing import Annotated

import typer

from hypersharp.cli.app import app
from hypersharp.cli.shown import say, table


@app.command(rich_help_panel="What there is")
def products() -> None:
    """List the satellite and airborne products that open as they come."""
    from hypersharp.products.table import PRODUCTS

    rows = [[p.title, p.give, p.parts or "-", p.proven] for p in PRODUCTS]
    say(table(["product", "what to name", "parts, by NAME:part", "proven with"], rows))


@app.command(rich_help_panel="What there is")
def info(
    file: Annotated[Path, typer.Argument(help="An image or a product.", show_default=False)],
    variable: Annotated[str | None, typer.Option(help="Variable of a .mat, .nc or .npz file.")] = None,
    layout: Annotated[str | None, typer.Option(help="Axes of a plain array, such as hwl.")] = None,
) -> None:
    """Say what a file is: product, size, place, bands, wavelengths, unit, scale, masks, share missing."""
    import numpy as np

    from hypersharp.describe import facts_of
    from hypersharp.io.coarse import read_coarse
    from hypersharp.io.image import Image

    image = Image(file, variable, layout)
    stored = image.as_it_is()
    stored.pixels[:, -1:, -1:]  # the end of each band: what is cut off, or not there, is said here
    good = [] if stored.good_bands is None else [bool(flag) for flag in stored.good_bands]
    facts = {"Product": stored.product or "none that is known"} | facts_of(image.outline())
    scale, offset = np.unique(np.asarray(stored.scale, float)), np.unique(np.asarray(stored.offset, float))
    one = scale.size == offset.size == 1
    value = f", value = {scale[0]:g} x number {offset[0]:+g}" if one else ", a scale for each band"
    value = "" if one and scale[0] == 1 and offset[0] == 0 else value
    numbers = dict.fromkeys(f"{value:g}" for value in np.ravel(stored.nodata if stored.nodata is not None else []))
    nodata = f", nodata {' or '.join(numbers)}" if numbers else ""
    facts |= {
        "Bands left out": f"{good.count(False)} of {len(good)}, by its own list" if False in good else "",
        "Numbers": f"{stored.pixels.dtype}{value}{nodata}",
        "Unit": stored.unit or "not said",
    }
    *values, masks = (*image.said(), "") if stored.flags is None else image.said()
    facts |= {"Values": "; ".join(values), "Masks": masks}
    opened = image.stored()
    bands = range(opened.pixels.shape[0])
    usable = [band for band in bands if opened.good_bands is None or opened.good_bands[band]] or [0]
    middle = read_coarse(opened, [usable[len(usable) // 2]], None, (1024, 1024))  # at most so many places
    facts["Missing"] = f"{np.isnan(middle).mean():.1%} of the pixels, masked ones among them"
    width = max(map(len, facts))
    say("\n".join(f"{name:{width}}  {text}" for name, text in facts.items() if text))
