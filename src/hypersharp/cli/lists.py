"""The verbs that list what there is: methods, weights, sensors, protocols."""

from hypersharp.cli.app import app
from hypersharp.cli.shown import say, shown, table


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
    from hypersharp.sensor import cameras, measured
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
    rows.append([cameras.NAMES, "R G B", "-", "measured", cameras.SOURCE])
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
