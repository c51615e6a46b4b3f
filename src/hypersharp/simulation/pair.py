"""A scene made ready for a sensor, and a pair with its truth, as that would see it."""

from typing import Any

import numpy as np
import torch
import xarray as xr

from hypersharp.cube import check_cube, crs_of, fwhm_nm, good_bands, make_cube, transform_of, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.grid import coarse_transform
from hypersharp.numerics.unit import full_scale
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.responses import CAVE_WAVELENGTHS_NM
from hypersharp.sensor.srf import band_centres_nm, find_srf
from hypersharp.simulation.protocols import Protocol

USUAL_SRF = "nikon-d700"


def make_sensor(ratio: int, psf: str | None, srf: str | None, scene: xr.DataArray) -> Sensor:
    """A sensor from a ratio and specs: by default a blur of FWHM ratio, a D700's response.

    Raises: InputError for an unknown name or a response that the scene's wavelengths do not meet.
    """
    nm = wavelengths_nm(scene)
    if nm is None and srf in (None, USUAL_SRF) and scene.shape[0] == len(CAVE_WAVELENGTHS_NM):
        nm = np.array(CAVE_WAVELENGTHS_NM)
    within = {} if psf is None else {"within_px": min(scene.shape[1:])}
    return Sensor(parse_psf(psf or f"fwhm:{ratio}", ratio, **within), find_srf(srf or USUAL_SRF, nm), ratio)


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


def simulate_pair(
    truth: xr.DataArray,
    sensor: Sensor,
    *,
    snr_hs_db: float | None = None,
    snr_ms_db: float | None = None,
    seed: int = 0,
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Simulate the pair that a sensor would record of a scene: blurred and decimated, and seen through its response.

    Args:
        truth: the scene (L, H, W) in any unit; H and W are multiples of the ratio.
        sensor: PSF, spectral response (l, L) and ratio.
        snr_hs_db, snr_ms_db: signal-to-noise ratio of white Gaussian noise in dB; None adds none.
        seed: the same seed gives the same noise.

    Returns:
        hs (L, H / ratio, W / ratio), ms (l, H, W) and truth (L, H, W), float32, in the unit of the truth. hs keeps the
        bands of the truth, with pixels `ratio` times as large from the same corner; each ms band gets the
        response-weighted mean wavelength.

    Raises:
        InputError: the bands do not fit the response, or H or W is no multiple of the ratio.

    Source: Y = D B Z + noise, M = R Z + noise (Wei, Dobigeon, Tourneret 2015, eq. 1).

    >>> from hypersharp.cube import make_cube
    >>> from hypersharp.simulation.protocols import find_protocol
    >>> hs, ms, truth = simulate_pair(make_cube(np.ones((31, 16, 16))), find_protocol("dian-x4").sensor())
    >>> hs.shape, ms.shape, truth.shape
    ((31, 4, 4), (3, 16, 16), (31, 16, 16))
    """
    check_cube(truth, "the scene")
    values = np.array(truth.values, dtype=np.float32, order="C")
    hs, ms = sensor.observe(torch.from_numpy(values))
    hs = hs if snr_hs_db is None else add_noise(hs, snr_hs_db, 2 * seed)
    ms = ms if snr_ms_db is None else add_noise(ms, snr_ms_db, 2 * seed + 1)
    centres, crs, transform = wavelengths_nm(truth), crs_of(truth), transform_of(truth)
    bands: dict[str, Any] = {"wavelengths_nm": centres, "fwhm_nm": fwhm_nm(truth), "good_bands": good_bands(truth)}
    coarse = None if transform is None else coarse_transform(transform, sensor.ratio)
    ms_centres = None if centres is None else band_centres_nm(sensor.srf, centres)
    return (
        make_cube(hs.numpy(), **bands, crs=crs, transform=coarse),
        make_cube(ms.numpy(), wavelengths_nm=ms_centres, crs=crs, transform=transform),
        make_cube(values, **bands, crs=crs, transform=transform),
    )
