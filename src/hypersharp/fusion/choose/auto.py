"""Which method makes the result: the one that was named, or what does best on the pair itself at reduced resolution.

The sensor, given or estimated once, degrades hs and ms by the ratio; each candidate sharpens the reduced pair, whose
truth is the given hs (and, where hs is noisy, whose noise that of the pair), with and without `consistency`; so does
their `blend`, its weights fitted on every other tile and judged on those between. What ranks first
(`trial.Quality.db`) and fits the time budget is run at full size; the blend also where it is as good (`TIE_DB`),
for the reduced pair is not the pair, and a mean hedges.
Where no blur explains the pair (an hs that was resampled, a cloud), methods that tie at reduced resolution do not tie
on the pair: those whose result, seen through the response, shows the ms's own detail clearly worse are left out.
Full-size times are those of the reduced runs by the number of pixels. Quick candidates come first; half of the budget
is for trying, the clock being read between candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import torch

from hypersharp.errors import InputError
from hypersharp.fusion.choose.blend import blend_weights
from hypersharp.fusion.choose.choice import Choice
from hypersharp.fusion.choose.trial import Ranked, Trials
from hypersharp.grid import middle
from hypersharp.methods.base import Method
from hypersharp.methods.table import AUTO, METHODS, find_method
from hypersharp.numerics.interpolate import interpolate_bicubic
from hypersharp.pair.options import Options, Progress, ignore
from hypersharp.pair.reduced import cut
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair

CANDIDATES = tuple(method for method in METHODS.values() if method.candidate)
FALLBACK = "fuse"  # where hs is too small for its reduced resolution
LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]
TRYING = 0.5  # of the progress, and of the time budget, where methods are compared first
FAR_DB = 3.0  # so far behind the best, a result is not worth the time it saves
CLOSE_DB, VAGUE = 1.0, 1.5  # of candidates that differ by less, those that miss so much more detail are left out
LOOKED_AT_PX = 64  # coarse pixels a side
TIE_DB = 0.1  # a smaller difference is a tie: the blend is taken then, which errs less where it errs


def choose(method: str, pair: TensorPair, sensor: PairSensor, options: Options, progress: Progress = ignore) -> Choice:
    """How the result is made: by the named method, or by what "auto" finds best; progress hears of its trials.

    Raises: InputError for an unknown name, a pair that does not show its sensor, or that no candidate can sharpen.
    """
    if method == AUTO.name:
        return choose_best(pair, sensor, options, CANDIDATES, progress)
    return choose_named(find_method(method), pair, sensor, options)


def choose_named(method: Method, pair: TensorPair, sensor: PairSensor, options: Options) -> Choice:
    """The method, made consistent with hs as the user chose, by default where that raises its scores.

    That is tried where the psf is given or the method needs it anyway; a network or bicubic without one gives its own
    result.
    """
    shares = {method.name: 1.0}
    if options.consistent is not None or (sensor.given_psf is None and "psf" not in method.needs):
        return Choice(shares, bool(options.consistent))
    try:
        if sensor.is_doubtful:
            why = f"consistency off: hs and ms differ by {sensor.misfit:.1f} times their noise under any sensor"
            return Choice(shares, False, why)
        trials = Trials.of(pair, sensor, options)
        trials.pairs = trials.pairs[:1]
        trials.attempt(method)
    except (InputError, LinAlgError):
        return Choice(shares, False, "consistency off: the pair is too small for its reduced resolution")
    plain, agreed = (row.quality for row in trials.singles())
    helps = agreed.db > plain.db
    why = (
        f"consistency {'on' if helps else 'off'}: at reduced resolution {plain.psnr_db:.2f} dB, "
        f"{plain.sam_deg:.2f} deg without it, {agreed.psnr_db:.2f} dB, {agreed.sam_deg:.2f} deg with it"
    )
    return Choice(shares, helps, why)


def choose_best(
    pair: TensorPair, sensor: PairSensor, options: Options, candidates: Sequence[Method], progress: Progress = ignore
) -> Choice:
    """What does best of the candidates and their blend, see the head of this file."""
    deadline = perf_counter() + options.budget_s
    _ = sensor.estimate  # a pair that does not show its sensor ends here, whatever its size
    try:
        trials = Trials.of(pair, sensor, options)
    except InputError as exc:
        why = f"auto took {FALLBACK} untried: {exc.found}, too few pixels to compare methods on"
        return Choice({FALLBACK: 1.0}, options.consistent or False, why)
    skipped = try_all(trials, candidates, deadline - (1 - TRYING) * options.budget_s, progress)
    if sensor.is_doubtful:
        skipped += leave_out_vague(trials, pair)
    seconds_left = max(0.0, deadline - perf_counter())
    ranking = sorted([*trials.singles(), *blends(trials, seconds_left)], key=lambda row: -row.quality.db)
    if not ranking:
        raise InputError("a pair that no candidate can sharpen: " + ", ".join(skipped), "one", "name a method")
    chosen = take(ranking, seconds_left)
    late = [row for row in ranking[: ranking.index(chosen)] if row.quality.db > chosen.quality.db + TIE_DB]
    skipped += [f"{row.name} (about {row.seconds:.0f} s)" for row in late]
    first, count = trials.pairs[0], len(trials.pairs)
    why = (
        f"{lead(ranking, chosen)} (compared at reduced resolution, {first.hs.shape[2]} x {first.hs.shape[1]} to "
        f"{first.truth.shape[2]} x {first.truth.shape[1]} pixels{f', {count} phases' if count > 1 else ''}, "
        "ranked by 3/4 PSNR - 1/4 20 log10 SAM)"
    )
    best_of_each: dict[str, Ranked] = {}  # consistent or not, as the candidate did better
    for row in ranking:
        best_of_each.setdefault(row.name.removesuffix("+c"), row)
    choice = Choice(chosen.shares, chosen.consistent, why, tuple(best_of_each.values()), tuple(skipped))
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


def leave_out_vague(trials: Trials, pair: TensorPair) -> list[str]:
    """Drop those of the best candidates that show less of the ms's own detail on the pair itself; which, and why.

    Nothing where bicubic is among the best: then the ms has no say.
    """
    quality = {name: max(row.quality.db for row in trials.singles() if name in row.shares) for name in trials.by_name}
    best = [name for name, db in quality.items() if db >= max(quality.values()) - CLOSE_DB]
    if "bicubic" in best or len(best) < 2:
        return []
    missed = {name: missed_detail(METHODS[name], pair, trials.sensor, trials.options) for name in best}
    vague = [name for name in best if missed[name] > VAGUE * min(missed.values())]
    for name in vague:
        del trials.by_name[name]
    return [f"{name} (misses {missed[name] / min(missed.values()):.1f} times as much of ms's detail)" for name in vague]


def missed_detail(method: Method, pair: TensorPair, sensor: PairSensor, options: Options) -> float:
    """The share of the ms's detail that a method's result does not show, of the middle of a pair."""
    y, x, height, width = middle((pair.hs.shape[1], pair.hs.shape[2]), LOOKED_AT_PX)
    part = cut(pair, slice(y, y + height), slice(x, x + width))
    found = method.learn(part, sensor.on(part), options)(part, options, ignore)
    detail = part.ms - interpolate_bicubic(sensor.sensor.hs(part.ms), pair.ratio, sensor.psf.centre_yx())
    return float((sensor.sensor.ms(found.cpu()) - part.ms).norm() / detail.norm().clamp(min=1e-12))


def blends(trials: Trials, seconds_left: float) -> Iterator[Ranked]:
    """The blend that fits the time, judged where its weights were not fitted; none of fewer than two."""
    for consistent in trials.wanted:
        names = [name for name in trials.by_name if trials.seconds([name], consistent) <= seconds_left]
        shares = weigh(trials, names, consistent)
        while len(shares) > 1 and trials.seconds(list(shares), consistent) > seconds_left:
            names.remove(max(shares, key=lambda name: trials.by_name[name].seconds))
            shares = weigh(trials, names, consistent)
        if len(shares) > 1:
            by_fold = [weigh(trials, list(shares), consistent, fold) for fold in (False, True)]
            quality = trials.crossed(by_fold, consistent)
            yield Ranked(shares, consistent, quality, trials.seconds(list(shares), consistent))


def weigh(trials: Trials, names: Sequence[str], consistent: bool, fold: bool | None = None) -> dict[str, float]:
    """The shares of a blend, those of nothing left out; on all tiles, or those of one fold."""
    if len(names) < 2:
        return dict.fromkeys(names, 1.0)
    weights = blend_weights(*trials.estimates(names, consistent, fold))
    return {name: float(w) for name, w in zip(names, weights, strict=True) if w > 0}


def take(ranking: Sequence[Ranked], seconds_left: float) -> Ranked:
    """The first that fits the time, or a blend that is as good; where none of any good fits, the quickest good one."""
    worthwhile = [row for row in ranking if row.quality.db >= ranking[0].quality.db - FAR_DB]
    in_time = [row for row in worthwhile if row.seconds <= seconds_left]
    if not in_time:
        return min(worthwhile, key=lambda row: row.seconds)
    good = [row for row in in_time if row.quality.db >= in_time[0].quality.db - TIE_DB]
    return next((row for row in good if len(row.shares) > 1), in_time[0])


def lead(ranking: Sequence[Ranked], chosen: Ranked) -> str:
    """By how much it leads the best candidate that is another."""
    others = (row for row in ranking if row.shares.keys() != chosen.shares.keys())
    other = next((row for row in others if len(row.shares) == 1), None)
    if other is None:
        return ""
    gap = chosen.quality.db - other.quality.db
    if gap >= 0:
        return f", {gap:.2f} dB ahead of {other.name}"
    tied = other.seconds <= chosen.seconds or gap >= -TIE_DB
    why = "which is a tie, and a mean is the safer" if tied else "for which the time does not suffice"
    return f", {-gap:.2f} dB behind {other.name}, {why}"
