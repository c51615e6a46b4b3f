"""A batch from its first pair to its page: every pair once, whatever becomes of the others, and never twice.

What was made of a pair lies as a row in `OUT/.batch`, with a digest of its files and options, and what its result looks
like on disk: a batch that is repeated makes what is missing or has changed. The page has a line and three small
pictures for each pair, in one file without network or script.
"""

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import xarray as xr

from hypersharp.batch.pairs import PairFiles
from hypersharp.batch.sensors import GIVEN, OWN
from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.describe import counted
from hypersharp.errors import HypersharpError, Stopped
from hypersharp.io import check_apart, check_output
from hypersharp.io.format import ENVI, header_of
from hypersharp.io.image import Image
from hypersharp.io.together import write_text
from hypersharp.pair.record import Record
from hypersharp.reporting.build import fill
from hypersharp.reporting.charts import composites
from hypersharp.system.atomic import make_folder
from hypersharp.system.build_info import machine, release

STATES, SUMMARY = ".batch", "summary.csv"
SIDE_PX = 240  # of a picture, at most about
SHOWN = ("name", "status", "method", "ratio", "size", "residual", "sensors", "seconds", "warnings", "error")
Sharpen = Callable[[PairFiles, Path], tuple[str, Mapping[str, xr.DataArray]]]


@dataclass(frozen=True)
class Row:
    """What became of a pair.

    Attributes:
        status: "done" or "failed".
        method: what ran, of `auto` what it took.
        residual: the share by which HS and MS differ under the sensor; None where none was asked for.
        sensors: the name of those it shares with others, GIVEN, OWN, or empty where none was needed.
        seconds: for all of it.
        pictures: HS, MS and result as data for a page.
    """

    name: str
    status: str
    hs: str
    ms: str
    out: str
    method: str = ""
    ratio: int | None = None
    size: str = ""
    residual: float | None = None
    sensors: str = ""
    seconds: float = 0.0
    warnings: Sequence[str] = ()
    error: str = ""
    pictures: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def told(self, *, kept: bool) -> str:
        """What a person is told of it; `kept` from an earlier run."""
        if self.status == "failed":
            return f"failed: {self.error}"
        residual = "" if self.residual is None else f", hs and ms differ by {self.residual:.1%}"
        warned = f", {len(self.warnings)} warned of" if self.warnings else ""
        return f"{self.method}, {self.size}{residual}{warned}, {'kept' if kept else f'{self.seconds:.1f} s'}"


@dataclass(frozen=True)
class Batch:
    """The pairs, where their results go and how they are made.

    `call`: all that changes a result but the files, JSON-able. `sharpen`: writes the result of a pair to a path and
    gives the name of its sensors, and "result", "hs" and "ms" (or parts of them). `pictured`: whether a page is to show
    them. `redo`: whether what was made before is made again.
    """

    pairs: Sequence[PairFiles]
    out: Path
    suffix: str
    call: Mapping[str, Any]
    sharpen: Sharpen
    pictured: bool = True
    redo: bool = False

    def target(self, pair: PairFiles) -> Path:
        return self.out / f"{pair.name}.{self.suffix}"

    def check(self) -> None:
        """Raise now what would be wrong after hours: an output that replaces an image that is read, a full path."""
        make_folder(self.out)
        targets = [self.target(pair) for pair in self.pairs]
        for target in targets:
            check_output(target)
        check_apart(targets, [file for pair in self.pairs for file in pair.files])

    def rows(self) -> Iterator[tuple[Row, bool]]:
        """What became of each pair, and whether it had been made before; the summary has all up to that one."""
        rows = list[Row]()
        for pair in self.pairs:
            digest, state, before = self.digest(pair), self.out / STATES / f"{pair.name}.json", None
            with suppress(OSError, ValueError, TypeError, KeyError):
                known = json.loads(state.read_text(encoding="utf-8"))
                if known["digest"] == digest and known["made"] == made(self.target(pair)) and not self.redo:
                    before = Row(**known["row"])
            rows.append(before or self.make(pair))
            if before is None and rows[-1].status == "done":
                make_folder(state.parent)
                facts = {"digest": digest, "made": made(self.target(pair)), "row": asdict(rows[-1])}
                write_text(state, json.dumps(facts))
            write_summary(rows, self.out / SUMMARY)
            yield rows[-1], before is not None

    def digest(self, pair: PairFiles) -> str:
        """Of the files of a pair as they stand now, and of what is done with them."""
        files = list[Any](pair.files)
        for number, file in enumerate(pair.files):
            with suppress(OSError):  # one that is not there
                files[number] = file and Image(file).stamp()
        facts = [files, pair.sensors, self.call, self.suffix]
        return sha256(json.dumps(facts, default=str).encode()).hexdigest()

    def make(self, pair: PairFiles) -> Row:
        """Sharpen a pair; what ends it is told in its row, but for the user's own wish to stop."""
        started, target = time.perf_counter(), self.target(pair)
        row = Row(pair.name, "failed", str(pair.hs), str(pair.ms), str(target))
        try:
            sensors, cubes = self.sharpen(pair, target)
            record = Record.of(cubes["result"])
            (bands, *_), (_, height, width) = (record.inputs[name]["shape"] for name in ("hs", "ms"))
            return replace(
                row,
                status="done",
                method=taken(record),
                ratio=record.placement["ratio"],
                size=f"{width} x {height}, {bands} bands",
                residual=None if record.sensor is None else record.sensor["residual"],
                sensors=sensors,
                seconds=round(time.perf_counter() - started, 2),
                warnings=list(record.warnings),
                pictures=pictures_of(cubes) if self.pictured else (),
            )
        except (KeyboardInterrupt, Stopped):
            raise
        except Exception as error:  # the next pair has nothing to do with it
            told = str(error) if isinstance(error, HypersharpError) else f"{type(error).__name__}: {error}"
            seconds = round(time.perf_counter() - started, 2)
            return replace(row, seconds=seconds, error=" ".join(told.split()))


