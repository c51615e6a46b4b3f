"""The sensor of a pair: what the user gave of it; the rest estimated from the pair, once, when first asked for."""

from collections.abc import Collection
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hypersharp.errors import InputError
from hypersharp.numerics.regression import solve_ridge
from hypersharp.pair.defects import some_bands, striped_lines
from hypersharp.pair.pair import Pair
from hypersharp.pair.reduced import MOST_BANDS, inside_pixels
from hypersharp.pair.redundant import telling_bands
from hypersharp.pair.tensors import TensorPair
from hypersharp.products.files import changed
from hypersharp.sensor.diagnosis import residual_warnings, residuals_of
from hypersharp.sensor.estimate import Estimate, Images, check_images, complete_sensor
from hypersharp.sensor.moments import wide_support
from hypersharp.sensor.observe import Sensor, degraded
from hypersharp.sensor.psf import PSF, check_width, parse_psf
from hypersharp.sensor.srf import check_response, find_srf
from hypersharp.sensor.stored import SENSOR_SUFFIX, stored_response
from hypersharp.simulation.protocols import PROTOCOLS, Protocol

GivenPSF = str | Path | PSF | None  # a spec such as "gaussian:8:2", a file, or the blur itself
GivenSRF = str | Path | NDArray[np.float64] | None  # a name, a file, or (l, L)
NO_BLUR = (
    "no blur explains the pair (another instrument, hs resampled, misplaced or cloudy, an image turned, haze in one, "
    "values that are not linear in light)"
)
WARNED_RESIDUAL = 0.05  # of a doubtful pair: from there on its result suffers
DOUBTFUL_MISFIT = 1.6  # simulated pairs have 0 to 1.1, an hs that was resampled or striped 1.7 to 9
AS_WELL = 1.05  # times the residual that a fitted sensor leaves
MOST_COPIES = 4  # bands of hs that may come on top of those of a protocol
LEAST_MISFIT = 1e-3  # residual that is nothing, whatever the noise
WIDE = 0.6  # of a coarse pixel, sigma from which on the usual support cuts a blur off
# of a coarse pixel, sigma of a blur that is no instrument's: a flat one over all it may reach has 0.87; so is one that
# lies beside its own pixel; unless it explains the pair
FLAT = 0.8
USUAL_PSF, FALLEN_BACK = "mtf:0.3", "by the pixel size"  # an instrument's of that pixel size, nothing else being known
MUCH_BETTER = 0.5  # of the residual of a given PSF
LEAST_RIDGE, TINY = 1e-9, 1e-30
DOUBTFUL_GAIN = 0.1  # by which a given response and the images may disagree


def told_apart(given: GivenPSF | GivenSRF) -> Any:
    """What differs where what is given does, JSON-able: of a file what changes with it too, of an array its numbers."""
    if isinstance(given, PSF):
        return given.to_dict()
    if isinstance(given, np.ndarray):
        return [list(given.shape), sha256(np.ascontiguousarray(given, np.float64).tobytes()).hexdigest()]
    if given is None or not Path(given).is_file():
        return given and str(given)
    return [str(given), changed(Path(given))]


