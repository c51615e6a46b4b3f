"""Validation curves of trainings: a small CSV each, and one picture with a line a network.

    python benchmarks/training_curves.py RUN_DIR... -o DIR

RUN_DIR is what `hypersharp train -o` wrote.
"""

import argparse
from pathlib import Path

from hypersharp.bench.curves import write_curves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    for path in write_curves(arguments.run_dirs, arguments.out):
        print(f"-> {path}")


if __name__ == "__main__":
    main()
