"""A benchmark: methods x scenes of a protocol -> one row of JSON each, appended as soon as its scene is done.

A run that was stopped goes on where it stood: a row that is there without an error is not made again.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from hypersharp.bench.report import write_report
from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.bench.tables import Benchmark
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError, OutputError
from hypersharp.fusion.fuse import fuse
from hypersharp.methods.table import METHODS, find_method
from hypersharp.networks.checkpoint import count_parameters, load_weights
from hypersharp.networks.packaged import named_weights
from hypersharp.pair.options import Mode, Precision, choose_device
from hypersharp.pair.record import Record
from hypersharp.quality.metrics import score_by_presets
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import Protocol, find_protocol
from hypersharp.system.atomic import make_folder
from hypersharp.system.build_info import commit, machine, peak_bytes
from hypersharp.train.cost import count_operations, training_pflop

Row = dict[str, Any]
ROWS = "rows.jsonl"
CONSISTENT = "+c"  # after a method's name: its result is made consistent with hs
ENSEMBLE = "+e"  # after that: a network runs on all orientations in which the PSF stays itself


class Task(NamedTuple):
    """One row to make; `digest`, the first digits of a file's SHA-256, tells weights of one name apart."""

    protocol: str
    method: str
    scene: str
    weights: str | None
    digest: str | None
    mode: Mode
    precision: Precision


def run_bench(
    options: Benchmark, data_dir: Path, out_dir: Path, *, on_row: Callable[[int, int, Row], None] = lambda *_: None
) -> list[Row]:
    """Make the rows that are missing, write the tables of all that are there, return these options' rows.

    A method or weights that are not there fail in their own rows. `on_row(number, of, row)` reports progress.
    Raises: InputError for an unknown protocol or scene, or scenes missing in data_dir; OutputError.
    """
    protocol = find_protocol(options.protocol)
    scenes = options.scenes or protocol.test
    paths = find_scenes(protocol, data_dir, scenes)
    methods = list[tuple[str, str | None, str | None]]()
    for name, _, weights in (method.partition(":") for method in options.methods):
        digest = None
        with suppress(InputError):  # weights that are not there fail in their own rows
            digest = sha256(named_weights(weights).path.read_bytes()).hexdigest()[:8] if weights else None
        methods.append((name, weights or None, digest))
    tasks = [  # scene by scene, so that an early stop leaves whole comparisons
        Task(options.protocol, name, scene, named, digest, options.mode, options.precision)
        for scene in dict.fromkeys(scenes)
        for name, named, digest in methods
    ]
    done = {Task(*map(row.get, Task._fields)): row for row in read_rows(out_dir / ROWS) if "error" not in row}  # type: ignore[arg-type]
    for number, task in enumerate(tasks, 1):
        if task not in done:
            done[task] = make_row(task, protocol, paths[task.scene], options.device)
            append_row(out_dir / ROWS, done[task])
        on_row(number, len(tasks), done[task])
    rows = [done[task] for task in tasks]
    last = {task._replace(digest=None): row for task, row in done.items() if task.protocol == protocol.name}
    asked = {task._replace(digest=None) for task in tasks}
    others = [row for task, row in last.items() if task not in asked]  # of weights of one name, those made last
    write_report([*rows, *others], protocol.preset, out_dir, options.published)
    return rows


def parse_methods(text: str) -> tuple[str, ...]:
    """Methods separated by commas, as name or name:weights, each checked.

    Raises: InputError for an unknown method or weights, CallError for weights of a method that has no network.

    >>> parse_methods("bicubic, ssjcn:ssjcn-dian-x4-t1")
    ('bicubic', 'ssjcn:ssjcn-dian-x4-t1')
    """
    methods = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for name, _, weights in (method.partition(":") for method in methods):
        if weights and not find_method(bare(name)).is_network:
            raise CallError(f"weights '{weights}' for {name}", "a method with a network", f"write {name} alone")
        check_names(name, weights)
    return methods


def with_weights(methods: tuple[str, ...], weights: str | None) -> tuple[str, ...]:
    """The same methods, with `weights` for each network that names none."""
    if not weights:
        return methods
    named_weights(weights)
    networks = [name for name, method in METHODS.items() if method.is_network]
    return tuple(f"{method}:{weights}" if bare(method) in networks else method for method in methods)


