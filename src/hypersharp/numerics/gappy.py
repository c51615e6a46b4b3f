"""Bands that lack many pixels which the others have: a scene keeps more without such a band than without its gaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_LACKING = 0.05  # of the pixels of the median band: with fewer gaps a band stays, whatever its pixels cost


def gappy_bands(bands: Sequence[Any] | NDArray[np.floating]) -> NDArray[np.bool_]:
    """(L,) True for those of (L, h, w), NaN for nodata, that are left out so that most values remain.

    Of the bands with many gaps, the fullest first, as many stay as make most of bands x pixels that all of them have:
    gaps of a whole detector cost less than half of the bands, those of one band among many more than that band.

    >>> bands = np.ones((4, 2, 5))
    >>> bands[2, :, 1:] = np.nan
    >>> gappy_bands(bands).tolist()
    [False, False, True, False]
    """
    counts = [int(np.isnan(band).sum()) for band in bands]
    order, found = np.argsort(counts, kind="stable"), np.zeros(len(counts), bool)
    if not len(order) or counts[order[0]] == counts[order[-1]]:
        return found
    there = ~np.isnan(bands[order[(len(order) - 1) // 2]])
    often = [band for band in order if np.isnan(bands[band])[there].sum() > MOST_LACKING * there.sum()]
    lacking = np.zeros(there.shape, bool)
    for band in np.setdiff1d(order, often):
        lacking |= np.isnan(bands[band])
    most, kept = 0, 0
    for number in range(len(often) + 1):
        if number:
            lacking |= np.isnan(bands[often[number - 1]])
        values = (len(order) - len(often) + number) * int((~lacking).sum())
        most, kept = max((most, kept), (values, number))
    found[often[kept:]] = bool(most)
    return found
