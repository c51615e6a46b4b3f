"""The default method: tries the others on the user's own pair, degraded once more, and uses what does best there.

The sensor, given or estimated once, degrades hs and ms by the ratio; each candidate sharpens the reduced pair, whose
truth is the given hs (and, where hs is noisy, whose noise that of the pair), with and without `consistency`; so does
their `blend`, its weights fitted on every other tile and judged on those between. What ranks first
(`evidence.Quality.db`) and fits the time budget is run at full size; the blend also where it is as good (`TIE_DB`),
for the reduced pair is not the pair, and a mean hedges.
Full-size times are those of the reduced runs by the number of pixels. Quick candidates come first; half of the budget
is for trying, the clock being read between candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.fusion.choose.blend import blend_weights
from hypersharp.fusion.choose.trial import Quality, checkerboard, counted_pixels, judge
from hypersharp.fusion.consistency import agree_with_hs
from hypersharp.fusion.sharpener import TRYING, Decision, Plan, learn_recipe, own_settings
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.bicubic import BICUBIC
from hypersharp.methods.cnmf import CNMF
from hypersharp.methods.dbin import DBIN_METHOD
from hypersharp.methods.dhsis import DHSIS_METHOD
from hypersharp.methods.fuse_wei import FUSE
from hypersharp.methods.glp import GLP
from hypersharp.methods.gsa import GSA
from hypersharp.methods.hysure import HYSURE
from hypersharp.methods.sfim import SFIM
from hypersharp.methods.ssjcn import SSJCN_METHOD
from hypersharp.methods.ssjcn_any import ANY_SENSOR
from hypersharp.networks.load import choose_weights
from hypersharp.pair.reduced import ReducedPair, as_noisy_as, reduced_pairs
from hypersharp.pair.sensor import find_sensor, note_estimate
from hypersharp.pair.settings import Settings
from hypersharp.sensor.noise import measure_noise
from hypersharp.sensor.observe import Sensor


def learn_trained(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """SSJCN with weights trained for such pairs. Raises: InputError where there are none."""
    choose_weights(SSJCN_METHOD.name, hs, ms, settings)
    return SSJCN_METHOD.learn(hs, ms, settings)


def learn_any_sensor(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """SSJCN with the weights for any sensor."""
    return SSJCN_METHOD.learn(hs, ms, replace(settings, weights=ANY_SENSOR))


TRAINED = replace(SSJCN_METHOD, learn=learn_trained)
ANY = replace(SSJCN_METHOD, name=ANY_SENSOR, needs=("psf", "srf"), learn=learn_any_sensor)
CANDIDATES: tuple[Method, ...] = (  # the quick ones first
    BICUBIC,
    GLP,
    GSA,
    SFIM,
    FUSE,
    TRAINED,
    DBIN_METHOD,
    DHSIS_METHOD,
    ANY,
    CNMF,
    HYSURE,
)
NOISY_DB = 30.0  # signal to noise of hs below which noise tells methods apart; above, ms's texture passes for it
FALLBACK = FUSE  # where hs is too small to be degraded once more
LinAlgError: type[RuntimeError] = torch.linalg.LinAlgError  # type: ignore[attr-defined]
TILES = 6  # along the shorter side of a reduced pair: blends are fitted on every other one
FAR_DB = 3.0  # so far behind the best, a result is not worth the time it saves
TIE_DB = 0.1  # less the comparison cannot tell; the blend is taken then, which errs less where it errs


@dataclass(frozen=True)
class Ranked:
    """A plan, how well it did on the reduced pairs, and how many seconds it will take about, at full size."""

    plan: Plan
    quality: Quality
    seconds: float


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate made of each reduced pair, as it is and made consistent; seconds at full size, of either."""

    plain: list[Tensor]
    agreed: list[Tensor]
    seconds: float
    agreeing_seconds: float


