"""The blur between the fine scene and the coarse pixels: a kernel, its phase, its boundary rule.

Convention (that of psf2otf): the fine scene is convolved with the kernel's tap floor(k/2) at the
origin, then pixels start, start + ratio, ... are kept. Coarse pixel i is thus the kernel-weighted
sum of the fine pixels ratio*i + start + floor(k/2) - t, t = 0..k-1. For an even kernel the centre
of a coarse pixel therefore lies half a fine pixel after `start`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Any, Literal, get_args

import numpy as np

from hypersharp.errors import InputError
from hypersharp.sensor.tables import FloatArray, is_table_path, read_table

Boundary = Literal["wrap", "reflect", "nearest"]
BOUNDARIES: tuple[str, ...] = get_args(Boundary)

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
HELD_SIGMAS = 4.0  # how far a kernel whose size we choose reaches from its centre
SPLINE_TAPS = 3  # around a kernel that is moved by a fraction of a pixel
NORMALISED = 1e-14  # how far from 1 rounding leaves the sum of a scaled kernel
MIRRORED_PX = 8  # coarse
MOST_PX = 2048  # along a kernel, which is quickly made
WIDE_SIGMAS = 4  # next to nothing of a blur lies beyond this width
EXAMPLE = "e.g. gaussian:8:2, gaussian:8:2:start=1:boundary=wrap, fwhm:4.5, box, starck-murtagh, mtf:0.3"


@dataclass(frozen=True, eq=False)
class PSF:
    """A point spread function: kernel, phase of the decimation, and the rule beyond the border.

    Attributes:
        kernel: (kh, kw) in fine pixels, of positive sum; scaled to sum 1.
        start_yx: 0-based index of the first fine pixel kept (see the head of this file).
        boundary: "wrap" (circular), "reflect" (symmetric, the border pixel repeated) or "nearest".

    >>> gaussian(8, 2.0, ratio=4).centre_yx()
    (1.5, 1.5)
    """

    kernel: FloatArray
    start_yx: tuple[int, int]
    boundary: Boundary = "wrap"

    @property
    def mirrored_px(self) -> int:
        """By how many coarse pixels a circular step has images mirrored around, to keep their far sides away."""
        return 0 if self.boundary == "wrap" else MIRRORED_PX

    def __post_init__(self) -> None:
        kernel = np.array(self.kernel, dtype=np.float64)
        if kernel.ndim != 2 or kernel.size == 0 or not np.isfinite(kernel).all() or kernel.sum() <= 0:
            raise InputError(f"a kernel of shape {kernel.shape}", "2-D, finite, of positive sum", EXAMPLE)
        if min(self.start_yx) < 0:
            raise InputError(f"start {self.start_yx}", "0-based indices, 0 to ratio - 1", EXAMPLE)
        if self.boundary not in BOUNDARIES:
            raise InputError(f"boundary '{self.boundary}'", f"one of {', '.join(BOUNDARIES)}", EXAMPLE)
        if abs(kernel.sum() - 1) > NORMALISED:  # one that came through a file stays bit for bit
            kernel /= kernel.sum()
        kernel.setflags(write=False)
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "start_yx", (int(self.start_yx[0]), int(self.start_yx[1])))

    def __eq__(self, other: object) -> bool:
        """Same taps, same phase, same boundary."""
        return (
            isinstance(other, PSF)
            and (self.start_yx, self.boundary) == (other.start_yx, other.boundary)
            and np.array_equal(self.kernel, other.kernel)
        )

    def __hash__(self) -> int:
        return hash((self.kernel.tobytes(), self.start_yx, self.boundary))

    def centre_yx(self) -> tuple[float, float]:
        """Where the centre of mass of coarse pixel (0, 0) lies, in fine pixels; (ratio - 1)/2 is centred."""
        y, x = (
            start + size // 2 - float(np.arange(size) @ self.kernel.sum(axis=1 - axis))
            for axis, (start, size) in enumerate(zip(self.start_yx, self.kernel.shape, strict=True))
        )
        return round(y, 12), round(x, 12)

    def moved(self, by_px_yx: tuple[float, float], ratio: int) -> "PSF":
        """The same blur, its centre so many fine pixels further down and right.

        >>> box(2).moved((0.5, 1.0), ratio=2).centre_yx()
        (1.0, 1.5)
        """
        from scipy.ndimage import shift

        weights = self.kernel[::-1, ::-1]  # in reading order
        first = [start + size // 2 - size + 1 for start, size in zip(self.start_yx, weights.shape, strict=True)]
        whole = [floor(length) for length in by_px_yx]
        parts = [length - step for length, step in zip(by_px_yx, whole, strict=True)]
        if any(parts):
            order = 1 if np.ptp(weights) == 0 else 3  # a box's edges are straight lines
            weights = shift(np.pad(weights, SPLINE_TAPS), parts, order=order)
            first = [place - SPLINE_TAPS for place in first]
        first = [place + step for place, step in zip(first, whole, strict=True)]
        starts = [min(max(place + size // 2, 0), ratio - 1) for place, size in zip(first, weights.shape, strict=True)]
        reach = [
            max(start - place, place + size - 1 - start)
            for place, size, start in zip(first, weights.shape, starts, strict=True)
        ]
        held = np.zeros([2 * side + 1 for side in reach])
        (top, height), (left, width) = (
            (place - start + side, size)
            for place, size, start, side in zip(first, weights.shape, starts, reach, strict=True)
        )
        held[top : top + height, left : left + width] = weights
        return PSF(held[::-1, ::-1], (starts[0], starts[1]), self.boundary)

    def window(self, ratio: int, side: int) -> FloatArray:
        """The weights (side, side) of the fine pixels around a coarse pixel, centred on it.

        A coarse pixel is the sum of these weights times the pixels there, borders aside.
        Raises InputError where a tap lies outside the window, or side and ratio are not both even or both odd.

        >>> box(2).window(ratio=2, side=4)[1]
        array([0.  , 0.25, 0.25, 0.  ])
        """
        before = (side - ratio) // 2
        rows, columns = (
            before + start + size // 2 - np.arange(size)
            for start, size in zip(self.start_yx, self.kernel.shape, strict=True)
        )
        reached = min(rows[-1], columns[-1]), max(rows[0], columns[0])
        if (side - ratio) % 2 or reached[0] < 0 or reached[1] >= side:
            found = f"a blur of {self.kernel.shape} pixels from {self.start_yx}"
            raise InputError(found, f"one within {side} pixels around its coarse pixel", "take a smaller blur")
        window = np.zeros((side, side))
        window[np.ix_(rows, columns)] = self.kernel
        return window

    def sigma_yx_px(self) -> tuple[float, float]:
        """The standard deviation of the kernel along y and x, fine pixels; 0 where lobes below zero leave none.

        >>> gaussian(13, 1.5, ratio=3).sigma_yx_px()
        (1.5, 1.5)
        """
        spreads = []
        for axis, size in enumerate(self.kernel.shape):
            profile, places = self.kernel.sum(axis=1 - axis), np.arange(size)
            spreads.append(float(max(profile @ (places - profile @ places) ** 2, 0)) ** 0.5)
        return round(spreads[0], 3), round(spreads[1], 3)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form; `from_dict` gives the same PSF back."""
        return {"kernel": self.kernel.tolist(), "start_yx": list(self.start_yx), "boundary": self.boundary}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "PSF":
        """The PSF that `to_dict` described; InputError where something is missing or malformed."""
        try:
            start_y, start_x = content["start_yx"]
            return cls(np.array(content["kernel"], dtype=np.float64), (start_y, start_x), content["boundary"])
        except (KeyError, TypeError, ValueError) as exc:
            raise InputError(f"a PSF without {exc}", "kernel, start_yx and boundary", "estimate it again") from exc