def made(target: Path) -> list[list[Any]]:
    """The files of a result, their size and when each was written; ENVI's header is one, what others add is none.

    Raises: OSError where there is none.
    """
    files = sorted(target.rglob("*")) if target.is_dir() else [target]
    header = header_of(target) if target.suffix.lower() in ENVI.suffixes else None
    found = [(file, file.stat()) for file in (*files, *([header] if header else []))]
    return [[file.name, one.st_size, one.st_mtime_ns] for file, one in found if not file.is_dir()]


def taken(record: Record) -> str:
    """The method that ran, and those of a blend by their share."""
    shares = record.choice["shares"]
    named = (f"{share:.0%} {name}" for name, share in shares.items())
    words = next(iter(shares)) if len(shares) == 1 else " + ".join(named)
    return words if record.method == words else f"{record.method}: {words}"


def write_summary(rows: Sequence[Row], path: Path) -> Path:
    """A CSV file, a line for each pair; several warnings of one are separated by " | "."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [*SHOWN, "hs", "ms", "out"]
    table.writerow(names)
    for row in rows:
        facts = asdict(row) | {"warnings": " | ".join(row.warnings)}
        table.writerow("" if facts[name] is None else facts[name] for name in names)
    return write_text(path, text.getvalue())


def pictures_of(cubes: Mapping[str, xr.DataArray]) -> list[dict[str, Any]]:
    """HS, MS and result in true colour, about SIDE_PX a side; HS and result share one stretch."""
    small = {}
    for name in ("hs", "ms", "result"):
        step = max(1, max(cubes[name].shape[1:]) // SIDE_PX)
        small[name] = cubes[name][:, ::step, ::step]
    made = composites(small, wavelengths_nm(only_usable(small["ms"], "ms")))
    return [{"uri": picture.uri, "alt": picture.alt, "title": picture.title} for picture in made]


def told_of_sensors(rows: Sequence[Row]) -> tuple[str, str]:
    """How many shared estimates of sensors there are, and how many pairs that were done had which sensor."""
    counts = Counter(row.sensors for row in rows if row.status == "done")
    others = {OWN: "with its own", GIVEN: "as given", "": "without, for none was needed"}
    shared = {name: count for name, count in counts.items() if name not in others}
    words = [f"shared by {counted(sum(shared.values()), 'pair')}" if shared else "shared"]
    words += [f"{counted(counts[name], 'pair')} {word}" for name, word in others.items() if counts[name]]
    return f"{len(shared):,}" if shared else "none", "; ".join(words)


def write_page(rows: Sequence[Row], path: Path, command: str) -> Path:
    """Write the page of all pairs, those that failed first. Raises: OutputError."""
    failed = [row for row in rows if row.status == "failed"]
    keys = [
        ("Pairs", f"{len(rows):,}", f"{len(failed)} failed" if failed else "none failed"),
        ("Sensors", *told_of_sensors(rows)),
        ("Time", f"{sum(row.seconds for row in rows):.0f} s", f"in all, {machine()}"),
        ("Version", release(), "of hypersharp"),
    ]
    links = {row.name: os.path.relpath(row.out, path.parent) for row in rows}
    rows = sorted(rows, key=lambda row: row.status != "failed")
    return write_text(path, fill("batch.html.j2", rows=rows, keys=keys, failed=failed, links=links, command=command))
