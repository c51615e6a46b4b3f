"""The long training: crops that are scenes, exact augmentations and resuming, a finish that leaves its checkpoint."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypersharp.cli import main
from hypersharp.errors import InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.networks import inference
from hypersharp.networks.checkpoint import load_weights, read_header
from hypersharp.networks.layers import Means
from hypersharp.networks.ssjcn_v2 import SSJCN2, SSJCN2Options
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.atomic import make_folder
from hypersharp.train import record
from hypersharp.train.crops import GAIN_RANGE, CropStream, moved_along_bands, smooth_curve, wrapped_margin_px
from hypersharp.train.muon import Muon, MuonAdam, orthogonalised
from hypersharp.train.options import RecordOptions
from hypersharp.train.patches import ORIENTATIONS, TrainingSet, orient
from hypersharp.train.record import FINISH, LAST, LOG, compute_loss, train_record

OPTIONS = RecordOptions(
    name="small",
    protocol="uestc-x4",
    network_options={"features": 16, "blocks": 1},
    steps=6,
    warmup_steps=2,
    round_steps=2,
    batch=2,
    crop_px=16,
    precision="fp32",
)
SRF = np.array([[0.5, 0.3, 0.2, 0, 0], [0, 0, 0.2, 0.3, 0.5]])
SENSOR = Sensor(psf.parse_psf("gaussian:3:0.5:start=2", 4), SRF, 4)


def smooth_scene(seed: int) -> NDArray[np.float32]:
    steps = np.random.default_rng(seed).random((5, 32, 48), dtype=np.float32)
    return (steps.cumsum(1) + steps.cumsum(2)).astype(np.float32) / 80


def small_set(sensor: Sensor = SENSOR) -> TrainingSet:
    training = {"a": lambda: smooth_scene(1), "b": lambda: smooth_scene(2)}
    wavelengths_nm = (450.0, 500.0, 550.0, 600.0, 650.0)
    return TrainingSet(training, {"c": lambda: smooth_scene(3)}, sensor, wavelengths_nm, "float")


def log_of(out_dir: Path) -> list[dict[str, Any]]:
    """The log without the times, which no two runs share."""
    lines = [json.loads(line) for line in (out_dir / LOG).read_text().splitlines()]
    return [{name: value for name, value in line.items() if "seconds" not in name} for line in lines]


def stream(sensor: Sensor = SENSOR, **shares: float) -> CropStream:
    return CropStream([smooth_scene(1), smooth_scene(2)], sensor, 16, seed=3, **shares)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
@pytest.mark.parametrize("name", ["uestc-x4", "dspnet-x4", "dian-x4"])
def test_a_crop_is_observed_as_it_is_in_its_scene(name: str, orientation: int) -> None:
    """Up to the margin that a blur wider than its coarse pixel wraps around."""
    sensor = find_protocol(name).sensor()
    scene = np.random.default_rng(0).random((31, 40, 40), dtype=np.float32)
    turned = torch.from_numpy(np.ascontiguousarray(orient(scene, orientation)))
    crop = turned[:, 8:32, 4:28]
    margin = wrapped_margin_px(sensor) // 4
    assert margin == (name == "dian-x4")
    inside = (slice(None), slice(margin, 6 - margin), slice(margin, 6 - margin))
    torch.testing.assert_close(sensor.hs(crop)[inside], sensor.hs(turned)[:, 2:8, 1:7][inside])


def test_mixing_and_gains_commute_with_the_degradation() -> None:
    one, other = torch.from_numpy(smooth_scene(1)), torch.from_numpy(smooth_scene(2))
    gain = torch.from_numpy(smooth_curve(np.random.default_rng(0), 5, *GAIN_RANGE))[:, None, None]
    mixed = SENSOR.observe(0.3 * one + 0.7 * other)
    for whole, a, b in zip(mixed, SENSOR.observe(one), SENSOR.observe(other), strict=True):
        torch.testing.assert_close(whole, 0.3 * a + 0.7 * b)
    torch.testing.assert_close(SENSOR.hs(gain * one), gain * SENSOR.hs(one))
    assert 0.6 <= float(gain.min()) < float(gain.max()) <= 1.2


def test_a_batch_is_made_of_its_crops_numbers_alone() -> None:
    crops = stream(mixed=0.5, relit=0.5)
    hs, ms, truth = crops.batch(4, 3)
    assert (hs.shape, ms.shape, truth.shape) == ((3, 5, 4, 4), (3, 2, 16, 16), (3, 5, 16, 16))
    np.testing.assert_array_equal(stream(mixed=0.5, relit=0.5).batch(5, 1)[2][0], truth[1])
    torch.testing.assert_close(torch.einsum("lb,nbyx->nlyx", torch.tensor(SRF).float(), truth), ms)
    assert not torch.equal(truth[0], truth[1])


def test_shares_of_crops_are_mixed_and_relit() -> None:
    plain, mixed, relit = (stream(**shares).truth(0) for shares in ({}, {"mixed": 1.0}, {"relit": 1.0}))
    assert not np.array_equal(plain, mixed)
    ratio = relit / plain
    np.testing.assert_allclose(ratio, ratio[:, :1, :1] * np.ones_like(ratio), rtol=1e-5)


def test_spectra_are_read_at_other_bands() -> None:
    crop = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 3), np.float32)
    moved = moved_along_bands(crop, np.array([0.5, -2, 0, 0.25, 3], np.float32))
    np.testing.assert_allclose(moved[:, 1, 2], [0.5, 0, 2, 3.25, 4])


def test_recoloured_crops_have_spectra_of_no_scene_and_of_its_range() -> None:
    plain, recoloured = stream().truth(0), stream(recoloured=1.0, shift_bands=2.0).truth(0)
    assert not np.allclose(plain, recoloured, atol=1e-3)
    assert plain.min() <= recoloured.min() and recoloured.max() <= plain.max()
    between = stream(mixed=1.0, recoloured=1.0).truth(0)  # by a share that changes with the band
    assert between.dtype == np.float32 and between.min() >= 0


@pytest.mark.parametrize("side_px", [14, 40])
def test_crops_that_do_not_fit_are_refused(side_px: int) -> None:
    with pytest.raises(InputError, match="crop_px"):
        CropStream([smooth_scene(1)], SENSOR, side_px)


def test_muon_moves_along_orthogonal_matrices() -> None:
    torch.manual_seed(0)
    for shape in ((8, 72), (72, 8)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    kernel = torch.zeros(8, 8, 3, 3, requires_grad=True)
    torch.autograd.backward((kernel * torch.randn(kernel.shape)).sum())
    Muon([kernel], lr=0.01).step()
    step = 0.2 * 72**0.5 * 0.01
    assert 0.6 * step < float(torch.linalg.svdvals(kernel.detach().flatten(1)).max()) < 1.3 * step


def test_one_optimiser_moves_kernels_as_muon_and_the_rest_as_adam_and_goes_on_from_a_checkpoint() -> None:
    torch.manual_seed(0)
    start, drawn = nn.Conv2d(4, 8, 3), torch.randn(2, 4, 5, 5)

    def moved(net: nn.Conv2d, *optimisers: torch.optim.Optimizer) -> nn.Conv2d:
        for optimiser in optimisers:
            optimiser.zero_grad()
        torch.autograd.backward(net(drawn).square().sum())
        for optimiser in optimisers:
            optimiser.step()
        return net

    apart, together = copy.deepcopy(start), copy.deepcopy(start)
    kernel, bias = apart.parameters()
    two = Muon([kernel], lr=0.02), torch.optim.Adam([bias], lr=0.01)
    one = MuonAdam(together.parameters(), 0.01, kernel_rate=0.02)
    moved(apart, *two), moved(together, one)
    again = MuonAdam(together.parameters(), 0.01, kernel_rate=0.02)
    again.load_state_dict(one.state_dict())
    for one_step, other in zip(moved(apart, *two).parameters(), moved(together, again).parameters(), strict=True):
        torch.testing.assert_close(other, one_step)


class Off(SSJCN2):
    """Not a network: the truth with an error that is known."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__(SSJCN2Options(bands=5, ms_bands=2, features=16, blocks=1, joint="off"))
        self.truth = truth

    def estimates(self, hs: Tensor, ms: Tensor, means: Means | None = None) -> Iterator[Tensor]:
        yield self.truth + 0.01


