"""By how much threads and tiles change each method's result, and whether --deterministic makes them equal.

    python benchmarks/same_bits.py [--only gsa,ssjcn-any] [--side 80] [-o ROWS.json]

A made scene of 31 bands, ratio 4, is sharpened blind by every method, and by every packaged network, in processes of
their own: on 1, 2 and 4 threads in float32, on as many with --deterministic, and in tiles of two sizes with
--deterministic. Prints a table of the largest difference from the first, as a share of the result's range.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

THREADS, TILES_PX = (1, 2, 4), (48, 64)
RUNS = [("fp32", n, None) for n in THREADS] + [("same", n, None) for n in THREADS] + [("same", 1, n) for n in TILES_PX]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="methods and names of weights, separated by commas")
    parser.add_argument("--side", type=int, default=80, help="of the scene, in pixels")
    parser.add_argument("-o", "--out", type=Path, help="a JSON file that keeps the rows")
    parser.add_argument("--run", nargs=3, metavar=("PRECISION", "TILE", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        precision, tile, name = chosen.run
        return sharpen_all(precision, tile, Path(name), chosen.only.split(","))
    from hypersharp.methods.table import METHODS
    from hypersharp.networks.packaged import packaged_weights

    packaged = packaged_weights()
    known = [name for name, method in METHODS.items() if "weights" not in method.needs and name not in packaged] + list(
        packaged
    )
    names = chosen.only.split(",") if chosen.only else known
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_pair(chosen.side, folder)
        for precision, threads, tile in RUNS:
            words = ["--only", ",".join(names), "--run", precision, str(tile or 0), name]
            surroundings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
            subprocess.run([sys.executable, __file__, *words], env=os.environ | surroundings, check=True)
            (folder / "made").rename(folder / f"{precision}-{threads}-{tile or 0}")
        rows = {name: differences(folder, name) for name in names}
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


def make_pair(side: int, folder: Path) -> None:
    """A scene of five materials with texture of all sizes, as its two sensors see it, with a little noise."""
    import numpy as np

    from hypersharp.cube import make_cube
    from hypersharp.io import save_cube
    from hypersharp.simulation.pair import simulate_pair
    from hypersharp.simulation.protocols import find_protocol

    random, bands = np.random.default_rng(0), 31
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.fft.fft2(random.normal(size=(5, side, side))) / (0.02 + frequencies) ** 1.3
    shares = np.exp(np.fft.ifft2(spectrum).real / 200)
    nm = np.linspace(400, 700, bands)
    spectra = np.exp(-(((nm[:, None] - np.linspace(420, 680, 5)) / 80) ** 2)) + 0.1
    scene = make_cube(0.5 * np.einsum("lk,kyx->lyx", spectra, shares / shares.sum(0)), wavelengths_nm=nm)
    sensor = find_protocol("dian-x4").sensor()
    hs, ms, _ = simulate_pair(scene, sensor, snr_hs_db=40, snr_ms_db=45, seed=1)
    save_cube(hs, folder / "hs.npz")
    save_cube(ms, folder / "ms.npz")


def sharpen_all(precision: str, tile: str, folder: Path, names: list[str]) -> None:
    """Every result in a folder "made", whole or in tiles."""
    from hypersharp.system.deterministic import be_deterministic

    if precision == "same":
        be_deterministic()  # as the command line does, before numpy and torch begin
    import warnings

    import numpy as np

    from hypersharp.fusion.fuse import fuse_images
    from hypersharp.io import open_cube
    from hypersharp.io.image import CubeImage, Image
    from hypersharp.networks.packaged import packaged_weights
    from hypersharp.pair.options import Options
    from hypersharp.tiles.run import TiledOptions, prepare

    warnings.simplefilter("ignore")
    (folder / "made").mkdir()
    for one in names:
        known = packaged_weights().get(one)
        method, weights = (known.method, one) if known else (one, None)
        hs, ms, fp32 = Image(folder / "hs.npz"), Image(folder / "ms.npz"), precision == "fp32"
        options = Options(weights=weights, precision="fp32" if fp32 else "auto")
        if tile == "0":
            made, _ = fuse_images(*(CubeImage(one.cube()) for one in (hs, ms)), method=method, options=options)
        else:
            out, tiles = folder / "tiled.npy", TiledOptions(workers=1, side_px=int(tile))
            prepare(hs, ms, out, method=method, tiles=tiles, options=options).carry_out()
            made = open_cube(out)
        np.save(folder / "made" / f"{one}.npy", made.values)
        print(precision, os.environ["OMP_NUM_THREADS"], tile, one, file=sys.stderr, flush=True)


def differences(folder: Path, name: str) -> list[float]:
    """Of a method, for every run: its largest difference from one thread (whole), as a share of the range."""
    import numpy as np

    found = []
    for precision, threads, tile in RUNS:
        first, other = (
            np.load(folder / run / f"{name}.npy") for run in (f"{precision}-1-0", f"{precision}-{threads}-{tile or 0}")
        )
        found.append(float(np.abs(other - first).max() / np.ptp(first)))
    return found


def table(rows: dict[str, list[float]]) -> str:
    from hypersharp.system.build_info import commit, machine

    heads = [f"{threads} threads, fp32" for threads in THREADS[1:]]
    heads += [f"{threads} threads, `--deterministic`" for threads in THREADS[1:]]
    heads += [f"tiles of {tile}, `--deterministic`" for tile in TILES_PX]
    lines = ["| method or weights | " + " | ".join(heads) + " |", "| --- " * (len(heads) + 1) + "|"]
    for name, (_, *fp32, _same, two, four, small, large) in rows.items():
        lines.append(
            f"| `{name}` | "
            + " | ".join("equal" if x == 0 else f"{x:.0e}" for x in (*fp32, two, four, small, large))
            + " |"
        )
    return "\n".join([*lines, "", f"commit {commit()}, {machine()}"])


if __name__ == "__main__":
    main()
