"""Try the built wheels as a user meets them: installed into an empty environment, without the checkout in reach.

    python tools/try_wheels.py dist FOLDER

FOLDER gets the environment and what the wheels made. The core alone must fuse two .npy and two .mat files and name the
package of missing weights; with hypersharp-weights it must find them; with the extra `demo` it must run the demo.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

MOST_BYTES = 8_000_000  # of what pip downloads for hypersharp itself
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
MAKE_PAIR = """
import numpy as np, scipy.io
truth = np.random.default_rng(0).uniform(0.1, 0.9, (31, 64, 64)).astype("float32")
hs, ms = truth.reshape(31, 16, 4, 16, 4).mean((2, 4)), truth[[25, 15, 5]]
for name, image in (("hs", hs), ("ms", ms)):
    np.save(name + ".npy", image)
    scipy.io.savemat(name + ".mat", {name: np.moveaxis(image, 0, -1)})
"""


def main() -> None:
    dist, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    wheel, weights = (the_only(dist, f"{name}-*.whl") for name in ("hypersharp", "hypersharp_weights"))
    for file in (wheel, the_only(dist, "hypersharp-*.tar.gz")):
        size = file.stat().st_size
        assert size <= MOST_BYTES, f"{file.name} has {size} bytes, the limit is {MOST_BYTES}"
    venv.create(folder / "env", with_pip=True, clear=True)
    scripts = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    python, hypersharp = str(scripts / "python"), str(scripts / "hypersharp")
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    install = [*pip, "--no-compile", "-c", str(CONSTRAINTS)]
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # what runs is compiled when it first does, which is less

    run(folder, *install, str(wheel))
    run(folder, python, "-m", "pip", "check")
    run(folder, hypersharp, "--help")
    run(folder, python, "-c", MAKE_PAIR)
    for suffix in ("npy", "mat"):
        run(folder, hypersharp, *f"fuse hs.{suffix} ms.{suffix} -o sharp.{suffix} --method gsa".split())
    fuse_dbin = [hypersharp, "fuse", "hs.npy", "ms.npy", "-o", "dbin.npy", "--method", "dbin"]
    refused = run(folder, *fuse_dbin, code=1)
    assert "pip install hypersharp-weights" in refused, refused

    run(folder, *install, str(weights))
    assert "dbin-dian-x4" in run(folder, hypersharp, "weights")
    run(folder, *fuse_dbin)

    run(folder, *install, f"{wheel}[demo]")
    run(folder, hypersharp, "demo", "-o", "demo", "--no-blind")
    for made in ("sharp.npy", "sharp.mat", "dbin.npy", "demo/demo.png", "demo/report.html"):
        assert (folder / made).stat().st_size, made


def the_only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def run(folder: Path, *command: str, code: int = 0) -> str:
    """Run a command in the folder; what it said. Ends with that where its exit code is another."""
    print("$", Path(command[0]).name, *(word for word in command[1:] if "\n" not in word), flush=True)
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"{done.stdout}\nexit code {done.returncode} instead of {code}")
    return done.stdout


if __name__ == "__main__":
    main()
