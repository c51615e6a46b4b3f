"""What a page says of files and of the run; and the numbers behind it, computed by what the package's other verbs use.

What cannot be had of a pair is no reason for having no page: it is left out, and `missing` says why.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable, usable_bands
from hypersharp.describe import counted, facts_of
from hypersharp.errors import HypersharpError
from hypersharp.fusion.fuse import fuse
from hypersharp.io.image import Image
from hypersharp.numerics import unit
from hypersharp.pair.record import Record
from hypersharp.pair.sensor import estimate_sensor, given_sensor, images_of
from hypersharp.pair.tensors import gaps
from hypersharp.quality.judge import Judgement, judge_placed, placed_pair
from hypersharp.quality.metrics import Scores, score_cubes
from hypersharp.sensor.diagnosis import Diagnosis, diagnose
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.psf import PSF
from hypersharp.system.build_info import commit, machine, release

Facts = dict[str, str]
FloatArray = NDArray[np.float64]
OF_THE_RUN = "as the run found it"
Found = TypeVar("Found")
RESULT, ENLARGED = "result", "hs enlarged (bicubic)"


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
    file, stored, usable = "none, given in memory", cube.encoding.get("dtype"), only_usable(cube, "image")
    if image is not None:
        path = image.path
        parts: Iterable[Path] = path.rglob("*") if path.is_dir() else [path]
        if path.suffix.lower() == ".hdr":  # an ENVI header and its body
            parts = (part for part in path.parent.iterdir() if path.stem in (part.stem, part.name))
        file = f"{path.name} ({bytes_words(sum(part.stat().st_size for part in parts if part.is_file()))})"
    kind = str(cube.dtype) if stored in (None, cube.dtype) else f"{cube.dtype} (stored as {np.dtype(stored)})"
    values = usable.values[:, ::2, ::2] if usable.size > 1e7 else usable.values
    low, middle, high = np.nanquantile(values, (0.01, 0.5, 0.99))
    unit = f" {cube.attrs['units']}" if "units" in cube.attrs else ""
    numbers = f"{kind}; median {middle:.4g}, 1 % to 99 %: {low:.4g} to {high:.4g}{unit}"
    missing, bad = gaps(usable), int((~usable_bands(cube)).sum())
    count = int(missing.sum())
    why = [f"mask {image.mask.name}"] if image and image.mask else []
    why += [f"saturated from {image.saturated:g}"] if image and image.saturated is not None else []
    words = [f"{count:,} of {missing.size:,} pixels ({count / missing.size:.1%})" if count else "no pixel"]
    words += [f"{bad} of {counted(cube.shape[0], 'band')}, bad or empty"] if bad else []
    left_out = "; ".join(words) + (f" ({', '.join(why)})" if why else "")
    lines = {"File": file} | facts_of(cube) | {"Numbers": numbers, "Left out": left_out}
    return {name: text for name, text in lines.items() if text}


def bytes_words(count: float) -> str:
    """
    >>> bytes_words(1_234_567), bytes_words(800)
    ('1.2 MB', '800 bytes')
    """
    for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count:.0f} bytes"


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


@dataclass(eq=False)
class Findings:
    """A result, hs and ms placed as it says, if they nest (`ratio`), and what was computed from them."""

    sharp: xr.DataArray
    hs: xr.DataArray
    ms: xr.DataArray
    truth: xr.DataArray | None
    ratio: int | None = None
    estimate: Estimate | None = None
    diagnosis: Diagnosis | None = None
    judgement: Judgement | None = None
    scores: dict[str, Scores] = field(default_factory=dict)
    peak: float = 1.0
    enlarged: xr.DataArray | None = None
    error: xr.DataArray | None = None
    record: Record | None = None
    missing: dict[str, str] = field(default_factory=dict)

    def attempt(self, what: str, compute: Callable[[], Found]) -> Found | None:
        """What is computed, or None, and why in `missing`."""
        try:
            return compute()
        except HypersharpError as exc:
            self.missing[what] = f"found {exc.found}, expected {exc.expected}"
            return None

    def judge_result(self, psf: str | Path | PSF | None, srf: str | Path | FloatArray | None) -> None:
        """Place hs and ms as the result was made of them; what the sensor tells, as it was made with or as given."""
        pair = self.attempt("pair", lambda: placed_pair(self.sharp, self.hs, self.ms))
        if pair is None:
            return
        self.ratio, record = pair.ratio, self.record
        self.hs, self.ms = pair.placement.read(pair.placement.everything)
        known = None if record is None or psf is not None or srf is not None else record.known_sensor()

        whole = cache(pair.whole)  # read where it is first needed, so that what fails there is told as missing

        def find_sensor() -> Estimate:
            if known is None or record is None or record.sensor is None:
                return estimate_sensor(whole(), *given_sensor(pair, psf, srf))
            found, given = estimate_sensor(whole(), known.psf, known.srf), record.sensor["given"]
            blur = found.blur if "psf" in given else OF_THE_RUN
            return replace(found, blur=blur, responses=found.responses if "srf" in given else (OF_THE_RUN,))

        estimate = self.estimate = self.attempt("sensor", find_sensor)
        if estimate is not None:
            self.diagnosis = self.attempt("sensor", lambda: diagnose(estimate, images_of(whole()), whole().spectra))
            judged = partial(judge_placed, self.sharp, self.hs, self.ms, estimate.sensor)
            self.judgement = self.attempt("judgement", judged)

    def score_result(self, truth: xr.DataArray, preset: str) -> None:
        """Scores of the result and, where the pair nests, of hs enlarged, which any method has to beat."""
        self.peak, cubes = unit.peak(truth.values), {RESULT: self.sharp}
        bicubic = partial(fuse, self.hs, self.ms, method="bicubic", consistent=False, coregister="none")
        self.enlarged = self.attempt("enlarged", bicubic) if self.ratio is not None else None
        if self.enlarged is not None:
            cubes[ENLARGED] = self.enlarged
        ratio = self.ratio or truth.shape[1] / self.hs.shape[1]
        for name, cube in cubes.items():
            self.scores[name] = score_cubes(cube, truth, ratio=ratio, preset=preset, peak=self.peak)
