"""A pair from a scene of the user's: which sensor sees it and how much of it."""

import numpy as np
import xarray as xr

from hypersharp.cube import wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM
from hypersharp.sensor.srf import find_srf
from hypersharp.simulation.protocols import find_protocol

USUAL_SRF = "nikon-d700"


def find_sensor(
    protocol: str | None, ratio: int | None, psf: str | None, srf: str | None, scene: xr.DataArray
) -> Sensor:
    """The named protocol's sensor, or one from a ratio and specs: by default a blur of FWHM ratio, a D700's response.

    Raises: InputError for an unknown name or a response that the scene's wavelengths do not meet.
    """
    if protocol is not None:
        return find_protocol(protocol).sensor()
    assert ratio is not None
    known_nm = wavelengths_nm(scene)
    if known_nm is None and srf in (None, USUAL_SRF) and scene.shape[0] == len(CAVE_WAVELENGTHS_NM):
        return Sensor(parse_psf(psf or f"fwhm:{ratio}", ratio), find_srf(USUAL_SRF, CAVE_WAVELENGTHS_NM), ratio)
    return Sensor(parse_psf(psf or f"fwhm:{ratio}", ratio), find_srf(srf or USUAL_SRF, known_nm), ratio)


def as_protocol_wants(protocol: str | None, scene: xr.DataArray) -> xr.DataArray:
    """The scene cropped and scaled to 0..1 as the named protocol does it; as it is without a protocol.

    Raises: InputError for an unknown name or a scene without a positive value.
    """
    if protocol is None:
        return scene
    rules = find_protocol(protocol)
    height, width = rules.crop_yx or scene.shape[1:]
    cropped = scene[:, :height, :width]
    largest = full_scale(rules.scaling, cropped)
    if not 0 < largest < np.inf:
        raise InputError(f"a scene whose largest value is {largest}", "a positive one", "check the file")
    return cropped if largest == 1 else cropped.astype(np.float32) / np.float32(largest)


def full_scale(scaling: str, scene: xr.DataArray) -> float:
    """What a protocol's scaling divides by."""
    if scaling == "dtype":
        return float(np.iinfo(scene.dtype).max) if np.issubdtype(scene.dtype, np.integer) else 1.0
    return float(scene.max())


def whole_coarse_pixels(scene: xr.DataArray, ratio: int) -> xr.DataArray:
    """The scene without the rows and columns on the far sides that fill no coarse pixel.

    Raises: InputError for a scene smaller than a coarse pixel.
    """
    height, width = (length // ratio * ratio for length in scene.shape[1:])
    if not height or not width:
        raise InputError(f"a scene of {scene.shape[1:]} pixels", f"at least {ratio} x {ratio}", "give a larger one")
    return scene.isel(y=slice(height), x=slice(width))
