"""Prediction intervals for a result that is made in tiles: learned once for the scene, before there is a tile."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import torch

from hypersharp.errors import InputError
from hypersharp.fusion.finish import missing_pixels
from hypersharp.grid import middle
from hypersharp.pair.reduced import MOST_PX
from hypersharp.pair.sample import Sample
from hypersharp.tiles.job import Job
from hypersharp.tiles.plan import Tile, tile_around
from hypersharp.uncertainty.calibrate import REACH, Intervals, find_intervals
from hypersharp.uncertainty.model import modelled_errors

WINDOW_PX = 40  # coarse pixels at most along a side of the windows that tell the mean error


def with_intervals(job: Job) -> Job:
    """The job with what predicts the result's error: learned in the middle of the scene, its mean all over it.

    Raises: InputError for a scene that is too small for that, or shows nothing in its middle.
    """
    pair = job.fusion.pair
    with torch.inference_mode():
        intervals = find_intervals(job.fusion, pair.read(middle(pair.shape_yx, MOST_PX)))
        return replace(job, intervals=replace(intervals, mean=mean_error(job, intervals)))


def mean_error(job: Job, intervals: Intervals) -> float:
    """The mean of the modelled errors of what is measured in windows all over the scene."""
    total, count, pair = 0.0, 0, job.fusion.pair
    for tile in windows(pair.shape_yx, pair.ratio):
        part, core = pair.read(tile.seen), tile.core_in_seen(pair.ratio)
        sharp = job.fusion.sharpen(part).float().cpu()
        errors = modelled_errors(intervals.model, sharp, part.hs, part.ms, intervals.sensor).mean(0)
        found = errors[core][torch.from_numpy(~missing_pixels(part)[core])]
        total, count = total + float(found.double().sum()), count + found.numel()
    if not count:
        raise InputError("no measured pixel all over the scene", "some", "mask less")
    return total / count


def windows(shape_yx: tuple[int, int], ratio: int) -> Iterator[Tile]:
    """Small tiles that cover the sample of a scene of so many coarse pixels."""
    sample = Sample.of(shape_yx, ratio)
    for rows, columns in product(pieces(sample.rows), pieces(sample.columns)):
        yield tile_around((rows.start, columns.start, len(rows), len(columns)), 2 * REACH, shape_yx)


def pieces(runs: Sequence[range]) -> Iterator[range]:
    """The runs in pieces of WINDOW_PX at most.

    >>> list(pieces([range(50)]))
    [range(0, 40), range(40, 50)]
    """
    for run in runs:
        for first in range(run.start, run.stop, WINDOW_PX):
            yield range(first, min(first + WINDOW_PX, run.stop))
