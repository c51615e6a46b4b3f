"""A sensor as a JSON text: what `hypersharp estimate` writes and `fuse --sensor` reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypersharp.errors import CallError, InputError
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.tables import FloatArray
from hypersharp.system.read_errors import READ_ERRORS, check_regular

MAKE = "make one with `hypersharp estimate HS MS -o SENSOR.json`"


def describe_estimate(estimate: Estimate, more: Mapping[str, Any] | None = None) -> str:
    """The sensor, its diagnostics and `more` entries as JSON; `read_sensor` gives the sensor back."""
    sensor = estimate.sensor
    content: dict[str, Any] = {
        "ratio": sensor.ratio,
        "psf": sensor.psf.to_dict(),
        "srf": sensor.srf.tolist(),
        "gain": estimate.gain,
        "residual": estimate.residual,
        "shift_px_yx": list(estimate.shift_px_yx),
        "sigma_px_yx": list(sensor.psf.sigma_yx_px()),
        **(more or {}),
    }
    return json.dumps(content, indent=1) + "\n"


def read_sensor(path: str | Path) -> Sensor:
    """The sensor in a JSON file with `ratio`, `psf` and `srf`; everything else in it is left alone.

    Raises: InputError for a missing or unreadable file, or one that describes no sensor.
    """
    try:
        check_regular(Path(path))
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        ratio, srf, psf = int(content["ratio"]), content["srf"], PSF.from_dict(content["psf"])
        return Sensor(psf, np.array(srf, dtype=np.float64), ratio)
    except FileNotFoundError as exc:
        raise InputError(f"no file '{path}'", "a sensor (.json)", MAKE) from exc
    except READ_ERRORS as exc:
        reason = f"no {exc}" if isinstance(exc, KeyError) else str(exc)[:200]
        raise InputError(f"'{path}' that cannot be used ({reason})", "a sensor (.json)", MAKE) from exc


def sensor_from_args(
    path: str | Path | None, psf: str | None, srf: str | None, ratio: int | None
) -> tuple[str | PSF | None, str | FloatArray | None, int | None]:
    """(psf, srf, ratio) as the options name them, or, where a sensor file is given, those in it.

    Raises: CallError for a file that contradicts one of the others; InputError as `read_sensor`.
    """
    if path is None:
        return psf, srf, ratio
    if psf or srf:
        raise CallError("a sensor file and a psf or srf", "one of the two", "leave one out")
    sensor = read_sensor(path)
    if ratio not in (None, sensor.ratio):
        raise CallError(f"ratio {ratio} and a sensor of ratio {sensor.ratio}", "the same", "leave the ratio out")
    return sensor.psf, sensor.srf, sensor.ratio
