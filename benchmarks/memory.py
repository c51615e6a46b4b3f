"""What `keep_memory` gains: methods with glibc as it is and with freed memory kept, each in its own process.

    python benchmarks/memory.py DATA [--side 768] [--methods gsa,ssjcn]

The pair is that of large_scene.py: 60 bands at ratio 4 of a mirrored Jasper Ridge. Seconds are the shorter of two runs
after a first one; memory is the most that the process had resident.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from large_scene import JasperRidge, make_pair

from hypersharp.fusion.fuse import fuse
from hypersharp.io import open_cube
from hypersharp.system.build_info import commit, machine, peak_bytes
from hypersharp.system.memory import keep_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with jasper_ridge/")
    parser.add_argument("--side", type=int, default=768, help="fine pixels along a side")
    parser.add_argument("--methods", default="bicubic,gsa,sfim,glp,fuse,cnmf,ssjcn")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return run_one(*arguments.one)
    print("| method | seconds | memory kept | times as fast | peak memory | memory kept |\n" + "| --- " * 6 + "|")
    with TemporaryDirectory() as folder:
        scene = JasperRidge(arguments.data / "jasper_ridge" / "jasperRidge2_R198.mat")
        pair = [str(path) for path in make_pair(scene, arguments.side, Path(folder))]
        for method in arguments.methods.split(","):
            usual, kept = (measured(*pair, method, way) for way in ("usual", "kept"))
            print(
                f"| `{method}` | {usual['s']:.2f} | {kept['s']:.2f} | {usual['s'] / kept['s']:.1f} "
                f"| {usual['gb']:.1f} GB | {kept['gb']:.1f} GB |",
                flush=True,
            )
    print(f"\n{arguments.side} x {arguments.side} x 60, {machine()}, commit {commit()}")


def measured(*words: str) -> dict[str, float]:
    """Seconds and GB of a fusion in a process of its own."""
    command = [sys.executable, __file__, ".", "--one", *words]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def run_one(hs: str, ms: str, method: str, way: str) -> None:
    if way == "kept":
        keep_memory()
    coarse, fine, seconds = open_cube(hs), open_cube(ms), []
    for _ in range(3):
        started = time.perf_counter()
        fuse(coarse, fine, method=method, consistent=False)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"s": min(seconds[1:]), "gb": (peak_bytes() or 0) / 1e9}))


if __name__ == "__main__":
    main()
