"""`python -m tests.fuzz.races`: pairs of runs into one output that meet, one line each; ends with 1 where one is wrong.

The second begins at a random moment while the first holds its lock, in every third pair at the same time. Both were
loaded before, so that a pair meets whatever the machine does beside.
"""

import argparse
import multiprocessing as mp
import os
import random
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from hypersharp.cube import make_cube
from hypersharp.io import open_cube, save_cube
from hypersharp.system.build_info import commit, machine
from hypersharp.system.lock import FILE
from hypersharp.tiles.store import folder_for

SIDE, BANDS, RATIO = 256, 8, 4
WORDS = ("--method", "gsa", "--memory", "1410MB", "--workers", "1", "--coregister", "none")  # nine tiles or so
FORKED = mp.get_context("forkserver")
Run = tuple[BaseProcess, Event, Path]


def command(words: list[str], log: Path, begin: Event) -> None:
    """The command line, in a process that has loaded it, once it may begin."""
    from hypersharp.cli.app import main

    with log.open("w") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    begin.wait()
    main(words)


def started(folder: Path, hs: str, out: str) -> Run:
    """A run of one of the two images, ready to begin, and where it writes what it says."""
    begin, log = FORKED.Event(), folder / f"{hs}-{time.monotonic_ns()}.log"
    words = ["fuse", str(folder / f"{hs}.tif"), str(folder / "ms.tif"), "-o", str(folder / out), *WORDS]
    process = FORKED.Process(target=command, args=(words, log, begin))
    process.start()
    return process, begin, log


def alone(folder: Path, hs: str) -> float:
    """Seconds for which a run that nobody meets holds its lock; its result is kept for comparison."""
    process, begin, _ = started(folder, hs, f"alone-{hs}.tif")
    begin.set()
    await_lock(folder / f"alone-{hs}.tif", process)
    since = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - since


def await_lock(out: Path, process: BaseProcess) -> None:
    """Wait until a run into that output has its lock."""
    lock = folder_for(out) / FILE
    while process.is_alive() and not lock.exists():
        time.sleep(0.001)


def met(folder: Path, after_s: float) -> tuple[bool, str, bool]:
    """Whether two runs met; what came of it; whether that is right: one result, whole, and one line of the other."""
    out = folder / "sharp.tif"
    runs = [started(folder, hs, out.name) for hs in ("one", "two")]
    (first, begin_first, _), (second, begin_second, _) = runs
    begin_first.set()
    if after_s:
        await_lock(out, first)
        time.sleep(after_s)
    begin_second.set()
    both = first.is_alive()
    first.join()
    second.join()
    codes = [process.exitcode for process, *_ in runs]
    if codes == [0, 0]:
        return False, f"{after_s:5.2f} s: the first had ended", is_whole(folder, out, "two")
    said = [log.read_text().strip().splitlines() for _, _, log in runs]
    lost = 0 if codes[0] else 1
    winner = ("one", "two")[1 - lost]
    errors = [line for line in said[lost] if line.startswith("error")]
    line = errors[0] if errors else "nothing"
    right = both and sorted(codes) == [0, 2] and said[lost][-1:] == errors and "another run that writes" in line
    words = (
        f"{after_s:5.2f} s: exit {codes[0]} and {codes[1]}; the result is of run {winner}; the other said {line[:40]}"
    )
    return both, words, right and is_whole(folder, out, winner)


def is_whole(folder: Path, out: Path, of: str) -> bool:
    """Whether an output is, to the bit, that of a run alone, and nothing else is left beside it."""
    made = open_cube(out).values
    out.unlink()
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return not left and np.array_equal(made, open_cube(folder / f"alone-{of}.tif").values)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.races", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10, help="that meet")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    FORKED.set_forkserver_preload(["hypersharp.cli.app", "hypersharp.cli.large", "hypersharp.tiles.run", "rasterio"])
    values, moments = np.random.default_rng(0).random((BANDS, SIDE, SIDE)), random.Random(chosen.seed)
    coarse = values.reshape(BANDS, SIDE // RATIO, RATIO, SIDE // RATIO, RATIO).mean((2, 4))
    ended = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_cube(make_cube(coarse.astype("f4")), folder / "one.tif")
        save_cube(make_cube(2 * coarse[::-1].astype("f4")), folder / "two.tif")
        save_cube(make_cube(values[::3].astype("f4")), folder / "ms.tif")
        held_s = min(alone(folder, hs) for hs in ("one", "two"))
        print(f"a run alone holds its lock for {held_s:.2f} s", flush=True)  # noqa: T201
        for number in range(3 * chosen.pairs):
            both, said, right = met(folder, 0.0 if number % 3 == 2 else moments.uniform(0.01, 0.95) * held_s)
            ended.append((both, right))
            print(said, "" if right else "WRONG", flush=True)  # noqa: T201
            if sum(both for both, _ in ended) == chosen.pairs:
                break
    count = sum(both for both, _ in ended)
    wrong = sum(not right for _, right in ended)
    print(f"{count} of {len(ended)} pairs met, {wrong} wrong, {commit()}, {machine()}")  # noqa: T201
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