def centred_start(size: int, ratio: int) -> int:
    """The decimation start that puts coarse pixel 0 at (ratio - 1)/2, or half a fine pixel before it.

    Exact where size and ratio are both even or both odd; otherwise no start is.

    >>> centred_start(8, 4), centred_start(5, 3), centred_start(3, 4)
    (1, 1, 1)
    """
    half_pixel = 1 - size % 2
    return max(0, (ratio - 1 - half_pixel) // 2)


def gaussian(size: int, sigma_px: float, ratio: int, start: int | None = None, boundary: Boundary = "wrap") -> PSF:
    """A size x size Gaussian of standard deviation `sigma_px` fine pixels, sampled at the pixel centres."""
    if size < 1 or not 0 < sigma_px < np.inf:
        raise InputError(f"Gaussian of size {size}, sigma {sigma_px}", "both positive", EXAMPLE)
    offsets = np.arange(size) - (size - 1) / 2
    profile = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    return from_kernel(np.outer(profile, profile), ratio, start, boundary)


def gaussian_fwhm(fwhm_px: float, ratio: int, start: int | None = None, boundary: Boundary = "wrap") -> PSF:
    """A Gaussian of full width at half maximum `fwhm_px` fine pixels, large enough to hold it.

    The size takes the ratio's parity, so that it can be centred exactly.
    """
    if not 0 < fwhm_px < np.inf:
        raise InputError(f"a FWHM of {fwhm_px}", "a positive number of fine pixels", EXAMPLE)
    sigma_px = fwhm_px / FWHM_PER_SIGMA
    size = max(int(np.ceil(2 * HELD_SIGMAS * sigma_px)), ratio)
    return gaussian(size + (size - ratio) % 2, sigma_px, ratio, start, boundary)


def box(ratio: int, start: int | None = None, boundary: Boundary = "wrap") -> PSF:
    """The mean over the ratio x ratio fine pixels of a coarse one."""
    return from_kernel(np.ones((ratio, ratio)), ratio, start, boundary)


def from_kernel(kernel: FloatArray, ratio: int, start: int | None = None, boundary: Boundary = "wrap") -> PSF:
    """A PSF of any kernel (kh, kw), scaled to sum 1; `start` counts for both axes, None is centred."""
    if ratio < 1:
        raise InputError(f"ratio {ratio}", "a whole number of at least 1", "give the ratio of the pixel sizes")
    if start is not None and not 0 <= start < ratio:
        raise InputError(f"start {start} at ratio {ratio}", f"0 to {ratio - 1}", EXAMPLE)
    start_y, start_x = (centred_start(n, ratio) if start is None else start for n in kernel.shape)
    return PSF(kernel, (start_y, start_x), boundary)


def check_width(size_px: float, sigma_px: float, within_px: int = MOST_PX) -> None:
    """Raise InputError for a blur wider than an image of that side in fine pixels, or a kernel that no image can need.

    >>> check_width(306, 38.2, 200)
    """
    wide = min(size_px, WIDE_SIGMAS * sigma_px) if size_px <= MOST_PX else size_px
    if wide > min(within_px, MOST_PX):
        most = f"at most the image's {within_px}" if within_px < MOST_PX else f"at most {MOST_PX}"
        do = f"give it in fine pixels, not in metres, {EXAMPLE}"
        raise InputError(f"a PSF about {wide:.0f} fine pixels wide", most, do)


def parse_psf(spec: str, ratio: int, within_px: int = MOST_PX) -> PSF:
    """Read a PSF from its text form.

    Args:
        spec: `gaussian:SIZE:SIGMA`, `fwhm:PX`, `box`, `starck-murtagh`, `mtf:VALUE` or the path of a kernel, in fine
            pixels; then `:start=1` (or `:start=1,2` for y, x) and `:boundary=wrap|reflect|nearest`.
        ratio: fine pixels per coarse one.
        within_px: side of the image, than which no blur is wider.

    Returns:
        The PSF; centred on the coarse pixel unless `start` is given.

    Raises:
        InputError: another text, a file that holds no kernel, or a blur wider than the image.

    >>> parse_psf("gaussian:8:2", ratio=4).start_yx
    (1, 1)
    """
    head, *texts = re.split(r":(?=\w+=)", spec.strip())
    options: dict[str, Any] = dict(text.split("=", 1) for text in texts)
    if not head or set(options) - {"start", "boundary"}:
        raise InputError(f"PSF '{spec}'", "the options start and boundary only", EXAMPLE)
    if is_table_path(head):
        kernel = read_table(head, "blur kernel", lambda shape: len(shape) == 2 and min(shape) > 1)
        psf = from_kernel(kernel, ratio)
    else:
        psf = _named_psf(head, ratio, within_px)
    check_width(max(psf.kernel.shape), max(psf.sigma_yx_px()), within_px)
    if "start" in options:
        text = options.pop("start")
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2) or not all(0 <= number < ratio for number in numbers):
            raise InputError(f"start '{text}' at ratio {ratio}", f"whole numbers from 0 to {ratio - 1}", EXAMPLE)
        options["start_yx"] = numbers[0], numbers[-1]
    return replace(psf, **options)


