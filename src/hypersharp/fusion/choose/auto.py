"""Which method makes the result: the one that was named, or what does best on the pair itself.

The sensor, given or estimated once, degrades hs and ms by the ratio; each candidate sharpens the reduced pair, whose
truth is the given hs (and, where hs is noisy, whose noise that of the pair). What is not far behind there is run on
the pair itself too, of which the response shows a part of the errors (`own_scale`). The blend with the least error
expected of both is run at full size, or, where the time does not suffice, what comes nearest to it. Networks under the
very sensor of their weights are better than reduced resolution says, and how their errors go with the others' it does
not say at all: they are taken alone or not.
A candidate whose result, degraded, differs from hs clearly more than bicubic's is not taken, the noise of hs aside,
which bicubic repeats and others leave out. The result is made consistent with hs where that helps at reduced resolution
by more than chance and, under a sensor that was estimated, by `CONSISTENT_DB`; never where no blur explains the pair,
or hs is striped or was resampled.
Full-size times are those of the reduced runs by the number of pixels. Quick candidates come first; half of the budget
is for trying, a quarter for looking at them on the pair itself, the clock being read between candidates, and a quarter
is for the result, however long the rest took. Who leads at reduced resolution is looked at whatever the clock says.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from hypersharp.errors import InputError
from hypersharp.fusion.choose.blend import blend_weights
from hypersharp.fusion.choose.choice import Choice
from hypersharp.fusion.choose.own_scale import LinAlgError, OwnScale, look
from hypersharp.fusion.choose.trial import BICUBIC, Ranked, Trials
from hypersharp.methods.base import Method
from hypersharp.methods.table import METHODS
from hypersharp.pair.options import BUDGET_S, Options, Progress, ignore
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

CANDIDATES = tuple(method for method in METHODS.values() if method.candidate)
FALLBACK = "fuse"  # where hs is too small for its reduced resolution
TRYING = 0.5  # of the progress, and of the time budget, where methods are compared first
RESULT = 0.25  # of the time budget, for the result at least
FAR_DB = 3.0  # so far behind the best, a result is not worth the time it saves
DIFFERS = 1.5  # times what bicubic's degraded result differs from hs
CONSISTENT_DB = 0.25  # at reduced resolution, where the sensor is exact; on pairs, less did as often harm


def choose_named(method: Method, pair: TensorPair, sensor: PairSensor, options: Options) -> Choice:
    """The method, made consistent with hs as the user chose, by default where that raises its scores.

    That is tried where the psf is given or the method needs it anyway; a network or bicubic without one gives its own
    result.
    """
    shares = {method.name: 1.0}
    if options.consistent is not None or (sensor.given_psf is None and "psf" not in method.needs):
        return Choice(shares, bool(options.consistent))
    try:
        if sensor.against_consistency:
            return Choice(shares, False, f"consistency off: {sensor.against_consistency}")
        trials = Trials.of(pair, sensor, options)
        trials.pairs = trials.pairs[:1]
        trials.attempt(method)
    except (InputError, LinAlgError) as exc:
        found = exc.found if isinstance(exc, InputError) else "equations without a solution at reduced resolution"
        return Choice(shares, False, f"consistency off: {found}")
    plain, agreed = (trials.quality(shares, consistent) for consistent in (False, True))
    helps = is_worth_it(trials, shares)
    why = (
        f"consistency {'on' if helps else 'off'}: at reduced resolution {plain.psnr_db:.2f} dB, "
        f"{plain.sam_deg:.2f} deg without it, {agreed.psnr_db:.2f} dB, {agreed.sam_deg:.2f} deg with it"
    )
    return Choice(shares, helps, why)


def is_worth_it(trials: Trials, shares: dict[str, float]) -> bool:
    """Whether consistency helps the blend at reduced resolution by enough, see the head of this file."""
    gain_db, error_db = trials.gain_of_consistency(shares)
    return gain_db > max(0.0 if trials.sensor.is_exact else CONSISTENT_DB, 2 * error_db)


def choose_best(
    pair: TensorPair, sensor: PairSensor, options: Options, candidates: Sequence[Method], progress: Progress = ignore
) -> Choice:
    """What does best of the candidates and their blend, see the head of this file; progress hears of the trials.

    Raises: InputError for a pair that does not show its sensor, or that no candidate can sharpen.
    """
    budget_s = BUDGET_S if options.budget_s is None else options.budget_s
    deadline = perf_counter() + budget_s
    _ = sensor.estimate  # a pair that does not show its sensor ends here, whatever its size
    try:
        trials = Trials.of(pair, sensor, options)
    except InputError as exc:
        why = f"auto took {FALLBACK} untried: {exc.found}, too few pixels to compare methods on"
        return Choice({FALLBACK: 1.0}, options.consistent or False, why)
    skipped = try_all(trials, candidates, deadline - (1 - TRYING) * budget_s, progress)
    if not trials.by_name:
        raise InputError("a pair that no candidate can sharpen: " + ", ".join(skipped), "one", "name a method")
    until = deadline - RESULT * budget_s
    tried = trials.hopeful()
    always = {BICUBIC, trials.leader(tried, RESULT * budget_s)}
    own = look(trials, pair, tried, until, always=always)
    kept, differing = agreeing(own, trials.noise_share)
    while others := [name for name in trials.hopeful(without=differing) if name not in tried]:
        again = [*kept, *others]  # those that only the differing ones were far ahead of
        if perf_counter() + trials.seconds_on(pair, again) > until and len(kept) > 1:
            break
        own = look(trials, pair, again, until, always=kept)
        tried, (kept, more) = [*tried, *others], agreeing(own, trials.noise_share)
        differing |= more
    skipped += [*differing.values(), *(f"{name} (no time left to look at it)" for name in own.late)]
    seconds_left = max(RESULT * budget_s, deadline - perf_counter())
    shares = blend(trials, own, kept, trials.wanted[0], seconds_left)
    consistent = trials.wanted[0] if len(trials.wanted) == 1 else is_worth_it(trials, shares)
    if consistent is not trials.wanted[0]:
        shares = blend(trials, own, kept, consistent, seconds_left)
    ranking = ranked(trials, own, kept, shares, consistent)
    chosen = take(ranking, seconds_left)
    late = [row for row in ranking[: ranking.index(chosen)] if row.seconds > seconds_left]
    skipped += [f"{row.name} (about {row.seconds:.0f} s)" for row in late]
    first, count = trials.pairs[0], len(trials.pairs)
    why = (
        f"{lead(ranking, chosen)} (compared on the pair itself and at reduced resolution, "
        f"{first.hs.shape[2]} x {first.hs.shape[1]} to {first.truth.shape[2]} x {first.truth.shape[1]} pixels"
        f"{f', {count} phases' if count > 1 else ''})"
    )
    choice = Choice(chosen.shares, chosen.consistent, why, tuple(ranking), tuple(skipped))
    name = f"{chosen.name} = " if len(chosen.shares) > 1 else ""
    return replace(choice, why=f"auto chose {name}{choice}{why}")


def try_all(trials: Trials, candidates: Sequence[Method], until: float, progress: Progress) -> list[str]:
    """Try the candidates as long as there is time; why some are missing."""
    skipped = []
    for number, method in enumerate(candidates):
        if trials.by_name and perf_counter() > until:
            skipped.append(f"{method.name} (no time left to try it)")
            continue
        try:
            trials.attempt(method)
        except InputError as exc:
            skipped.append(f"{method.name} ({'no weights fit' if method.is_network else exc.found})")
        except LinAlgError:
            skipped.append(f"{method.name} (its equations have no solution at reduced resolution)")
        progress((number + 1) / len(candidates))
    return skipped


def agreeing(own: OwnScale, noise_share: float) -> tuple[list[str], dict[str, str]]:
    """Those whose degraded result differs from hs not clearly more than bicubic's; of the others why they are not."""
    most = DIFFERS * float(np.hypot(own.differs.get(BICUBIC, np.inf), noise_share))
    kept = [name for name in own.names if own.differs[name] <= most]
    left = [name for name in own.names if own.differs[name] > most]
    return kept, {name: f"{name} (degraded, it differs from hs by {own.differs[name]:.1%})" for name in left}


