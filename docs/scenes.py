"""The pictures of the how-tos for satellites and drones: `python docs/scenes.py docs/images` draws them.

Each is what the command of its page makes of the miniatures that the tests run it on: HS, MS and the result side by
side, near infrared, red and green as red, green and blue (the drone in true colour).
"""

import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

import hypersharp as hsp
from hypersharp.io.together import save_figure
from hypersharp.plot import figures

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PAIRS = {
    "enmap": ("ENMAP_SCENE", "S2.SAFE"),
    "prisma": ("PRISMA.he5", "S2.SAFE"),
    "prisma-pan": ("PRISMA.he5", "PRISMA.he5:pan"),
    "emit": ("EMIT_SWATH", "S2.SAFE"),
    "drone": ("FLIGHT/DRONE.img", "FLIGHT/RGB.tif"),
}


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp())
    import_module("docs_inputs").write_inputs(" ".join(name for pair in PAIRS.values() for name in pair), folder)
    for name, (coarse, fine) in PAIRS.items():
        hs, ms = hsp.open(folder / coarse), hsp.open(folder / fine)
        cubes = {coarse: hs, "sharp.tif": hsp.fuse(hs, ms, method="gsa")}
        figure = figures.composites(cubes, "true" if name == "drone" else "infrared")
        save_figure(figure, Path(sys.argv[1]) / f"{name}.png", dpi=70)


if __name__ == "__main__":
    main()
