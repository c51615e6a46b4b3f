"""Build the packages twice, the second time elsewhere and otherwise, and see that the bytes are the same.

    python tools/build_twice.py dist

Into dist go both packages, SHA256SUMS, and conda-forge's recipe with version and checksum filled in. The time in the
packages is SOURCE_DATE_EPOCH, by default that of the last commit. The second build is of a copy in another folder, its
files newer, in another time zone, under another umask and hash seed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (".", "packages/hypersharp-weights")
RECIPE = "recipe/recipe.yaml"


def main() -> None:
    dist = Path(sys.argv[1]).resolve()
    shutil.rmtree(dist, ignore_errors=True)
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct").strip()
    own = os.environ | {"SOURCE_DATE_EPOCH": epoch}
    build(ROOT, dist, own, umask=0o022)
    with tempfile.TemporaryDirectory() as folder:
        copy, again = Path(folder) / "a copy", Path(folder) / "dist"
        for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, copy / name)
        build(copy, again, own | {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LC_ALL": "C"}, umask=0o077)
        sums = sums_of(dist)
        if sums != sums_of(again):
            sys.exit(f"two builds differ: {sums} and {sums_of(again)}")
    (dist / "SHA256SUMS").write_text("".join(f"{mark}  {name}\n" for name, mark in sums.items()))
    (dist / "recipe.yaml").write_text(filled((ROOT / RECIPE).read_text(), sums))
    print(f"built twice, the same bytes: {', '.join(sums)}")


def build(source: Path, out: Path, environment: dict[str, str], umask: int) -> None:
    for package in PACKAGES:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source / package)]
        done = subprocess.run(command, env=environment, umask=umask, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)


def sums_of(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.iterdir() if file.suffix in (".whl", ".gz"))
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def filled(recipe: str, sums: dict[str, str]) -> str:
    """The recipe with the version and the checksum of the sdist."""
    name = next(name for name in sums if re.fullmatch(r"hypersharp-[\d.]+\w*\.tar\.gz", name))
    version = name.removeprefix("hypersharp-").removesuffix(".tar.gz")
    return recipe.replace("version: 0.0.0", f"version: {version}").replace("0" * 64, sums[name])


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