class PairSensor:
    """PSF and spectral response of a pair.

    Args:
        pair: what an estimate is made from; None where none will be.
        psf: given by the user; None: estimated. One that wraps around mirrors instead where the pair shows no far side,
            as parts and real scenes do not.
        srf: (l, L), likewise.
    """

    def __init__(self, pair: TensorPair | None, psf: PSF | None = None, srf: NDArray[np.float64] | None = None) -> None:
        if psf is not None and pair is not None and psf.boundary == "wrap" and not wraps_around(pair, psf):
            psf = replace(psf, boundary="reflect")
        self.pair, self.given_psf, self.given_srf = pair, psf, srf

    @classmethod
    def known(cls, pair: TensorPair, sensor: Sensor, given: Collection[str]) -> "PairSensor":
        """A sensor that was found before; `given` says which of "psf" and "srf" the user gave."""
        found = cls(pair, sensor.psf if "psf" in given else None, sensor.srf if "srf" in given else None)
        found.estimate = estimate_sensor(pair, sensor.psf, sensor.srf)
        return found

    @cached_property
    def estimate(self) -> Estimate:
        """What was given, completed from the pair, and how well it explains it.

        A blur that was not given mirrors at the border: nothing shows what lies there. Where the sensor of a protocol
        explains the pair as well as what has been fitted to it, it is that sensor, which may wrap around.

        Raises: InputError where the pair does not show it.
        """
        if self.pair is None:
            raise InputError("no pair to estimate the sensor from", "psf and srf", "give both")
        found = estimate_sensor(self.pair, self.given_psf, self.given_srf)
        known = sensor_by_protocol(self.pair, found.residual)
        if known is not None:
            free = self.given_psf is None and self.given_srf is None
            found = known if free else replace(found, protocol=known.protocol)
        if self.given_psf is not None:
            return found
        farthest, sigma = max(map(abs, found.shift_px_yx)), max(found.sensor.psf.sigma_yx_px())
        no_kernel = sigma > FLAT * self.pair.ratio or farthest > self.pair.ratio
        if no_kernel and misfit_of(self.pair, found) > DOUBTFUL_MISFIT:
            usual = parse_psf(USUAL_PSF, self.pair.ratio).moved(self.pair.offset_px_yx, self.pair.ratio)
            found = replace(estimate_sensor(self.pair, usual, self.given_srf), blur=FALLEN_BACK)
        around = replace(found.sensor.psf, boundary="wrap")
        wraps = found.protocol is not None and wraps_around(self.pair, around)
        return replace(
            found, sensor=replace(found.sensor, psf=replace(around, boundary="wrap" if wraps else "reflect"))
        )

    def on(self, pair: TensorPair | None) -> "PairSensor":
        """The same sensor for another part of the scene; what was estimated is not estimated again."""
        other = PairSensor(pair, self.given_psf, self.given_srf)
        if self.is_estimated:
            other.estimate = self.estimate
        return other

    @property
    def is_estimated(self) -> bool:
        """Whether somebody has asked for more than was given."""
        return "estimate" in self.__dict__

    @property
    def psf(self) -> PSF:
        """The blur, (n, n) fine pixels with its phase."""
        return self.given_psf or self.estimate.sensor.psf

    @property
    def sensor(self) -> Sensor:
        """Blur, decimation and response together."""
        return self.estimate.sensor

    @property
    def is_exact(self) -> bool:
        """Whether the blur is known: given, or that of a protocol."""
        return self.given_psf is not None or self.estimate.protocol is not None

    @cached_property
    def misfit(self) -> float:
        """How many times what their noise explains hs and ms differ by under this sensor."""
        return 0.0 if self.pair is None else misfit_of(self.pair, self.estimate)

    @property
    def is_doubtful(self) -> bool:
        """Whether no blur explains the pair: hs was resampled, misplaced, or shows another state than ms."""
        return self.given_psf is None and self.misfit > DOUBTFUL_MISFIT

    @property
    def is_warned_of(self) -> bool:
        """Whether that is so much that the result suffers."""
        return self.is_doubtful and self.estimate.residual > WARNED_RESIDUAL

    @cached_property
    def against_consistency(self) -> str | None:
        """Why a result should not be held to this hs under this sensor, if so: what it would be made to keep."""
        if self.is_doubtful:
            return f"hs and ms differ by {self.misfit:.1f} times their noise under any sensor"
        if self.pair is not None and self.pair.hs_resampled:
            return "hs was resampled"
        if self.pair is not None:
            hs, valid = self.pair.hs, self.pair.hs_valid
            if striped_lines((hs if valid is None else hs.masked_fill(~valid, torch.nan)).cpu().numpy()):
                return "hs is striped"
        return None

    @property
    def notes(self) -> list[str]:
        """What was estimated, and how well hs and ms agree under it."""
        if not self.is_estimated:
            return []
        given = {"psf": self.given_psf, "srf": self.given_srf}
        missing = " and ".join(name for name, value in given.items() if value is None)
        estimated = [f"{missing} estimated from the pair"] if missing else []
        if self.estimate.protocol and self.given_psf is None and self.given_srf is None:
            estimated = [f"psf and srf are those of {self.estimate.protocol}, which explain the pair as well as any"]
        if self.estimate.blur == FALLEN_BACK:
            estimated.append(f"no kernel explains hs: psf {USUAL_PSF}, by the pixel size alone, taken instead")
        return estimated if self.is_warned_of else [*estimated, self.difference()]

    @property
    def warnings(self) -> list[str]:
        """What speaks against the pair, a given response, or PSF."""
        if not self.is_estimated:
            return []
        found = [self.difference()] if self.is_warned_of else []
        if self.pair is not None and self.misfit > DOUBTFUL_MISFIT:
            found += residual_warnings(residuals_of(self.estimate, images_of(self.pair)))
        for row in [] if self.given_srf is None else np.flatnonzero(~self.given_srf.any(axis=1)).tolist():
            found.append(f"row {row + 1} of the given srf is all zeros: that ms band is taken to see nothing of hs")
        if self.given_srf is not None and abs(self.estimate.gain - 1) > DOUBTFUL_GAIN:
            found.append(f"by the given srf, hs is {self.estimate.gain:.2g} times as bright as ms")
        given = self.given_psf is not None or self.given_srf is not None
        return [*found, *self.better_than_given()] if given and self.misfit > DOUBTFUL_MISFIT else found

    def difference(self) -> str:
        """By how much hs and ms differ, and what that may come of where it is no noise."""
        differ = f"hs and ms differ by {self.estimate.residual:.1%} under this sensor"
        return f"{differ}, {self.misfit:.0f} times their noise: {NO_BLUR}" if self.is_doubtful else differ

    def better_than_given(self) -> list[str]:
        """What is to be said where a PSF or response estimated from the pair explains it much better than the given."""
        for psf, srf, name in ((None, self.given_srf, "psf"), (self.given_psf, None, "srf")):
            try:
                other = PairSensor(self.pair, psf, srf).estimate
            except InputError:
                continue
            if other.residual > MUCH_BETTER * self.estimate.residual:
                continue
            better = f"hs and ms differ by {self.estimate.residual:.1%} under the given {name}, by {other.residual:.1%}"
            if name == "srf":
                return [f"{better} under one estimated from them: has it a row for each ms band, in their order?"]
            (y, x), (given_y, given_x) = other.shift_px_yx, self.estimate.shift_px_yx
            return [
                f"{better} under one estimated from them, whose centre lies {y - given_y:+.1f}, {x - given_x:+.1f} "
                "fine pixels (down, right) off: beside a psf nothing is co-registered; correct it, or leave it out"
            ]
        return []


