"""Blur and response of a pair as physics has them: nothing negative, the taps sum to one, rows to a gain.

Alternation on the moments of the pair (see `moments`): rows by non-negative least squares with smoothness, corrected
for the noise of hs (total least squares: the least eigenvalue of its Gram matrix is taken off); then the taps.
Both also have families of few parameters (see `shapes`). Which one describes the pair, blocks of pixels decide that
were held out; the chosen ones are fitted once more to all.

Sources: the alternation, HySure (Simoes et al. 2015, IEEE TGRS 53(6), section IV); non-negative least squares,
Lawson and Hanson 1974; total least squares, Golub and Van Loan 1980 (SIAM J. Numer. Anal. 17(6)).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from hypersharp.errors import InputError
from hypersharp.sensor.moments import OTHERWISE, Moments, Support
from hypersharp.sensor.shapes import Axis, BlurShape, blur_weights, fit_blur, fit_centred_shape, fit_response_shape
from hypersharp.sensor.tables import FloatArray, Mask

FREE, STATED, GIVEN, CENTRED = "free", "stated", "given", "centred"
BLURS = ("gaussian", "detector", FREE)
RESPONSES = (STATED, CENTRED, "gaussian", "flat", FREE)
EXPECTED = (STATED, CENTRED)  # what wavelengths say is believed unless another form is better beyond doubt
ROUNDS, LAST_ROUNDS = 8, 3
MOST_GROUPS = 32
SETTLED = 1e-3  # relative change of the taps at which the alternation ends
LEAST_NOISE = 1e-6  # of the mean band power: smoothness of a fit to data without noise
TAP_SMOOTHNESS = 3e-4  # of the mean power of a tap
CLEARLY = 0.9  # offsets and taps of any form count where the squared gaps held out fall below this share
DOUBT = 3.0  # standard errors by which another family must explain more than the stated one
RIDGE = 1e-10  # of the mean diagonal, keeps a singular system solvable


@dataclass(frozen=True, eq=False)
class Known:
    """What the fit starts from: the hs axis, which bands an ms band may see (l, L), gaps, noise variance of hs (L,).

    `stated` (l, L) are the responses that the ms's own wavelengths and widths imply, rows of zeros where it has
    none; `centres_nm` (l,) the centres of bands whose widths are not known; `given` (l, L) the responses the user
    holds to, of which only gains are fitted then.
    """

    axis: Axis
    allowed: Mask
    gaps: tuple[int, ...]
    noise: FloatArray
    stated: FloatArray | None = None
    given: FloatArray | None = None
    centres_nm: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """rows (l, L) with their gains, taps (K,) of the cells, the families they come from.

    offsets (l,): the constants that a fit with one for each ms band finds, zeros where they do not clearly help.
    """

    rows: FloatArray
    offsets: FloatArray
    taps: FloatArray
    blur: BlurShape | None
    families: tuple[str, ...]

    def extended(self) -> FloatArray:
        return np.column_stack([self.rows, self.offsets])


def fit_sensor(train: Moments, held: Moments, support: Support, known: Known) -> Fit:
    """The families chosen by what was held out, fitted to everything; constants help to find the blur, no more.

    Until they are chosen rows are rough, which is quick.
    """
    taps, sigma = np.ones(1), support.ratio / 2  # a FWHM of about one coarse pixel, in the middle
    if train.cells.shape[1] > 1:
        taps = support.to_cells(blur_weights(BlurShape("gaussian", (sigma, sigma), (0.0, 0.0)), support))
    fit = Fit(np.zeros(known.allowed.shape), np.zeros(len(known.allowed)), taps, None, ())
    fit = settle(train, support, known, fit, "gaussian")
    blur = choose_blur(train, held, support, fit)
    fit = settle(train, support, known, fit, blur)
    fit = replace(fit, families=choose_responses(train, held, known, fit))
    everything = train + held
    tried = [with_rows(train, known, fit, offset).extended() for offset in (False, True)]
    without, by = ((held.squared_gaps(rows, fit.taps) / held.target_powers(fit.taps)).sum() for rows in tried)
    offset = float(by) < CLEARLY * float(without)
    best = settle(everything, support, known, fit, blur, offset)
    return replace(with_rows(everything, known, best), offsets=best.offsets) if offset else best


def settle(moments: Moments, support: Support, known: Known, fit: Fit, blur: str, offset: bool = False) -> Fit:
    """Rows and taps in turn until the taps stay."""
    for _ in range(LAST_ROUNDS if fit.families or blur == FREE else ROUNDS):
        fit = with_rows(moments, known, fit, offset)
        before, fit = fit.taps, with_taps(moments, support, fit, blur)
        if np.linalg.norm(fit.taps - before) <= SETTLED * np.linalg.norm(before):
            break
    return with_rows(moments, known, fit, offset)


def with_rows(moments: Moments, known: Known, fit: Fit, offset: bool = False) -> Fit:
    """The rows that go with the taps; with an offset, the systems are those about the means."""
    bands, pulls = moments.bands[:-1, :-1], moments.cross[:, :-1] @ fit.taps
    means, mean_targets = moments.bands[-1, :-1] / moments.count, moments.cross[:, -1] @ fit.taps / moments.count
    if offset:
        bands = bands - moments.count * np.outer(means, means)
        pulls = pulls - moments.count * np.outer(mean_targets, means)
    if known.given is not None:
        rows = scaled(known.given, bands, pulls)
    elif not fit.families:  # constant over groups of neighbouring bands: quick, and enough to find the blur by
        rows = np.zeros_like(pulls)
        for row, pull, allowed in zip(rows, pulls, known.allowed, strict=True):
            index = np.flatnonzero(allowed)
            if index.size:
                gram, penalty, preferred = row_system(bands, index, known, moments.count)
                groups = np.arange(len(index)) * min(MOST_GROUPS, len(index)) // len(index)
                members = (groups == np.unique(groups)[:, None]).astype(np.float64)
                system = members @ (gram + penalty) @ members.T
                row[index] = nonnegative(system, members @ (pull[index] + preferred)) @ members
    else:
        families = enumerate(fit.families)
        rows = np.array([fit_row(bands, pulls[m], known, m, family, moments.count) for m, family in families])
    return replace(fit, rows=rows, offsets=mean_targets - rows @ means if offset else np.zeros(len(rows)))


def scaled(shapes: FloatArray, bands: FloatArray, pulls: FloatArray) -> FloatArray:
    """Rows (l, L) times the gains >= 0 that suit; rows of zeros stay."""
    power = np.einsum("ml,lk,mk->m", shapes, bands, shapes)
    gains = np.maximum(np.einsum("ml,ml->m", shapes, pulls), 0) / np.maximum(power, 1e-300)
    return np.asarray(shapes * gains[:, None])


def row_system(
    bands: FloatArray, index: NDArray[np.intp], known: Known, count: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The Gram matrix of the bands `index`; smoothness and a sum of one as far as the noise of hs asks for them."""
    gram = bands[np.ix_(index, index)]
    weight = max(count * float(known.noise[index].mean()), LEAST_NOISE * float(np.trace(gram)) / len(index))
    penalty = weight * (curvature(index, known.gaps) + np.ones(gram.shape))
    return gram, penalty, np.full(len(index), weight)


