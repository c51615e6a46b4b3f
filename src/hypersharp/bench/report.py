"""Tables of benchmark rows: table.md to read (means, then every scene), table.csv to compute with."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from hypersharp.bench.files import write_text
from hypersharp.whole import make_folder

Row = dict[str, Any]

# score -> (heading, digits)
COLUMNS = {"psnr_db": ("PSNR (dB)", 2), "ssim": ("SSIM", 4), "sam_deg": ("SAM (°)", 2), "ergas": ("ERGAS", 3)}


def write_report(rows: list[Row], preset: str, out_dir: Path) -> None:
    """table.md and table.csv in out_dir, each whole or not at all.

    Raises: OutputError where the folder cannot be written.
    """
    make_folder(out_dir)
    write_text(out_dir / "table.md", markdown(rows, preset))
    write_text(out_dir / "table.csv", as_csv(rows))


def markdown(rows: list[Row], preset: str) -> str:
    """Mean scores by method for every preset, every scene for `preset`, and the failures."""
    finished = [row for row in rows if "error" not in row]
    failed = [row for row in rows if "error" in row]
    parts = [heading(rows)]
    if finished:
        presets = sorted(finished[0]["scores"], key=lambda name: (name != preset, name))
        parts += [mean_table(finished, name) for name in presets]
        parts.append(scene_table(finished, preset))
    if failed:
        parts.append(
            "## Failed\n\n" + "\n".join(f"* {label(r)}, {r['scene']}: {r['error']}" for r in failed) + "\n"
        )
    return "\n".join(parts)


def heading(rows: list[Row]) -> str:
    """Protocol, machine and commit, which a number is worth nothing without."""
    facts = {name: sorted({str(row[name]) for row in rows}) for name in ("protocol", "commit", "machine")}
    return (
        f"# {', '.join(facts['protocol'])}\n\n"
        f"Commit {', '.join(facts['commit'])}; {'; '.join(facts['machine'])}.\n"
    )


def mean_table(rows: list[Row], preset: str) -> str:
    """One line a method: scores averaged over its scenes."""
    lines = [
        f"## Mean over scenes, preset `{preset}`\n",
        markdown_line(
            ["method", "scenes", *(title for title, _ in COLUMNS.values()), "s a scene", "peak MB"]
        ),
        markdown_line(["---"] * (len(COLUMNS) + 4)),
    ]
    for name, group in by_method(rows):
        means = [
            f"{fmean(r['scores'][preset][key] for r in group):.{digits}f}"
            for key, (_, digits) in COLUMNS.items()
        ]
        seconds, peak_mb = fmean(r["seconds"] for r in group), max(r["peak_mb"] for r in group)
        lines.append(markdown_line([name, str(len(group)), *means, f"{seconds:.2f}", f"{peak_mb:.0f}"]))
    return "\n".join(lines) + "\n"


def scene_table(rows: list[Row], preset: str) -> str:
    """One line a scene and method."""
    lines = [
        f"## Every scene, preset `{preset}`\n",
        markdown_line(["scene", "method", *(title for title, _ in COLUMNS.values()), "s"]),
        markdown_line(["---"] * (len(COLUMNS) + 3)),
    ]
    for row in rows:
        scores = [f"{row['scores'][preset][key]:.{digits}f}" for key, (_, digits) in COLUMNS.items()]
        lines.append(markdown_line([row["scene"], label(row), *scores, f"{row['seconds']:.2f}"]))
    return "\n".join(lines) + "\n"


def by_method(rows: list[Row]) -> Iterable[tuple[str, list[Row]]]:
    labels = dict.fromkeys(label(row) for row in rows)
    return [(name, [row for row in rows if label(row) == name]) for name in labels]


def label(row: Row) -> str:
    """The method, its weights and its mode where they are not the usual ones."""
    weights = row.get("weights_used") or row.get("weights")
    extras = [Path(weights).stem] if weights else []
    extras += [row["mode"]] if row.get("mode", "whole") != "whole" else []
    return str(row["method"]) + (f" ({', '.join(extras)})" if extras else "")


def markdown_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def as_csv(rows: list[Row]) -> str:
    """One line a row and preset, every number unrounded."""
    flat = [{**plain(row), "preset": preset, **scores} for row in rows for preset, scores in scores_of(row)]
    fields = list(dict.fromkeys(name for line in flat for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "scores"}


def scores_of(row: Row) -> list[tuple[str, Row]]:
    """(preset, scores) pairs; a failed row still has its line."""
    return list(row["scores"].items()) if "scores" in row else [("", {})]
