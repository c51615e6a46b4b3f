"""What a page says in words and numbers of files and of a run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from hypersharp.cube import only_usable, usable_bands
from hypersharp.describe import counted, facts_of
from hypersharp.io.image import Image
from hypersharp.pair.tensors import gaps
from hypersharp.system.build_info import commit, machine, release

Facts = dict[str, str]


@dataclass(frozen=True)
class Run:
    """What is known of the run that made a result: its command, seconds, the process's largest memory in bytes."""

    command: str | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    device: str | None = None
    ended: datetime = field(default_factory=lambda: datetime.now().astimezone())


def image_facts(cube: xr.DataArray, image: Image | None) -> Facts:
    """A line each about an image: file, size, wavelengths, place, numbers, what is left out."""
    file = "none, given in memory"
    if image is not None:
        file = f"{image.path.name} ({bytes_words(sum(part.stat().st_size for part in parts_of(image.path)))})"
    numbers = {"Numbers": number_words(cube), "Left out": left_out_words(cube, image)}
    return {name: text for name, text in ({"File": file} | facts_of(cube) | numbers).items() if text}


def parts_of(path: Path) -> Iterator[Path]:
    """The files of an image: of a folder all, of an ENVI header its body too."""
    if path.is_dir():
        yield from (part for part in path.rglob("*") if part.is_file())
    elif path.suffix.lower() == ".hdr":
        yield from (part for part in path.parent.iterdir() if path.stem in (part.stem, part.name))
    elif path.exists():
        yield path


def bytes_words(count: float) -> str:
    """
    >>> bytes_words(1_234_567), bytes_words(800)
    ('1.2 MB', '800 bytes')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def number_words(cube: xr.DataArray) -> str:
    """Type, unit, and the range of the values."""
    stored = cube.encoding.get("dtype")
    kind = str(cube.dtype) if stored in (None, cube.dtype) else f"{cube.dtype} (stored as {np.dtype(stored)})"
    values = only_usable(cube, "image").values
    low, middle, high = np.nanquantile(values[:, ::2, ::2] if values.size > 1e7 else values, (0.01, 0.5, 0.99))
    unit = f" {cube.attrs['units']}" if "units" in cube.attrs else ""
    return f"{kind}; median {middle:.4g}, 1 % to 99 %: {low:.4g} to {high:.4g}{unit}"


def left_out_words(cube: xr.DataArray, image: Image | None) -> str:
    """How many bands and pixels do not count, and what says so."""
    missing, bad = gaps(only_usable(cube, "image")), int((~usable_bands(cube)).sum())
    count = int(missing.sum())
    why = [f"mask {image.mask.name}"] if image and image.mask else []
    why += [f"saturated from {image.saturated:g}"] if image and image.saturated is not None else []
    words = [f"{count:,} of {missing.size:,} pixels ({count / missing.size:.1%})" if count else "no pixel"]
    words += [f"{bad} of {counted(cube.shape[0], 'band')}, bad or empty"] if bad else []
    return "; ".join(words) + (f" ({', '.join(why)})" if why else "")


def run_facts(run: Run) -> Facts:
    """A line each about the run: what is not known is left out."""
    found = commit()
    origin = "installed from a package" if found.startswith("version ") else f"commit {found}"
    lines = {
        "Page made": f"{run.ended:%d %B %Y, %H:%M %Z}",
        "Time": "" if run.seconds is None else f"{run.seconds:.1f} s",
        "Peak memory": "" if run.peak_bytes is None else bytes_words(run.peak_bytes),
        "Version": f"hypersharp {release()}, {origin}",
        "Machine": machine() + (f", {run.device}" if run.device else ""),
    }
    return {name: text for name, text in lines.items() if text}


def gpu_words() -> str | None:
    """The GPU, and the most memory held on it, where one has been used."""
    import torch

    if not torch.cuda.is_available() or not torch.cuda.max_memory_allocated():
        return None
    held = bytes_words(torch.cuda.max_memory_allocated())
    return f"{torch.cuda.get_device_name()}, {held} held there at most"
