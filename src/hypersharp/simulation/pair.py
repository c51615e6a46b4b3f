"""A pair with its truth, as a sensor would see a scene."""

from typing import Any

import numpy as np
import torch
import xarray as xr

from hypersharp.cube import check_cube, crs_of, fwhm_nm, good_bands, make_cube, transform_of, wavelengths_nm
from hypersharp.grid import coarse_transform
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.srf import band_centres_nm


def simulate_pair(
    truth: xr.DataArray,
    sensor: Sensor,
    *,
    snr_hs_db: float | None = None,
    snr_ms_db: float | None = None,
    seed: int = 0,
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """(hs, ms, truth), float32, as the sensor would see a scene (L, H, W) in the truth's own units.

    hs has the truth's bands and, where the truth has an affine, pixels `ratio` times as large from the
    same corner; ms has the truth's grid and, where the truth has wavelengths, each band at its
    response-weighted mean wavelength.

    Args:
        truth: fine hyperspectral scene (L, H, W), any unit.
        sensor: blur, response and ratio; `find_protocol(name).sensor()` for a protocol's.
        snr_hs_db, snr_ms_db: of white Gaussian noise to add, the same for one seed; None: none.

    Returns:
        hs (L, H/ratio, W/ratio), ms (l, H, W) and the truth (L, H, W).

    Raises:
        InputError: the bands do not fit the response, or H or W is no multiple of the ratio.

    >>> from hypersharp.simulation.protocols import find_protocol
    >>> scene = make_cube(np.random.default_rng(0).random((31, 16, 24), np.float32))
    >>> hs, ms, truth = simulate_pair(scene, find_protocol("dian-x4").sensor(), snr_hs_db=40)
    >>> hs.shape, ms.shape
    ((31, 4, 6), (3, 16, 24))
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