def test_scores_and_loss_are_those_computed_by_hand(tmp_path: Path) -> None:
    """An error of .01 is 40 dB; ERGAS 100/4 .01/.5 over a truth of .5; the angle between two flat spectra is 0."""
    truth = torch.full((1, 5, 16, 16), 0.5)
    pair = SENSOR.observe(truth)
    course = record.Course(OPTIONS, stream(), {"flat": (*pair, truth)}, tmp_path, "float", 0.0)
    expected = {"val_psnr_db": 40.0, "val_sam_deg": 0.0, "val_ergas": 0.5}
    assert record.validate(course, Off(truth)) == pytest.approx(expected, abs=2e-3)

    def loss(**changes: float) -> float:
        return float(compute_loss(Off(truth), *pair, truth, replace(OPTIONS, **changes), 4))  # type: ignore[arg-type]

    assert loss() == pytest.approx(0.01, abs=1e-6)
    assert loss(level=0.01) == pytest.approx(0.01 * np.log(2), abs=1e-6)
    assert loss(cosine_weight=1.0) == pytest.approx(0.01, abs=1e-5)


def test_resume_gives_the_losses_and_weights_of_an_uninterrupted_run(tmp_path: Path) -> None:
    whole = train_record(OPTIONS, small_set(), tmp_path / "whole")
    train_record(replace(OPTIONS, steps=4), small_set(), make_folder(tmp_path / "cut"))
    kept = (tmp_path / "cut" / LOG).read_text().splitlines()[:2]  # without the finish of the shorter one
    (tmp_path / "cut" / LOG).write_text("\n".join(kept) + "\n")
    resumed = train_record(OPTIONS, small_set(), tmp_path / "cut", resume=True)
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")
    for a, b in zip(load_weights(resumed)[0].parameters(), load_weights(whole)[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_finish_lets_the_rate_fall_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    options = replace(OPTIONS, finish_share=0.25)  # 2 steps after 6
    train_record(options, small_set(), tmp_path)
    before = (tmp_path / LAST).read_bytes()
    path = train_record(options, small_set(), tmp_path, finish_only=True)
    assert (tmp_path / LAST).read_bytes() == before
    assert not (tmp_path / FINISH).exists()
    last = log_of(tmp_path)[-1]
    assert (last["step"], last["crops"], last["rate"]) == (8, 16, 0.0)
    told = read_header(path).provenance
    assert {"step": 8, "crops": 16, "protocol": "uestc-x4", "training_scenes": ["a", "b"]}.items() <= told.items()
    assert told["pflop"] > 0


def test_the_precision_is_that_which_this_machine_is_fast_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "bf16_is_faster", lambda _: True)
    path = train_record(replace(OPTIONS, precision="auto"), small_set(), tmp_path)
    assert read_header(path).provenance["precision"] == "bf16"


def test_an_interrupted_finish_goes_on(tmp_path: Path) -> None:
    """finish.pt of a kill after one of its steps: the weights are those of an uninterrupted one."""
    options = replace(OPTIONS, finish_share=0.4)  # 4 steps after 6
    whole = train_record(options, small_set(), tmp_path / "whole")
    state = record.begin(options, small_set(), ())
    course = record.make_course(options, small_set(), make_folder(tmp_path / "cut"), state.net)
    state.load(tmp_path / "whole" / LAST)
    state.save(tmp_path / "cut" / LAST)
    record.learn(course, state, 7, lambda step: 1 - ((step - 5) / 4) ** 0.5, tmp_path / "cut" / FINISH, None)
    cut = train_record(options, small_set(), tmp_path / "cut", finish_only=True)
    for a, b in zip(load_weights(cut)[0].parameters(), load_weights(whole)[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_minutes_stop_a_training_that_then_goes_on(tmp_path: Path) -> None:
    assert train_record(OPTIONS, small_set(), tmp_path, minutes=1e-9) == tmp_path / LAST
    assert train_record(OPTIONS, small_set(), tmp_path, resume=True).suffix == ".safetensors"


def test_minutes_stop_a_finish_that_then_goes_on(tmp_path: Path) -> None:
    whole = train_record(OPTIONS, small_set(), tmp_path)
    before, lines = load_weights(whole)[0].state_dict(), log_of(tmp_path)
    whole.unlink()
    for resume in ({"finish_only": True}, {"resume": True}):
        assert train_record(OPTIONS, small_set(), tmp_path, minutes=1e-9, **resume) == tmp_path / FINISH  # type: ignore[arg-type]
        assert not whole.exists()
    again = load_weights(train_record(OPTIONS, small_set(), tmp_path, resume=True))[0].state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in before.items())
    assert log_of(tmp_path)[-1] == lines[-1]


def test_start_from_begins_with_given_weights(tmp_path: Path) -> None:
    path = train_record(OPTIONS, small_set(), tmp_path / "first")
    state = record.begin(OPTIONS, small_set(), [path])
    for a, b in zip(state.net.state_dict().values(), load_weights(path)[0].state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_round_more_begins_without_a_change(tmp_path: Path) -> None:
    path = train_record(OPTIONS, small_set(), tmp_path / "first")
    one_more = replace(OPTIONS, network_options={**OPTIONS.network_options, "rounds": 3})
    net, before = record.begin(one_more, small_set(), [path]).net, load_weights(path)[0]
    hs, ms, _ = next(iter(record.make_course(one_more, small_set(), tmp_path, net).validation.values()))
    with torch.no_grad():
        torch.testing.assert_close(net(hs, ms), before(hs, ms))
    assert len(net.bodies) == 3 and torch.equal(*(net.state_dict()[f"bodies.{k}.head.weight"] for k in (1, 2)))


def test_weights_of_another_start_keep_their_features_and_change_nothing(tmp_path: Path) -> None:
    path = train_record(OPTIONS, small_set(), tmp_path / "first")
    other = replace(OPTIONS, network_options={**OPTIONS.network_options, "start": "regression"})
    net, before = record.begin(other, small_set(), [path]).net, load_weights(path)[0].state_dict()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, torch.zeros_like(tensor) if ".tail." in name else before[name])


def test_chains_that_were_trained_apart_join_without_a_step_and_train_together(tmp_path: Path) -> None:
    one = replace(OPTIONS, name="one")
    two = replace(OPTIONS, name="two", network_options={**OPTIONS.network_options, "start": "regression"})
    first = train_record(one, small_set(), tmp_path / "one")
    second = train_record(two, small_set(), tmp_path / "two", start_from=[first])
    both = replace(OPTIONS, network_options={**OPTIONS.network_options, "start": ["bicubic", "regression"]})
    joined = train_record(both, small_set(), tmp_path / "both", start_from=[first, second], finish_only=True)
    pair = SENSOR.observe(torch.from_numpy(smooth_scene(4)[None]))
    with torch.no_grad():
        alone, together = (
            [estimate for path in paths for estimate in cast(SSJCN2, load_weights(path)[0]).estimates(*pair)]
            for paths in ((first, second), (joined,))
        )
        torch.testing.assert_close(together, alone)
    trained = train_record(both, small_set(), tmp_path / "on", start_from=[joined])
    assert log_of(tmp_path / "on")[-1]["val_psnr_db"] > log_of(tmp_path / "both")[-1]["val_psnr_db"]
    costs = [load_weights(path)[1].provenance["pflop"] for path in (first, second, joined, trained)]
    assert costs[1] == pytest.approx(2 * costs[0], rel=0.1)  # with what it began with
    assert costs[0] + costs[1] < costs[2] < costs[3]
    assert load_weights(trained)[1].provenance["began_with"] == [joined.name]
    begun = record.begin(two, small_set(), [joined])  # the one chain of that start
    kept, joined_pflop = begun.net.state_dict(), costs[2]
    assert begun.pflop_before == pytest.approx(joined_pflop / 2)
    assert record.begin(both, small_set(), [joined]).pflop_before == joined_pflop
    assert all(torch.equal(tensor, kept[name]) for name, tensor in load_weights(second)[0].state_dict().items())
    with pytest.raises(InputError, match=r"1 such chains in .*one file for each"):
        record.begin(both, small_set(), [first])


def test_a_wide_blur_trains_too(tmp_path: Path) -> None:
    wide = Sensor(psf.parse_psf("gaussian:8:2:start=1", 4), SRF, 4)
    options = replace(OPTIONS, network_options={**OPTIONS.network_options, "psf_px": 8}, steps=2)
    assert train_record(options, small_set(wide), tmp_path).exists()


def test_a_longer_training_scores_better(tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=60)
    train_record(options, small_set(), tmp_path)
    first, *_, last = log_of(tmp_path)
    assert last["val_psnr_db"] > first["val_psnr_db"] + 0.2


def test_resume_or_finish_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    for wish in ({"resume": True}, {"finish_only": True}):
        with pytest.raises(InputError, match=r"no last\.pt"):
            train_record(OPTIONS, small_set(), tmp_path, **wish)  # type: ignore[arg-type]


def test_fuse_runs_the_weights_as_ssjcn_and_agrees_with_both_inputs(tmp_path: Path) -> None:
    path = train_record(OPTIONS, small_set(), tmp_path)
    from hypersharp.cube import make_cube

    truth = make_cube(smooth_scene(4), wavelengths_nm=np.array(small_set().wavelengths_nm))
    hs, ms, _ = simulate_pair(truth, SENSOR)
    for method in ("ssjcn", "auto"):
        sharp = fuse(hs, ms, method=method, weights=path, psf=SENSOR.psf, srf=SENSOR.srf, scale=1.0, precision="fp32")
        seen = SENSOR.observe(torch.from_numpy(sharp.values.astype(np.float32)))
        for image, given in zip(seen, (hs, ms), strict=True):
            np.testing.assert_allclose(image, given.values, atol=1e-5)
    with pytest.raises(InputError, match="run them with torch"):
        fuse(hs, ms, method="ssjcn", weights=path, runtime="onnx", scale=1.0)


def test_the_command_line_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text("name: small\nprotocol: uestc-x4\nnetwork: ssjcn-v2\nvalidation_scenes: [nowhere]\n")
    with pytest.raises(SystemExit) as stop:
        main(["train", str(recipe), "--data", str(tmp_path), "-o", str(tmp_path / "out")])
    assert stop.value.code == 1
    assert "training scene 'nowhere'" in capsys.readouterr().err


def test_the_finish_of_other_weights_is_not_gone_on_with(tmp_path: Path) -> None:
    first = train_record(OPTIONS, small_set(), tmp_path / "first")
    run = tmp_path / "run"
    train_record(OPTIONS, small_set(), run)
    (run / FINISH).write_bytes((run / LAST).read_bytes())  # as an interrupted finish leaves one
    path = train_record(OPTIONS, small_set(), run, start_from=[first], finish_only=True)
    assert load_weights(path)[1].provenance["began_with"] == [first.name]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    train_record(OPTIONS, small_set(), tmp_path)
    wider = replace(OPTIONS, network_options={**OPTIONS.network_options, "features": 24}, steps=8)
    with pytest.raises(InputError, match=r"another network in .*network_options"):
        train_record(wider, small_set(), tmp_path, resume=True)