def fit_row(bands: FloatArray, pull: FloatArray, known: Known, m: int, family: str, count: int) -> FloatArray:
    """Row m (L,) of one family; zeros for a band that may see nothing."""
    index = np.flatnonzero(known.allowed[m])
    row = np.zeros(len(pull))
    if not index.size:
        return row
    if family == STATED:
        return row if known.stated is None else scaled(known.stated[m : m + 1], bands, pull[None])[0]
    if family == CENTRED:
        if known.centres_nm is None:
            return row
        clean = bands - count * np.diag(known.noise)
        found = fit_centred_shape(clean, pull, known.axis, float(known.centres_nm[m]))
        return np.where(known.allowed[m], found, 0)
    if family != FREE:
        return fit_response_shape(bands, pull, known.axis, known.allowed[m], family == "flat")
    gram, penalty, preferred = row_system(bands, index, known, count)
    least = max(0.0, float(np.linalg.eigvalsh(gram)[0]))
    row[index] = nonnegative(gram - least * np.eye(len(index)) + penalty, pull[index] + preferred)
    return row


def with_taps(moments: Moments, support: Support, fit: Fit, family: str) -> Fit:
    """The taps that go with the rows, every ms band divided by the power of its gap.

    Free ones are smooth as far as the data say nothing, none negative, of sum 1.
    """
    if len(fit.taps) == 1:
        return fit
    rows = fit.extended()
    gaps = np.maximum(moments.squared_gaps(rows, fit.taps), 1e-6 * moments.target_powers(fit.taps) + 1e-300)
    weights = rows[:, :-1].any(1) / gaps  # what sees nothing says nothing
    if not weights.any():
        raise InputError("hs and ms that are uncorrelated", "two images of the same scene", OTHERWISE)
    weights = weights / weights.sum()
    gram, pull = np.tensordot(weights, moments.cells, 1), np.einsum("m,ml,mlk->k", weights, rows, moments.cross)
    if family == FREE:
        power = float(np.trace(gram)) / len(gram)
        line, identity = curvature(np.arange(support.cells), ()), np.eye(support.cells)
        smooth = gram + TAP_SMOOTHNESS * power * (np.kron(line, identity) + np.kron(identity, line))
        heavy = 1e3 * power  # holds the sum at one
        taps = nonnegative(smooth + heavy, pull + heavy)
        return replace(fit, taps=taps / taps.sum(), blur=None)
    start = fit.blur if fit.blur and fit.blur.family == family else None
    shape = fit_blur(family, gram, pull, support, start)
    return replace(fit, taps=support.to_cells(blur_weights(shape, support)), blur=shape)


