"""`python -m tests.fuzz --count 20000`: damaged inputs of every kind, and how each was answered, one row a kind.

All kinds take turns, a few of each, so that a run that is stopped says something of each; `--results` keeps the counts.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # the miniatures of products

from hypersharp.cube import make_cube
from hypersharp.errors import HypersharpError
from hypersharp.io import save_cube
from hypersharp.io.guarded import CHILD
from hypersharp.system.build_info import commit, machine

from .cases import CASES, VALUES, damaged_copy, make_whole
from .visitors import Visited

SLOW_S, TURN = 10.0, 10
IN_ACCESS, IN_OPEN = 0x1, 0x20  # of inotify(7)
VISITS = ("request", "message")
Rows = dict[str, Counter[str]]


class Watch:
    """Files beside those that are opened, which nothing may read; Linux says whether anything did."""

    def __init__(self, folder: Path) -> None:
        save_cube(make_cube(VALUES), folder / "a.tif")
        shutil.copy(folder / "a.tif", folder / "a.h5")
        self.queue = -1
        if platform.system() == "Linux":
            library = ctypes.CDLL(None, use_errno=True)
            self.queue = library.inotify_init1(os.O_NONBLOCK)
            assert library.inotify_add_watch(self.queue, os.fsencode(folder), IN_ACCESS | IN_OPEN) >= 0

    def was_read(self) -> bool:
        """Whether a file was opened since this was asked last."""
        try:
            found = os.read(self.queue, 65536) if self.queue >= 0 else b""
        except BlockingIOError:
            return False
        return len(found) >= struct.calcsize("iIII")


def processor_s() -> float:
    """Seconds that this process and those it started have used."""
    used, times = time.process_time(), os.times()
    if CHILD.process is not None and CHILD.process.poll() is None:
        child = psutil.Process(CHILD.process.pid).cpu_times()
        used += child.user + child.system
    return used + times.children_user + times.children_system


def answered(do: Callable[[], object]) -> str:
    """How something damaged was answered: in a word, or what went wrong."""
    try:
        return str(do() or "opened")
    except HypersharpError as error:
        text = str(error)
        found = "ended" if "ends the process" in text else "limit" if "takes too long" in text else "refused"
        return found if "\n" not in text and len(text) < 1000 else f"FAULT long message: {text[:200]}"
    except Exception as error:
        return f"FAULT {type(error).__name__}: {str(error)[:300]}"


def one(kind: str, seed: int, folder: Path, visited: Visited | None) -> str:
    """Try the damaged input of a kind that a seed makes."""
    if visited is not None and kind in VISITS:
        return answered(lambda: getattr(visited, kind)(seed))
    place = folder / "in" / str(seed)  # a new one each time: nothing is known of it from before
    path = damaged_copy(kind, folder / "whole", place, seed)
    try:
        return answered(lambda: CASES[kind].read(path))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def table(rows: Rows, seconds: float) -> str:
    """Counts of each kind and of all."""
    total = sum(rows.values(), Counter[str]())
    lines = [(kind, row) for kind, row in rows.items() if row] + [("all", total)]
    said = (
        f"{kind:10} {row.total():6}  " + ", ".join(f"{n} {c}" for n, c in sorted(row.items())) for kind, row in lines
    )
    return "\n".join([*said, f"{seconds:.0f} s of processor time, {commit()}, {machine()}"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="damaged inputs in all")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    parser.add_argument("--kinds", default=",".join([*CASES, *VISITS]), help="of these")
    parser.add_argument("--results", type=Path, help="a JSON file that keeps the counts so far")
    chosen = parser.parse_args()
    kinds, faults, begun = chosen.kinds.split(","), list[str](), processor_s()
    rows: Rows = {kind: Counter() for kind in kinds}
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secret").mkdir()
        watch, visited = Watch(folder / "secret"), None
        for kind in kinds:
            if kind in CASES:
                make_whole(kind, folder / "whole")
        if set(VISITS) & set(kinds):
            (folder / "visited").mkdir()
            save_cube(make_cube(VALUES), folder / "visited" / "a.tif")
            visited = Visited(folder / "visited")
        most = -(-chosen.count // len(kinds))
        for start in range(0, most, TURN):
            for kind in kinds:
                for seed in range(chosen.seed + start, chosen.seed + min(start + TURN, most)):
                    before = processor_s()
                    found = one(kind, seed, folder, visited)
                    found = f"FAULT slow ({found})" if processor_s() - before > SLOW_S else found
                    found = f"FAULT another file was read ({found})" if watch.was_read() else found
                    rows[kind][found.split()[0]] += 1
                    if found.startswith("FAULT"):
                        faults.append(f"{kind} {seed}: {found}")
                        print(faults[-1], flush=True)  # noqa: T201
            if chosen.results:
                said = {"rows": rows, "faults": faults, "seconds": processor_s() - begun, "commit": commit()}
                chosen.results.write_text(json.dumps(said, indent=1))
        print(table(rows, processor_s() - begun))  # noqa: T201
        if visited is not None:
            visited.close()
        CHILD.close()
    sys.exit(bool(faults))


main()
