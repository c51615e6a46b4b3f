"""Auto: what the evidence says is what is chosen, blends are judged where they were not fitted, time is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.fusion.choose import trial
from hypersharp.fusion.choose.auto import CANDIDATES, choose_best, choose_named, lead, take
from hypersharp.fusion.choose.blend import blend_weights
from hypersharp.fusion.choose.choice import Choice
from hypersharp.fusion.choose.own_scale import look, looked_at
from hypersharp.fusion.choose.trial import Quality, Ranked, Trials, counted_pixels, quality_of
from hypersharp.fusion.fuse import fuse
from hypersharp.fusion.learn import learn
from hypersharp.methods.base import Apply, Method
from hypersharp.methods.table import METHODS
from hypersharp.networks.packaged import packaged_weights
from hypersharp.pair.options import Options, Progress, ignore
from hypersharp.pair.record import Record, ranking_rows
from hypersharp.pair.reduced import as_noisy_as, checkerboard, reduced_pairs
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.diagnosis import Noise
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian
from hypersharp.simulation.protocols import find_protocol
from method_runs import add_method

RATIO, BANDS, SIDE = 2, 6, 64
SRF = np.kron(np.eye(2), np.full(3, 1 / 3))
PSF_ = gaussian(6, 1.0, RATIO, boundary="reflect")
SENSOR = Sensor(PSF_, SRF, RATIO)
PLAIN = Options(consistent=False)


def scene() -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 2, SIDE // 4, SIDE // 4, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[0]
    return torch.einsum("bm,myx->byx", torch.rand(BANDS, 2, generator=random), fine) + 0.2


TRUTH = scene()
HS, MS = SENSOR.observe(TRUTH)
PAIR = TensorPair(HS, MS)


@dataclass(frozen=True, eq=False)
class Oracle(Apply):
    """Knows the truth of either level and errs by noise of a given size."""

    size: float
    seed: int
    seen: list[str] | None = None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        small = pair.ms.shape[-1] != SIDE
        truth = HS if small else TRUTH
        if self.seen is not None:
            self.seen.append("small" if small else "full")
        noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(self.seed))
        return (truth + self.size * noise)[:, : pair.ms.shape[1], : pair.ms.shape[2]]


@dataclass(frozen=True, eq=False)
class Astray(Oracle):
    """On the pair itself too bright by far."""

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        made = super().__call__(pair, options, progress)
        return made if made.shape[-1] != SIDE else made + 0.5


@pytest.fixture
def candidate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Method]:
    """(name, what it applies, needs) -> a method of the table."""

    def make(name: str, apply: Callable[..., Tensor], needs: tuple[str, ...] = ()) -> Method:
        return add_method(monkeypatch, name, lambda pair, sensor, options: apply, needs)  # type: ignore[arg-type]

    return make


def known_sensor(pair: TensorPair = PAIR) -> PairSensor:
    return PairSensor(pair, PSF_, SRF)


def carry_out(choice: Choice, pair: TensorPair, sensor: PairSensor, options: Options) -> Tensor:
    sharpener, made = learn(choice, pair, sensor, options)
    return sharpener(pair, options) if made is None else made


def sharpen(
    candidates: list[Method], options: Options = PLAIN, sensor: PairSensor | None = None
) -> tuple[Tensor, Choice]:
    sensor = sensor or known_sensor()
    choice = choose_best(PAIR, sensor, options, candidates)
    return carry_out(choice, PAIR, sensor, options), choice


def test_the_best_is_taken_and_the_ranking_told(candidate: Callable[..., Method]) -> None:
    seen: list[str] = []
    good, bad = candidate("good", Oracle(0.001, 1)), candidate("bad", Oracle(0.1, 2, seen))
    fair = candidate("fair", Oracle(0.0015, 1))
    found, choice = sharpen([bad, fair, good])
    torch.testing.assert_close(found, Oracle(0.001, 1)(PAIR, PLAIN, ignore), rtol=0, atol=1e-6)
    assert choice.why.startswith("auto chose good") and "ahead of fair" in choice.why
    told = [row[0] for row in ranking_rows(choice.described()["ranking"])]
    assert told.index("good") < told.index("fair") and "bad" not in told
    assert "full" not in seen


def test_a_blend_of_different_errors_beats_each(candidate: Callable[..., Method]) -> None:
    found, choice = sharpen([candidate(f"m{i}", Oracle(0.02, i)) for i in range(3)])
    alone = Oracle(0.02, 0)(PAIR, PLAIN, ignore)
    assert (found - TRUTH).norm() < 0.65 * (alone - TRUTH).norm()
    assert choice.why.startswith("auto chose blend")


def test_what_does_not_fit_is_skipped_and_said(candidate: Callable[..., Method]) -> None:
    def refuse(pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        raise InputError("31 bands", "5", "none")

    def nothing(pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        return torch.full((BANDS, *pair.ms.shape[1:]), torch.nan)

    odd = [candidate("net", refuse, ("weights",)), candidate("odd", refuse), candidate("nan", nothing)]
    _, choice = sharpen([*odd, candidate("good", Oracle(0.01, 1))])
    assert choice.skipped == ("net (no weights fit)", "odd (31 bands)", "nan (values that are not finite)")
    with pytest.raises(InputError, match="no candidate can sharpen"):
        sharpen(odd)


def test_a_network_is_told_the_users_sensor_only(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, list[PairSensor]] = {"net": [], "blind": []}

    def listen(name: str, *needs: str) -> Method:
        def learn_it(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
            told[name].append(sensor)
            return Oracle(0.01, 1)

        return add_method(monkeypatch, name, learn_it, needs)

    monkeypatch.setattr(trial, "choose_weights", lambda *given: (packaged_weights()["ssjcn-any"], ()))
    sensor = PairSensor(PAIR)
    sharpen([listen("net", "weights"), listen("blind")], sensor=sensor)
    assert all(said.given_psf is None and said.given_srf is None for said in told["net"])
    assert all(said.psf == sensor.psf for said in told["blind"])
    assert all(np.array_equal(said.sensor.srf, sensor.sensor.srf) for said in told["blind"])
    assert told["net"] and told["blind"]


def test_a_network_is_expected_to_take_as_long_as_all_its_orientations(monkeypatch: pytest.MonkeyPatch) -> None:
    method = add_method(monkeypatch, "net", lambda *given: Oracle(0.01, 1), ("weights",))
    monkeypatch.setattr(trial, "choose_weights", lambda *given: (packaged_weights()["ssjcn-any"], ()))
    ticks = count()
    monkeypatch.setattr(trial, "perf_counter", lambda: float(next(ticks)))
    once, all_of_them = (
        Trials.of(PAIR, known_sensor(), replace(PLAIN, ensemble=ensemble)).attempt(method).seconds
        for ensemble in (False, True)
    )
    assert all_of_them == 8 * once > 0


def test_without_time_the_quickest_is_taken(candidate: Callable[..., Method]) -> None:
    in_a_hurry = replace(PLAIN, budget_s=0.0)
    _, choice = sharpen([candidate("first", Oracle(0.1, 1)), candidate("second", Oracle(0.001, 2))], in_a_hurry)
    assert choice.why.startswith("auto chose first")
    assert "second (no time left to try it)" in choice.skipped


def ranked(name: str, psnr_db: float, seconds: float, *, blend: bool = False) -> Ranked:
    shares = {name: 0.5, "other": 0.5} if blend else {name: 1.0}
    return Ranked(shares, False, Quality(psnr_db, 1.0, 1.0), seconds, psnr_db)


def test_what_takes_too_long_is_left_and_the_blend_stands_for_its_members() -> None:
    rows = [ranked("slow", 40, 100), ranked("b", 39.05, 5), ranked("b", 39, 9, blend=True)]
    assert take(rows, 200).name == "slow"
    assert take(rows, 50).name == "blend"
    assert take(rows, 6).name == "b"
    assert take(rows, 1).name == "b"
    useless = [ranked("good", 40, 9), ranked("fair", 38, 5), ranked("bicubic", 30, 1)]
    assert take(useless, 2).name == "fair"
    far = [ranked("a", 40, 1), ranked("mix", 39, 1, blend=True)]
    assert take(far, 10).name == "a"


def test_why_a_blend_is_taken_before_one_that_is_ahead_of_it() -> None:
    slow, part, blend = (
        replace(row, consistent=True)
        for row in (ranked("slow", 40, 100), ranked("b", 39.05, 5), ranked("b", 39, 9, blend=True))
    )
    assert lead([part, blend], blend) == ", 0.05 dB behind b+c, of which a mean is the safer"
    assert lead([slow, part, blend], blend) == ", 1.00 dB behind slow+c, for which the time does not suffice"


def test_blend_weights_are_shares_and_leave_the_useless_out() -> None:
    random = torch.Generator().manual_seed(0)
    errors = torch.randn(3, 4, 400, generator=random) * torch.tensor([0.01, 0.01, 1.0])[:, None, None]
    weights = blend_weights(torch.einsum("ilp,jlp->ij", errors, errors).double().numpy())
    assert weights.sum() == pytest.approx(1) and weights[2] == 0
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_small_image_is_seen_in_several_phases() -> None:
    small = reduced_pairs(TensorPair(HS[:, :13, :13], MS[:, :26, :26]), SENSOR)
    assert [tuple(pair.hs.shape[1:]) for pair in small] == [(6, 6)] * 4
    torch.testing.assert_close(small[1].truth, HS[:, 1:13, 1:13])
    large = reduced_pairs(TensorPair(torch.rand(BANDS, 400, 40), torch.rand(2, 800, 80)), SENSOR)
    assert len(large) == 1 and large[0].truth.shape == (BANDS, 160, 40)
    with pytest.raises(InputError, match="reduced resolution"):
        reduced_pairs(TensorPair(HS[:, :3, :3], MS[:, :6, :6]), SENSOR)


def test_a_reduced_pair_gets_back_the_noise_that_degrading_takes() -> None:
    sensor = Sensor(gaussian(8, 2.0, 4), np.eye(3), 4)
    random = np.random.default_rng(0)
    noise = Noise(*(np.array([0.1, 0.2, 0.3]) for _ in range(4)))
    hs, ms = (
        torch.from_numpy(random.normal(size=(3, side, side)) * noise.hs[:, None, None]).float() for side in (128, 512)
    )
    (pair,) = reduced_pairs(TensorPair(hs, ms), sensor)
    assert pair.hs[2].std() < 0.1
    noisy = as_noisy_as(pair, noise, sensor.psf)
    np.testing.assert_allclose(noisy.hs.std((1, 2)), noise.hs, rtol=0.1)
    np.testing.assert_allclose(noisy.ms.std((1, 2)), noise.ms, rtol=0.1)
    assert torch.equal(noisy.truth, pair.truth)


def test_the_texture_of_a_single_ms_band_is_not_taken_for_its_noise() -> None:
    pan = TensorPair(add_noise(HS, 20, 1), MS[:1])
    trials = Trials.of(pan, PairSensor(pan, PSF_, SRF[:1]), PLAIN)
    torch.testing.assert_close(trials.pairs[0].ms, reduced_pairs(pan, Sensor(PSF_, SRF[:1], RATIO))[0].ms)
    assert not trials.ms_noise.any()


def test_the_border_and_masked_pixels_do_not_count() -> None:
    valid = torch.ones(32, 32, dtype=torch.bool)
    valid[10:14, 10:14] = False
    (pair,) = reduced_pairs(TensorPair(HS, MS, valid), SENSOR)
    counted = counted_pixels(pair)
    assert int(counted.sum()) == 28 * 28 - 16
    spoilt = pair.truth.clone()
    spoilt[:, ~counted] = 9.0
    assert quality_of([spoilt], [pair]).psnr_db == np.inf
    assert checkerboard((6, 6), 3).sum() == 18


def test_a_named_method_is_made_consistent_where_that_helps_and_the_psf_is_known() -> None:
    bicubic = METHODS["bicubic"]
    plain = bicubic.learn(PAIR, known_sensor(), PLAIN)(PAIR, PLAIN, ignore)
    blind = PairSensor(PAIR)
    alone = choose_named(bicubic, PAIR, blind, Options())
    torch.testing.assert_close(carry_out(alone, PAIR, blind, Options()), plain)
    assert not alone.why and not blind.is_estimated
    known = choose_named(bicubic, PAIR, known_sensor(), Options())
    assert (carry_out(known, PAIR, known_sensor(), Options()) - TRUTH).norm() < (plain - TRUTH).norm()
    assert known.consistent and known.why.startswith("consistency on: ")
    tiny = TensorPair(HS[:, :3, :3], MS[:, :6, :6])
    assert "consistency off" in choose_named(bicubic, tiny, known_sensor(tiny), Options()).why


def test_auto_is_the_default_and_blind() -> None:
    hs, ms = make_cube(HS.numpy()), make_cube(MS.numpy())
    sharp = fuse(hs, ms, budget_s=1000.0)
    said = str(Record.of(sharp))
    assert said.startswith("method auto") and "estimated" in said and "auto chose" in said
    bicubic = fuse(hs, ms, method="bicubic")
    truth = TRUTH.numpy()
    assert np.linalg.norm(sharp.values - truth) < 0.5 * np.linalg.norm(bicubic.values - truth)


def test_an_image_too_small_to_compare_on_is_fused_all_the_same() -> None:
    hs, ms = make_cube(HS[:, :3, :3].numpy()), make_cube(MS[:, :6, :6].numpy())
    sharp = fuse(hs, ms, psf=PSF_, srf=SRF)
    assert sharp.shape == (BANDS, 6, 6) and "auto took fuse untried" in str(Record.of(sharp))


def test_a_method_is_a_candidate_unless_its_row_says_no() -> None:
    assert {method.name for method in CANDIDATES} == {name for name, method in METHODS.items() if method.candidate}
    assert not METHODS["nssr"].candidate


def test_what_the_response_shows_at_the_pairs_own_scale_decides(candidate: Callable[..., Method]) -> None:
    """Two that tie at reduced resolution: one misses the ms's detail on the pair itself."""

    @dataclass(frozen=True, eq=False)
    class Vague(Oracle):
        def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
            made = super().__call__(pair, options, progress)
            blurred = torch.nn.functional.avg_pool2d(made, 5, 1, 2, count_include_pad=False)
            return made if made.shape[-1] != SIDE else blurred

    _, choice = sharpen([candidate("vague", Vague(0.01, 1)), candidate("sharp", Oracle(0.0101, 1))])
    assert choice.shares == {"sharp": 1.0}


