"""What a set of benchmark rows says: mean and spread of each method, and paired differences between methods.

Spread is the standard deviation over scenes (n - 1). Differences are taken scene by scene and tested by
Wilcoxon's signed-rank test (Wilcoxon 1945, Biometrics Bulletin 1(6)), exact and two-sided.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
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


@dataclass(frozen=True)
class Mean:
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


@dataclass(frozen=True)
class Summary:
    """A method over its scenes: scores, mean seconds, largest peak_mb, parameters and mean flops of its network."""

    name: str
    scenes: int
    scores: dict[str, Mean]
    seconds: float
    peak_mb: float
    parameters: int
    flops: float | None

    @property
    def costs(self) -> list[str]:
        """What a scene costs, as text in the order and units of COSTS; - where there is no network."""
        return [
            f"{self.seconds:.2f}",
            f"{self.peak_mb:.0f}",
            f"{self.parameters / 1e6:.3f}" if self.parameters else "-",
            f"{self.flops / 1e9:.1f}" if self.flops is not None else "-",
        ]


@dataclass(frozen=True)
class Difference:
    """The first method's score minus another's over the scenes both have, and the test's p."""

    mean: Mean
    p: float


def summarise(rows: list[Row], preset: str) -> list[Summary]:
    """One a method, in the order of the rows, none of which has failed."""
    return [summary_of(name, group, preset) for name, group in by_method(rows)]


def summary_of(name: str, rows: list[Row], preset: str) -> Summary:
    flops = [row["flops"] for row in rows if row.get("flops") is not None]  # rows of old have none
    return Summary(
        name=name,
        scenes=len(rows),
        scores={key: over_scenes([row["scores"][preset][key] for row in rows]) for key in COLUMNS},
        seconds=fmean(row["seconds"] for row in rows),
        peak_mb=max(row["peak_mb"] for row in rows),
        parameters=rows[0]["parameters"],
        flops=fmean(flops) if flops else None,
    )


def over_scenes(values: Sequence[float]) -> Mean:
    """Mean and standard deviation.

    >>> over_scenes([1.0, 2.0, 3.0])
    Mean(value=2.0, spread=1.0)
    """
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None)


def paired_differences(rows: list[Row], preset: str) -> dict[str, tuple[int, dict[str, Difference]]]:
    """Other method -> number of scenes in common, and by score the first method minus the other."""
    groups = {name: {row["scene"]: row["scores"][preset] for row in group} for name, group in by_method(rows)}
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


def by_method(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    labels = dict.fromkeys(label(row) for row in rows)
    return [(name, [row for row in rows if label(row) == name]) for name in labels]


def label(row: Row) -> str:
    """The method, its weights and its mode where they are not the usual ones."""
    weights = row.get("weights_used") or row.get("weights")
    extras = [Path(weights).stem] if weights else []
    extras += [row["mode"]] if row.get("mode", "whole") != "whole" else []
    return str(row["method"]) + (f" ({', '.join(extras)})" if extras else "")
