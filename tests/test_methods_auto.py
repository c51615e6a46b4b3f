"""Auto: what the evidence says is what is chosen, blends are judged where they were not fitted, time is kept."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from hypersharp.cube import make_cube
from hypersharp.errors import InputError
from hypersharp.fusion.choose.auto import CANDIDATES, Ranked, choose, decide
from hypersharp.fusion.choose.blend import blend_weights
from hypersharp.fusion.choose.trial import Quality, checkerboard, counted_pixels, judge
from hypersharp.fusion.fuse import METHODS, fuse
from hypersharp.fusion.learn import run_named
from hypersharp.fusion.sharpener import Plan, carry_out
from hypersharp.methods.base import Method, local
from hypersharp.methods.bicubic import BICUBIC
from hypersharp.pair.reduced import as_noisy_as, reduced_pairs
from hypersharp.pair.settings import Settings
from hypersharp.sensor.noise import Noise
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.psf import gaussian

RATIO, BANDS, SIDE = 2, 6, 64
SRF = np.kron(np.eye(2), np.full(3, 1 / 3))
PSF_ = gaussian(6, 1.0, RATIO, boundary="reflect")
SENSOR = Sensor(PSF_, SRF, RATIO)
Run = Callable[[Tensor, Tensor, Settings], Tensor]


def scene() -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 2, SIDE // 4, SIDE // 4, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[0]
    return torch.einsum("bm,myx->byx", torch.rand(BANDS, 2, generator=random), fine) + 0.2


TRUTH = scene()
HS, MS = SENSOR.observe(TRUTH)


def settings(**options: object) -> Settings:
    return replace(Settings(RATIO, psf=PSF_, srf=SRF, consistent=False), **options)  # type: ignore[arg-type]


def oracle(size: float, seed: int, seen: list[str] | None = None) -> Run:
    """A method that knows the truth of either level and errs by noise of a given size."""

    def run(hs: Tensor, ms: Tensor, given: Settings) -> Tensor:
        small = ms.shape[-1] != SIDE
        truth = HS if small else TRUTH
        if seen is not None:
            seen.append("small" if small else "full")
        noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))
        return (truth + size * noise)[:, : ms.shape[1], : ms.shape[2]]

    return run


def candidate(name: str, run: Run, needs: tuple[str, ...] = ()) -> Method:
    return replace(BICUBIC, name=name, learn=local(run), needs=needs)


def sharpen(hs: Tensor, ms: Tensor, given: Settings, candidates: list[Method]) -> Tensor:
    return carry_out(decide(hs, ms, given, candidates), hs, ms)


def test_the_best_is_taken_and_the_ranking_told() -> None:
    seen: list[str] = []
    good, bad = candidate("good", oracle(0.001, 1)), candidate("bad", oracle(0.1, 2, seen))
    given = settings()
    found = sharpen(HS, MS, given, [bad, good])
    torch.testing.assert_close(found, oracle(0.001, 1)(HS, MS, given), rtol=0, atol=1e-6)
    text = "\n".join(given.notes)
    assert "auto chose good" in text and "ahead of bad" in text
    first_words = [note.split()[0] for note in given.notes]
    assert first_words.index("good") < first_words.index("bad")
    assert "full" not in seen


def test_a_blend_of_different_errors_beats_each() -> None:
    given = settings()
    found = sharpen(HS, MS, given, [candidate(f"m{i}", oracle(0.02, i)) for i in range(3)])
    alone = oracle(0.02, 0)(HS, MS, given)
    assert (found - TRUTH).norm() < 0.65 * (alone - TRUTH).norm()
    assert any("auto chose blend" in note for note in given.notes)


def test_what_does_not_fit_is_skipped_and_said() -> None:
    def refuse(hs: Tensor, ms: Tensor, given: Settings) -> Tensor:
        raise InputError("31 bands", "5", "none")

    def nothing(hs: Tensor, ms: Tensor, given: Settings) -> Tensor:
        return torch.full((BANDS, *ms.shape[1:]), torch.nan)

    given = settings()
    odd = [candidate("net", refuse, ("weights",)), candidate("odd", refuse), candidate("nan", nothing)]
    sharpen(HS, MS, given, [*odd, candidate("good", oracle(0.01, 1))])
    assert given.notes[-1] == "skipped: net (no weights fit), odd (31 bands), nan (values that are not finite)"
    with pytest.raises(InputError, match="no candidate can sharpen"):
        sharpen(HS, MS, settings(), odd)


def test_a_network_is_told_the_users_sensor_only() -> None:
    told: dict[str, Settings] = {}

    def listen(name: str, *needs: str) -> Method:
        def learn(hs: Tensor, ms: Tensor, given: Settings) -> Run:
            told[name] = given
            return oracle(0.01, 1)

        return replace(BICUBIC, name=name, learn=learn, needs=needs)

    given = settings(psf=None, srf=None)
    sharpen(HS, MS, given, [listen("net", "weights"), listen("gsa")])
    assert told["net"].psf is None and told["net"].srf is None
    assert told["gsa"].psf is not None and told["gsa"].srf is not None


def test_without_time_the_quickest_is_taken() -> None:
    given = settings(budget_s=0.0)
    sharpen(HS, MS, given, [candidate("first", oracle(0.1, 1)), candidate("second", oracle(0.001, 2))])
    assert any(note.startswith("auto chose first") for note in given.notes)
    assert "second (no time left to try it)" in given.notes[-1]


def ranked(name: str, psnr_db: float, seconds: float, *, blend: bool = False) -> Ranked:
    shares = {name: 0.5, "other": 0.5} if blend else {name: 1.0}
    return Ranked(Plan(shares, False), Quality(psnr_db, 1.0, 1.0), seconds)


def test_what_takes_too_long_is_left_and_a_tie_goes_to_the_blend() -> None:
    rows = [ranked("slow", 40, 100), ranked("b", 39.05, 5), ranked("mix", 39, 9, blend=True)]
    assert choose(rows, 200).plan.name == "slow"
    assert choose(rows, 50).plan.name == "blend"
    assert choose(rows, 6).plan.name == "b"
    assert choose(rows, 1).plan.name == "b"
    useless = [ranked("good", 40, 9), ranked("fair", 38, 5), ranked("bicubic", 30, 1)]
    assert choose(useless, 2).plan.name == "fair"
    far = [ranked("a", 40, 1), ranked("mix", 39, 1, blend=True)]
    assert choose(far, 10).plan.name == "a"


def test_blend_weights_are_shares_and_leave_the_useless_out() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(4, 400, generator=random) + 0.5
    errors = torch.randn(3, 4, 400, generator=random) * torch.tensor([0.01, 0.01, 1.0])[:, None, None]
    weights = blend_weights(truth + errors, truth)
    assert weights.sum() == pytest.approx(1) and weights[2] == 0
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_small_image_is_seen_in_several_phases() -> None:
    small = reduced_pairs(HS[:, :13, :13], MS[:, :26, :26], SENSOR)
    assert [tuple(pair.hs.shape[1:]) for pair in small] == [(6, 6)] * 4
    torch.testing.assert_close(small[1].truth, HS[:, 1:13, 1:13])
    large = reduced_pairs(torch.rand(BANDS, 400, 40), torch.rand(2, 800, 80), SENSOR)
    assert len(large) == 1 and large[0].truth.shape == (BANDS, 160, 40)
    with pytest.raises(InputError, match="degraded once more"):
        reduced_pairs(HS[:, :3, :3], MS[:, :6, :6], SENSOR)


def test_a_reduced_pair_gets_back_the_noise_that_degrading_takes() -> None:
    sensor = Sensor(gaussian(8, 2.0, 4), np.eye(3), 4)
    random = np.random.default_rng(0)
    noise = Noise(*(np.array([0.1, 0.2, 0.3]) for _ in range(4)))
    hs, ms = (
        torch.from_numpy(random.normal(size=(3, side, side)) * noise.hs[:, None, None]).float() for side in (128, 512)
    )
    (pair,) = reduced_pairs(hs, ms, sensor)
    assert pair.hs[2].std() < 0.1
    noisy = as_noisy_as(pair, noise, sensor.psf)
    np.testing.assert_allclose(noisy.hs.std((1, 2)), noise.hs, rtol=0.1)
    np.testing.assert_allclose(noisy.ms.std((1, 2)), noise.ms, rtol=0.1)
    one = as_noisy_as(replace(pair, ms=pair.ms[:1]), noise, sensor.psf)
    assert torch.equal(one.ms, pair.ms[:1]) and torch.equal(one.truth, pair.truth)


def test_the_border_and_masked_pixels_do_not_count() -> None:
    valid = torch.ones(32, 32, dtype=torch.bool)
    valid[10:14, 10:14] = False
    (pair,) = reduced_pairs(HS, MS, SENSOR, hs_valid=valid)
    counted = counted_pixels(pair, RATIO)
    assert int(counted.sum()) == 28 * 28 - 16
    spoilt = pair.truth.clone()
    spoilt[:, ~counted] = 9.0
    assert judge([spoilt], [pair], RATIO).psnr_db == np.inf
    assert checkerboard((6, 6), 3).sum() == 18


def test_a_named_method_is_made_consistent_where_that_helps_and_the_psf_is_known() -> None:
    plain = BICUBIC.run(HS, MS, settings())
    alone = settings(psf=None, consistent=None)
    torch.testing.assert_close(run_named(BICUBIC, HS, MS, alone), plain)
    assert not alone.notes
    known = settings(consistent=None)
    assert (run_named(BICUBIC, HS, MS, known) - TRUTH).norm() < (plain - TRUTH).norm()
    assert any(note.startswith("consistency on: ") for note in known.notes)
    tiny = settings(consistent=None)
    run_named(BICUBIC, HS[:, :3, :3], MS[:, :6, :6], tiny)
    assert any("consistency off" in note for note in tiny.notes)


def test_auto_is_the_default_and_blind() -> None:
    hs, ms = make_cube(HS.numpy()), make_cube(MS.numpy())
    sharp = fuse(hs, ms, budget_s=1000.0)
    notes = sharp.attrs["hypersharp"]
    assert notes.startswith("method auto") and "estimated" in notes and "auto chose" in notes
    bicubic = fuse(hs, ms, method="bicubic")
    truth = TRUTH.numpy()
    assert np.linalg.norm(sharp.values - truth) < 0.5 * np.linalg.norm(bicubic.values - truth)


def test_an_image_too_small_to_compare_on_is_fused_all_the_same() -> None:
    hs, ms = make_cube(HS[:, :3, :3].numpy()), make_cube(MS[:, :6, :6].numpy())
    sharp = fuse(hs, ms, psf=PSF_, srf=SRF)
    assert sharp.shape == (BANDS, 6, 6) and "auto took fuse untried" in sharp.attrs["hypersharp"]


def test_every_other_method_is_a_candidate() -> None:
    assert {method.name for method in CANDIDATES} == set(METHODS) - {"auto"} | {"ssjcn-any"}