def test_what_differs_from_hs_more_than_bicubic_is_not_taken(candidate: Callable[..., Method]) -> None:
    candidates = [METHODS["bicubic"], candidate("astray", Astray(0.001, 1)), candidate("good", Oracle(0.01, 2))]
    _, choice = sharpen(candidates)
    assert "astray" not in choice.shares and "astray (degraded, it differs from hs" in " ".join(choice.skipped)


def test_what_leaves_out_the_noise_of_hs_is_no_worse_for_differing_by_it(candidate: Callable[..., Method]) -> None:
    noisy = TensorPair(add_noise(HS, 15, 1), MS)
    methods = [METHODS["bicubic"], candidate("clean", Oracle(0.01, 2))]
    choice = choose_best(noisy, known_sensor(noisy), PLAIN, methods)
    assert choice.shares["clean"] > 0.5 and not choice.skipped


def test_the_quick_ones_are_looked_at_first_and_the_others_where_there_is_time(
    candidate: Callable[..., Method],
) -> None:
    trials = Trials.of(PAIR, known_sensor(), PLAIN)
    for name, seconds in (("slow", 100.0), ("quick", 1.0)):
        trials.by_name[name] = replace(trials.attempt(candidate(name, Oracle(0.01, 1))), seconds=seconds)
    hurried, unhurried = (look(trials, PAIR, ["slow", "quick"], perf_counter() + left) for left in (10.0, 1000.0))
    assert (hurried.names, hurried.late) == (("quick",), ("slow",))
    assert (unhurried.names, unhurried.late) == (("quick", "slow"), ())
    assert look(trials, PAIR, ["slow", "quick"], perf_counter(), always={"slow"}).late == ()


