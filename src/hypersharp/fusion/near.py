"""Only the part of a large ms that lies around hs is read: a tile of Sentinel-2 is 110 km wide, the hs often 30."""

from dataclasses import replace

from hypersharp.cube import grid_of
from hypersharp.grid import covering
from hypersharp.io.image import Image
from hypersharp.pair.align import LARGEST_SIDE
from hypersharp.pair.resample import project

SEARCHED = 0.25  # of the shorter side of what is registered of hs: how far off an ms may lie and still be found
MARGIN_PX = 8  # hs pixels more
WORTH = 0.5  # of the ms; a larger part is read whole


def near(ms: Image, hs: Image) -> Image:
    """The ms as far as it may lie on hs, where that is less than half of it. Raises: InputError as `open_cube`."""
    ms.check()
    coarse, fine = grid_of(hs.outline()), grid_of(ms.outline())
    if any(grid.transform is None or grid.crs is None for grid in (coarse, fine)):
        return ms
    margin = MARGIN_PX + SEARCHED * min(*coarse.shape_yx, LARGEST_SIDE)
    window = covering(fine, coarse, margin_px=margin, project=project)
    pixels = window[2] * window[3]
    return replace(ms, part=window) if 0 < pixels < WORTH * fine.shape_yx[0] * fine.shape_yx[1] else ms
