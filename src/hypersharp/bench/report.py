"""Tables of benchmark rows: table.md to read (means, differences, every scene), .tex to print, .csv to compute with."""

import csv
import io
from pathlib import Path
from typing import Any

from hypersharp.bench.latex import as_latex
from hypersharp.bench.summary import COLUMNS, COSTS, label, paired_differences, summarise
from hypersharp.bench.tables import Published
from hypersharp.io.together import write_text
from hypersharp.system.atomic import make_folder

Row = dict[str, Any]
TITLES = [column.title for column in COLUMNS.values()]


def write_report(rows: list[Row], preset: str, out_dir: Path, published: Published | None = None) -> None:
    """table.md, table.tex and table.csv in out_dir, each whole or not at all.

    Raises: OutputError where the folder cannot be written.
    """
    make_folder(out_dir)
    write_text(out_dir / "table.md", markdown(rows, preset, published))
    write_text(out_dir / "table.tex", as_latex(finished_rows(rows), preset, published))
    write_text(out_dir / "table.csv", as_csv(rows))


def markdown(rows: list[Row], preset: str, published: Published | None = None) -> str:
    """Means by method, what was published, differences, means of every other preset, every scene, the failures."""
    finished = finished_rows(rows)
    parts = [heading(rows)]
    if finished:
        parts.append(mean_table(finished, preset))
    if published:
        parts.append(published_table(published))
    if finished:
        others = sorted(name for name in finished[0]["scores"] if name != preset)
        parts.append(difference_table(finished, preset))
        parts += [mean_table(finished, name) for name in others]
        parts.append(scene_table(finished, preset))
    return "\n".join(part for part in [*parts, failures(rows)] if part)


def finished_rows(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "error" not in row]


def heading(rows: list[Row]) -> str:
    """Protocol, machine and commit, which a number is worth nothing without."""
    facts = {name: sorted({str(row[name]) for row in rows}) for name in ("protocol", "commit", "machine")}
    return f"# {', '.join(facts['protocol'])}\n\nCommit {', '.join(facts['commit'])}; {'; '.join(facts['machine'])}.\n"


def mean_table(rows: list[Row], preset: str) -> str:
    """One line a method: scores averaged over its scenes with their spread, and what they cost."""
    lines = [
        f"## Mean ± standard deviation over scenes, preset `{preset}`\n",
        *table_head(["method", "scenes", *TITLES, *COSTS]),
    ]
    for found in summarise(rows, preset):
        means = [found.scores[key].shown(column.digits) for key, column in COLUMNS.items()]
        lines.append(markdown_line([found.name, str(found.scenes), *means, *found.costs]))
    return "\n".join(lines) + "\n"


def published_table(published: Published) -> str:
    """What the source printed, digit for digit."""
    lines = [f"## Published: {published.source}\n", *table_head(["method", *TITLES])]
    lines += [markdown_line([name, *numbers]) for name, numbers in published.rows.items()]
    return "\n".join(lines) + "\n"


def difference_table(rows: list[Row], preset: str) -> str:
    """One line a method that the first is compared with; nothing where there is no other."""
    found = paired_differences(rows, preset)
    if not found:
        return ""
    lines = [
        f"## Paired differences, preset `{preset}`\n",
        f"{label(rows[0])} minus each other method, scene by scene: mean ± standard deviation, and p of Wilcoxon's\n"
        "signed-rank test, exact and two-sided.\n",
        *table_head(["minus", "scenes", *(name for title in TITLES for name in (title, "p"))]),
    ]
    for other, (scenes, differences) in found.items():
        cells = [
            cell
            for key, column in COLUMNS.items()
            for cell in (differences[key].mean.shown(column.digits, "+"), f"{differences[key].p:.2g}")
        ]
        lines.append(markdown_line([other, str(scenes), *cells]))
    return "\n".join(lines) + "\n"


def scene_table(rows: list[Row], preset: str) -> str:
    """One line a scene and method."""
    lines = [f"## Every scene, preset `{preset}`\n", *table_head(["scene", "method", *TITLES, "s"])]
    for row in rows:
        scores = [f"{row['scores'][preset][key]:.{column.digits}f}" for key, column in COLUMNS.items()]
        lines.append(markdown_line([row["scene"], label(row), *scores, f"{row['seconds']:.2f}"]))
    return "\n".join(lines) + "\n"


def failures(rows: list[Row]) -> str:
    """What failed and why; nothing where all went well."""
    lines = [f"* {label(row)}, {row['scene']}: {row['error']}" for row in rows if "error" in row]
    return "\n".join(["## Failed\n", *lines]) + "\n" if lines else ""


def table_head(titles: list[str]) -> list[str]:
    return [markdown_line(titles), markdown_line(["---"] * len(titles))]


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