def blend(
    trials: Trials, own: OwnScale, names: Sequence[str], consistent: bool, seconds_left: float
) -> dict[str, float]:
    """The shares of the blend of least expected error that fits the time; of one where no other can be blended."""
    others = [name for name in names if name not in trials.credit] or list(names)
    names = [name for name in others if trials.seconds([name], consistent) <= seconds_left] or others
    while True:
        weights = blend_weights(own.products(trials, names, consistent))
        shares = {name: float(w) for name, w in zip(names, weights, strict=True) if w > 0}
        if len(shares) == 1 or trials.seconds(list(shares), consistent) <= seconds_left:
            return shares
        names.remove(max(shares, key=lambda name: trials.by_name[name].seconds))


def ranked(
    trials: Trials, own: OwnScale, names: Sequence[str], shares: dict[str, float], consistent: bool
) -> list[Ranked]:
    """The candidates that were run on the pair itself, and their blend, the least expected error first."""
    alone: list[dict[str, float]] = [{name: 1.0} for name in names]
    products, rows = own.products(trials, names, consistent), []
    for one in [shares, *alone] if len(shares) > 1 else alone:
        w = np.array([one.get(name, 0.0) for name in names])
        own_db = -10 * float(np.log10(max(float(w @ products @ w), np.finfo(float).tiny)))
        quality, seconds = trials.quality(one, consistent), trials.seconds(list(one), consistent)
        rows.append(Ranked(one, consistent, quality, seconds, own_db))
    return sorted(rows, key=lambda row: -row.own_db)


def take(ranking: Sequence[Ranked], seconds_left: float) -> Ranked:
    """The first that fits the time, or the blend it is in; where none of any good fits, the quickest good one.

    What is expected of a blend is uncertain as what is expected of its best member is, but the mean errs less.
    """
    worthwhile = [row for row in ranking if row.own_db >= ranking[0].own_db - FAR_DB]
    in_time = [row for row in worthwhile if row.seconds <= seconds_left]
    if not in_time:
        return min(worthwhile, key=lambda row: row.seconds)
    return next(
        (row for row in in_time if len(row.shares) > 1 and in_time[0].shares.keys() <= row.shares.keys()), in_time[0]
    )


def lead(ranking: Sequence[Ranked], chosen: Ranked) -> str:
    """By how much it leads the best candidate that is another."""
    others = (row for row in ranking if row.shares.keys() != chosen.shares.keys())
    other = next((row for row in others if len(row.shares) == 1), None)
    if other is None:
        return ""
    gap = chosen.own_db - other.own_db
    if gap >= 0:
        return f", {gap:.2f} dB ahead of {other.name}"
    part_of_it = other.shares.keys() <= chosen.shares.keys()
    why = "of which a mean is the safer" if part_of_it else "for which the time does not suffice"
    return f", {-gap:.2f} dB behind {other.name}, {why}"
