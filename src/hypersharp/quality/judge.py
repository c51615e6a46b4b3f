"""A result judged without a truth: D_lambda, D_s, QNR, HQNR, residuals; and Wald's scores of the method.

Z: estimate (L, H, W); Y: hs (L, h, w); M: ms (l, H, W); M_: ms on the grid of hs; Q: the universal image quality
index (Wang and Bovik 2002) of two bands, the mean over blocks that share no pixel.

D_lambda  mean over pairs of bands a != b of |Q(Z_a, Z_b) - Q(Y_a, Y_b)|       (Alparone et al. 2008, eq. 5, p = 1)
D_s       mean over bands b of |Q(Z_b, M_k) - Q(Y_b, M_k_)|                              (there, eq. 6, q = 1)
QNR       (1 - D_lambda) (1 - D_s)                                          (there, eq. 8, alpha = beta = 1)
D_lambda of Khan et al. 2009: 1 - mean over bands of Q(degraded Z_b, Y_b); a mean over bands instead of Q4
HQNR      (1 - D_lambda of Khan) (1 - D_s)                                            (Aiazzi et al. 2014)

Alparone et al.: Photogrammetric Engineering & Remote Sensing 74(2); Khan et al.: IEEE TGRS 47(11); Aiazzi et al.:
Proc. SPIE 9244. With several ms bands, k is the one of M_ that correlates best with Y_b, as hyper-sharpening
pairs them (Selva et al. 2015, IEEE JSTARS 8(6)). As in the first paper, a block covers the same ground on both
grids: about 32 fine pixels, but at least 8 coarse ones, along a side. Q asks for one unit, so D_s is of M and M_ in
that of hs: a gain and an offset a band give M_ the mean and the spread of hs seen through the response.

All take float64 arrays with NaN where a pixel is missing; a block counts where half of it, on both grids, is there.
What is not defined (no block counts, a single band) is NaN.

Wald, Ranchin, Mangolini 1997, Photogrammetric Engineering & Remote Sensing 63(6): hs and ms are brought to
reduced resolution by their own sensor, fused, and scored against the given hs (`pair.reduced`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import DIMS, fwhm_nm, make_cube, only_usable, usable_bands, wavelengths_nm
from hypersharp.errors import InputError
from hypersharp.io.given import as_cube
from hypersharp.numerics.unit import is_scaled, value_scale
from hypersharp.pair.pair import Pair
from hypersharp.pair.record import Record, placed_as
from hypersharp.pair.reduced import degrade_pair, trusted_pixels
from hypersharp.pair.sensor import estimate_sensor, given_sensor
from hypersharp.pair.tensors import TensorPair, measured, to_tensor
from hypersharp.quality.metrics import Scores, both_usable, quality_index, score_cubes
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.srf import check_response

FloatArray = NDArray[np.float64]

FINE_PX, LEAST_COARSE_PX = 32, 8


def d_lambda(estimate: FloatArray, hs: FloatArray) -> float:
    """Spectral distortion, 0..1 and more, of estimate (L, H, W) and hs (L, h, w).

    Sees colours that shifted, not a change that all bands share, nor tells it from what true detail adds: 0 is what
    the enlarged hs has; the truth itself has some.

    Raises: InputError for sizes of no whole ratio, or another number of bands.
    """
    total, blocks = np.zeros((len(hs), len(hs))), 0
    for fine, coarse in same_ground(estimate, hs):
        total += quality_matrix(fine, fine) - quality_matrix(coarse, coarse)
        blocks += 1
    pairs = blocks * len(hs) * (len(hs) - 1)  # a band with itself adds nothing to the sum
    return float(np.abs(total).sum() / pairs) if pairs else float("nan")


def d_s(estimate: FloatArray, hs: FloatArray, ms: FloatArray, coarse_ms: FloatArray) -> float:
    """Spatial distortion, 0..1 and more, of estimate (L, H, W), hs (L, h, w), ms (l, H, W) and coarse_ms (l, h, w).

    Sees detail that is missing or overdone, not whether detail is right where ms does not show it; the truth is not
    at 0, for relations do change with the pixel size.

    Raises: InputError as `d_lambda`.
    """
    bands, partner = len(hs), best_partner(hs, coarse_ms)
    total, blocks = np.zeros((bands, len(ms))), 0
    for fine, coarse in same_ground(np.concatenate([estimate, ms]), np.concatenate([hs, coarse_ms])):
        total += quality_matrix(fine[:bands], fine[bands:]) - quality_matrix(coarse[:bands], coarse[bands:])
        blocks += 1
    gaps = np.abs(total[np.arange(bands), partner])
    return float(gaps.mean() / blocks) if blocks else float("nan")


def d_lambda_khan(degraded: FloatArray, hs: FloatArray, *, ratio: int) -> float:
    """Spectral distortion, 0..2, of the degraded estimate and hs, both (L, h, w); `ratio` sizes blocks.

    Sees every error that the sensor would see, not what its blur hides: an estimate made consistent with hs is at 0
    whatever its detail.
    """
    side = block_side(ratio)
    found = [quality_matrix(a, b).diagonal() for a, b in common_blocks(degraded, hs, (side, side))]
    return float(1 - np.mean(found)) if found else float("nan")


def qnr(spectral: float, spatial: float) -> float:
    """Quality with no reference, at best 1, of a D_lambda and a D_s: QNR of Alparone's, HQNR of Khan's.

    >>> round(qnr(0.1, 0.2), 12)
    0.72
    """
    return (1 - spectral) * (1 - spatial)


def residuals(seen: FloatArray, given: FloatArray) -> FloatArray:
    """||given - seen|| / ||given|| of each band, (n, y, x) -> (n,), over the pixels that both have; NaN for zeros.

    For hs and the degraded estimate, or ms and the estimate's response: how far the estimate is from explaining what
    was measured, the sensor's error included; blind to errors that both degradations hide.
    """
    both = present(seen, given)
    gap, power = (given - seen)[:, both], given[:, both]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.linalg.norm(gap, axis=1) / np.linalg.norm(power, axis=1)
    return np.where(np.isfinite(shares), shares, np.nan)


def quality_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Q of every band of a (L, n) with every band of b (l, n): (L, l)."""
    mean_a, mean_b = a.mean(1), b.mean(1)
    centred_a, centred_b = a - mean_a[:, None], b - mean_b[:, None]
    spread = (centred_a**2).mean(1)[:, None] + (centred_b**2).mean(1)
    squares = (mean_a**2)[:, None] + mean_b**2
    return quality_index(centred_a @ centred_b.T / a.shape[1], spread, mean_a[:, None] * mean_b, squares)


