"""A scene made ready for a sensor: which one sees it, how it is scaled and how much of it is kept."""

import numpy as np
import xarray as xr

from hypersharp.cube import wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.numerics.unit import full_scale
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM
from hypersharp.sensor.srf import find_srf
from hypersharp.simulation.protocols import Protocol

USUAL_SRF = "nikon-d700"


def make_sensor(ratio: int, psf: str | None, srf: str | None, scene: xr.DataArray) -> Sensor:
    """A sensor from a ratio and specs: by default a blur of FWHM ratio, a D700's response.

    Raises: InputError for an unknown name or a response that the scene's wavelengths do not meet.
    """
    nm = wavelengths_nm(scene)
    if nm is None and srf in (None, USUAL_SRF) and scene.shape[0] == len(CAVE_WAVELENGTHS_NM):
        nm = np.array(CAVE_WAVELENGTHS_NM)
    return Sensor(parse_psf(psf or f"fwhm:{ratio}", ratio), find_srf(srf or USUAL_SRF, nm), ratio)


def crop_and_scale(protocol: Protocol, scene: xr.DataArray, name: object = "the scene") -> xr.DataArray:
    """The scene cropped and scaled to 0..1 as the protocol does it; `name` stands in the message.

    Raises: InputError for a scene without a positive value.
    """
    height, width = protocol.crop_yx or scene.shape[1:]
    cropped = scene[:, :height, :width]
    largest = full_scale(cropped.values, protocol.scaling)
    if not 0 < largest < np.inf:
        raise InputError(f"a largest value of {largest:g} in {name}", "a positive one", "check the file")
    return cropped if largest == 1 else cropped.astype(np.float32) / np.float32(largest)


def whole_coarse_pixels(scene: xr.DataArray, ratio: int) -> xr.DataArray:
    """The scene without the rows and columns on the far sides that fill no coarse pixel.

    Raises: InputError for a scene smaller than a coarse pixel.
    """
    height, width = (length // ratio * ratio for length in scene.shape[1:])
    if not height or not width:
        raise InputError(f"a scene of {scene.shape[1:]} pixels", f"at least {ratio} x {ratio}", "give a larger one")
    return scene.isel(y=slice(height), x=slice(width))
