"""`python -m tests.fuzz --count 20000`: damaged inputs of every kind, and how each was answered, one row a kind."""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from hypersharp.errors import HypersharpError
from hypersharp.io.guarded import CHILD

from .cases import CASES, damaged_copy, make_whole

SLOW_S = 10.0


def answered(kind: str, path: Path) -> str:
    """opened, refused (in one short line), or what went wrong."""
    started = time.process_time()
    try:
        CASES[kind].read(path)
        found = "opened"
    except HypersharpError as error:
        text = str(error)
        found = "ended" if "ends the process" in text else "limit" if "takes too long" in text else "refused"
        found = found if "\n" not in text and len(text) < 1000 else f"FAULT long message: {text[:200]}"
    except Exception as error:
        found = f"FAULT {type(error).__name__}: {str(error)[:200]}"
    return found if time.process_time() - started < SLOW_S else f"FAULT slow ({found})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="damaged inputs in all")
    parser.add_argument("--seed", type=int, default=0, help="of the first")
    parser.add_argument("--kinds", default=",".join(CASES), help="of these")
    chosen = parser.parse_args()
    kinds, rows, faults = chosen.kinds.split(","), dict[str, Counter[str]](), 0
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            make_whole(kind, Path(folder) / "whole")
            rows[kind] = Counter()
            for seed in range(chosen.seed, chosen.seed + chosen.count // len(kinds)):
                path = damaged_copy(kind, Path(folder) / "whole", Path(folder) / "in", seed)
                found = answered(kind, path)
                rows[kind][found.split()[0]] += 1
                if found.startswith("FAULT"):
                    faults += 1
                    print(f"{kind} {seed}: {found}", flush=True)  # noqa: T201
            counts = ", ".join(f"{name} {count}" for name, count in sorted(rows[kind].items()))
            print(f"{kind:10} {sum(rows[kind].values()):6}  {counts}", flush=True)  # noqa: T201
    total = sum(rows.values(), Counter())
    print(f"{'all':10} {total.total():6}  {', '.join(f'{name} {n}' for name, n in sorted(total.items()))}")  # noqa: T201
    CHILD.close()
    sys.exit(faults > 0)


main()
