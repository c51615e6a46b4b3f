"""Does a change leave the results alone? Every method on real scenes, whole and in tiles, by two states of the code.

    HYPERSHARP_DATA=FOLDER python benchmarks/compare_commits.py [OLD [NEW]] [--baseline DIR] [--methods gsa,..]
        [--pairs pines,..] [--how whole,tiles] [--threshold 1e-5]

OLD and NEW are commits; without NEW it is the working tree, whatever is committed. Each state runs in a process of its
own, on one thread, through `hypersharp`'s public face. Rows of OLD stay in --baseline (default: build/compare/OLD) and
are not made again. The difference is the largest absolute one as a share of the range of OLD's result; a row that only
one of the two refuses, or whose missing pixels differ, differs by infinity. Prints a table; exits 1 where a row differs
by more than the threshold.

Pairs: Indian Pines as the demo simulates it; Jasper Ridge under Sentinel-2's response at ratios 4 and 6, 40 dB; Paris
(Hyperion, real) with ALI's bands and with its pan; two scenes of CAVE under dian-x4; Berlin (EnMAP-like and HyMap,
whose grids do not nest). They are made once, by OLD.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np
import xarray as xr
from scipy.io import loadmat

ROOT = Path(__file__).parent.parent
FIRST = "b710ac8"
NAMES = ("bicubic", "gsa", "sfim", "glp", "cnmf", "fuse", "hysure", "dhsis", "dbin", "ssjcn", "auto")
METHODS = {name: {"method": name} for name in NAMES} | {"ssjcn-any": {"method": "ssjcn", "weights": "ssjcn-any"}}
HOW = ("whole", "tiles")
TILES = 2  # along each side
TILES_BYTES = 16e9  # stated, so that tiles do not depend on the memory that is free
LONG_S = 1e6  # what `auto` may take, so that its choice does not depend on the clock
SAME = 1e-5  # of the range: results that differ by less are the same
SHOWN = 70  # characters of what a result or an error says


def main() -> None:
    arguments = parse_arguments()
    if arguments.rows_into:
        return make_rows(arguments.rows.split(","), arguments.pairs_from, arguments.rows_into)
    baseline = arguments.baseline or ROOT / "build" / "compare" / arguments.old
    with tempfile.TemporaryDirectory() as folder:
        old = checked_out(arguments.old, Path(folder) / "old") if missing(arguments, baseline) else ROOT
        make_pairs(old, arguments.pairs.split(","), baseline / "pairs")
        run_rows(old, missing(arguments, baseline), baseline, baseline)
        new = checked_out(arguments.new, Path(folder) / "new") if arguments.new else ROOT
        rows = Path(folder) / "rows"
        run_rows(new, wanted(arguments), baseline, rows)
        worst = print_table(wanted(arguments), baseline, rows)
    print(f"\nlargest difference {worst:.1e} of the range, threshold {arguments.threshold:g}")
    sys.exit(worst > arguments.threshold)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("old", nargs="?", default=FIRST)
    parser.add_argument("new", nargs="?", help="default: the working tree")
    parser.add_argument("--baseline", type=Path, help="folder for the rows of OLD")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--how", default=",".join(HOW))
    parser.add_argument("--threshold", type=float, default=SAME)
    parser.add_argument("--rows", help=argparse.SUPPRESS)
    parser.add_argument("--rows-into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pairs-from", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def wanted(arguments: argparse.Namespace) -> list[str]:
    """Rows, as PAIR.METHOD.HOW."""
    pairs, methods, how = (getattr(arguments, name).split(",") for name in ("pairs", "methods", "how"))
    return [f"{pair}.{method}.{way}" for pair in pairs for method in methods for way in how]


def missing(arguments: argparse.Namespace, baseline: Path) -> list[str]:
    return [row for row in wanted(arguments) if not (baseline / f"{row}.npz").exists()]


def checked_out(commit: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def python(tree: Path, *words: str | Path) -> None:
    """Run Python on one thread with the packages of a tree."""
    sources = [
        str(path.parent) for depth in ("", "*/", "*/*/") for path in sorted(tree.glob(f"{depth}src/hypersharp*"))
    ]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join(sources)}
    subprocess.run([sys.executable, "-P", "-W", "ignore", *map(str, words)], env=environment, check=True)


# --- pairs, made by the older state ---


def make_pairs(tree: Path, names: list[str], folder: Path) -> None:
    """hs.tif and ms.tif of each pair in folder/NAME, where they are not there."""
    data = Path(os.environ["HYPERSHARP_DATA"])
    for name in names:
        if not (folder / name / "ms.tif").exists():
            (folder / name).mkdir(parents=True, exist_ok=True)
            PAIRS[name](tree, data, folder / name)


def pines(tree: Path, _: Path, folder: Path) -> None:
    python(tree, "-m", "hypersharp", "demo", "-o", folder)


def cave(scene: str) -> Callable[[Path, Path, Path], None]:
    def make(tree: Path, data: Path, folder: Path) -> None:
        python(tree, "-c", CROP.format(data / "cave" / scene, 128, 96, folder / "scene.tif"))
        python(tree, "-m", "hypersharp", "simulate", folder / "scene.tif", "-o", folder, "--protocol", "dian-x4")

    return make


def jasper(ratio: int) -> Callable[[Path, Path, Path], None]:
    def make(tree: Path, data: Path, folder: Path) -> None:
        stored = loadmat(data / "jasper_ridge" / "jasperRidge2_R198.mat")
        nm = np.linspace(380, 2500, 224)[stored["SlectBands"].ravel() - 1]
        values = stored["Y"].reshape(198, 100, 100, order="F")[:, :72, :72].astype(np.float32)
        write(tree, folder / "scene.tif", values, nm)
        sensor = ["--ratio", str(ratio), "--psf", f"fwhm:{ratio}", "--srf", "sentinel-2a:B2,B3,B4,B8,B11,B12"]
        noise = ["--snr-hs", "40", "--snr-ms", "40"]
        python(tree, "-m", "hypersharp", "simulate", folder / "scene.tif", "-o", folder, *sensor, *noise)

    return make


def paris(tree: Path, data: Path, folder: Path) -> None:
    with np.load(data / "reference" / "hysure_paris.npz") as stored:
        for name in ("hs", "ms"):
            write(tree, folder / f"{name}.tif", stored[name].astype(np.float32))


def paris_pan(tree: Path, data: Path, folder: Path) -> None:
    stored = loadmat(data / "paris" / "paris_data_hs_pan.mat")
    images = sorted((np.atleast_3d(stored[name]) for name in stored if not name.startswith("_")), key=np.size)
    pan = next(image for image in images if image.shape[:2] == (216, 174))
    hs = next(image for image in images if image.shape == (72, 58, 128))
    write(tree, folder / "hs.tif", hs[:24, :24].transpose(2, 0, 1).astype(np.float32))
    write(tree, folder / "ms.tif", pan[:72, :72].transpose(2, 0, 1).astype(np.float32))


def berlin(tree: Path, data: Path, folder: Path) -> None:
    for name, file, start, side in (
        ("hs", "EnMAP_BerlinUrbanGradient", 10, 12),
        ("ms", "HighResolution_BerlinUrbanGradient", 70, 120),
    ):
        python(tree, "-c", CROP.format(data / "berlin" / f"{file}.bsq", start, side, folder / f"{name}.tif"))


def write(tree: Path, path: Path, values: np.ndarray, nm: np.ndarray | None = None) -> None:
    """An image (L, H, W) as a file of the package's."""
    np.savez(path.with_suffix(".npz"), values=values, nm=np.array([]) if nm is None else nm)
    python(tree, "-c", WRITE.format(path.with_suffix(".npz"), path))


