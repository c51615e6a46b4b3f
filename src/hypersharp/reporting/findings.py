"""The numbers behind a page, all computed by what the package's other verbs use: placing, sensor, judgement, scores.

What cannot be had of a pair is no reason for having no page: it is left out, and `missing` says why.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.errors import HypersharpError
from hypersharp.fusion.fuse import fuse
from hypersharp.numerics import unit
from hypersharp.pair.estimate import diagnosis_of
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.sensor import estimate_sensor, given_sensor
from hypersharp.quality.judge import Judgement, check_estimate, judge
from hypersharp.quality.metrics import Scores
from hypersharp.quality.score import score_cubes
from hypersharp.sensor.diagnosis import Diagnosis
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.psf import PSF

FloatArray = NDArray[np.float64]
Found = TypeVar("Found")
RESULT, ENLARGED = "result", "hs enlarged (bicubic)"


@dataclass(eq=False)
class Findings:
    """A result, hs and ms placed as it says, if they nest (`ratio`), and what was computed from them."""

    sharp: xr.DataArray
    hs: xr.DataArray
    ms: xr.DataArray
    truth: xr.DataArray | None
    pair: Pair | None = None
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

    def place_pair(self) -> None:
        """Place hs and ms as the result was made of them."""
        self.pair = self.attempt("pair", lambda: placed_pair(self.sharp, self.hs, self.ms))
        if self.pair is not None:
            self.hs, self.ms = self.pair.placement.read(self.pair.placement.everything)
            self.ratio = self.pair.ratio

    def judge_result(self, psf: str | Path | PSF | None, srf: str | Path | FloatArray | None) -> None:
        """The sensor as the result was made with it, else as it is given, the rest estimated; what it tells."""
        pair, record = self.pair, self.record
        if pair is None:
            return
        known = None if record is None or psf is not None or srf is not None else record.known_sensor()

        whole = cache(pair.whole)  # read where it is first needed, so that what fails there is told as missing

        def find_sensor() -> Estimate:
            given = given_sensor(pair, psf, srf) if known is None else (known.psf, known.srf)
            return estimate_sensor(whole(), *given)

        estimate = self.estimate = self.attempt("sensor", find_sensor)
        if estimate is not None:
            self.diagnosis = self.attempt("sensor", lambda: diagnosis_of(estimate, whole()))
            self.judgement = self.attempt("judgement", lambda: judge(self.sharp, self.hs, self.ms, estimate.sensor))

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


def placed_pair(sharp: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray) -> Pair:
    """hs and ms as the result was made of them. Raises: InputError where the result is on neither grid."""
    pair = placed_as(sharp, hs, ms)
    check_estimate(sharp, (hs.shape[0], *pair.placement.fine.shape_yx))
    return pair
