"""A benchmark: methods x scenes of a protocol -> one row of JSON each, appended as soon as its scene is done.

A run that was stopped goes on where it stood: a row that is there without an error is not made again.
"""

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import xarray as xr

from hypersharp.bench.protocols import Protocol, find_protocol, simulate_pair
from hypersharp.bench.report import write_report
from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.bench.score import score_cubes
from hypersharp.errors import HypersharpError, OutputError, unknown_name
from hypersharp.methods import METHODS, fuse
from hypersharp.methods.base import Mode, Precision
from hypersharp.methods.packaged import named_weights
from hypersharp.metrics import PRESETS
from hypersharp.nets.checkpoint import count_parameters, load_weights
from hypersharp.provenance import commit, machine
from hypersharp.whole import make_folder

Row = dict[str, Any]
ROWS = "rows.jsonl"


@dataclass(frozen=True)
class BenchOptions:
    """What is run: `methods` and `scenes` by name (no scenes: all test scenes of the protocol that are there)."""

    protocol: str
    methods: tuple[str, ...] = ("bicubic", "ssjcn")
    scenes: tuple[str, ...] = ()
    weights: str | None = None
    mode: Mode = "whole"
    device: str = "auto"
    precision: Precision = "auto"


@dataclass(frozen=True)
class Task:
    """One row to make; `digest` tells weights of one name apart."""

    protocol: str
    method: str
    scene: str
    weights: str | None
    digest: str | None
    mode: Mode
    precision: Precision


def run_bench(
    options: BenchOptions,
    data_dir: Path,
    out_dir: Path,
    *,
    on_row: Callable[[int, int, Row], None] = lambda *_: None,
) -> list[Row]:
    """Make the rows that are missing, write table.md and table.csv of all that are there, return these options' rows.

    `on_row(number, of, row)` tells a watcher how far it is.
    Raises: InputError for an unknown protocol, method or scene, or scenes missing in data_dir; OutputError.
    """
    protocol = find_protocol(options.protocol)
    tasks = list_tasks(options, options.scenes or protocol.test)
    paths = find_scenes(protocol, data_dir, {task.scene: None for task in tasks})
    done = {task_of(row): row for row in read_rows(out_dir / ROWS) if "error" not in row}
    for number, task in enumerate(tasks, 1):
        if task not in done:
            done[task] = make_row(task, protocol, paths[task.scene], options.device)
            append_row(out_dir / ROWS, done[task])
        on_row(number, len(tasks), done[task])
    write_report(
        [row for task, row in done.items() if task.protocol == protocol.name], protocol.preset, out_dir
    )
    return [done[task] for task in tasks]


def list_tasks(options: BenchOptions, scenes: tuple[str, ...]) -> list[Task]:
    """Scene by scene, so that an early stop leaves whole comparisons."""
    for name in options.methods:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    return [make_task(options, method, scene) for scene in scenes for method in options.methods]


def make_task(options: BenchOptions, method: str, scene: str) -> Task:
    """The task of one cell of methods x scenes; a method without a network has no weights."""
    weights = options.weights if "weights" in METHODS[method].needs else None
    digest = sha256(named_weights(weights).path.read_bytes()).hexdigest()[:8] if weights else None
    return Task(options.protocol, method, scene, weights, digest, options.mode, options.precision)


def task_of(row: Row) -> Task:
    return Task(**{field.name: row.get(field.name) for field in fields(Task)})  # type: ignore[arg-type]


def make_row(task: Task, protocol: Protocol, path: Path, device: str) -> Row:
    """Simulate, fuse, score; a failure of the method becomes the row's `error`, not the run's end."""
    row = {**asdict(task), "commit": commit(), "machine": machine()}
    try:
        hs, ms, truth = simulate_pair(load_truth(protocol, path), protocol.sensor())
        measured = measure(lambda: fuse_pair(task, hs, ms, protocol, device))
        sharp = measured.pop("result")
        return {
            **row,
            **measured,
            **described(task, sharp),
            "scores": all_scores(sharp, truth, protocol.ratio),
        }
    except (HypersharpError, RuntimeError, ValueError, MemoryError, ArithmeticError) as exc:
        return {**row, "error": f"{type(exc).__name__}: {exc}"}


def fuse_pair(
    task: Task, hs: xr.DataArray, ms: xr.DataArray, protocol: Protocol, device: str
) -> xr.DataArray:
    """The task's method on a pair, with the protocol's sensor given to whoever needs it."""
    return fuse(
        hs,
        ms,
        method=task.method,
        weights=task.weights,
        mode=task.mode,
        device=device,
        precision=task.precision,
        psf=protocol.psf,
        srf=protocol.sensor().srf,
        ratio=protocol.ratio,
        scale=1.0,
    )


def described(task: Task, sharp: xr.DataArray) -> Row:
    """What the method noted, and of its weights the name and the number of parameters."""
    notes = sharp.attrs["hypersharp"]
    found = re.search(r"weights (\S+):", notes)
    weights = found[1] if found else None
    return {"notes": notes, "weights_used": weights, "parameters": parameters_of(task.weights or weights)}


@cache
def parameters_of(weights: str | None) -> int:
    """The number of learnt parameters in a weights file, 0 where there is none."""
    return count_parameters(load_weights(named_weights(weights).path)[0]) if weights else 0


def all_scores(sharp: xr.DataArray, truth: xr.DataArray, ratio: int) -> dict[str, Mapping[str, Any]]:
    """Scores by every preset; the scenes of a protocol are scaled to 0..1."""
    return {
        preset: score_cubes(sharp, truth, ratio=ratio, preset=preset, peak=1.0).as_dict()
        for preset in PRESETS
    }


def measure(action: Callable[[], Any]) -> Row:
    """{result, seconds, peak_mb} of an action, wall clock; the peak is of the whole process meanwhile."""
    reset_peak_memory()
    started = time.perf_counter()
    result = action()
    return {
        "result": result,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_mb": round(peak_memory_mb()),
    }


def reset_peak_memory() -> None:
    """Let Linux count the peak anew from here; elsewhere it stays that of the process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """The largest resident memory since the last reset, in MB (2^20 bytes)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, a last line that was cut off left out; none where there is no file."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def append_row(path: Path, row: Row) -> None:
    """One more line, on disk before the next scene starts."""
    make_folder(path.parent)
    try:
        cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        with path.open("a") as file:
            file.write("\n" * cut_off + json.dumps(row) + "\n")
    except OSError as exc:
        raise OutputError(
            f"{path} cannot be written ({exc.strerror})", "a writable folder", "choose another"
        ) from exc
