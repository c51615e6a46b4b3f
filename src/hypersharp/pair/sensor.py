"""The sensor of a pair: as given, else estimated from the images."""

from dataclasses import replace

from torch import Tensor

from hypersharp.pair.settings import Settings
from hypersharp.sensor.estimate import Estimate, complete_sensor, spectral_gaps
from hypersharp.sensor.psf import PSF

DOUBTFUL_GAIN = 0.1  # by which a given srf and the images may disagree


def estimate_sensor_of(hs: Tensor, ms: Tensor, settings: Settings) -> Estimate:
    """What the user gave of the sensor, and the rest from the pair."""
    return complete_sensor(
        hs,
        ms,
        settings.ratio,
        psf=settings.psf,
        srf=settings.srf,
        gaps=spectral_gaps(settings.wavelengths_nm),
        hs_valid=settings.hs_valid,
        ms_valid=settings.ms_valid,
        spectra=settings.spectra,
    )


def find_sensor(hs: Tensor, ms: Tensor, settings: Settings) -> Estimate:
    """As `estimate_sensor_of`; a blur that was estimated mirrors at the border: no estimate can say what lies there."""
    found = estimate_sensor_of(hs, ms, settings)
    if settings.psf is not None:
        return found
    psf = replace(found.sensor.psf, boundary="reflect")
    return replace(found, sensor=replace(found.sensor, psf=psf))


def note_estimate(estimate: Estimate, settings: Settings) -> None:
    """What was estimated and how well hs and ms agree under it."""
    known = {"psf": settings.psf, "srf": settings.srf}
    missing = [name for name, value in known.items() if value is None]
    if missing:
        settings.note(f"{' and '.join(missing)} estimated from the pair")
    settings.note(f"hs and ms differ by {estimate.residual:.1%} under this sensor")
    if abs(estimate.gain - 1) > DOUBTFUL_GAIN and settings.srf is not None:
        settings.note(f"warning: by the given srf, hs is {estimate.gain:.2g} times as bright as ms")


def find_psf(hs: Tensor, ms: Tensor, settings: Settings) -> PSF:
    """The user's psf, or that of the pair."""
    if settings.psf is not None:
        return settings.psf
    found = find_sensor(hs, ms, settings)
    settings.note(f"psf estimated from the pair, which differs by {found.residual:.1%} under it")
    return found.sensor.psf
