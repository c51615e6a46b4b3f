"""The table of means in LaTeX, for the booktabs package: ours with the best in bold, then what was published."""

from collections.abc import Iterable

from hypersharp.bench.summary import COLUMNS, Row, Summary, summarise
from hypersharp.bench.tables import Published

ESCAPED = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "°": r"$^\circ$"}
)
COSTS = ("Time (s)", "Memory (MB)", "Parameters (M)", "GFLOP")


def as_latex(rows: list[Row], preset: str, published: Published | None = None) -> str:
    """A tabular of finished rows: mean and standard deviation over scenes by `preset`."""
    summaries = summarise(rows, preset)
    titles = ["Method", *(column.title for column in COLUMNS.values()), *COSTS]
    parts = [[line(map(escape, titles))], [method_line(summary, summaries) for summary in summaries]]
    if published:
        source = rf"\multicolumn{{{len(titles)}}}{{l}}{{Published: {escape(published.source)}}} \\"
        empty = [""] * len(COSTS)
        parts.append([source, *(line([escape(name), *row, *empty]) for name, row in published.rows.items())])
    body = "\n\\midrule\n".join("\n".join(part) for part in parts if part)
    return (
        f"% preset {preset}; mean and standard deviation over scenes; needs \\usepackage{{booktabs}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def method_line(summary: Summary, among: list[Summary]) -> str:
    scores = []
    for key, column in COLUMNS.items():
        mean = summary.scores[key]
        value = f"{mean.value:.{column.digits}f}"
        if mean.value == column.best(other.scores[key].value for other in among):
            value = rf"\mathbf{{{value}}}"
        scores.append(f"${value}$" if mean.spread is None else rf"${value} \pm {mean.spread:.{column.digits}f}$")
    return line([escape(summary.name), *scores, *map(escape, summary.costs)])


def line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape(text: str) -> str:
    r"""Text with what LaTeX would take for its own made harmless.

    >>> print(escape("50 % of a_b (°)"))
    50 \% of a\_b ($^\circ$)
    """
    return text.translate(ESCAPED)