def misfit_of(pair: TensorPair, found: Estimate) -> float:
    """How many times what their noise explains hs and ms differ by under an estimate of their sensor."""
    sensor, noise = found.sensor, pair.noise
    averaged = float(np.square(sensor.psf.kernel).sum())  # what the blur leaves of the ms's noise
    powers = np.square(sensor.srf) @ np.square(noise.hs) + averaged * np.square(noise.ms)
    seen = sensor.ms(pair.hs if pair.hs_valid is None else pair.hs[:, pair.hs_valid][..., None])
    expected = float(powers.sum() / max(float(seen.square().mean((1, 2)).sum()), 1e-30)) ** 0.5
    return float(found.residual / max(expected, LEAST_MISFIT))


def images_of(pair: TensorPair) -> Images:
    """The pair as an estimate sees it."""
    return check_images(pair.hs, pair.ms, pair.ratio, pair.hs_valid, pair.ms_valid)


def estimate_sensor(pair: TensorPair, psf: PSF | None, srf: NDArray[np.float64] | None) -> Estimate:
    """What is given of the sensor, and the rest from the pair. Raises: InputError where the pair does not show it.

    A blur that reaches further than usual is taken where only that explains the pair.
    """
    complete = partial(complete_sensor, pair.hs, pair.ms, pair.ratio, srf=srf, spectra=pair.spectra)
    complete = partial(complete, hs_valid=pair.hs_valid, ms_valid=pair.ms_valid)
    found = complete(psf=psf)
    fits = min(pair.hs.shape[1:]) > wide_support(pair.ratio).side_px  # at reduced resolution too
    is_wide = max(found.sensor.psf.sigma_yx_px()) > WIDE * pair.ratio
    if psf is not None or not (fits and is_wide) or misfit_of(pair, found) <= DOUBTFUL_MISFIT:
        return found
    try:
        wide = complete(wide=True)
    except InputError:
        return found
    return wide if misfit_of(pair, wide) <= DOUBTFUL_MISFIT else found


def estimate_by(protocol: Protocol, pair: TensorPair, bands: NDArray[np.intp] | None = None) -> Estimate:
    """The sensor of a protocol, and how well it explains a pair, of whose hs `bands` (None: all) are the protocol's."""
    sensor = protocol.sensor()
    srf = np.zeros((len(pair.ms), len(pair.hs)))
    srf[:, slice(None) if bands is None else bands] = sensor.srf
    return replace(estimate_sensor(pair, sensor.psf, srf), protocol=protocol.name)


