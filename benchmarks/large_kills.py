"""Kills runs of `hypersharp fuse` in tiles, resumes them, and compares checksums with a run that was left alone.

    python benchmarks/large_kills.py DATA -o DIR [--side 1024] [--process 5] [--worker 3]

The scene is that of large_scene.py. The process and all it started are killed (SIGKILL) at random moments and the call
repeated with --resume; then single workers of a run are killed, each after another tile is made. Prints one line each.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from large_scene import JasperRidge, family, make_pair

WORDS = ["--method", "gsa", "--no-consistent", "--workers", "2", "--memory", "2.4GB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with jasper_ridge/")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--process", type=int, default=5)
    parser.add_argument("--worker", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    moments = random.Random(0)
    scene = JasperRidge(arguments.data / "jasper_ridge" / "jasperRidge2_R198.mat")
    pair = make_pair(scene, arguments.side, arguments.out)
    sharp = arguments.out / "sharp.tif"
    started = time.monotonic()
    finish(start(pair, sharp))
    seconds, expected = time.monotonic() - started, checksum(sharp)
    print(f"left alone: {seconds:.1f} s, {expected[:16]}", flush=True)
    for _ in range(arguments.process):
        sharp.unlink()
        after = moments.uniform(0.1, 0.95) * seconds
        run = start(pair, sharp)
        time.sleep(after)
        kill_all(run)
        kept = tiles_made(sharp)
        there = sharp.exists()
        if not there:
            finish(start(pair, sharp, "--resume"))
        same = checksum(sharp) == expected
        print(f"killed after {after:.1f} s, {kept} tiles kept, result there: {there}; resumed: same {same}", flush=True)
    sharp.unlink()
    run = start(pair, sharp)
    for made in range(1, arguments.worker + 1):
        await_tiles(sharp, made)
        print(f"worker killed after {made} tiles or more: {kill_worker(run)}", flush=True)
    finish(run)
    print("same:", checksum(sharp) == expected)


def start(pair: tuple[Path, Path], sharp: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "hypersharp", "fuse", str(pair[0]), str(pair[1]), "-o", str(sharp), *WORDS, *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def finish(run: "subprocess.Popen[bytes]") -> None:
    if run.wait():
        raise SystemExit(f"the run ended with {run.returncode}")


def tiles_made(sharp: Path) -> int:
    return len(list((sharp.parent / f".{sharp.name}.tiles").glob("*.npy")))


def await_tiles(sharp: Path, count: int) -> None:
    while tiles_made(sharp) < count:
        time.sleep(0.05)


def kill_all(run: "subprocess.Popen[bytes]") -> None:
    """End the process and its children at once."""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def kill_worker(run: "subprocess.Popen[bytes]") -> bool:
    """End one of the processes that make tiles."""
    for process in family(run.pid):
        try:
            if process.pid != run.pid and "spawn_main" in " ".join(process.cmdline()):
                process.kill()
                return True
        except psutil.Error:
            continue
    return False


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
