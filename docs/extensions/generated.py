"""What the code itself tells: verbs and their options, methods, weights, responses, protocols, presets.

A page says ```{generated} NAME``` and gets the Markdown that PARTS[NAME] makes while the site is built, so that no list
on it can go stale. The gallery's pictures are drawn then too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from hypersharp.cli import app as command_line
from hypersharp.methods.table import AUTO, METHODS
from hypersharp.networks.packaged import packaged_weights
from hypersharp.products.table import PRODUCTS
from hypersharp.quality.metrics import PRESETS
from hypersharp.sensor.measured import PREFIX, TABLES
from hypersharp.sensor.responses import SRFS, Curve
from hypersharp.simulation.protocols import PROTOCOLS


def table(heading: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(heading), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def verbs() -> str:
    """Every verb as a section: what it does, how it is called, its options."""
    commands = typer.main.get_command(command_line).commands  # type: ignore[attr-defined]
    return "\n\n".join(section for name, command in commands.items() for section in verb(name, command))


def verb(name: str, command: Any) -> Iterator[str]:
    """The section of one verb."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    shown = " ".join(p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments)
    yield f"## `{name}`"
    yield command.help
    yield f"```text\nhypersharp {name} {shown} [OPTIONS]\n```"
    kinds = get_type_hints(command.callback)
    if arguments:
        yield table(["argument", "is"], [[f"`{p.name.upper()}`", p.help] for p in arguments])
    if options:
        rows = [option(parameter, kinds[parameter.name]) for parameter in options]
        yield table(["option", "takes", "default", "does"], rows)


def option(parameter: Any, kind: Any) -> list[str]:
    """A row of the table of options."""
    names = code([*parameter.opts, *parameter.secondary_opts])
    default = "" if parameter.default in (None, False) else f"`{parameter.default}`"
    return [names, taken(kind), "needed" if parameter.required else default, parameter.help or ""]


def taken(kind: Any) -> str:
    """What may follow an option of a type; None, where it may be left out, aside.

    >>> taken(int | None), taken(bool)
    ('whole number', '')
    """
    if get_origin(kind) is Literal:
        return code(get_args(kind))
    if get_args(kind):
        return ", ".join(taken(one) for one in get_args(kind) if one is not type(None))
    return {bool: "", int: "whole number", float: "number", str: "text", Path: "path"}[kind]


def methods() -> str:
    return table(
        ["name", "method", "paper", "needs"],
        [[f"`{m.name}`", m.title, m.paper, ", ".join(m.needs) or "nothing"] for m in (AUTO, *METHODS.values())],
    )


def weights() -> str:
    """The packaged weights: what they fit, and what is more than usual in them."""

    def row(name: str, header: Any, any_sensor: bool) -> list[object]:
        shape = [header.options[key] for key in ("bands", "ms_bands", "ratio")]
        nm, made = header.wavelengths_nm, header.provenance
        return [
            f"`{name}`",
            header.network,
            *(["any"] * 3 if any_sensor else shape),
            f"{nm[0]:.0f} to {nm[-1]:.0f} nm" if nm else "any",
            made.get("steps", "-"),
            code(more(header)) or "-",
        ]

    found = packaged_weights().values()
    return table(
        ["name", "network", "hs bands", "ms bands", "ratio", "wavelengths", "steps", "options"],
        [row(w.name, w.header, w.any_sensor) for w in found],
    )


def more(header: Any) -> Iterator[str]:
    """What a network's options and its training have beyond the plain one."""
    shape = {"bands", "ms_bands", "ratio", "psf_px"}
    for name, value in header.options.items():
        if name not in shape and value not in (False, None):
            yield name if value is True else f"{name}={value}"
    for name in ("lambda_deg", "start_weight"):
        if header.provenance.get(name):
            yield f"{name}={header.provenance[name]:g}"


def responses() -> str:
    return table(
        ["name", "its usual bands", "made of", "measured curve", "source"],
        [
            [
                f"`{name}`",
                " ".join(entry.usual),
                "a measured curve" if isinstance(entry, Curve) else "centres and widths",
                f"`{PREFIX}{name}`" if name in TABLES else "-",
                entry.source,
            ]
            for name, entry in SRFS.items()
        ],
    )


def protocols() -> str:
    return table(
        ["name", "data", "ratio", "blur", "response", "train / validation / test", "preset"],
        [
            [
                f"`{p.name}`",
                p.dataset,
                p.ratio,
                f"`{p.psf_spec}`",
                p.srf,
                f"{len(p.train)} / {len(p.validation)} / {len(p.test)}",
                f"`{p.preset}`",
            ]
            for p in PROTOCOLS.values()
        ],
    )


def presets() -> str:
    """What each preset fixes, and whose program it is."""

    def row(name: str) -> list[object]:
        rules = asdict(PRESETS[name])
        peak = 255 if rules["eight_bit"] else rules["peak"]
        return [f"`{name}`", peak, rules["psnr_over"], rules["ssim_border"], rules["zero_spectra"], rules["source"]]

    return table(["preset", "peak", "PSNR over", "SSIM border", "zero spectra", "whose definitions"], map(row, PRESETS))


def one_image() -> str:
    """One estimate of one scene under every preset; bright as it is, and at half the brightness."""
    from hypersharp.bench.demo import load_indian_pines
    from hypersharp.fusion.fuse import fuse
    from hypersharp.quality.metrics import score_cubes
    from hypersharp.simulation.pair import simulate_pair
    from hypersharp.simulation.protocols import find_protocol

    hs, ms, truth = simulate_pair(load_indian_pines(), find_protocol("dian-x4").sensor())
    sharp = fuse(hs, ms, method="gsa", consistent=False)

    def rows() -> Iterator[list[object]]:
        for title, share in (("as it is", 1.0), ("half as bright", 0.5)):
            for name in PRESETS:
                s = score_cubes(share * sharp, share * truth, ratio=4, preset=name, peak=1.0)
                yield [
                    title,
                    f"`{name}`",
                    f"{s.psnr_db:.2f}",
                    f"{s.ssim:.4f}",
                    f"{s.sam_deg:.3f}",
                    f"{s.ergas:.3f}",
                    f"{s.rmse:.4f}",
                ]

    return table(["scene", "preset", "PSNR (dB)", "SSIM", "SAM (°)", "ERGAS", "RMSE"], rows())


def products() -> str:
    rows = [[p.title, p.give, f"`:{p.parts}`" if p.parts else "", p.proven] for p in PRODUCTS]
    return table(["product", "what to name", "part", "proven with"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "methods": methods,
    "weights": weights,
    "responses": responses,
    "products": products,
    "protocols": protocols,
    "presets": presets,
    "one-image": one_image,
}


class Generated(SphinxDirective):
    """The directive; an unknown name is a KeyError, which ends the build."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(PARTS[self.arguments[0]](), allow_section_headings=True)


def draw(app: Sphinx) -> None:
    """The gallery's pictures, into the folder that gallery.md shows them from."""
    from gallery import draw_all

    draw_all(Path(app.srcdir) / "pictures")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("generated", Generated)
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