def _named_psf(head: str, ratio: int, within_px: int) -> PSF:
    name, *texts = head.split(":")
    try:
        match name, [float(text) for text in texts]:
            case "gaussian", [size, sigma_px] if size.is_integer():
                check_width(size, sigma_px, within_px)
                return gaussian(int(size), sigma_px, ratio)
            case "fwhm", [fwhm_px]:
                sigma_px = float(fwhm_px / FWHM_PER_SIGMA)
                check_width(2 * HELD_SIGMAS * sigma_px, sigma_px, within_px)
                return gaussian_fwhm(fwhm_px, ratio)
            case "mtf", [mtf]:  # at the Nyquist frequency f = 1/(2 ratio): exp(-2 pi^2 sigma^2 f^2) = mtf
                if not 0 < mtf < 1:
                    raise InputError(f"an MTF of {mtf} at Nyquist", "a number between 0 and 1", EXAMPLE)
                fwhm_px = float(ratio * np.sqrt(2 * np.log(1 / mtf)) / np.pi * FWHM_PER_SIGMA)
                return _named_psf(f"fwhm:{fwhm_px}", ratio, within_px)
            case "box", []:
                return box(ratio)
            case "starck-murtagh", []:  # the B3 spline, HySure's
                profile = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
                return from_kernel(np.outer(profile, profile), ratio)
    except ValueError as exc:
        raise InputError(f"PSF '{head}'", "numbers after its name", EXAMPLE) from exc
    raise InputError(f"PSF '{head}'", "a known blur or a file", EXAMPLE)