CROP = """
import hypersharp as hsp
cube, first, side = hsp.open("{}"), {}, {}
hsp.save(cube.isel(y=slice(first, first + side), x=slice(first, first + side)), "{}")
"""
WRITE = """
import hypersharp as hsp, numpy as np, xarray as xr
stored = np.load("{}")
coords = {{"wavelength": ("band", stored["nm"])}} if stored["nm"].size else {{}}
hsp.save(xr.DataArray(stored["values"], dims=("band", "y", "x"), coords=coords), "{}")
"""
PAIRS: dict[str, Callable[[Path, Path, Path], None]] = {
    "pines": pines,
    "jasper-x4": jasper(4),
    "jasper-x6": jasper(6),
    "paris": paris,
    "paris-pan": paris_pan,
    "balloons": cave("balloons_ms"),
    "cd": cave("cd_ms"),
    "berlin": berlin,
}

# --- rows, each state its own ---


def run_rows(tree: Path, rows: list[str], baseline: Path, into: Path) -> None:
    """Make rows by a tree's code, a file each, in one process."""
    into.mkdir(parents=True, exist_ok=True)
    if rows:
        python(tree, __file__, "--pairs-from", baseline / "pairs", "--rows-into", into, "--rows", ",".join(rows))


def make_rows(rows: list[str], pairs: Path, into: Path) -> None:
    """In the child: fuse, and keep values, or the error's text, with what the result says of itself, and seconds."""
    for row in rows:
        pair, method, way = row.split(".")
        started = perf_counter()
        try:
            cube = fused(pairs / pair, way, METHODS[method])
            values, text = np.asarray(cube.values), str(cube.attrs.get("hypersharp", ""))
        except Exception as error:  # what one state refuses the other has to refuse, too
            values, text = np.zeros(0), f"{type(error).__name__}: {error}"
        seconds = perf_counter() - started
        np.savez(into / f"{row}.npz", values=values, text=text, seconds=seconds)
        print(f"{row:30} {seconds:6.1f} s  {shown(text)}", file=sys.stderr, flush=True)


