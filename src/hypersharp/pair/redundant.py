"""Bands of an image that tell nothing the others do not: copies, sums and scalings of them, and constants.

Such a band of ms shares its noise with those it was made of. Methods take noise to be each band's own, find none in
either and trust both; without the copy nothing is lost. One of hs does no harm to them (0.1 dB at most), but a sensor
of so many bands less is not recognised.
"""

import numpy as np
from numpy.typing import NDArray

LEAST_OWN = 2e-4  # of a band's spread, what the others leave of it: 0.016 and more of bands with noise of their own
ROUNDING = 0.5  # of a whole number, no more than which rounding leaves of a copy
CONSTANT = 1e-6  # spread, as a share of the values
LEAST_PIXELS = 16  # a band, for the others to tell it
RIDGE = 1e-12  # of each band's power


def telling_bands(ms: NDArray[np.generic]) -> NDArray[np.intp]:
    """The numbers of the bands of ms (l, ...) without those that the others tell; NaN is nodata.

    Of bands that depend on each other the one goes that takes least of the others' noise: a mean before its parts, else
    the last. All stay where pixels are few, or every band is constant.
    """
    pixels = ms.reshape(len(ms), -1).astype(np.float64)
    pixels = pixels[:, np.isfinite(pixels).all(0)]
    everything = np.arange(len(ms))
    if pixels.shape[1] < LEAST_PIXELS * len(ms):
        return everything
    size = np.sqrt(np.square(pixels).mean(1))
    pixels -= pixels.mean(1, keepdims=True)
    moment = pixels @ pixels.T / pixels.shape[1]
    spread = np.sqrt(moment.diagonal())
    least = np.maximum(LEAST_OWN * spread, ROUNDING if ms.dtype.kind in "iu" else 0.0)
    kept = np.flatnonzero(spread > CONSTANT * size)
    while kept.size > 1:
        units = np.outer(spread[kept], spread[kept])
        inverse = np.linalg.inv(moment[np.ix_(kept, kept)] / units + RIDGE * np.eye(kept.size)) / units
        own = 1 / inverse.diagonal()  # the power that the others leave of each
        told = own <= np.square(least[kept])
        if not told.any():
            break
        noise = np.where(told, np.square(inverse * own[:, None]).sum(1).round(6), np.inf)  # white, in what tells a band
        kept = np.delete(kept, kept.size - 1 - int(np.argmin(noise[::-1])))
    return kept if kept.size else everything