def bare(method: str) -> str:
    """The method's own name, without CONSISTENT and ENSEMBLE."""
    return method.removesuffix(ENSEMBLE).removesuffix(CONSISTENT)


def check_names(method: str, weights: str | None) -> None:
    """Raise an InputError for a method or weights that are not there."""
    find_method(bare(method))
    if weights:
        named_weights(weights)


def make_row(task: Task, protocol: Protocol, path: Path, device: str) -> Row:
    """Simulate, fuse, score; a failure of the method becomes the row's `error`, not the run's end."""
    chosen = choose_device(device)
    where = machine() if chosen.type != "cuda" else f"{machine()}, {torch.cuda.get_device_name(chosen)}"
    row = {**task._asdict(), "commit": commit(), "machine": where}
    try:
        check_names(task.method, task.weights)  # before a scene is read
        hs, ms, truth = simulate_pair(load_truth(protocol, path), protocol.sensor())
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # Linux counts the peak memory from here
        started, used = time.perf_counter(), time.process_time()
        sharp = fuse_pair(task, hs, ms, protocol, device)
        seconds, cpu_seconds, peak = time.perf_counter() - started, time.process_time() - used, peak_bytes() or 0
        record = Record.of(sharp)
        weights = record.weights[0] if record.weights else None
        parameters, pflop = made_of(task.weights or weights)
        return {
            **row,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            "peak_mb": round(peak / 2**20),
            "notes": "; ".join(str(record).splitlines()),
            "weights_used": weights,
            "parameters": parameters,
            "training_pflop": pflop,
            "flops": count_flops(task._replace(scene=""), protocol, truth.shape[1:], device),
            "scores": {
                preset: scores.as_dict()
                for preset, scores in score_by_presets(sharp, truth, ratio=protocol.ratio, peak=1.0).items()
            },
        }
    except Exception as exc:  # whatever it is, the other rows are worth making
        return {**row, "error": f"{type(exc).__name__}: {exc}"}


def fuse_pair(task: Task, hs: xr.DataArray, ms: xr.DataArray, protocol: Protocol, device: str) -> xr.DataArray:
    """The task's method on a pair, exactly as its name says, given the sensor; `auto` decides for itself."""
    known: dict[str, Any] = {"psf": protocol.psf, "srf": protocol.sensor().srf, "ratio": protocol.ratio, "scale": 1.0}
    how: dict[str, Any] = {"weights": task.weights, "precision": task.precision, "device": device}
    method = task.method.removesuffix(ENSEMBLE)
    consistent = None if method == "auto" else method.endswith(CONSISTENT)
    how["ensemble"] = method != task.method
    how["mode"] = task.mode if find_method(bare(method)).is_network else "whole"
    return fuse(hs, ms, method=bare(method), consistent=consistent, **known, **how)


@cache
def made_of(weights: str | None) -> tuple[int, float | None]:
    """How many learnt parameters a weights file has, and what its training cost, as far as it says."""
    if weights is None:
        return 0, None
    net, header = load_weights(named_weights(weights).path)
    return count_parameters(net), training_pflop(header)


@cache
def count_flops(task: Task, protocol: Protocol, shape_yx: tuple[int, int], device: str) -> int | None:
    """Floating-point operations of a method with a network on one image, a multiply-add being 2; None without one.

    They are those of convolutions and matrix products, counted in a run of its own.
    """
    if not METHODS[bare(task.method)].is_network:
        return None
    grey = np.full((len(protocol.wavelengths_nm), *shape_yx), 0.5, np.float32)
    truth = make_cube(grey, wavelengths_nm=np.array(protocol.wavelengths_nm))
    hs, ms, _ = simulate_pair(truth, protocol.sensor())
    return count_operations(lambda: fuse_pair(task, hs, ms, protocol, device))


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, a last line that was cut off left out; none where there is no file."""
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def append_row(path: Path, row: Row) -> None:
    """One more line, on disk before the next scene starts."""
    make_folder(path.parent)
    try:
        cut_off = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        with path.open("a") as file:
            file.write("\n" * cut_off + json.dumps(row) + "\n")
    except OSError as exc:
        raise OutputError(f"{path} cannot be written ({exc.strerror})", "a writable folder", "choose another") from exc
