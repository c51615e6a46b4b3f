"""The sensor of a pair of cubes: the door from cubes to `sensor.estimate`, for `hypersharp estimate`."""

from pathlib import Path

import xarray as xr

from hypersharp.cube import only_usable, wavelengths_nm
from hypersharp.methods.base import to_tensor, value_scale
from hypersharp.methods.fuse import check_pair
from hypersharp.sensor.estimate import Estimate, complete_sensor, spectral_gaps
from hypersharp.sensor.psf import parse_psf
from hypersharp.sensor.srf import find_srf


def estimate_pair(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    psf: str | Path | None = None,
    srf: str | Path | None = None,
    ratio: int | None = None,
) -> Estimate:
    """Blur and response of hs (L, h, w) and ms (l, H, W) in one unit; what is given of the two is kept.

    Bad and empty bands are left out: the response has no column, or row, for them.

    Raises: InputError for images that do not match or do not tell, or a psf, srf or ratio that does not fit.
    """
    hs, ms = only_usable(hs, "hs"), only_usable(ms, "ms")
    found, known_nm, unit = check_pair(hs, ms, ratio), wavelengths_nm(hs), value_scale(hs.values)
    return complete_sensor(
        to_tensor(hs, unit),
        to_tensor(ms, unit),
        found,
        psf=None if psf is None else parse_psf(str(psf), found),
        srf=None if srf is None else find_srf(str(srf), known_nm),
        gaps=spectral_gaps(known_nm),
    )


def summarise(estimate: Estimate) -> str:
    """The estimate in three lines, as people read it."""
    sensor, (shift_y, shift_x) = estimate.sensor, estimate.shift_px_yx
    bands, hs_bands = sensor.srf.shape
    taps_y, taps_x = sensor.psf.kernel.shape
    return "\n".join([
        f"psf       {taps_y} x {taps_x} fine pixels, ratio {sensor.ratio}, from pixel {sensor.psf.start_yx}; "
        f"its centre lies ({shift_y:+.2f}, {shift_x:+.2f}) fine pixels (y, x) off the coarse pixel's",
        f"srf       {bands} ms bands of {hs_bands} hs bands",
        f"residual  {estimate.residual:.1%} (hs and ms under this sensor; below 2 % simulated, 3 to 10 % real), "
        f"gain {estimate.gain:.3g}",
    ])  # fmt: skip
