"""Validation curves of trainings: a small CSV each, and one picture with a line a network.

    python benchmarks/training_curves.py RUN_DIR... -o DIR

RUN_DIR is what `hypersharp train -o` wrote.
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from hypersharp.errors import InputError
from hypersharp.io.together import save_figure, write_text
from hypersharp.plot.draw import OKABE_ITO, new_figure
from hypersharp.system.atomic import make_folder

LOGS = "logs/csv/version_*/metrics.csv"  # one a start: a resumed training has several
SHOWN = ("minutes", "val_psnr_db", "val_sam_deg")
LEVELLING_DB = 4.0  # shown below the lowest end: curves rise and level off

Round = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    for path in write_curves(arguments.run_dirs, arguments.out):
        print(f"-> {path}")


def read_curve(run_dir: Path) -> list[Round]:
    """The validation rounds of a training's folder in order: `step` (steps done) and what there is of SHOWN.

    Of rounds that were made twice, because a training was stopped and resumed, the later one counts.
    Raises: InputError for a folder without such a log, or a log without a validation round.
    """
    rounds: dict[int, Round] = {}
    for path in sorted(run_dir.glob(LOGS), key=lambda path: path.stat().st_mtime):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                if line.get("val_psnr_db"):
                    step = int(line["step"]) + 1  # the log counts from 0
                    rounds[step] = {"step": step, **{name: float(line[name]) for name in SHOWN if line.get(name)}}
    if not rounds:
        raise InputError(
            f"no validation round in '{run_dir / LOGS}'", "the folder of a training", "give what `train -o` wrote"
        )
    return [rounds[step] for step in sorted(rounds)]


def write_curves(run_dirs: list[Path], out_dir: Path) -> list[Path]:
    """One CSV a training and curves.png with a line each, named as the weights it made or else as its folder.

    Raises: InputError for a folder that holds no training's log, OutputError.
    """
    curves = {name_of(run_dir): read_curve(run_dir) for run_dir in run_dirs}
    if len(curves) < len(run_dirs):
        names = ", ".join(name_of(run_dir) for run_dir in run_dirs)
        raise InputError(f"trainings named {names}", "different names", "give each network once")
    make_folder(out_dir)
    paths = [write_text(out_dir / f"{name}.csv", as_csv(curve)) for name, curve in curves.items()]
    return [*paths, save_figure(draw_curves(curves), out_dir / "curves.png")]


def name_of(run_dir: Path) -> str:
    weights = sorted(run_dir.glob("*.safetensors"))
    return weights[0].stem if weights else run_dir.resolve().name


def as_csv(curve: list[Round]) -> str:
    """A heading and a line a round.

    >>> print(as_csv([{"step": 250, "val_psnr_db": 32.5, "val_sam_deg": 9.99}]), end="")
    step,val_psnr_db,val_sam_deg
    250,32.5,9.99
    """
    names = [name for name in ("step", *SHOWN) if any(name in line for line in curve)]
    lines = [",".join(f"{line[name]:.10g}" if name in line else "" for name in names) for line in curve]
    return "\n".join([",".join(names), *lines]) + "\n"


def draw_curves(curves: Mapping[str, list[Round]]) -> Figure:
    """PSNR over minutes where every log has them, else over steps."""
    timed = all("minutes" in line for curve in curves.values() for line in curve)
    along = "minutes" if timed else "step"
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for n, (name, curve) in enumerate(curves.items()):
        style, colour = "-" if n < len(OKABE_ITO) else "--", OKABE_ITO[n % len(OKABE_ITO)]
        psnr_db = [line["val_psnr_db"] for line in curve]
        axes.plot([line[along] for line in curve], psnr_db, style, color=colour, label=name, linewidth=1.4)
    lowest_end = min(curve[-1]["val_psnr_db"] for curve in curves.values())
    axes.set(xlabel="minutes" if timed else "steps", ylabel="PSNR of the validation scenes (dB)")
    axes.set_ylim(bottom=lowest_end - LEVELLING_DB)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
