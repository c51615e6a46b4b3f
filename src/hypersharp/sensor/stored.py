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
from hypersharp.sensor.wavelengths import SAME_BAND_NM
from hypersharp.system.read_errors import READ_ERRORS, check_regular

SENSOR_SUFFIX = ".json"
SENSOR_NM = "hs_wavelengths_nm", "ms_wavelengths_nm"
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
    return read_stored(path)[0]


def read_stored(path: str | Path) -> tuple[Sensor, tuple[FloatArray | None, ...]]:
    """The same with the wavelengths (nm) of the hs and ms bands that it is of, where the file has them."""
    try:
        check_regular(Path(path))
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        ratio, srf, psf = int(content["ratio"]), content["srf"], PSF.from_dict(content["psf"])
        said = (content.get(name) for name in SENSOR_NM)
        nm = tuple(None if one is None else np.array(one, dtype=np.float64) for one in said)
        return Sensor(psf, np.array(srf, dtype=np.float64), ratio), nm
    except FileNotFoundError as exc:
        raise InputError(f"no file '{path}'", "a sensor (.json)", MAKE) from exc
    except READ_ERRORS as exc:
        reason = f"no {exc}" if isinstance(exc, KeyError) else str(exc)[:200]
        raise InputError(f"'{path}' that cannot be used ({reason})", "a sensor (.json)", MAKE) from exc


def stored_response(path: Path, hs_nm: FloatArray | None, ms_nm: FloatArray | None) -> FloatArray:
    """The response in a sensor's file, for a pair with bands of these wavelengths, where they are known.

    Raises: InputError as `read_sensor`, and for bands of other wavelengths.
    """
    sensor, stored = read_stored(path)
    for name, own, nm in zip(("hs", "ms"), stored, (hs_nm, ms_nm), strict=True):
        if own is None or nm is None or not own.size:
            continue
        same = own.shape == nm.shape  # else bad bands are left out of one
        gaps = abs(own - nm) if same else abs(own[:, None] - nm).min(0)
        if gaps.max() > SAME_BAND_NM:
            found = f"{name} with a band {gaps.max():.0f} nm off those that '{path}' is of"
            raise InputError(found, "the bands it was estimated for", "estimate the sensor of this pair")
    return sensor.srf


def sensor_from_args(
    path: str | Path | None, psf: str | None, srf: str | None, ratio: int | None
) -> tuple[str | PSF | None, str | Path | None, int | None]:
    """(psf, srf, ratio) as the options name them; of a sensor file that is given, with its path for the response.

    Raises: CallError for a file that contradicts one of the others; InputError as `read_sensor`.
    """
    if path is None:
        return psf, srf, ratio
    if Path(path).suffix.lower() != SENSOR_SUFFIX:
        raise InputError(f"the sensor file '{path}'", f"a name ending in {SENSOR_SUFFIX}", MAKE)
    if psf or srf:
        raise CallError("a sensor file and a psf or srf", "one of the two", "leave one out")
    sensor = read_sensor(path)
    if ratio not in (None, sensor.ratio):
        raise CallError(f"ratio {ratio} and a sensor of ratio {sensor.ratio}", "the same", "leave the ratio out")
    return sensor.psf, Path(path), sensor.ratio
