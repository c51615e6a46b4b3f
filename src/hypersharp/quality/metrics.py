"""How near an estimate is to the truth: PSNR, SSIM, SAM, ERGAS, RMSE and UIQI, by named presets.

Programs used in papers define these differently, by up to 4 dB and a factor of 2.4 for one image;
a preset reproduces one family of them. Everything is computed in float64.

x: truth, y: estimate, both (L, H, W) scaled to about 0..1; N pixels; b a band.

PSNR   10 log10(peak^2 / MSE), the mean over bands or one MSE over the cube
RMSE   sqrt(mean (x - y)^2) over bands and pixels
ERGAS  100/ratio sqrt(mean_b(MSE_b / mean(x_b)^2))                    (Wald 2000)
SAM    mean over pixels of arccos(<x, y> / (|x| |y|)), degrees        (Yuhas et al. 1992)
SSIM   mean over bands and windows, 11 x 11 Gaussian, sigma 1.5       (Wang et al. 2004)
UIQI   mean over bands and windows, 32 x 32                           (Wang and Bovik 2002)

A pixel that is NaN in any band of either cube is left out everywhere, with every window it touches;
a pixel that is zero in every band of either has no angle and is left out of SAM (a preset can differ).
Both are counted.
"""

import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, minimum_filter

from hypersharp.cube import grid_of, make_cube, usable_bands, wavelengths_nm
from hypersharp.errors import CallError, InputError, check_name
from hypersharp.grid import Grid, corners_apart_px
from hypersharp.numerics import unit

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

SSIM_SIZE, SSIM_SIGMA = 11, 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03
UIQI_SIZE = 32
LARGEST_PLAUSIBLE = 16.0  # beyond this, values were not scaled to about 0..1
FLAT = 1e-12  # a window whose variance is below this share of its power is constant but for rounding
ANOTHER_UNIT = 5.0  # times: means that are farther apart are not those of one unit
OTHER_BAND_NM = 2.0  # stated wavelengths may be rounded by as much, whatever the spacing
OTHER_PLACE_PX = 0.5
MATLAB_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Preset:
    """One family of definitions of the scores.

    Attributes:
        source: the programs and papers that use it.
        eight_bit: round both cubes to 0..255 first; 255 is then the peak and the unit of RMSE.
        peak: the value that counts as full scale, or the truth's maximum.
        psnr_over: one MSE per band, or one for the cube.
        ssim_border: windows inside the image only, or all with zeros beyond it.
        sam_eps: added to the inner product and both norms.
        zero_spectra: "left out" excludes a pixel that is zero in one cube from SAM; "counted" gives it the angle that
            `sam_eps` makes of it, near 90 degrees, and 0 where it is zero in both.

    >>> PRESETS["dian"].eight_bit, PRESETS["ssrnet"].psnr_over
    (True, 'cube')
    """

    source: str
    eight_bit: bool = False
    peak: float | Literal["truth-max"] = 1.0
    psnr_over: Literal["bands", "cube"] = "bands"
    ssim_border: Literal["valid", "zero"] = "valid"
    sam_eps: float = 0.0
    zero_spectra: Literal["left out", "counted"] = "left out"

    @property
    def span(self) -> float:
        """Full scale of the cubes scored: 255 after rounding, else 1."""
        return 255.0 if self.eight_bit else 1.0


PRESETS: dict[str, Preset] = {
    "dian": Preset(
        "quality_assessment.m of DHSIS, DBIN, MoG-DCN, CNN-FUS, CSTF on im2uint8 data, but for the pixels that "
        "are zero after rounding: there they count in SAM, which in CAVE (0.1 % of it) is up to 0.1 degrees more",
        eight_bit=True,
        sam_eps=MATLAB_EPS,
    ),
    "dhsis": Preset(
        "the same scripts to the letter: pixels that are zero after rounding count in SAM, near 90 degrees",
        eight_bit=True,
        sam_eps=MATLAB_EPS,
        zero_spectra="counted",
    ),
    "float": Preset("the definitions above, without rounding"),
    "ssrnet": Preset(
        "metrics.py of SSRNET and PSRT, with the ERGAS of their papers: the code has the ratio 4 hard-coded, "
        "so at another ratio its figure is this one times ratio/4",
        peak="truth-max",
        psnr_over="cube",
        ssim_border="zero",
    ),
    "dlpan": Preset("the DLPan toolbox's ERGAS.m, SAM.m, Q.m, as the UESTC line of papers (BDT, LE-Mamba) uses it"),
}


