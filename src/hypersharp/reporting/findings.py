"""The numbers behind a page, all computed by what the package's other verbs use: placing, sensor, judgement, scores.

What cannot be had of a pair is no reason for having no page: it is left out, and `missing` says why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.errors import HypersharpError, InputError, check_name
from hypersharp.fusion.fuse import fuse
from hypersharp.numerics import unit
from hypersharp.pair.estimate import diagnosis_of
from hypersharp.pair.options import Progress, ignore
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.sensor import estimate_sensor, given_sensor
from hypersharp.quality.judge import Judgement, check_estimate, judge
from hypersharp.quality.metrics import PRESETS, Scores
from hypersharp.quality.score import score_cubes
from hypersharp.sensor.diagnosis import Diagnosis
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.psf import PSF
from hypersharp.uncertainty.predict import predict_error

Found = TypeVar("Found")
RESULT, ENLARGED = "result", "hs enlarged (bicubic)"


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


def study_result(
    sharp: xr.DataArray,
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    weights: str | Path | None = None,
    truth: xr.DataArray | None = None,
    preset: str = "dian",
    error: xr.DataArray | None = None,
    uncertainty: bool = True,
    progress: Progress = ignore,
) -> Findings:
    """Everything a page tells of a result in numbers; its error is predicted where no truth tells it, if wanted.

    What its record says of placement, sensor and method is taken over, not found a second time.

    Raises: InputError for a truth of another shape, or an unknown preset.
    """
    check_truth(sharp, truth)
    check_name("metric preset", preset, PRESETS)
    found = Findings(sharp, hs, ms, truth, error=error, record=Record.find(sharp))
    pair = found.attempt("pair", lambda: placed_pair(sharp, hs, ms))
    progress(0.1)
    if pair is not None:
        found.hs, found.ms = pair.placement.read(pair.placement.everything)
        found.ratio = pair.ratio
        found.estimate = found.attempt("sensor", lambda: sensor_of(found.record, pair, psf, srf))
    progress(0.2)
    if pair is not None and found.estimate is not None:
        estimate = found.estimate
        found.diagnosis = found.attempt("sensor", lambda: diagnosis_of(estimate, pair.whole()))
        found.judgement = found.attempt("judgement", lambda: judge(sharp, found.hs, found.ms, estimate.sensor))
    progress(0.5)
    if truth is not None:
        score_result(found, truth, preset)
    elif error is None and uncertainty:
        found.error = found.attempt("error", lambda: predict_error(sharp, hs, ms, weights=weights, psf=psf, srf=srf))
    progress(1.0)
    return found


def sensor_of(
    record: Record | None, pair: Pair, psf: str | Path | PSF | None, srf: str | Path | NDArray[np.float64] | None
) -> Estimate:
    """The sensor as the result was made with it, else as it is given, the rest estimated."""
    known = None if record is None or psf is not None or srf is not None else record.known_sensor()
    given = given_sensor(pair, psf, srf) if known is None else (known.psf, known.srf)
    return estimate_sensor(pair.whole(), *given)


def check_truth(sharp: xr.DataArray, truth: xr.DataArray | None) -> None:
    """Raise InputError for a truth that is not of the result's shape."""
    if truth is not None and truth.shape != sharp.shape:
        shapes = (" x ".join(map(str, cube.shape)) for cube in (truth, sharp))
        raise InputError(
            "a truth of {} and a result of {}".format(*shapes), "two cubes of one shape", "crop one of them"
        )


def placed_pair(sharp: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray) -> Pair:
    """hs and ms as the result was made of them. Raises: InputError where the result is on neither grid."""
    pair = placed_as(sharp, hs, ms)
    check_estimate(sharp, (hs.shape[0], *pair.placement.fine.shape_yx))
    return pair


def score_result(found: Findings, truth: xr.DataArray, preset: str) -> None:
    """Scores of the result and, where the pair nests, of hs enlarged, which any method has to beat."""
    found.peak = unit.peak(truth.values)
    ratio = found.ratio or truth.shape[1] / found.hs.shape[1]
    if found.ratio is not None:
        found.enlarged = found.attempt("enlarged", lambda: enlarge(found.hs, found.ms))
    cubes: Mapping[str, xr.DataArray | None] = {RESULT: found.sharp, ENLARGED: found.enlarged}
    for name, cube in cubes.items():
        if cube is not None:
            found.scores[name] = score_cubes(cube, truth, ratio=ratio, preset=preset, peak=found.peak)


def enlarge(hs: xr.DataArray, ms: xr.DataArray) -> xr.DataArray:
    return fuse(hs, ms, method="bicubic", consistent=False, coregister=False)
