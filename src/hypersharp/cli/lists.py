"""The verbs that say what a file is and list what there is: products, info, methods, weights, sensors, protocols."""

from pathlib import Path
from typing import Annotated

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.shown import progress_bar, say, say_facts, shown, table
from hypersharp.errors import HypersharpError


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
    say_facts(facts)


@app.command(rich_help_panel="What there is")
def methods() -> None:
    """List the fusion methods."""
    from hypersharp.methods.table import AUTO, METHODS

    rows = [
        [m.name, m.title, m.paper, ", ".join(m.needs) or "-", str(m.halo_px), m.licence]
        for m in (AUTO, *METHODS.values())
    ]
    say(table(["name", "method", "paper", "needs", "halo (px)", "licence"], rows))


@app.command(rich_help_panel="What there is")
def weights() -> None:
    """List the packaged weights."""
    from hypersharp.networks.packaged import SECOND_PACKAGE, missing_weights, packaged_weights

    rows = []
    for entry in packaged_weights().values():
        header, made = entry.header, entry.header.provenance
        nm, shape = header.wavelengths_nm, ("bands", "ms_bands", "ratio")
        rows.append(
            [
                entry.name,
                header.network,
                *("any" if entry.any_sensor else str(header.options[name]) for name in shape),
                f"{nm[0]:.0f} to {nm[-1]:.0f}" if nm else "-",
                str(made.get("protocol", "-")),
                "-" if entry.any_sensor else shown(made.get("val_psnr_db", "-")),
            ]
        )
    say(table(["name", "network", "hs bands", "ms bands", "ratio", "nm", "protocol", "validation PSNR (dB)"], rows))
    if missing := missing_weights():
        say(f"not installed: {', '.join(missing)}: pip install {SECOND_PACKAGE}")


@app.command(rich_help_panel="What there is")
def sensors() -> None:
    """List the spectral responses known by name."""
    from hypersharp.sensor import measured
    from hypersharp.sensor.responses import SRFS, Curve

    rows = [
        [
            name,
            " ".join(entry.usual),
            " ".join(sorted(set(entry.bands) - set(entry.usual))) or "-",
            "measured" if isinstance(entry, Curve) else "centre, width",
            entry.source,
        ]
        for name, entry in SRFS.items()
    ]
    for name, (_, bands) in measured.TABLES.items():
        more = [band for band in bands if band in measured.MORE]
        usual = [band for band in bands if band and band not in more]
        rows.append([measured.PREFIX + name, " ".join(usual), " ".join(more) or "-", "measured", measured.SOURCE])
    rows.append([measured.CAMERAS, "R G B", "-", "measured", measured.CAMERA_SOURCE])
    say(table(["name", "bands", "more, by name:band,band", "curve", "source"], rows))


@app.command(rich_help_panel="What there is")
def protocols() -> None:
    """List the named protocols: scenes, blur, response, ratio, metrics."""
    from hypersharp.simulation.protocols import PROTOCOLS

    rows = []
    for p in PROTOCOLS.values():
        scenes = f"{len(p.train)} / {len(p.validation)} / {len(p.test)}"
        rows.append([p.name, p.dataset, str(p.ratio), p.psf_spec, p.srf, scenes, p.preset])
    say(table(["name", "data set", "ratio", "psf", "srf", "train / val. / test", "preset"], rows))


@app.command(rich_help_panel="What there is")
def scenes(
    protocol: Annotated[str, typer.Argument(help="A protocol (`hypersharp protocols`).", show_default=False)],
    data: opt.Data,
) -> None:
    """Say where the scenes of a protocol are to be had, and read those that are there."""
    from hypersharp.bench.scenes import LAYOUT, SOURCE, check_scenes
    from hypersharp.simulation.protocols import find_protocol

    found = find_protocol(protocol)
    say(f"{found.dataset}: {SOURCE[found.dataset]}\nas {LAYOUT[found.dataset]}, in {data} or {data / found.dataset}")
    checked = []
    with progress_bar("reading") as progress:
        for one in check_scenes(found, data):
            checked.append(one)
            progress(len(checked) / len(found.scenes))
    for part in dict.fromkeys(part for _, part, _ in checked):
        wrong = [found for _, of, found in checked if of == part]
        say(f"{part}: {wrong.count(None)} of {len(wrong)} scenes are there and can be read")
    if bad := [f"{name}: {wrong}" for name, _, wrong in checked if wrong]:
        say("\n".join(bad))
        raise HypersharpError(f"{len(bad)} of {len(checked)} scenes that cannot be used", "none", "get them from there")
