"""How far to trust a result that is made in tiles: learned once for the scene, before there is a tile."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import torch

from hypersharp.errors import InputError
from hypersharp.fusion.learn import for_parts
from hypersharp.grid import middle
from hypersharp.methods.base import Method
from hypersharp.pair.reduced import MOST_PX
from hypersharp.pair.sample import Sample
from hypersharp.pair.tensors import missing_pixels
from hypersharp.tiles.job import Job
from hypersharp.tiles.plan import Tile, tile_around
from hypersharp.uncertainty.calibrate import REACH, Trust, applied_again, find_trust
from hypersharp.uncertainty.model import modelled_errors

WINDOW_PX = 40  # coarse pixels at most along a side of the windows that tell the mean error


def with_trust(job: Job, method: Method) -> Job:
    """The job with what predicts the result's error: learned in the middle of the scene, its mean all over it.

    Raises: InputError for a scene that is too small for that, or shows nothing in its middle.
    """
    hs, ms = job.read(tile_around(middle(job.pair.shape_yx, MOST_PX), 0, job.pair.shape_yx))
    pair, settings = job.tensors(hs, ms), for_parts(job.told(hs, ms))
    with torch.inference_mode():
        trust = find_trust(
            method,
            *pair,
            settings,
            lambda _: partial(applied_again, job.recipe, settings),
            changed=job.recipe.agreement is not None,
        )
        return replace(job, trust=replace(trust, mean=mean_error(job, trust)))


def mean_error(job: Job, trust: Trust) -> float:
    """The mean of the modelled errors of what is measured in windows all over the scene."""
    total, count = 0.0, 0
    for tile in windows(job.pair.shape_yx, job.pair.ratio):
        hs, ms = job.read(tile)
        pair, core = job.tensors(hs, ms), tile.core_in_seen(job.pair.ratio)
        sharp = job.recipe(*pair, job.told(hs, ms)).float().cpu()
        errors = modelled_errors(trust.model, sharp, *pair, trust.sensor).mean(0)
        found = errors[core][torch.from_numpy(~missing_pixels(hs, ms)[core])]
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