def sensor_by_protocol(pair: TensorPair, residual: float) -> Estimate | None:
    """That of the protocol which explains a pair best, if nearly as well as one fitted to it does: by `residual`.

    A few bands of hs more than the protocol has, copies of others or constants, tell nothing of it.
    """
    best: Estimate | None = None
    for protocol in PROTOCOLS.values():
        more = len(pair.hs) - len(protocol.wavelengths_nm)
        if (protocol.ratio, len(protocol.sensor().srf)) != (pair.ratio, len(pair.ms)) or not 0 <= more <= MOST_COPIES:
            continue
        bands = telling_bands(pair.hs.cpu().numpy()) if more else np.arange(len(pair.hs))
        if len(bands) != len(protocol.wavelengths_nm):
            continue
        known = estimate_by(protocol, pair, bands)
        if known.residual <= AS_WELL * residual and (best is None or known.residual < best.residual):
            best = known
    return best


def given_sensor(pair: Pair, psf: GivenPSF, srf: GivenSRF) -> tuple[PSF | None, NDArray[np.float64] | None]:
    """PSF and response as the user gave them, for the usable bands of the pair.

    Raises: InputError for a spec, a name or a file that is none, a blur wider than the pair, or a response of other
        bands.
    """
    within_px = min(pair.shape_yx) * pair.ratio
    blur = parse_psf(str(psf), pair.ratio, within_px) if isinstance(psf, str | Path) else psf
    if not isinstance(blur, PSF | None):
        found = f"a psf of type {type(blur).__name__}"  # type: ignore[unreachable]
        raise InputError(found, "a text such as 'gaussian:8:2', a file or a PSF", "see `hypersharp.sensor.psf`")
    if blur is not None and blur is psf:  # `parse_psf` has looked at the others
        check_width(max(blur.kernel.shape), max(blur.sigma_yx_px()), within_px)
    if blur is not None and any(pair.placement.offset_px_yx):
        blur = blur.moved(pair.placement.offset_px_yx, pair.ratio)
    if isinstance(srf, str | Path) and Path(srf).suffix.lower() == SENSOR_SUFFIX:
        srf = stored_response(Path(srf), pair.spectra.hs_nm, pair.spectra.ms_nm)
    elif isinstance(srf, str | Path):
        srf = find_srf(str(srf), pair.spectra.hs_nm, (len(pair.ms_bands), pair.all_bands[1]))
    if srf is None:
        return blur, None
    srf = np.asarray(srf, np.float64)
    if srf.ndim != 2 or not np.isfinite(srf).all():
        raise InputError(f"a response of shape {srf.shape}", "finite numbers (ms bands, hs bands)", "correct the srf")
    response = usable_response(srf, pair)
    check_response(response, len(pair.ms_bands), len(pair.hs_bands))
    return blur, response


def wraps_around(pair: TensorPair, psf: PSF) -> bool:
    """Whether hs at its border shows the far side of ms, as simulations make it, no worse than its own side mirrored.

    Both are told from hs regressed on the blurred ms where the blur stays inside. A part of a scene has no far side.
    """
    if pair.in_parts:
        return False
    inside = inside_pixels(psf, pair.ratio, (pair.ms.shape[1], pair.ms.shape[2]))
    measured = pair.measured_under(Sensor(psf, np.ones((1, 1)), pair.ratio))
    border, within, hs = measured & ~inside, measured & inside, pair.hs[some_bands(len(pair.hs), MOST_BANDS)]
    around, mirrored = (
        torch.cat([degraded(pair.ms, rule, pair.ratio), torch.ones_like(hs[:1])])
        for rule in (psf, replace(psf, boundary="reflect"))
    )
    if not border.any() or within.sum() < 2 * len(around):
        return True
    around, mirrored = (
        seen / around[:, within].norm(dim=1)[:, None, None].clamp(min=TINY) for seen in (around, mirrored)
    )
    known, wanted = around[:, within].double(), hs[:, within].double()
    gram, rhs = ((known[:, None] * image).sum(-1) for image in (known, wanted))
    mixture = solve_ridge(gram, rhs, LEAST_RIDGE).to(hs)[..., None]
    gaps = [float((hs[:, border] - (mixture * seen[:, None, border]).sum(0)).norm()) for seen in (around, mirrored)]
    return gaps[0] <= gaps[1]


def usable_response(srf: NDArray[np.float64], pair: Pair) -> NDArray[np.float64]:
    """A response (l, L) without the rows and columns of bands that are left out, if it has them.

    The columns that stay share a row's sum, so that it still is a mean.
    """
    bands, ms_bands = pair.all_bands
    if len(srf) == ms_bands:
        srf = srf[pair.ms_bands]
    if srf.shape[1] != bands or len(pair.hs_bands) == bands:
        return srf
    whole, kept = srf.sum(axis=1, keepdims=True), srf[:, pair.hs_bands]
    part = kept.sum(axis=1, keepdims=True)
    return np.where(part > 0, kept * whole / np.where(part > 0, part, 1), kept)
