"""The sensor of a pair of cubes: the door from cubes to `sensor.estimate`, for `hypersharp estimate`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.io.image import CubeImage
from hypersharp.pair.options import Options
from hypersharp.pair.place import pair_of
from hypersharp.pair.sensor import GivenPSF, GivenSRF, estimate_sensor, given_sensor, images_of
from hypersharp.sensor.diagnosis import Diagnosis, diagnose, runs
from hypersharp.sensor.estimate import Estimate
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.spectra import Spectra, nm_runs
from hypersharp.sensor.stored import SENSOR_NM


@dataclass(frozen=True, eq=False)
class Study:
    """An estimate, what it rests on, the wavelengths it was made with; `unit` is the value that counts as 1."""

    estimate: Estimate
    diagnosis: Diagnosis
    spectra: Spectra
    unit: float

    def as_dict(self) -> dict[str, Any]:
        """Everything but the sensor itself, JSON-able; noise and offsets in the user's unit, bands from 1."""
        found, seen, noise = self.estimate, self.diagnosis, self.diagnosis.noise
        return {
            **dict(zip(SENSOR_NM, (listed(self.spectra.hs_nm), listed(self.spectra.ms_nm)), strict=True)),
            "ms_recognised": self.spectra.recognised,
            "blur_family": found.blur,
            "response_families": list(found.responses),
            "equations": found.equations,
            "condition_numbers": dict(found.conditions),
            "gains": listed(found.gains),
            "offsets": listed(found.offsets * self.unit),
            "residuals": listed(seen.residuals),
            "hs_noise": listed(noise.hs * self.unit),
            "hs_snr_db": listed(noise.hs_snr_db),
            "ms_noise": listed(noise.ms * self.unit),
            "ms_snr_db": listed(noise.ms_snr_db),
            "ms_bands_see_hs_bands": [[band + 1 for band in row] for row in seen.sees],
            "unseen_hs_bands": [band + 1 for band in seen.unseen],
            "left_out_ms_bands": [band + 1 for band in seen.left_out],
            "warnings": list(seen.warnings),
        }


def listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def estimate_pair(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
) -> Estimate:
    """Estimate PSF and spectral response from a pair; what is given of them is kept.

    Args:
        hs: (L, h, w); bad and empty bands are excluded, the response has no column for them.
        ms: (l, H, W) in the unit of hs; likewise. Wavelengths and widths are used where known.
        psf: a PSF, its text form or a file.
        srf: a response (l, L), its name or a file.
        ratio: fine pixels per coarse one; by default that of the grids.

    Returns:
        The sensor and how well it fits.

    Raises:
        InputError: images that do not match or hold no texture, or a psf, srf or ratio that does not fit.

    Source: Simoes et al. 2015 (HySure), section V; see `hypersharp.sensor.estimate`.

    >>> import hypersharp as hsp
    >>> from hypersharp.cube import make_cube
    >>> from hypersharp.simulation.protocols import find_protocol
    >>> scene = make_cube(np.random.default_rng(0).random((31, 64, 64)))
    >>> sensor = find_protocol("dian-x4").sensor()
    >>> hs, ms, _ = hsp.simulate(scene, sensor)
    >>> estimate_pair(hs, ms, srf=sensor.srf).residual < 0.1
    True
    """
    return study_pair(hs, ms, psf=psf, srf=srf, ratio=ratio).estimate


def study_pair(
    hs: xr.DataArray, ms: xr.DataArray, *, psf: GivenPSF = None, srf: GivenSRF = None, ratio: int | None = None
) -> Study:
    """Estimate PSF and spectral response from a pair, with the diagnostics that the estimate rests on.

    Args:
        hs: (L, h, w); bad and empty bands are excluded.
        ms: (l, H, W) in the unit of hs; likewise.
        psf, srf, ratio: as `estimate_pair` takes them (a response is (l, L)).

    Returns:
        The estimate, its diagnosis (residuals, noise, warnings), the wavelengths used, and the value that counts as 1.

    Raises:
        InputError: as `estimate_pair`.

    >>> from hypersharp.cube import make_cube
    >>> fine = np.random.default_rng(0).random((31, 64, 64))
    >>> hs, ms = make_cube(fine.reshape(31, 16, 4, 16, 4).mean((2, 4))), make_cube(fine[[25, 15, 5]])
    >>> study_pair(hs, ms).diagnosis.residuals.shape
    (3,)
    """
    pair = pair_of(CubeImage(hs), CubeImage(ms), Options(coregister="none"), ratio=ratio)
    tensors = pair.whole()
    estimate = estimate_sensor(tensors, *given_sensor(pair, psf, srf))
    down, right = pair.placement.offset_px_yx
    if down or right:  # a PSF is told from the middle of the pixels of hs, wherever those lie
        told = replace(estimate.sensor, psf=estimate.sensor.psf.moved((-down, -right), pair.ratio))
        (y, x) = estimate.shift_px_yx
        estimate = replace(estimate, sensor=told, shift_px_yx=(y - down, x - right))
    return Study(estimate, diagnose(estimate, images_of(tensors), tensors.spectra), tensors.spectra, pair.unit)


def summarise(study: Study) -> str:
    """The estimate in a few lines, formatted for display, warnings last."""
    found, seen, nm = study.estimate, study.diagnosis, study.spectra.hs_nm
    (sigma_y, sigma_x), (shift_y, shift_x) = found.sensor.psf.sigma_yx_px(), found.shift_px_yx
    ms_bands, hs_bands = found.sensor.srf.shape
    families = ", ".join(dict.fromkeys(found.responses))
    named = study.spectra.recognised
    known = f"  the ms has the centres of {named}: its widths were taken where the images do not object"
    bands = [
        f"  ms {m + 1:<3}  sees {f'hs bands {runs(seen_bands)}' if nm is None else nm_runs(seen_bands, nm)}; "
        f"gain {found.gains[m]:.3f}, residual {seen.residuals[m]:.1%}"
        for m, seen_bands in enumerate(seen.sees)
        if seen_bands
    ]
    lines = [
        f"psf       sigma {sigma_y:.2f} x {sigma_x:.2f} fine pixels (y, x), {found.blur}, ratio {found.sensor.ratio}",
        f"shift     {shift_y:+.2f} y, {shift_x:+.2f} x fine pixels, of the blur's centre off the coarse pixel's",
        f"srf       {ms_bands} ms bands of {hs_bands} hs bands, {families}, from {found.equations} coarse pixels",
        *([known] if named else []),
        *bands,
        f"residual  {found.residual:.1%} (hs and ms under this sensor; below 2 % simulated, 3 to 10 % real), "
        f"gain {found.gain:.3g}",
        f"noise     hs {np.median(seen.noise.hs_snr_db):.1f} dB, ms {np.median(seen.noise.ms_snr_db):.1f} dB "
        "(median band's signal to noise)",
    ]
    return "\n".join([*lines, *(f"warning   {text}" for text in seen.warnings)])
