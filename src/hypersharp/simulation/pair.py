"""A pair with its truth, as a sensor would see a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hypersharp.grid import coarse_transform

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from hypersharp.sensor.observe import Sensor


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
    response-weighted mean wavelength. Noise is white and Gaussian, by SNR in dB, the same for one seed.

    Raises InputError where the bands do not fit the response, or H or W is no multiple of the ratio.
    """
    import torch

    from hypersharp.cube import check_cube, crs_of, fwhm_nm, good_bands, make_cube, transform_of, wavelengths_nm
    from hypersharp.sensor.srf import band_centres_nm

    check_cube(truth, "the scene")
    values = np.array(truth.values, dtype=np.float32, order="C")
    hs, ms = sensor.observe(torch.from_numpy(values))
    hs, ms = _noisy(hs, snr_hs_db, 2 * seed), _noisy(ms, snr_ms_db, 2 * seed + 1)
    centres, crs, transform = wavelengths_nm(truth), crs_of(truth), transform_of(truth)
    bands: dict[str, Any] = {"wavelengths_nm": centres, "fwhm_nm": fwhm_nm(truth), "good_bands": good_bands(truth)}
    coarse = None if transform is None else coarse_transform(transform, sensor.ratio)
    ms_centres = None if centres is None else band_centres_nm(sensor.srf, centres)
    return (
        make_cube(hs.numpy(), **bands, crs=crs, transform=coarse),
        make_cube(ms.numpy(), wavelengths_nm=ms_centres, crs=crs, transform=transform),
        make_cube(values, **bands, crs=crs, transform=transform),
    )


def _noisy(image: torch.Tensor, snr_db: float | None, seed: int) -> torch.Tensor:
    from hypersharp.sensor.observe import add_noise

    return image if snr_db is None else add_noise(image, snr_db, seed)
