"""Tables of benchmark rows: table.md to read (means, differences, every scene), .tex to print, .csv to compute with."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from hypersharp.bench.latex import as_latex
from hypersharp.bench.summary import COLUMNS, COSTS, Row, label, paired_differences, summarise
from hypersharp.bench.tables import Published
from hypersharp.io.together import write_text
from hypersharp.system.atomic import make_folder

TITLES = [column.title for column in COLUMNS.values()]


def write_report(rows: list[Row], preset: str, out_dir: Path, published: Published | None = None) -> None:
    """table.md, table.tex and table.csv in out_dir, each whole or not at all.

    Raises: OutputError where the folder cannot be written.
    """
    make_folder(out_dir)
    write_text(out_dir / "table.md", markdown(rows, preset, published))
    write_text(out_dir / "table.tex", as_latex([row for row in rows if "error" not in row], preset, published))
    write_text(out_dir / "table.csv", as_csv(rows))


def markdown(rows: list[Row], preset: str, published: Published | None = None) -> str:
    """Means by method, what was published, differences, means of every other preset, every scene, the failures."""
    finished = [row for row in rows if "error" not in row]
    protocols, commits, machines = (
        sorted({str(row[name]) for row in rows}) for name in ("protocol", "commit", "machine")
    )
    parts = [f"# {', '.join(protocols)}\n\nCommit {', '.join(commits)}; {'; '.join(machines)}.\n"]
    if finished:
        parts.append(mean_table(finished, preset))
    if published:
        lines = ([name, *numbers] for name, numbers in published.rows.items())
        parts.append(table(f"Published: {published.source}", ["method", *TITLES], lines))
    if finished:
        others = sorted(name for name in finished[0]["scores"] if name != preset)
        parts += [difference_table(finished, preset), *(mean_table(finished, name) for name in others)]
        parts.append(scene_table(finished, preset))
    failed = [f"* {label(row)}, {row['scene']}: {row['error']}\n" for row in rows if "error" in row]
    parts.append("".join(["## Failed\n\n", *failed]) if failed else "")
    return "\n".join(part for part in parts if part)


def mean_table(rows: list[Row], preset: str) -> str:
    """One line a method: scores averaged over its scenes with their spread, and what they cost."""
    lines = []
    for found in summarise(rows, preset):
        means = [found.scores[key].shown(column.digits) for key, column in COLUMNS.items()]
        lines.append([found.name, str(found.scenes), *means, *found.costs])
    title = f"Mean ± standard deviation over scenes, preset `{preset}`"
    return table(title, ["method", "scenes", *TITLES, *COSTS], lines)


def difference_table(rows: list[Row], preset: str) -> str:
    """One line a method that the first is compared with; nothing where there is no other."""
    lines = []
    for other, (scenes, differences) in paired_differences(rows, preset).items():
        pairs = [(differences[key], column.digits) for key, column in COLUMNS.items()]
        cells = [cell for found, digits in pairs for cell in (found.mean.shown(digits, "+"), f"{found.p:.2g}")]
        lines.append([other, str(scenes), *cells])
    title = (
        f"Paired differences, preset `{preset}`\n\n"
        f"{label(rows[0])} minus each other method, scene by scene: mean ± standard deviation, and p of Wilcoxon's\n"
        "signed-rank test, exact and two-sided."
    )
    return (
        table(title, ["minus", "scenes", *(name for score in TITLES for name in (score, "p"))], lines) if lines else ""
    )


def scene_table(rows: list[Row], preset: str) -> str:
    """One line a scene and method."""
    lines = []
    for row in rows:
        scores = [f"{row['scores'][preset][key]:.{column.digits}f}" for key, column in COLUMNS.items()]
        lines.append([row["scene"], label(row), *scores, f"{row['seconds']:.2f}"])
    return table(f"Every scene, preset `{preset}`", ["scene", "method", *TITLES, "s"], lines)


def table(title: str, head: list[str], lines: Iterable[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join([f"## {title}\n", *("| " + " | ".join(line) + " |" for line in cells)]) + "\n"


def as_csv(rows: list[Row]) -> str:
    """One line a row and preset, every number unrounded; a failed row still has its line."""
    flat = [
        {**{name: value for name, value in row.items() if name != "scores"}, "preset": preset, **scores}
        for row in rows
        for preset, scores in row.get("scores", {"": {}}).items()
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in flat for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()
