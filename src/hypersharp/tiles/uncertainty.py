"""Prediction intervals for a result that is made in tiles: learned once for the scene, before there is a tile."""

from dataclasses import replace
from itertools import product

import torch

from hypersharp.errors import InputError
from hypersharp.fusion.finish import missing_pixels
from hypersharp.grid import middle
from hypersharp.numerics.loops import slices
from hypersharp.pair.reduced import MOST_PX
from hypersharp.pair.sample import Sample
from hypersharp.pair.tiling import tile_around
from hypersharp.tiles.job import Job
from hypersharp.uncertainty.model import modelled_errors
from hypersharp.uncertainty.predict import REACH, Intervals, find_intervals

WINDOW_PX = 40  # coarse pixels at most along a side of the windows that the mean error is taken from


def with_intervals(job: Job) -> Job:
    """The job with what predicts the result's error: learned in the middle of the scene, its mean all over it.

    Raises: InputError for a scene that is too small for that, or shows nothing in its middle.
    """
    pair = job.fusion.pair
    with torch.inference_mode():
        intervals = find_intervals(job.fusion, pair.read(middle(pair.shape_yx, MOST_PX)))
        return replace(job, intervals=replace(intervals, mean=mean_error(job, intervals)))


def mean_error(job: Job, intervals: Intervals) -> float:
    """The mean of the modelled errors of what is measured in small tiles that cover the scene's sample."""
    total, count, pair = 0.0, 0, job.fusion.pair
    sample = Sample.of(pair.shape_yx, pair.ratio)
    rows, columns = (
        [(run.start + part.start, part.stop - part.start) for run in runs for part in slices(len(run), WINDOW_PX)]
        for runs in (sample.rows, sample.columns)
    )
    for (y, height), (x, width) in product(rows, columns):
        tile = tile_around((y, x, height, width), 2 * REACH, pair.shape_yx)
        part, core = pair.read(tile.seen), tile.core_in_seen(pair.ratio)
        sharp = job.fusion.sharpen(part).float().cpu()
        errors = modelled_errors(intervals.model, sharp, part.hs, part.ms, intervals.sensor).mean(0)
        found = errors[core][torch.from_numpy(~missing_pixels(part)[core])]
        total, count = total + float(found.double().sum()), count + found.numel()
    if not count:
        raise InputError("no measured pixel all over the scene", "some", "mask less")
    return total / count