def unit_of_hs(hs: FloatArray, coarse_ms: FloatArray, srf: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gain and offset (l, 1, 1) that give coarse_ms (l, h, w) the means and spreads of srf (l, L) on hs (L, h, w).

    1 and 0 where no pixel is in both; a gain of 1 where one of the two is constant.
    """
    both, shares = present(hs, coarse_ms), np.where(srf.any(axis=1, keepdims=True), srf, 1.0)
    if not both.any():
        return np.ones((len(srf), 1, 1)), np.zeros((len(srf), 1, 1))
    seen, own = shares @ hs[:, both] / shares.sum(axis=1, keepdims=True), coarse_ms[:, both]
    spreads = seen.std(axis=1), own.std(axis=1)
    gain = np.where(np.minimum(*spreads) > 0, spreads[0] / np.where(spreads[1] > 0, spreads[1], 1), 1.0)
    offset = seen.mean(axis=1) - gain * own.mean(axis=1)
    return gain[:, None, None], offset[:, None, None]


def best_partner(hs: FloatArray, coarse_ms: FloatArray) -> NDArray[np.intp]:
    """For each band of hs the ms band that correlates best with it, (L,)."""
    values = np.concatenate([hs, coarse_ms])[:, present(hs, coarse_ms)]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(np.corrcoef(values), nan=-1.0)
    return np.asarray(correlation[: len(hs), len(hs) :].argmax(axis=1))


def block_side(ratio: int) -> int:
    """Coarse pixels along the side of a block.

    >>> block_side(2), block_side(4), block_side(12)
    (16, 8, 8)
    """
    return max(LEAST_COARSE_PX, round(FINE_PX / ratio))


def same_ground(fine: FloatArray, coarse: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The measured pixels (bands, n) of fine and of coarse, block by block of the same ground."""
    ratio = fine.shape[1] // max(1, coarse.shape[1])
    if len(fine) != len(coarse) or fine.shape[1:] != tuple(ratio * size for size in coarse.shape[1:]):
        found = f"images of {fine.shape} and {coarse.shape}"
        raise InputError(found, "as many bands, sizes of a whole ratio", "crop them")
    side = block_side(ratio)
    return common_blocks(fine, coarse, (ratio * side, side))


def common_blocks(
    first: FloatArray, second: FloatArray, sides: tuple[int, int]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Blocks of `sides` pixels in two images: their measured pixels, where at least half of both are."""
    places = [present(first), present(second)]
    if first.shape[1:] == second.shape[1:]:
        places = [places[0] & places[1]] * 2
    for block in np.ndindex(*(-(-size // sides[1]) for size in second.shape[1:])):
        windows = [tuple(slice(at * side, (at + 1) * side) for at in block) for side in sides]
        there = [place[window] for place, window in zip(places, windows, strict=True)]
        if all(2 * t.sum() >= side**2 for t, side in zip(there, sides, strict=True)):
            yield first[:, *windows[0]][:, there[0]], second[:, *windows[1]][:, there[1]]


def present(*images: FloatArray) -> NDArray[np.bool_]:
    """(y, x): where no band of any image is missing."""
    return np.asarray(~np.logical_or.reduce([np.isnan(image).any(axis=0) for image in images]))


Fuse = Callable[[xr.DataArray, xr.DataArray], xr.DataArray]

MEANINGS = {
    "d_lambda": "bands relate to each other otherwise than in hs: colour shifts; blind to changes they share",
    "d_s": "bands relate to ms otherwise than hs to coarse ms: detail missing or overdone; the truth is not at 0",
    "qnr": "(1 - d_lambda)(1 - d_s), best 1: ranks results of one pair; says nothing across scenes",
    "d_lambda_khan": "the degraded result differs from hs: errors the sensor sees; blind to those its blur hides",
    "hqnr": "(1 - d_lambda_khan)(1 - d_s), best 1: as qnr, with the sensor's blur taken into account",
    "hs_residual": "||hs - degraded result|| / ||hs||: 0 is needed, not enough; holds the sensor's error too",
    "ms_residual": "||ms - result seen as ms|| / ||ms||: as above, for the response",
}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What can be said of an estimate without a truth; `MEANINGS` states what each value can and cannot show.

    Attributes:
        d_lambda, d_s: spectral and spatial distortion, best 0.
        qnr: (1 - d_lambda)(1 - d_s), best 1.
        d_lambda_khan: spectral distortion at the resolution of hs, best 0.
        hqnr: (1 - d_lambda_khan)(1 - d_s), best 1.
        hs_residual, ms_residual: relative difference to hs and ms under the sensor, per usable band, (L,) and (l,).
        wavelengths_nm: centres of the hs bands (L,), None where unknown.
        hs_left_out, ms_left_out: shares (0..1) of excluded pixels.

    >>> Judgement(0.1, 0.1, 0.81, 0.0, 0.9, np.zeros(2), np.zeros(1), None, 0.0, 0.0).as_dict()["hs_residual"]
    [0.0, 0.0]
    """

    d_lambda: float
    d_s: float
    qnr: float
    d_lambda_khan: float
    hqnr: float
    hs_residual: NDArray[np.float64]
    ms_residual: NDArray[np.float64]
    wavelengths_nm: NDArray[np.float64] | None
    hs_left_out: float
    ms_left_out: float

    def as_dict(self) -> dict[str, object]:
        """The values by name, arrays as lists."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def judge(estimate: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor | None = None) -> Judgement:
    """Judge an estimate without a truth: QNR, HQNR and the residuals of both degradations.

    Args:
        estimate: (L, H, W), made from the other two, in their unit; they are placed as its record says, if it has one.
        hs: (L, h, w).
        ms: (l, H, W).
        sensor: PSF and response; by default those of the record, or else estimated from the pair.

    Returns:
        The scores; nodata pixels and bad bands of any of the three are excluded.

    Raises:
        InputError: shapes that do not belong together.

    Source: Alparone et al. 2008, eqs. 5, 6, 8 (QNR), Khan et al. 2009 (D_lambda of Khan), Aiazzi et al. 2014 (HQNR).

    >>> from hypersharp.simulation.protocols import find_protocol
    >>> from hypersharp.simulation.pair import simulate_pair
    >>> truth = make_cube(np.random.default_rng(0).random((31, 64, 64)) / 9 + 0.5)
    >>> sensor = find_protocol("dian-x4").sensor()
    >>> hs, ms, _ = simulate_pair(truth, sensor)
    >>> bool(judge(truth, hs, ms, sensor).hs_residual.max() < 1e-6)
    True
    """
    estimate, hs, ms = (as_cube(image, what) for image, what in ((estimate, "estimate"), (hs, "hs"), (ms, "ms")))
    pair, record = placed_pair(estimate, hs, ms), Record.find(estimate)
    if sensor is not None:
        psf, srf = given_sensor(pair, sensor.psf, sensor.srf)
        assert psf is not None and srf is not None
        sensor = Sensor(psf, srf, sensor.ratio)
    elif record is not None:
        sensor = record.known_sensor()
    sensor = sensor or estimate_sensor(pair.whole(), None, None).sensor
    return judge_placed(estimate, *pair.placement.read(pair.placement.everything), sensor)


def placed_pair(sharp: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray) -> Pair:
    """hs and ms as the result was made of them. Raises: InputError where the result is on neither grid."""
    pair = placed_as(sharp, hs, ms)
    check_estimate(sharp, (hs.shape[0], *pair.placement.fine.shape_yx))
    return pair


def judge_placed(estimate: xr.DataArray, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor) -> Judgement:
    """The same of images that lie on one grid already, under a sensor that holds where hs lies on it."""
    check_estimate(estimate, (hs.shape[0], *ms.shape[1:]))
    kept = both_usable(estimate, hs)
    known = usable_bands(hs)
    if sensor.srf.shape[1] != known.sum():  # a sample of hs, which estimate and sensor are made by, may show others
        known = usable_bands(estimate)
    check_response(sensor.srf, len(sensor.srf), int(known.sum()))
    response = sensor.srf[:, kept[known]]
    fused, coarse = (cube.isel(band=np.flatnonzero(kept)) for cube in (estimate, hs))
    fine, unit = only_usable(ms, "ms"), value_scale(coarse.values)
    valid = [measured(cube) for cube in (fused, coarse, fine)]
    z, y, m = (to_tensor(cube, unit).double() for cube in (fused, coarse, fine))
    seer = Sensor(sensor.psf, response, sensor.ratio)
    there = in_all(valid[0], valid[2])
    trusted = trusted_pixels(z, y, seer, hs_valid=None, ms_valid=there)
    degraded = masked(seer.hs(z), trusted)
    coarse_ms = masked(seer.hs(m), trusted)
    ours, given, fine_ms = (masked(*one) for one in zip((z, y, m), valid, strict=True))
    spectral, khan = d_lambda(ours, given), d_lambda_khan(degraded, given, ratio=sensor.ratio)
    gain, offset = unit_of_hs(given, coarse_ms, response)
    spatial = d_s(ours, given, gain * fine_ms + offset, gain * coarse_ms + offset)
    return Judgement(
        spectral,
        spatial,
        qnr(spectral, spatial),
        khan,
        qnr(khan, spatial),
        residuals(degraded, given),
        residuals(masked(seer.ms(z), valid[0]), fine_ms),
        wavelengths_nm(coarse),
        *(0.0 if seen is None else float((~seen).float().mean()) for seen in (valid[1], there)),
    )


def check_estimate(estimate: xr.DataArray, expected: tuple[int, ...]) -> None:
    """Raise InputError unless the estimate has the bands of hs and the size of ms, (L, H, W)."""
    if estimate.dims != DIMS or estimate.shape != expected:
        found, wanted = (" x ".join(map(str, shape)) for shape in (estimate.shape, expected))
        wanted += " (bands of hs, rows and columns of ms)"
        raise InputError(f"an estimate of {found}", wanted, "give it whole, with the hs and ms it was made from")


def median_and_worst(shares: NDArray[np.float64], wavelengths_nm: NDArray[np.float64] | None) -> str:
    """Relative errors of bands as text: the median, and the largest with its place.

    >>> median_and_worst(np.array([0.01, 0.02, 0.06]), None)
    '2.00%, at worst 6.00% (band 3)'
    """
    if not np.isfinite(shares).any():
        return "nan"
    worst = int(np.nanargmax(shares))
    place = f"band {worst + 1}" if wavelengths_nm is None else f"{wavelengths_nm[worst]:.0f} nm"
    return f"{np.nanmedian(shares):.2%}, at worst {shares[worst]:.2%} ({place})"


def judged(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Name, value and meaning of each of a `Judgement`; of residuals, as text, the median over bands and the worst."""
    for name, meaning in MEANINGS.items():
        value, nm = values[name], values["wavelengths_nm"] if name == "hs_residual" else None
        several = isinstance(value, list | np.ndarray)
        yield name, median_and_worst(np.array(value, float), nm) if several else value, meaning


def in_all(*valid: torch.Tensor | None) -> torch.Tensor | None:
    """(y, x): where all masks that there are hold; None: everywhere."""
    known = [mask for mask in valid if mask is not None]
    return torch.stack(known).all(0) if known else None


def masked(image: torch.Tensor, valid: torch.Tensor | None) -> NDArray[np.float64]:
    """A float64 array with NaN where a pixel is not valid."""
    values: NDArray[np.float64] = image.numpy().copy()
    if valid is not None:
        values[:, ~valid.numpy()] = np.nan
    return values


def wald_scores(fuse: Fuse, hs: xr.DataArray, ms: xr.DataArray, sensor: Sensor, *, preset: str = "float") -> Scores:
    """Score a method at reduced resolution (Wald's protocol), where hs itself is the reference.

    It tells how a method does on this scene one level coarser. It does not tell of the fine level, where texture
    changes with the pixel size, nor of a sensor that was estimated wrongly: both levels use it.

    Args:
        fuse: a function of (hs, ms) that returns a cube.
        hs: (L, h, w).
        ms: (l, H, W) in the unit of hs.
        sensor: PSF and response of the pair.
        preset: whose definitions, a name of `PRESETS`.

    Returns:
        The scores of `fuse(reduced hs, reduced ms)` against hs.

    Raises:
        InputError: an hs too small to be reduced, or an unknown preset.

    Source: Wald, Ranchin, Mangolini 1997.

    >>> from hypersharp.simulation.protocols import find_protocol
    >>> from hypersharp.simulation.pair import simulate_pair
    >>> sensor = find_protocol("dian-x4").sensor()
    >>> hs, ms, _ = simulate_pair(make_cube(np.random.default_rng(0).random((31, 64, 64))), sensor)
    >>> wald_scores(lambda hs, ms: make_cube(hs.values.repeat(4, 1).repeat(4, 2)), hs, ms, sensor).psnr_db > 5
    True
    """
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    unit = value_scale(coarse.values)
    in_shares_of_1 = coarse.dtype.kind == "f" and is_scaled(unit)  # as `peak` has it
    pair = TensorPair(to_tensor(coarse, unit), to_tensor(fine, unit), measured(coarse), measured(fine))
    reduced = degrade_pair(pair, sensor)
    parts = ((reduced.hs, reduced.hs_valid), (reduced.ms, reduced.ms_valid), (reduced.truth, reduced.truth_valid))
    small_hs, small_ms, truth = (masked(image, valid).astype(np.float32) * np.float32(unit) for image, valid in parts)
    sharp = fuse(like(small_hs, coarse), like(small_ms, fine))
    return score_cubes(
        sharp, like(truth, coarse), ratio=sensor.ratio, preset=preset, peak=1.0 if in_shares_of_1 else unit
    )


def like(values: NDArray[np.float32], cube: xr.DataArray) -> xr.DataArray:
    """An image with the wavelengths and widths of a cube's bands, and no place on the map."""
    return make_cube(values, wavelengths_nm=wavelengths_nm(cube), fwhm_nm=fwhm_nm(cube))