def choose_responses(train: Moments, held: Moments, known: Known, fit: Fit) -> tuple[str, ...]:
    """For each ms band the family whose fit to `train` explains `held` best, the noise of hs taken off.

    A stated response keeps its place unless another is better beyond doubt: narrow ones let more noise through.
    """
    count = len(known.allowed)
    if known.given is not None:
        return (GIVEN,) * count
    gaps = []
    for family in RESPONSES:
        tried = with_rows(train, known, replace(fit, families=(family,) * count))
        power = held.squared_gaps(tried.extended(), fit.taps) / held.count
        if family in EXPECTED:
            power = np.where(tried.rows.any(1), power * (1 - DOUBT * np.sqrt(2 / held.count)), np.inf)
        gaps.append(power - tried.rows**2 @ known.noise)
    return tuple(RESPONSES[i] for i in np.argmin(gaps, axis=0))


def choose_blur(train: Moments, held: Moments, support: Support, fit: Fit) -> str:
    """The family of blurs whose fit to `train` explains `held` best; many taps must do so clearly."""
    if len(fit.taps) == 1:
        return GIVEN
    power = held.target_powers(fit.taps) + 1e-300
    costs = []
    for family in BLURS:
        taps = with_taps(train, support, fit, family).taps
        cost = float((held.squared_gaps(fit.extended(), taps) / power).sum())
        costs.append(cost / CLEARLY if family == FREE else cost)
    return BLURS[int(np.argmin(costs))]


def curvature(index: NDArray[np.intp], gaps: Sequence[int]) -> FloatArray:
    """D'D of second differences over runs of neighbours; none across a gap or a band left out."""
    joined = (np.diff(index) == 1) & ~np.isin(index[:-1], np.asarray(gaps, dtype=int))
    rows = np.diff(np.eye(len(index)), n=2, axis=0)[joined[:-1] & joined[1:]]
    return np.asarray(rows.T @ rows)


def nonnegative(gram: FloatArray, pull: FloatArray) -> FloatArray:
    """argmin x' gram x - 2 pull' x over x >= 0, gram symmetric and not negative."""
    from scipy.optimize import nnls  # takes a quarter of a second to import, and not every method asks for it

    ridge = RIDGE * max(float(np.trace(gram)) / len(gram), 1e-300)
    root = cholesky(gram + ridge * np.eye(len(gram)))
    solution, _ = nnls(root, solve_triangular(root, pull, trans="T"), maxiter=50 * len(pull))
    return np.asarray(solution)