def test_who_leads_at_reduced_resolution_is_looked_at_though_the_time_is_up(candidate: Callable[..., Method]) -> None:
    methods = [METHODS["bicubic"], candidate("good", Oracle(0.001, 1)), candidate("fair", Oracle(0.1, 2))]
    trials = Trials.of(PAIR, known_sensor(), PLAIN)
    for method in methods:
        trials.attempt(method)
    assert trials.leader(["bicubic", "fair", "good"], 1e9) == "good"
    trials.by_name["good"] = replace(trials.by_name["good"], seconds=1e10)
    assert trials.leader(["fair", "good"], 1e9) == "fair"
    own = look(trials, PAIR, ["fair", "good"], perf_counter(), always={"bicubic", "good"})
    assert own.names[-1] == "good"


def test_the_noise_of_ms_that_comes_through_counts(candidate: Callable[..., Method]) -> None:
    noisy = TensorPair(HS, add_noise(MS, 8, 1))

    def repeats(pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        truth = HS if pair.ms.shape[-1] != SIDE else TRUTH
        back = torch.linalg.pinv(torch.tensor(SRF).to(truth))
        return truth + torch.einsum("bm,myx->byx", back, pair.ms - SENSOR.ms(truth))

    for pair, expected in ((noisy, "fair"), (PAIR, "repeats")):
        methods = [candidate("repeats", repeats), candidate("fair", Oracle(0.02, 3))]
        choice = choose_best(pair, known_sensor(pair), PLAIN, methods)
        assert max(choice.shares, key=lambda name: choice.shares[name]) == expected


def test_a_network_is_credited_under_the_sensor_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = find_protocol("dian-x4")
    own = protocol.sensor()
    random = torch.Generator().manual_seed(0)
    bright = torch.nn.functional.interpolate(torch.rand(1, 31, 16, 16, generator=random), (64, 64), mode="bicubic")[0]
    for srf, credited in ((own.srf, True), (own.srf[[1, 2, 0]], False)):
        hs, ms = Sensor(own.psf, srf, 4).observe(bright)
        pair = TensorPair(hs, ms)
        trials = trial.Trials.of(pair, PairSensor(pair, own.psf, srf), PLAIN)
        trials.attempt(METHODS["ssjcn"])
        assert ("ssjcn" in trials.credit) is credited


def test_an_hs_of_stripes_is_not_kept(candidate: Callable[..., Method]) -> None:
    gains = 1 + 0.05 * torch.randn(BANDS, 1, HS.shape[2], generator=torch.Generator().manual_seed(3))
    striped = TensorPair(HS * gains, MS)
    sensor = known_sensor(striped)
    assert sensor.against_consistency == "hs is striped" and known_sensor().against_consistency is None
    moved = replace(PAIR, hs_resampled=True)
    assert (
        choose_named(METHODS["gsa"], moved, known_sensor(moved), Options()).why == "consistency off: hs was resampled"
    )
    assert not choose_named(METHODS["gsa"], striped, sensor, Options()).consistent
    assert not choose_best(striped, sensor, Options(), [METHODS["gsa"], METHODS["glp"]]).consistent


def test_candidates_are_looked_at_where_the_pair_shows_something() -> None:
    hs, ms = torch.rand(3, 100, 90), torch.rand(1, 200, 180)
    sensor, middle = (
        Sensor(gaussian(4, 1.0, 2, boundary="reflect"), np.ones((1, 3)) / 3, 2),
        (slice(18, 82), slice(13, 77)),
    )
    assert looked_at(TensorPair(hs, ms), sensor) == middle
    dark, masked = hs.clone(), torch.ones(100, 90, dtype=torch.bool)
    dark[:, 20:, :] = 0
    masked[:, :70] = False
    assert looked_at(TensorPair(dark, ms), sensor)[0] == slice(0, 64)
    rows, columns = looked_at(TensorPair(hs, ms, masked), sensor)
    assert columns == slice(26, 90) and rows.stop - rows.start == 64


def test_auto_serves_a_scene_whose_middle_is_missing() -> None:
    hs, ms = (image.repeat(1, 3, 3) for image in (PAIR.hs, PAIR.ms))
    hs[:, 12:-12, 12:-12] = torch.nan
    sharp = fuse(make_cube(hs.numpy()), make_cube(ms.numpy()), coregister="none")
    assert np.isnan(sharp.values).any() and np.isfinite(sharp.values[:, 0, 0]).all()


def test_pixels_that_ms_does_not_have_do_not_count() -> None:
    seen = torch.ones(MS.shape[1:], dtype=torch.bool)
    seen[:, 20:30] = False
    (pair,) = reduced_pairs(TensorPair(HS, MS, None, seen), SENSOR)
    counted = counted_pixels(pair)
    assert counted.any() and not (counted & ~pair.measured_finely()).any() and not counted[:, 10:15].any()


def test_those_far_behind_one_that_is_not_taken_are_looked_at_again(candidate: Callable[..., Method]) -> None:
    @dataclass(frozen=True, eq=False)
    class Failing(Oracle):
        def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
            if pair.ms.shape[-1] == SIDE:
                raise InputError("a window", "the whole", "-")
            return super().__call__(pair, options, progress)

    failing, far_behind = candidate("failing", Failing(0.01, 3)), candidate("good", Oracle(0.01, 2))
    _, choice = sharpen([METHODS["bicubic"], candidate("astray", Astray(0.00001, 1)), failing, far_behind])
    assert choice.shares == {"good": 1.0} and "astray (degraded" in " ".join(choice.skipped)
