"""Tables of benchmark rows: table.md to read (means, differences, every scene), .tex to print, .csv to compute with.

Spread is the standard deviation over scenes (n - 1). Differences are taken scene by scene and tested by
Wilcoxon's signed-rank test (Wilcoxon 1945, Biometrics Bulletin 1(6)), exact and two-sided.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from hypersharp.bench.tables import Published
from hypersharp.io.together import write_text
from hypersharp.system.atomic import make_folder

Row = dict[str, Any]


class Column(NamedTuple):
    """How a score is shown, and which of two values is the better one."""

    title: str
    digits: int
    best: Callable[[Iterable[float]], float]


COLUMNS = {
    "psnr_db": Column("PSNR (dB)", 2, max),
    "ssim": Column("SSIM", 4, max),
    "sam_deg": Column("SAM (°)", 2, min),
    "ergas": Column("ERGAS", 3, min),
}
COSTS = ("s a scene", "of processors", "peak MB", "parameters (M)", "GFLOP a scene", "PFLOP of training")


class Mean(NamedTuple):
    """A mean over scenes and its standard deviation; one scene has none."""

    value: float
    spread: float | None

    def shown(self, digits: int, sign: str = "") -> str:
        """Both as text.

        >>> Mean(1.234, 0.5).shown(2), Mean(1.234, None).shown(1, sign="+")
        ('1.23 ± 0.50', '+1.2')
        """
        spread = "" if self.spread is None else f" ± {self.spread:.{digits}f}"
        return f"{self.value:{sign}.{digits}f}{spread}"


class Summary(NamedTuple):
    """A method over its scenes: scores, and as text in the order and units of COSTS what a scene costs."""

    name: str
    scenes: int
    scores: dict[str, Mean]
    costs: tuple[str, ...]


def summarise(rows: list[Row], preset: str) -> list[Summary]:
    """One a method, in the order of the rows, none of which has failed."""
    summaries = []
    for name, group in by_method(rows).items():
        flops = [row["flops"] for row in group if row.get("flops") is not None]
        parameters = group[0]["parameters"]
        costs = (
            f"{fmean(row['seconds'] for row in group):.2f}",
            f"{fmean(used):.2f}" if (used := [row["cpu_seconds"] for row in group if "cpu_seconds" in row]) else "-",
            f"{max(row['peak_mb'] for row in group):.0f}",
            f"{parameters / 1e6:.3f}" if parameters else "-",
            f"{fmean(flops) / 1e9:.1f}" if flops else "-",
            f"{trained:.3g}" if (trained := group[0].get("training_pflop")) else "-",
        )
        scores = {key: over_scenes([row["scores"][preset][key] for row in group]) for key in COLUMNS}
        summaries.append(Summary(name, len(group), scores, costs))
    return summaries


def over_scenes(values: Sequence[float]) -> Mean:
    """Mean and standard deviation.

    >>> over_scenes([1.0, 2.0, 3.0])
    Mean(value=2.0, spread=1.0)
    """
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None)


def paired_differences(rows: list[Row], preset: str) -> dict[str, tuple[int, dict[str, tuple[Mean, float]]]]:
    """Other method -> number of scenes in common, and by score the first method minus the other, and p."""
    groups = {name: {row["scene"]: row["scores"][preset] for row in group} for name, group in by_method(rows).items()}
    first, *others = groups
    found = {}
    for other in others:
        pairs = [(scores, groups[other][scene]) for scene, scores in groups[first].items() if scene in groups[other]]
        if pairs:
            found[other] = (len(pairs), {key: difference([a[key] - b[key] for a, b in pairs]) for key in COLUMNS})
    return found


def difference(values: Sequence[float]) -> tuple[Mean, float]:
    """Mean, spread and p of paired differences.

    >>> difference([0.5, 1.0, 1.5, 2.0])[1]
    0.125
    """
    from scipy.stats import wilcoxon

    p = float(wilcoxon(values, method="exact").pvalue) if any(values) else 1.0
    return over_scenes(values), p


def by_method(rows: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label(row), []).append(row)
    return groups


def label(row: Row) -> str:
    """The method, its weights and its mode where they are not the usual ones."""
    weights = row.get("weights_used") or row.get("weights")
    extras = [Path(weights).stem] if weights else []
    extras += [row["mode"]] if row.get("mode", "whole") != "whole" else []
    return str(row["method"]) + (f" ({', '.join(extras)})" if extras else "")


TITLES = [column.title for column in COLUMNS.values()]


def write_report(rows: list[Row], preset: str, out_dir: Path, published: Published | None = None) -> None:
    """table.md, table.tex and table.csv in out_dir, each whole or not at all. Raises: OutputError.

    The .csv has a line a row and preset, every number unrounded; a failed row still has its line.
    """
    make_folder(out_dir)
    write_text(out_dir / "table.md", markdown(rows, preset, published))
    write_text(out_dir / "table.tex", as_latex([row for row in rows if "error" not in row], preset, published))
    flat = [
        {**{name: value for name, value in row.items() if name != "scores"}, "preset": name_of, **scores}
        for row in rows
        for name_of, scores in row.get("scores", {"": {}}).items()
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in flat for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_text(out_dir / "table.csv", text.getvalue())


def markdown(rows: list[Row], preset: str, published: Published | None = None) -> str:
    """Means by method, what was published, differences, means of every other preset, every scene, the failures."""
    finished = [row for row in rows if "error" not in row]
    parts = [f"# {', '.join(sorted({row['protocol'] for row in rows}))}\n"]
    if finished:
        parts.append(mean_table(finished, preset))
    if published:
        printed = ([name, *numbers] for name, numbers in published.rows.items())
        parts.append(table(f"Published: {published.source}", ["method", *TITLES], printed))
    if finished:
        others = sorted(name for name in finished[0]["scores"] if name != preset)
        lines = []
        for other, (scenes, differences) in paired_differences(finished, preset).items():
            pairs = [(differences[key], column.digits) for key, column in COLUMNS.items()]
            cells = [cell for (mean, p), digits in pairs for cell in (mean.shown(digits, "+"), f"{p:.2g}")]
            lines.append([other, str(scenes), *cells])
        title = (
            f"Paired differences, preset `{preset}`\n\n"
            f"{label(finished[0])} minus each other method, scene by scene: mean ± standard deviation, and p of "
            "Wilcoxon's\nsigned-rank test, exact and two-sided."
        )
        heading = ["minus", "scenes", *(name for score in TITLES for name in (score, "p"))]
        parts += [table(title, heading, lines)] if lines else []
        parts += [mean_table(finished, name) for name in others]
        lines = []
        for row in finished:
            scores = [f"{row['scores'][preset][key]:.{column.digits}f}" for key, column in COLUMNS.items()]
            lines.append([row["scene"], label(row), *scores, f"{row['seconds']:.2f}"])
        parts.append(table(f"Every scene, preset `{preset}`", ["scene", "method", *TITLES, "s"], lines))
    failed = [f"* {label(row)}, {row['scene']}: {row['error']}\n" for row in rows if "error" in row]
    parts.append("".join(["## Failed\n\n", *failed]) if failed else "")
    return "\n".join(part for part in parts if part)


def mean_table(rows: list[Row], preset: str) -> str:
    """One line a method: scores averaged over its scenes with their spread, what they cost, and what made them."""
    lines, groups = [], by_method(rows)
    for found in summarise(rows, preset):
        means = [found.scores[key].shown(column.digits) for key, column in COLUMNS.items()]
        made = (", ".join(sorted({row[key] for row in groups[found.name]})) for key in ("commit", "machine"))
        lines.append([found.name, str(found.scenes), *means, *found.costs, *made])
    title = f"Mean ± standard deviation over scenes, preset `{preset}`"
    return table(title, ["method", "scenes", *TITLES, *COSTS, "commit", "machine"], lines)


def table(title: str, head: list[str], lines: Iterable[list[str]]) -> str:
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join([f"## {title}\n", *("| " + " | ".join(line) + " |" for line in cells)]) + "\n"


ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "°": r"$^\circ$"}
)
LATEX_COSTS = ("Time (s)", "Processor time (s)", "Memory (MB)", "Parameters (M)", "GFLOP", "Training (PFLOP)")


def as_latex(rows: list[Row], preset: str, published: Published | None = None) -> str:
    """A tabular of finished rows: mean and standard deviation over scenes by `preset`."""
    summaries = summarise(rows, preset)
    titles = ["Method", *TITLES, *LATEX_COSTS]
    lines = []
    for summary in summaries:
        scores = []
        for key, column in COLUMNS.items():
            mean = summary.scores[key]
            value = f"{mean.value:.{column.digits}f}"
            if mean.value == column.best(other.scores[key].value for other in summaries):
                value = rf"\mathbf{{{value}}}"
            scores.append(f"${value}$" if mean.spread is None else rf"${value} \pm {mean.spread:.{column.digits}f}$")
        lines.append(line([escape(summary.name), *scores, *map(escape, summary.costs)]))
    parts = [[line(map(escape, titles))], lines]
    if published:
        source = rf"\multicolumn{{{len(titles)}}}{{l}}{{Published: {escape(published.source)}}} \\"
        empty = [""] * len(LATEX_COSTS)
        parts.append([source, *(line([escape(name), *row, *empty]) for name, row in published.rows.items())])
    body = "\n\\midrule\n".join("\n".join(part) for part in parts if part)
    return (
        f"% preset {preset}; mean and standard deviation over scenes; needs \\usepackage{{booktabs}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape(text: str) -> str:
    r"""Text with what LaTeX would take for its own made harmless.

    >>> print(escape("50 % of a_b (°)"))
    50 \% of a\_b ($^\circ$)
    """
    return text.translate(ESCAPED)
