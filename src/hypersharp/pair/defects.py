"""What is wrong with an hs that its pixels alone show: rows and columns that repeat, and stripes.

Nearest-neighbour resampling, of an orthorectification say, repeats whole rows and columns, noise and all. A detector
that is not calibrated leaves stripes, other ones in each band: what the bands beside a band do not explain of its
differences from line to line is then the same along a line, where noise would average out.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hypersharp.grid import middle

ALIKE = 0.9  # of a line's pixels that are those of the line before in every band
REPEATED = 0.03  # of all lines
STRIPED = 8.0  # times the variance that a line's mean has where lines do not share their noise; 1 to 3 without stripes
NEIGHBOURS = (-2, -1, 1, 2)  # bands that explain a band
MOST_BANDS = 24  # that are looked at, evenly spread
LEAST_LINES = 8
LOOKED_AT_PX, LOOKED_AT_MS_PX = 128, 256  # along a side, of the middle
AXES = ("rows", "columns")


def some_bands(bands: int, most: int = MOST_BANDS) -> NDArray[np.intp]:
    """The numbers of at most so many bands, evenly spread.

    >>> some_bands(9, 3).tolist()
    [0, 4, 8]
    """
    return np.linspace(0, bands - 1, min(bands, most)).round().astype(np.intp)


def repeated_lines(hs: NDArray[np.floating]) -> dict[str, float]:
    """The shares of "rows" and "columns" of hs (L, h, w) that repeat the one before, of those that are not constant.

    NaN is nodata.
    """
    shares = {}
    for axis, name in zip((1, 2), AXES, strict=True):
        lines = np.moveaxis(hs, axis, 1)
        measured = np.isfinite(lines).all(0)
        both = measured[1:] & measured[:-1]
        alike = ((lines[:, 1:] == lines[:, :-1]).all(0) & both).sum(1) >= ALIKE * np.maximum(both.sum(1), 1)
        beside = measured[1:, 1:] & measured[1:, :-1]
        varied = ((lines[:, 1:, 1:] != lines[:, 1:, :-1]).any(0) & beside).any(1)
        counted = varied & (both.sum(1) > 1)
        shares[name] = float((alike & counted).sum() / max(int(counted.sum()), 1))
    return shares


def stripes(hs: NDArray[np.floating]) -> dict[str, float]:
    """How many times as much as noise would the means of "rows" and "columns" of hs (L, h, w) vary, the median band.

    Of pixels with a value in every band; 1 where there are too few of them in a line, too few lines or bands to tell.
    """
    if min(hs.shape[1:]) < LEAST_LINES or len(hs) <= len(NEIGHBOURS):
        return dict.fromkeys(AXES, 1.0)
    y, x, height, width = middle(hs.shape[1:], LOOKED_AT_PX)
    hs = hs[:, y : y + height, x : x + width]
    return {name: float(np.median(stripes_by_band(hs, axis))) for axis, name in enumerate(AXES)}


def stripes_by_band(image: NDArray[np.floating], axis: int) -> list[float]:
    """The same of lines along an axis (0 rows, 1 columns), for each of some bands of an image (n, y, x)."""
    bands = some_bands(len(image))
    steps = np.moveaxis(np.diff(image.astype(np.float64), axis=1 + axis), 1 + axis, 1)
    steps = steps[:, np.isfinite(steps).all(0).sum(1) >= LEAST_LINES]
    if steps.shape[1] < LEAST_LINES - 1:
        return [1.0] * len(bands)
    return [shared_by_lines(steps, band) for band in bands]


def ms_warnings(ms: NDArray[np.floating]) -> Iterator[str]:
    """That bands of ms (l, H, W) are striped, each in its own way, NaN for nodata; what all share is not told."""
    if min(ms.shape[1:]) < LEAST_LINES or len(ms) < 2:
        return
    lines = [name for axis, name in enumerate(AXES) if max(stripes_by_band(ms, axis)) >= STRIPED]
    if lines:
        yield f"ms is striped along its {' and '.join(lines)}: the result shows its stripes; destripe ms first"


def striped_lines(hs: NDArray[np.floating]) -> list[str]:
    """Which of "rows" and "columns" of hs (L, h, w) with NaN for nodata are stripes."""
    return [name for name, found in stripes(hs).items() if found >= STRIPED]


def shared_by_lines(steps: NDArray[np.float64], band: int) -> float:
    """n times the mean square of the means of lines of n measured pixels, over that of pixels, of what others leave.

    The mean square of steps between lines that have nothing to do with each other is minus twice the mean product of
    one and the next; steps of a scene go on and count for nothing.
    """
    beside, measured = [band + step for step in NEIGHBOURS if 0 <= band + step < len(steps)], np.isfinite(steps).all(0)
    known, wanted = steps[beside][:, measured].T, steps[band][measured]
    left, counts = np.zeros(measured.shape), measured.sum(1)
    left[measured] = wanted - known @ np.linalg.lstsq(known, wanted, rcond=None)[0]
    power = float(np.square(left[measured]).mean())
    means = left.sum(1) / np.sqrt(counts)
    unrelated = max(0.0, -2 * float((means[1:] * means[:-1]).mean()))
    return unrelated / power if power > 0 else 1.0


def defect_warnings(hs: NDArray[np.floating], *, striped: Sequence[str] = (), spiky: int = 0) -> Iterator[str]:
    """What of it people should know, of hs (L, h, w) with NaN for nodata.

    striped: the lines whose stripes stay; spiky: in how many pixels values were replaced.
    """
    repeated = {name: share for name, share in repeated_lines(hs).items() if share >= REPEATED}
    if repeated:
        shares = " and ".join(f"{share:.0%} of its {name}" for name, share in repeated.items())
        yield f"hs repeats {shares}: it was resampled by nearest neighbour; take it as it was before, if there is such"
    if striped:
        yield f"hs is striped along its {' and '.join(striped)}: the result keeps stripes; destripe hs first"
    if spiky:
        pixels = "1 pixel" if spiky == 1 else f"{spiky} pixels"
        yield (
            f"hs holds values in {pixels} that are far off all around them, of which ms shows nothing: "
            "what is usual there is taken, --keep-changed keeps them"
        )
