"""The verbs that list what there is: methods, weights, sensors, protocols."""

from typing import Annotated

import typer

from hypersharp.cli import options as opt
from hypersharp.cli.app import app
from hypersharp.cli.shown import progress_bar, say, shown, table
from hypersharp.errors import HypersharpError


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
