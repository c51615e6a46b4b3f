"""What a set of benchmark rows says: mean and spread of each method, and paired differences between methods.

Spread is the standard deviation over scenes (n - 1). Differences are taken scene by scene and tested by
Wilcoxon's signed-rank test (Wilcoxon 1945, Biometrics Bulletin 1(6)), exact and two-sided.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

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
COSTS = ("s a scene", "peak MB", "parameters (M)", "GFLOP a scene")


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


class Difference(NamedTuple):
    """The first method's score minus another's over the scenes both have, and the test's p."""

    mean: Mean
    p: float


def summarise(rows: list[Row], preset: str) -> list[Summary]:
    """One a method, in the order of the rows, none of which has failed."""
    return [summary_of(name, group, preset) for name, group in by_method(rows).items()]


def summary_of(name: str, rows: list[Row], preset: str) -> Summary:
    flops = [row["flops"] for row in rows if row.get("flops") is not None]
    parameters = rows[0]["parameters"]
    costs = (
        f"{fmean(row['seconds'] for row in rows):.2f}",
        f"{max(row['peak_mb'] for row in rows):.0f}",
        f"{parameters / 1e6:.3f}" if parameters else "-",
        f"{fmean(flops) / 1e9:.1f}" if flops else "-",
    )
    scores = {key: over_scenes([row["scores"][preset][key] for row in rows]) for key in COLUMNS}
    return Summary(name, len(rows), scores, costs)


def over_scenes(values: Sequence[float]) -> Mean:
    """Mean and standard deviation.

    >>> over_scenes([1.0, 2.0, 3.0])
    Mean(value=2.0, spread=1.0)
    """
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None)


def paired_differences(rows: list[Row], preset: str) -> dict[str, tuple[int, dict[str, Difference]]]:
    """Other method -> number of scenes in common, and by score the first method minus the other."""
    groups = {name: {row["scene"]: row["scores"][preset] for row in group} for name, group in by_method(rows).items()}
    first, *others = groups
    found = {}
    for other in others:
        pairs = [(scores, groups[other][scene]) for scene, scores in groups[first].items() if scene in groups[other]]
        if pairs:
            found[other] = (len(pairs), {key: difference([a[key] - b[key] for a, b in pairs]) for key in COLUMNS})
    return found


def difference(values: Sequence[float]) -> Difference:
    """Mean, spread and p of paired differences.

    >>> difference([0.5, 1.0, 1.5, 2.0]).p
    0.125
    """
    from scipy.stats import wilcoxon

    p = float(wilcoxon(values, method="exact").pvalue) if any(values) else 1.0
    return Difference(over_scenes(values), p)


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
