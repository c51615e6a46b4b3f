"""The verbs that say what can be read, and what a file is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypersharp.cli.app import app
from hypersharp.cli.shown import say, table

if TYPE_CHECKING:
    from hypersharp.stored import Stored


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
    from hypersharp.describe import facts_of
    from hypersharp.io.image import Image

    image = Image(file, variable, layout)
    stored = image.as_it_is()
    stored.pixels[:, -1:, -1:]  # the end of each band: what is cut off, or not there, is said here
    good = [] if stored.good_bands is None else [bool(flag) for flag in stored.good_bands]
    facts = {"Product": stored.product or "none that is known"} | facts_of(image.outline())
    facts |= {
        "Bands left out": f"{good.count(False)} of {len(good)}, by its own list" if False in good else "",
        "Numbers": numbers_words(stored),
        "Unit": stored.unit or "not said",
    }
    *values, masks = (*image.said(), "") if stored.flags is None else image.said()
    facts |= {"Values": "; ".join(values), "Masks": masks}
    facts["Missing"] = missing_words(image.stored())
    width = max(map(len, facts))
    say("\n".join(f"{name:{width}}  {text}" for name, text in facts.items() if text))


def numbers_words(stored: "Stored") -> str:
    """Type, scale, offset and nodata of the numbers."""
    import numpy as np

    scale, offset = np.unique(np.asarray(stored.scale, float)), np.unique(np.asarray(stored.offset, float))
    one = scale.size == offset.size == 1
    plain = one and scale[0] == 1 and offset[0] == 0
    words = "" if plain else f", value = {scale[0]:g} x number {offset[0]:+g}" if one else ", a scale for each band"
    return f"{stored.pixels.dtype}{words}{'' if stored.nodata is None else f', nodata {stored.nodata:g}'}"


def missing_words(stored: "Stored") -> str:
    """The share of pixels without a value in the middle band, looked at in at most 1024 x 1024 places."""
    import numpy as np

    from hypersharp.io.coarse import read_coarse

    bands = len(stored.pixels) if isinstance(stored.pixels, np.ndarray) else stored.pixels.shape[0]
    good = [True] * bands if stored.good_bands is None else list(stored.good_bands)
    usable = [band for band in range(bands) if good[band]] or [0]
    values = read_coarse(stored, [usable[len(usable) // 2]], None, (1024, 1024))
    return f"{np.isnan(values).mean():.1%} of the pixels, masked ones among them"
