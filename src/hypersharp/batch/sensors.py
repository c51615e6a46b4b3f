"""The sensors of a batch: blur and response estimated once for all pairs of the same two sensors.

Both belong to the instruments, not to the scene. Where HS lies on MS differs from pair to pair: it is found for each,
so the blur is kept about the middle of the coarse pixel. A pair that no blur explains teaches nothing to others, and
one that the shared sensor explains much worse than its own keeps its own.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.batch.pairs import PairFiles
from hypersharp.cube import grid_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.grid import whole_ratio
from hypersharp.io.image import CubeImage, Image
from hypersharp.io.together import write_text
from hypersharp.methods.table import find_method
from hypersharp.pair.estimate import listed
from hypersharp.pair.options import Options
from hypersharp.pair.pair import Pair
from hypersharp.pair.place import pair_of
from hypersharp.pair.sensor import PairSensor, given_sensor
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.stored import SENSOR_NM, describe_estimate, read_sensor
from hypersharp.system.atomic import make_folder

GIVEN, OWN = "given", "its own"  # in place of the name of a shared one


@dataclass(frozen=True)
class SharedSensors:
    """The sensors in a folder, one file a kind of pair, of the form that `fuse --sensor` takes."""

    folder: Path
    method: str
    options: Options
    given: Mapping[str, Any]  # psf, srf and ratio

    def of(self, pair: PairFiles, hs: Image | CubeImage, ms: Image | CubeImage) -> tuple[str, dict[str, Any]]:
        """The name of a pair's sensors, and which psf, srf, ratio and, where it was placed, pair `fuse` is to take.

        The name is GIVEN or OWN for what is not shared, empty where none is needed.

        Estimated from this pair where it is the first of its kind, its own where the shared one does not explain it;
        not at all where the sensor is given or not needed.
        """
        known, needed = dict(self.given), {"psf", "srf"}.intersection(find_method(self.method).needs)
        if known["psf"] is not None or known["srf"] is not None:
            return GIVEN, known
        if not needed:
            return "", known
        name = pair.sensors or kind_of(hs, ms)
        file = self.folder / f"{name}.json"
        if not (pair.sensors and file.exists()):
            known["pair"] = pair_of(hs, ms, self.options, ratio=known["ratio"])
        if not file.exists():
            found = estimate_of(known["pair"], hs.path)
            if found is None:
                return OWN, known
            write_text(make_folder(self.folder) / file.name, found)
        elif not pair.sensors and misfits(read_sensor(file), file, known["pair"]):
            return OWN, known
        sensor = read_sensor(file)
        return name, known | {"psf": sensor.psf, "srf": file, "ratio": sensor.ratio}


def misfits(sensor: Sensor, file: Path, pair: Pair) -> bool:
    """Whether a pair speaks against a sensor: another unit, other bands, a blur that explains it much better."""
    if sensor.ratio != pair.ratio:
        return True
    seen = PairSensor(pair.to_learn_from(in_parts=False), *given_sensor(pair, sensor.psf, file))
    with suppress(InputError):  # too few pixels, no texture
        _ = seen.estimate
    return bool(seen.warnings)


def kind_of(hs: Image | CubeImage, ms: Image | CubeImage) -> str:
    """A name that pairs of the same bands and ratio share."""
    outlines = hs.outline(), ms.outline()
    grids = [grid_of(outline) for outline in outlines]
    areas = [abs(float(grid.transform.determinant)) for grid in grids if grid.transform is not None]  # of pixels
    ratio = sqrt(areas[0] / areas[1]) if len(areas) == len(grids) else 0.0
    bands = [None if (nm := wavelengths_nm(cube)) is None else np.round(nm, 1).tolist() for cube in outlines]
    facts = [bands, f"{ratio:.2g}" if ratio else whole_ratio(*grids)]
    mark = sha256(json.dumps(facts).encode()).hexdigest()[:6]
    return f"{outlines[0].shape[0]}-bands-with-{outlines[1].shape[0]}-{mark}"


def estimate_of(pair: Pair, hs: Path | None) -> str | None:
    """The sensor that a pair shows, as a text to keep; None where another pair had better not take it; hs: its file."""
    shown = PairSensor(pair.to_learn_from(in_parts=False))
    try:
        found, doubtful = shown.estimate, shown.is_doubtful
    except InputError:  # too few pixels, no texture: `fuse` says so, where it matters
        return None
    if doubtful or len(pair.ms_bands) < pair.all_bands[1]:
        return None
    middle = (pair.ratio - 1) / 2
    y, x = found.sensor.psf.centre_yx()
    response = np.zeros(pair.all_bands[::-1])
    response[np.ix_(pair.ms_bands, pair.hs_bands)] = found.sensor.srf
    centred = Sensor(found.sensor.psf.moved((middle - y, middle - x), pair.ratio), response, pair.ratio)
    outlines = pair.placement.hs.outline(), pair.placement.ms.outline()
    nm = {name: listed(wavelengths_nm(cube)) for name, cube in zip(SENSOR_NM, outlines, strict=True)}
    return describe_estimate(replace(found, sensor=centred, shift_px_yx=(0.0, 0.0)), {"estimated_from": str(hs), **nm})