def fused(pair: Path, way: str, options: dict[str, str]) -> xr.DataArray:
    import hypersharp as hsp

    hs, ms = pair / "hs.tif", pair / "ms.tif"
    keywords: dict[str, object] = {**options, "precision": "fp32", "device": "cpu"}
    if options["method"] == "auto":
        keywords["budget_s"] = LONG_S
    if way == "whole":
        return hsp.fuse(hsp.open(hs), hsp.open(ms), **keywords)  # type: ignore[arg-type]
    limit_tiles(hsp.open(ms).shape[1] // TILES)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sharp.npy"
        cube = hsp.fuse_in_tiles(hs, ms, out, workers=1, memory_bytes=TILES_BYTES, **keywords)  # type: ignore[arg-type]
        return cube.load()


def limit_tiles(side_px: int) -> None:
    """The longest side of a tile's core: the one thing that is no option of `fuse_in_tiles`."""
    for name in ("hypersharp.tiles.plan", "hypersharp.tiled.plan"):
        try:
            plan = import_module(name)
        except ModuleNotFoundError:
            continue
        assert hasattr(plan, "MOST_SIDE_PX"), "tiles have another limit now: set it here"
        vars(plan)["MOST_SIDE_PX"] = side_px
        return
    raise ModuleNotFoundError("the plan of the tiles has moved: name its module here")


# --- the comparison ---

Row = tuple[np.ndarray, str, float]


def print_table(rows: list[str], old: Path, new: Path) -> float:
    """A line a row in markdown; the largest difference."""
    print("| pair | method | how | difference / range | seconds old | new | |\n|---|---|---|---|---|---|---|")
    differences = [0.0]
    for row, (before, text_before, old_s), (after, text_after, new_s) in both(rows, old, new):
        differences.append(difference(before, after))
        refused = "both refuse" if not before.size and not after.size else ""
        texts = f"old: {shown(text_before)}; new: {shown(text_after)}"
        remark = refused or ("" if differences[-1] <= SAME else texts)
        cells = [*row.split("."), f"{differences[-1]:.1e}", f"{old_s:.1f}", f"{new_s:.1f}", remark]
        print("| " + " | ".join(re.sub(r"[\n|]", " ", cell) for cell in cells) + " |")
    return max(differences)


def shown(text: str) -> str:
    """What a result says of itself, or of a record, which is JSON, what was chosen; or an error."""
    choice = json.loads(text).get("choice", "") if text.startswith("{") else text
    return str(choice)[:SHOWN]


def both(rows: list[str], old: Path, new: Path) -> Iterator[tuple[str, Row, Row]]:
    for row in rows:
        yield row, read_row(old / f"{row}.npz"), read_row(new / f"{row}.npz")


def read_row(path: Path) -> Row:
    with np.load(path) as stored:
        return stored["values"], str(stored["text"]), float(stored["seconds"])


def difference(before: np.ndarray, after: np.ndarray) -> float:
    """The largest absolute difference as a share of the range of `before`."""
    if before.shape != after.shape or before.dtype != after.dtype or (np.isnan(before) != np.isnan(after)).any():
        return float("inf")
    if not before.size:
        return 0.0
    spread = float(np.nanmax(before)) - float(np.nanmin(before))
    return float(np.nanmax(np.abs(after.astype(np.float64) - before.astype(np.float64)))) / (spread or 1.0)


if __name__ == "__main__":
    main()