@dataclass(eq=False)
class Comparison:
    """The candidates on the reduced pairs; `settings` with the whole sensor, `given` as the user gave them."""

    pairs: list[ReducedPair]
    settings: Settings
    given: Settings
    pixels: int  # of ms at full size
    trials: dict[str, Trial] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[bool, ...]:
        """Whether results are made consistent: one or the other, or both are compared."""
        return (False, True) if self.given.consistent is None else (self.given.consistent,)

    def attempt(self, method: Method) -> Trial:
        """Run a method on every pair. Raises: InputError where it does not fit the pair, or gives no numbers."""
        plain, agreed, seconds, agreeing = [], [], [], []
        for pair in self.pairs:
            settings = self.reduced(pair, own_settings(method, self.settings, self.given))
            started = perf_counter()
            estimate = method.run(pair.hs, pair.ms, settings).cpu()
            between = perf_counter()
            if not estimate.isfinite().all():
                raise InputError("values that are not finite", "numbers", "use another method")
            plain.append(estimate)
            if True in self.wanted:
                agreed.append(self.agree(estimate, pair))
            growth = self.pixels / pair.ms[0].numel()
            seconds.append(growth * (between - started))
            agreeing.append(growth * (perf_counter() - between))
        return Trial(plain, agreed, min(seconds), min(agreeing))

    def agree(self, estimate: Tensor, pair: ReducedPair) -> Tensor:
        return agree_with_hs(estimate, pair.hs, pair.ms, self.reduced(pair, self.settings))

    def reduced(self, pair: ReducedPair, settings: Settings) -> Settings:
        """The settings for a reduced pair; what is noted there is not for the user."""
        return replace(settings, hs_valid=pair.hs_valid, ms_valid=pair.ms_valid, progress=None, notes=[])

    def singles(self) -> Iterator[Ranked]:
        """Every candidate alone."""
        for name, trial in self.trials.items():
            for consistent in self.wanted:
                estimates = trial.agreed if consistent else trial.plain
                quality = judge(estimates, self.pairs, self.settings.ratio)
                yield Ranked(Plan({name: 1.0}, consistent), quality, self.seconds([name], consistent))

    def blends(self, seconds_left: float) -> Iterator[Ranked]:
        """The blend that fits the time, judged where its weights were not fitted; none of fewer than two."""
        for consistent in self.wanted:
            names = [n for n in self.trials if self.seconds([n], consistent) <= seconds_left]
            shares = self.weigh(names, consistent)
            while len(shares) > 1 and self.seconds(list(shares), consistent) > seconds_left:
                names.remove(max(shares, key=lambda name: self.trials[name].seconds))
                shares = self.weigh(names, consistent)
            if len(shares) > 1:
                quality = judge(self.crossed(list(shares), consistent), self.pairs, self.settings.ratio)
                yield Ranked(Plan(shares, consistent), quality, self.seconds(list(shares), consistent))

    def weigh(self, names: Sequence[str], consistent: bool, fold: bool | None = None) -> dict[str, float]:
        """The shares of a blend, those of nothing left out; on all tiles, or those of one fold."""
        if len(names) < 2:
            return dict.fromkeys(names, 1.0)
        estimates, truths = [], []
        for number, pair in enumerate(self.pairs):
            counted = counted_pixels(pair, self.settings.ratio)
            if fold is not None:
                counted = counted & (self.tiles(pair) == fold)
            made = [self.estimates(name, consistent)[number] for name in names]
            estimates.append(torch.stack([image[:, counted] for image in made]))
            truths.append(pair.truth.cpu()[:, counted])
        weights = blend_weights(torch.cat(estimates, 2), torch.cat(truths, 1))
        return {name: float(w) for name, w in zip(names, weights, strict=True) if w > 0}

    def crossed(self, names: Sequence[str], consistent: bool) -> list[Tensor]:
        """The blend, on each fold of tiles with the weights of the other."""
        shares = [self.weigh(names, consistent, fold) for fold in (False, True)]
        blended = []
        for number, pair in enumerate(self.pairs):
            first, second = (
                torch.stack([share * self.trials[name].plain[number] for name, share in one.items()]).sum(0)
                for one in shares
            )
            mixed = torch.where(self.tiles(pair), first, second)
            blended.append(self.agree(mixed, pair) if consistent else mixed)
        return blended

    def estimates(self, name: str, consistent: bool) -> list[Tensor]:
        return self.trials[name].agreed if consistent else self.trials[name].plain

    def tiles(self, pair: ReducedPair) -> Tensor:
        height, width = pair.truth.shape[1:]
        return checkerboard((height, width), max(1, min(height, width) // TILES))

    def seconds(self, names: Sequence[str], consistent: bool) -> float:
        """About how long these take at full size, with one change at the end that makes the result consistent."""
        trials = [self.trials[name] for name in names]
        agreeing = max(trial.agreeing_seconds for trial in trials) if consistent else 0.0
        return sum(trial.seconds for trial in trials) + agreeing


def learn(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """The recipe of what does best on (L, h, w) and (l, H, W)."""
    return learn_recipe(decide(hs, ms, settings, CANDIDATES), hs, ms)


def decide(hs: Tensor, ms: Tensor, settings: Settings, candidates: Sequence[Method]) -> Decision:
    """What does best of the candidates and their blend, see the head of this file; notes the ranking and why.

    Raises: InputError where the pair does not tell its sensor.
    """
    deadline = perf_counter() + settings.budget_s
    known = with_sensor(hs, ms, settings)
    try:
        pairs = pairs_of(hs, ms, known)
    except InputError as exc:
        settings.note(f"auto took {FALLBACK.name} untried: {exc.found}, too few pixels to compare methods on")
        plan = Plan({FALLBACK.name: 1.0}, settings.consistent or False)
        return Decision(plan, {FALLBACK.name: FALLBACK}, known, settings)
    comparison = Comparison(pairs, known, settings, settings.pixels or ms[0].numel())
    skipped = try_all(comparison, candidates, deadline - (1 - TRYING) * settings.budget_s)
    seconds_left = max(0.0, deadline - perf_counter())
    ranking = sorted([*comparison.singles(), *comparison.blends(seconds_left)], key=lambda row: -row.quality.db)
    if not ranking:
        raise InputError("a pair that no candidate can sharpen: " + ", ".join(skipped), "one", "name a method")
    chosen = choose(ranking, seconds_left)
    for text in report(ranking, chosen, comparison, skipped):
        settings.note(text)
    rest = replace(settings, progress=partial(after_trying, settings))
    return Decision(chosen.plan, {method.name: method for method in candidates}, known, rest)


def after_trying(settings: Settings, fraction: float) -> None:
    """Report the fraction done of what trying has left of the progress."""
    settings.report(TRYING + (1 - TRYING) * fraction)


def with_sensor(hs: Tensor, ms: Tensor, settings: Settings) -> Settings:
    """The settings with psf and srf, estimated once where the user gave none, and a note of it."""
    found = find_sensor(hs, ms, settings)
    note_estimate(found, settings)
    return replace(settings, psf=found.sensor.psf, srf=found.sensor.srf)


def pairs_of(hs: Tensor, ms: Tensor, known: Settings) -> list[ReducedPair]:
    """The reduced pairs under a known sensor. Raises: InputError for an hs too small."""
    assert known.psf is not None
    assert known.srf is not None
    sensor = Sensor(known.psf, known.srf, known.ratio)
    pairs = reduced_pairs(hs, ms, sensor, hs_valid=known.hs_valid, ms_valid=known.ms_valid)
    noise = measure_noise(hs, ms, known.hs_valid, known.ms_valid)
    noisy = np.median(noise.hs_snr_db) < NOISY_DB
    return [as_noisy_as(pair, noise, sensor.psf) for pair in pairs] if noisy else pairs


def try_all(comparison: Comparison, candidates: Sequence[Method], until: float) -> list[str]:
    """Fill the comparison's trials; why candidates are missing there."""
    skipped = []
    for number, method in enumerate(candidates):
        if comparison.trials and perf_counter() > until:
            skipped.append(f"{method.name} (no time left to try it)")
            continue
        try:
            comparison.trials[method.name] = comparison.attempt(method)
        except InputError as exc:
            reason = "no weights fit" if "weights" in method.needs else exc.found
            skipped.append(f"{method.name} ({reason})")
        except LinAlgError:
            skipped.append(f"{method.name} (its equations have no solution on the reduced pair)")
        comparison.given.report(TRYING * (number + 1) / len(candidates))
    return skipped


def choose(ranking: Sequence[Ranked], seconds_left: float) -> Ranked:
    """The first that fits the time, or a blend that is as good; where none of any good fits, the quickest good one."""
    worthwhile = [row for row in ranking if row.quality.db >= ranking[0].quality.db - FAR_DB]
    in_time = [row for row in worthwhile if row.seconds <= seconds_left]
    if not in_time:
        return min(worthwhile, key=lambda row: row.seconds)
    good = [row for row in in_time if row.quality.db >= in_time[0].quality.db - TIE_DB]
    return next((row for row in good if len(row.plan.shares) > 1), in_time[0])


def report(ranking: Sequence[Ranked], chosen: Ranked, comparison: Comparison, skipped: Sequence[str]) -> Iterator[str]:
    """What was chosen and why, the ranking as a table, and what was left out."""
    pair, count = comparison.pairs[0], len(comparison.pairs)
    yield (
        f"auto chose {chosen.plan}{lead(ranking, chosen)} (compared on this pair degraded once more, "
        f"{pair.hs.shape[2]} x {pair.hs.shape[1]} to {pair.truth.shape[2]} x {pair.truth.shape[1]} pixels"
        f"{f', {count} phases' if count > 1 else ''}, ranked by 3/4 PSNR - 1/4 20 log10 SAM)"
    )
    yield f"{'candidate':<12} {'PSNR dB':>8} {'SAM deg':>8} {'ERGAS':>8} {'s (about)':>10}"
    for row in best_of_each(ranking):
        q = row.quality
        yield f"{row.plan.name:<12} {q.psnr_db:8.2f} {q.sam_deg:8.2f} {q.ergas:8.2f} {row.seconds:10.1f}"
    late = [row for row in ranking[: ranking.index(chosen)] if row.quality.db > chosen.quality.db + TIE_DB]
    skipped = [*skipped, *(f"{row.plan.name} (about {row.seconds:.0f} s)" for row in late)]
    if skipped:
        yield f"skipped: {', '.join(skipped)}"


def lead(ranking: Sequence[Ranked], chosen: Ranked) -> str:
    """By how much it leads the best candidate that is another."""
    others = (row for row in ranking if row.plan.shares.keys() != chosen.plan.shares.keys())
    other = next((row for row in others if len(row.plan.shares) == 1), None)
    if other is None:
        return ""
    gap = chosen.quality.db - other.quality.db
    if gap >= 0:
        return f", {gap:.2f} dB ahead of {other.plan.name}"
    tied = other.seconds <= chosen.seconds or gap >= -TIE_DB
    why = "which is a tie, and a mean is the safer" if tied else "for which the time does not suffice"
    return f", {-gap:.2f} dB behind {other.plan.name}, {why}"


def best_of_each(ranking: Sequence[Ranked]) -> list[Ranked]:
    """The ranking with each candidate once, as it did better: consistent or not."""
    first: dict[str, Ranked] = {}
    for row in ranking:
        first.setdefault(row.plan.name.removesuffix("+c"), row)
    return list(first.values())


def decide_named(method: Method, hs: Tensor, ms: Tensor, settings: Settings) -> Decision:
    """What is done for a method that the user named, on (L, h, w) and (l, H, W).

    Where settings.consistent is undecided (None), its result is made consistent with hs if that raises Wald's score of
    the method, which is tried where the psf is known or the method estimates it anyway; a network or bicubic without
    one gives its own result.
    """
    if method.name == AUTO.name:
        return decide(hs, ms, settings, CANDIDATES)
    known, wanted = settings, settings.consistent
    if wanted is None and (settings.psf is not None or "psf" in method.needs):
        known = with_sensor(hs, ms, settings)
        wanted = consistency_helps(method, hs, ms, known, settings)
    return Decision(Plan({method.name: 1.0}, bool(wanted)), {method.name: method}, known, settings)


def consistency_helps(method: Method, hs: Tensor, ms: Tensor, known: Settings, given: Settings) -> bool:
    """Whether consistency raises a method's quality on the reduced pairs; says so in a note."""
    try:
        comparison = Comparison(pairs_of(hs, ms, known)[:1], known, given, ms[0].numel())
        comparison.trials[method.name] = comparison.attempt(method)
    except (InputError, LinAlgError):
        given.note("consistency off: the pair is too small to try it degraded once more")
        return False
    plain, agreed = (row.quality for row in comparison.singles())
    helps = agreed.db > plain.db
    given.note(
        f"consistency {'on' if helps else 'off'}: on the pair degraded once more {plain.psnr_db:.2f} dB, "
        f"{plain.sam_deg:.2f} deg without it, {agreed.psnr_db:.2f} dB, {agreed.sam_deg:.2f} deg with it"
    )
    return helps


AUTO = Method(
    name="auto",
    title="The best of the others, or their blend, on the pair itself",
    paper="Wald et al. 1997, PE&RS 63(6); Breiman 1996, Machine Learning 24(1)",
    needs=("psf", "srf"),
    halo_px=96,
    licence="Apache-2.0",
    learn=learn,
    floats_per_px=lambda bands, ms_bands: 4 * bands + ms_bands + 900,
)
