"""What a worker has to know to sharpen any tile of a scene, and how it does it."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.fusion.finish import result_type
from hypersharp.fusion.learn import Fusion
from hypersharp.pair.native import NativeImage
from hypersharp.pair.pair import Pair
from hypersharp.pair.place import place
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tiling import Tile, Tiling
from hypersharp.tiles.store import JOB, Store, Tiles, write_whole
from hypersharp.tiles.values import encode_values, read_values
from hypersharp.uncertainty.predict import REACH, Intervals, interval_floats_per_px

HALF_WIDTHS = np.dtype(np.float32)
PAIR = ("hs_bands", "ms_bands", "all_bands", "unit", "spectra", "left_out", "warnings", "changes", "spikes")
LEARNED = ("sharpener", "options", "choice", "record")


@dataclass(frozen=True, eq=False)
class Job:
    """What was learned of a scene, and the form of the result.

    `dtype` is the result's; `tiling` lays out the tiles, one that is everything before they are, for so many
    `workers`; `intervals` predict the result's error, if wanted.
    """

    fusion: Fusion
    dtype: np.dtype[Any]
    tiling: Tiling
    workers: int = 1
    intervals: Intervals | None = None

    @classmethod
    def of(cls, fusion: Fusion) -> "Job":
        """A job of one tile. Of a result of whole numbers all pixels must be sure to be there."""
        placement = fusion.pair.placement
        whole = all(image.outline().dtype.kind in "iu" for image in (placement.hs, placement.ms))
        gaps = not whole or placement.has_gaps or fusion.pair.changes is not None
        tiling = Tiling(placement.shape_yx, placement.ratio, max(placement.shape_yx), 0)
        return cls(fusion, result_type(fusion.pair, gaps=gaps), tiling)

    def sharpen(self, tile: Tile, device: str | None = None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The core of a tile, (all bands of hs, H, W), in the unit and type of the result; its half-widths, if any."""
        sharp, pair = self.fusion.estimate(tile, device)
        made = self.fusion.core(sharp, pair, tile, self.dtype)
        if self.intervals is None:
            return made, None
        with torch.inference_mode():
            widths = self.intervals(sharp, pair)
        return made, self.fusion.core(widths, pair, tile, HALF_WIDTHS)

    def halo_px(self) -> int:
        """How far (fine pixels) a pixel of the result and its half-width see."""
        ratio = self.fusion.pair.ratio
        return self.fusion.sharpener.halo_px(ratio) + (REACH * ratio if self.intervals else 0)

    def floats_per_px(self) -> float:
        """How many float32 making a tile holds per fine pixel at most."""
        bands, ms_bands = len(self.fusion.pair.hs_bands), len(self.fusion.pair.ms_bands)
        own = self.fusion.sharpener.floats_per_px(bands, ms_bands)
        return max(own, interval_floats_per_px(bands)) if self.intervals else own


def store_job(job: Job, store: Store) -> None:
    """Keep a job for other processes and for a run that goes on later.

    Raises: OSError where it cannot be written.
    """
    fusion, sensor, placement = job.fusion, job.fusion.sensor, job.fusion.pair.placement
    value = {
        "images": (placement.hs.given if isinstance(placement.hs, NativeImage) else placement.hs, placement.ms),
        "placed": (placement.described(), placement.notes, placement.stripes),
        "pair": {name: getattr(fusion.pair, name) for name in PAIR},
        "sensor": (sensor.given_psf, sensor.given_srf, sensor.estimate if sensor.is_estimated else None),
        "learned": {name: getattr(fusion, name) for name in LEARNED},
        "job": {name: getattr(job, name) for name in ("dtype", "tiling", "workers", "intervals")},
    }
    write_whole(store.folder / JOB, encode_values(value, call=store.call))


@lru_cache(maxsize=2)
def stored_job(tiles: Tiles, device: str | None) -> Job:
    """The job of tiles, with what it computes with on a device, by default its own; read once by a process.

    Raises: InputError where what `store_job` wrote is not there any more.
    """
    if Tiles.of(tiles.folder) != tiles:
        raise InputError(f"the job of another run in {tiles.folder}", "that of these tiles", "repeat the call")
    found = read_values(tiles.job, device)
    (hs, ms), (known, notes, stripes) = found["images"], found["placed"]
    placement = replace(place(hs, ms, known=known), notes=notes, stripes=stripes)
    psf, srf, estimate = found["sensor"]
    sensor = PairSensor(None, psf, srf)
    if estimate is not None:
        sensor.estimate = estimate
    pair = Pair(placement, **found["pair"], sample=None)
    return Job(Fusion(pair, sensor=sensor, **found["learned"]), **found["job"])