@dataclass(frozen=True)
class Scores:
    """The scores of one estimate; not defined is NaN, the PSNR of equal images is inf.

    Attributes:
        psnr_db: peak signal-to-noise ratio in dB, best inf.
        ssim: structural similarity, best 1.
        sam_deg: mean spectral angle in degrees, best 0.
        ergas: relative error of synthesis, best 0.
        rmse: root mean squared error in the preset's unit (of 255, or of 1), best 0.
        uiqi: universal image quality index, best 1.
        masked_pixels: pixels that are nodata in either cube, excluded everywhere.
        zero_pixels: pixels without an angle.
        preset: the definitions used.
        masked_bands: bands excluded as bad or empty.

    >>> cube = np.random.default_rng(0).random((3, 40, 40))
    >>> score(cube, cube, ratio=4).psnr_db
    inf
    """

    psnr_db: float
    ssim: float
    sam_deg: float
    ergas: float
    rmse: float
    uiqi: float
    masked_pixels: int
    zero_pixels: int
    preset: str
    masked_bands: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The scores by name."""
        return asdict(self)


def score(estimate: ArrayLike, truth: ArrayLike, *, ratio: float, preset: str | Preset = "dian") -> Scores:
    """Score an estimate (L, H, W) against the truth, both scaled to about 0..1.

    `ratio` is fine pixels per coarse one; only ERGAS needs it. A score that is not defined (no window
    fits, no pixel has an angle, a band of the truth has mean zero) is NaN; PSNR of equal images is inf.

    Raises InputError for cubes of different shape, unscaled or infinite values, no pixel in common.

    >>> truth = np.linspace(0.1, 0.9, 2 * 40 * 40).reshape(2, 40, 40)
    >>> round(score(truth + 0.01, truth, ratio=4, preset="float").psnr_db, 3)
    40.0
    """
    chosen = find_preset(preset)
    y, x, valid = _checked(estimate, truth, ratio, chosen)
    mse, (psnr_db, sam_deg, ergas), zero_pixels = _pixel_scores(y, x, valid, ratio, chosen)
    return Scores(
        psnr_db=psnr_db,
        ssim=_ssim(x, y, valid, chosen),
        sam_deg=sam_deg,
        ergas=ergas,
        rmse=float(np.sqrt(mse.mean())),
        uiqi=_uiqi(x, y, valid),
        masked_pixels=int(valid.size - valid.sum()),
        zero_pixels=zero_pixels,
        preset=preset if isinstance(preset, str) else "custom",
    )


def psnr_sam_ergas(
    estimate: ArrayLike, truth: ArrayLike, *, ratio: float = 1, preset: str | Preset = "dian"
) -> tuple[float, float, float]:
    """PSNR (dB), SAM (degrees) and ERGAS as `score` gives them, without the slow window indices.

    Raises: InputError as `score`.
    """
    chosen = find_preset(preset)
    return _pixel_scores(*_checked(estimate, truth, ratio, chosen), ratio, chosen)[1]


def find_preset(preset: str | Preset) -> Preset:
    """A preset by name, or the one given; InputError with the nearest names where there is none."""
    if isinstance(preset, Preset):
        return preset
    check_name("metric preset", preset, PRESETS)
    return PRESETS[preset]


def _checked(
    estimate: ArrayLike, truth: ArrayLike, ratio: float, preset: Preset
) -> tuple[FloatArray, FloatArray, Mask]:
    """Both cubes in float64, in 0..255 where the preset rounds, missing pixels 0; and which (H, W) neither misses."""
    y, x = (np.array(cube, dtype=np.float64) for cube in (estimate, truth))
    if y.shape != x.shape or x.ndim != 3 or x.size == 0:
        raise InputError(f"estimate {y.shape} and truth {x.shape}", "one shape (band, y, x)", "crop them alike")
    if not 0 < ratio < np.inf:
        raise InputError(f"ratio {ratio}", "a positive number", "give the ratio of the pixel sizes")
    if np.isinf(x).any() or np.isinf(y).any():
        raise InputError("infinite values", "finite ones, or NaN where missing", "replace them by NaN")
    missing = np.isnan(x).any(axis=0) | np.isnan(y).any(axis=0)
    if missing.all():
        raise InputError("no pixel that both cubes have in every band", "at least one", "leave empty bands out")
    if missing.any():
        x[:, missing] = y[:, missing] = 0.0
    if np.abs(x).max() > LARGEST_PLAUSIBLE:
        raise InputError(f"a truth with values up to {x.max():g}", "values scaled to about 0..1", "scale both cubes")
    if preset.eight_bit:  # im2uint8, in place: halves away from zero, clipped
        for cube in (y, x):
            cube *= 255
            cube += 0.5
            np.clip(np.floor(cube, out=cube), 0, 255, out=cube)
    return y, x, np.logical_not(missing)


def _pixel_scores(
    y: FloatArray, x: FloatArray, valid: Mask, ratio: float, preset: Preset
) -> tuple[FloatArray, tuple[float, float, float], int]:
    """MSE of each band; PSNR, SAM and ERGAS; the number of pixels where one spectrum is zero."""
    x, y = (cube.reshape(len(cube), -1) if valid.all() else cube[:, valid] for cube in (x, y))  # (L, N)
    mse = np.array([np.mean((a - b) ** 2) for a, b in zip(x, y, strict=True)])
    peak = x.max() if preset.peak == "truth-max" else preset.span * preset.peak
    with np.errstate(divide="ignore"):
        psnr_db = np.mean(10 * np.log10(peak**2 / (mse if preset.psnr_over == "bands" else mse.mean())))
    means = x.mean(axis=1)
    ergas = 100 / ratio * np.sqrt(np.mean(mse / means**2)) if means.all() else np.nan
    inner, x_power, y_power = (np.einsum("bn,bn->n", a, b) for a, b in ((x, y), (x, x), (y, y)))
    angled = (x_power > 0) & (y_power > 0)
    zero_pixels = int(angled.size - angled.sum())
    if preset.zero_spectra == "counted":
        angled[:] = True
    inner, x_norm, y_norm = (values[angled] + preset.sam_eps for values in (inner, np.sqrt(x_power), np.sqrt(y_power)))
    angles = np.arccos(np.clip(inner / (x_norm * y_norm), -1, 1))
    sam_deg = np.degrees(angles.mean()) if angles.size else np.nan
    return mse, (float(psnr_db), float(sam_deg), float(ergas)), zero_pixels


def _ssim(x: FloatArray, y: FloatArray, valid: Mask, preset: Preset) -> float:
    """Mean structural similarity over the windows that hold no missing pixel."""
    if preset.ssim_border == "valid" and min(valid.shape) < SSIM_SIZE:
        return float("nan")
    margin = SSIM_SIZE // 2
    inside = slice(None) if preset.ssim_border == "zero" else slice(margin, -margin)
    whole = minimum_filter(valid, SSIM_SIZE, mode="constant", cval=True)[inside, inside]
    if not whole.any():
        return float("nan")
    c1, c2 = (SSIM_K1 * preset.span) ** 2, (SSIM_K2 * preset.span) ** 2
    similarities = []
    for a, b in zip(x, y, strict=True):
        mean_a, mean_b, power, product = (
            gaussian_filter(image, SSIM_SIGMA, radius=margin, mode="constant")[inside, inside]
            for image in (a, b, a * a + b * b, a * b)
        )
        means, squares = 2 * mean_a * mean_b, mean_a**2 + mean_b**2
        similarity = (means + c1) * (2 * product - means + c2) / ((squares + c1) * (power - squares + c2))
        similarities.append(similarity[whole].mean())
    return float(np.mean(similarities))


def _uiqi(x: FloatArray, y: FloatArray, valid: Mask) -> float:
    """Mean universal image quality index over the windows that hold no missing pixel."""
    if min(valid.shape) < UIQI_SIZE:
        return float("nan")
    whole = _window_means(valid.astype(np.float64)) == 1
    if not whole.any():
        return float("nan")
    qualities = []
    for a, b in zip(x, y, strict=True):
        mean_a, mean_b, power, product = map(_window_means, (a, b, a * a + b * b, a * b))
        means, squares = mean_a * mean_b, mean_a**2 + mean_b**2
        qualities.append(quality_index(product - means, power - squares, means, squares)[whole].mean())
    return float(np.mean(qualities))


def quality_index(covariance: FloatArray, spread: FloatArray, product: FloatArray, squares: FloatArray) -> FloatArray:
    """4 cov m_a m_b / ((var_a + var_b) (m_a^2 + m_b^2)) of windows; a factor whose denominator is zero is 1.

    spread: var_a + var_b; product: m_a m_b; squares: m_a^2 + m_b^2. Source: Wang and Bovik 2002; img_qi.m.
    """
    flat, dark = spread <= FLAT * (spread + squares), squares == 0
    structure = np.where(flat, 1.0, 2 * covariance / np.where(flat, 1.0, spread))
    luminance = np.where(dark, 1.0, 2 * product / np.where(dark, 1.0, squares))
    return np.asarray(structure * luminance)


def _window_means(image: FloatArray) -> FloatArray:
    """The mean of each UIQI_SIZE x UIQI_SIZE window inside the image, by doubled sums (32 = 2^5)."""
    for _ in ("along y", "along x"):
        for reach in (1, 2, 4, 8, 16):
            image = image[:-reach] + image[reach:]
        image = image.T
    return image / UIQI_SIZE**2


Values = xr.DataArray | NDArray[np.generic]


def score_cubes(
    estimate: Values, truth: Values, *, ratio: float, preset: str = "dian", peak: float | None = None
) -> Scores:
    """Score an estimate against the truth: PSNR, SSIM, SAM, ERGAS, RMSE, UIQI.

    Args:
        estimate, truth: (L, H, W) in one unit; bands that either calls bad or lacks are excluded and counted.
        ratio: fine pixels per coarse one; enters ERGAS only.
        preset: whose definitions, a name of `PRESETS`.
        peak: the value that counts as full scale; by default the largest of an integer type, 1 for floats up to
            about 1.5, else the truth's maximum.

    Returns:
        PSNR in dB, SAM in degrees, RMSE in the preset's unit.

    Raises:
        InputError: cubes of different shape, no band in common, places or wavelengths that are not the same, or an
            unknown preset.
        CallError: a peak that is not positive.

    Warns where the means tell two units.

    Source: equations and papers at the head of `hypersharp.quality.metrics`.

    >>> truth = np.linspace(0.1, 0.9, 2 * 32 * 32).reshape(2, 32, 32)
    >>> round(score_cubes(truth + 0.01, truth, ratio=4, preset="float").psnr_db, 3)
    40.0
    """
    kept, *scaled = _comparable(estimate, truth, peak)
    return replace(score(*scaled, ratio=ratio, preset=preset), masked_bands=int((~kept).sum()))


def score_by_presets(estimate: Values, truth: Values, *, ratio: float, peak: float | None = None) -> dict[str, Scores]:
    """`score_cubes` by each of PRESETS; those that see the same windows share what is computed of windows.

    >>> cubes = np.random.default_rng(0).random((2, 2, 40, 40))
    >>> score_by_presets(*cubes, ratio=4)["dlpan"] == score_cubes(*cubes, ratio=4, preset="dlpan")
    True
    """
    kept, *scaled = _comparable(estimate, truth, peak)
    found, firsts = dict[str, Scores](), dict[tuple[bool, str], Scores]()
    for name, preset in PRESETS.items():
        first = firsts.get(seen := (preset.eight_bit, preset.ssim_border))
        if first is None:
            found[name] = firsts[seen] = score(*scaled, ratio=ratio, preset=name)
        else:
            psnr_db, sam_deg, ergas = psnr_sam_ergas(*scaled, ratio=ratio, preset=name)
            found[name] = replace(first, psnr_db=psnr_db, sam_deg=sam_deg, ergas=ergas, preset=name)
    return {name: replace(scores, masked_bands=int((~kept).sum())) for name, scores in found.items()}


def _comparable(estimate: Values, truth: Values, peak: float | None) -> tuple[Mask, FloatArray, FloatArray]:
    """Which bands both have, and these of either cube by the full scale. Raises: as `score_cubes`."""
    if estimate.shape != truth.shape:
        found = f"an estimate of {estimate.shape} and a truth of {truth.shape}"
        raise InputError(found, "two cubes of one shape", "crop one of them")
    if isinstance(estimate, xr.DataArray) and isinstance(truth, xr.DataArray):
        _check_same_bands(estimate, truth)
        _check_same_place(grid_of(estimate), grid_of(truth))
    scale = unit.peak(np.asarray(truth)) if peak is None else peak
    if not scale > 0:
        raise CallError(f"a peak of {scale:g}", "a positive number", "give the value that counts as full scale")
    kept = both_usable(estimate, truth)
    first, second = (np.asarray(cube, dtype=np.float64)[kept] / scale for cube in (estimate, truth))
    ours, theirs = (float(np.abs(cube).sum(where=np.isfinite(first + second))) for cube in (first, second))
    if theirs > 0 and not 1 / ANOTHER_UNIT < ours / theirs < ANOTHER_UNIT:
        text = f"the mean of the estimate is {ours / theirs:.2g} times that of the truth: are both in one unit?"
        warnings.warn(text, stacklevel=3)
    return kept, first, second


def _check_same_bands(estimate: xr.DataArray, truth: xr.DataArray) -> None:
    """Raise where the stated wavelengths say that the bands are not the same, one for one."""
    ours, theirs = wavelengths_nm(estimate), wavelengths_nm(truth)
    if ours is None or theirs is None or np.isfinite(ours * theirs).sum() < 2:
        return
    apart = np.abs(ours - theirs)
    worst = int(np.nanargmax(apart))
    if apart[worst] > max(OTHER_BAND_NM, float(np.nanmedian(np.abs(np.diff(theirs[np.isfinite(theirs)]))))):
        found = f"band {worst + 1} at {ours[worst]:g} nm in the estimate and at {theirs[worst]:g} nm in the truth"
        raise InputError(found, "the same bands in the same order", "check that the two files belong together")


def _check_same_place(estimate: Grid, truth: Grid) -> None:
    """Raise where two georeferences say that the pixels are not those of one place."""
    if estimate.crs is None or truth.crs is None or estimate.transform is None or truth.transform is None:
        return
    if estimate.crs != truth.crs:
        found = f"an estimate in {str(estimate.crs)[:60]} and a truth in {str(truth.crs)[:60]}"
        raise InputError(found, "one CRS", "bring the truth onto the grid of the estimate")
    apart = corners_apart_px(estimate, truth)
    if apart > OTHER_PLACE_PX:
        found = f"corners of the estimate and of the truth {apart:.3g} pixels apart"
        raise InputError(found, "the same pixels of one place", "check that the two files belong together")


def both_usable(estimate: Values, truth: Values) -> NDArray[np.bool_]:
    """True for each band that both cubes have. Raises: InputError where there is none."""
    kept: NDArray[np.bool_] = np.ones(len(truth), bool)
    for cube in (estimate, truth):
        kept &= usable_bands(cube if isinstance(cube, xr.DataArray) else make_cube(cube))
    if not kept.any():
        raise InputError("no band that both cubes have", "one at least", "check their bad-band lists")
    return kept
