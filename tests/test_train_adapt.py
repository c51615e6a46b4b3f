"""SSJCN for any sensor: the subspace, learning from a pair alone, weights that are used again."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import shift
from torch import Tensor
from typer.testing import CliRunner

from hypersharp.cli import app
from hypersharp.cube import make_cube
from hypersharp.errors import CallError, InputError
from hypersharp.fusion.fuse import fuse
from hypersharp.io import save_cube
from hypersharp.methods import ssjcn
from hypersharp.methods.ssjcn_any import for_scene, pair_network
from hypersharp.networks import packaged
from hypersharp.networks.checkpoint import build_network, load_weights, save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.networks.inference import run_network
from hypersharp.networks.packaged import Weights
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.numerics.interpolate import upsample_bicubic
from hypersharp.pair.options import Coregister, Options, Progress, ignore
from hypersharp.pair.tensors import TensorPair, turned
from hypersharp.sensor.observe import Sensor, add_noise
from hypersharp.sensor.psf import gaussian_fwhm
from hypersharp.train import adapt as adapting
from hypersharp.train.adapt import AdaptOptions, Learning, Outcome, adapt, adapt_pair, held_out, summary
from method_runs import Known

BANDS, MS_BANDS, RATIO, SHAPE = 14, 3, 3, (72, 84)
QUICK = AdaptOptions(seconds=1000, steps=6, features=16, batch=2, every=3)


@pytest.fixture(autouse=True)
def any_sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Untrained weights for any sensor, in the place of the packaged ones."""
    torch.manual_seed(0)
    options = {"bands": 31, "ms_bands": 3, "ratio": 4, "features": 4}
    net = build_network("ssjcn-subspace", options)
    header = WeightsHeader("ssjcn-subspace", options, None, {"any_sensor": True})
    path = tmp_path / "weights" / "ssjcn-any.safetensors"
    save_weights(path, net, header)
    there = {"ssjcn-any": Weights("ssjcn-any", path, header)}
    for module in (packaged, ssjcn):
        monkeypatch.setattr(module, "packaged_weights", lambda: there)
    return path


def make_sensor(bands: int = BANDS, ms_bands: int = MS_BANDS, ratio: int = RATIO) -> Sensor:
    response = np.eye(ms_bands)[:, np.arange(bands) * ms_bands // bands]
    psf = gaussian_fwhm(ratio, ratio, boundary="reflect")
    return Sensor(psf, response / response.sum(1, keepdims=True), ratio)


def make_scene(bands: int = BANDS, shape_yx: tuple[int, int] = SHAPE, seed: int = 0, contrast: float = 2.0) -> Tensor:
    """(bands, H, W): patches of five smooth spectra, soft or, with much contrast, sharp."""
    random = torch.Generator().manual_seed(seed)
    places = torch.linspace(0, 1, bands)[:, None]
    spectra = 0.5 + 0.4 * torch.sin(6 * (places * torch.rand(5, generator=random) + torch.linspace(0, 1, 5)))
    texture = upsample_bicubic(torch.randn(1, 5, shape_yx[0] // 3, shape_yx[1] // 3, generator=random), 3)[0]
    shares = (contrast * texture).softmax(0)
    return (spectra @ shares.flatten(1)).view(bands, *shape_yx)


def make_pair(snr_db: float = 40, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Known]:
    scene, sensor = make_scene(seed=seed), make_sensor()
    hs, ms = (add_noise(image, snr_db, k) for k, image in enumerate(sensor.observe(scene)))
    return hs, ms, scene, Known(sensor.psf, sensor.srf)


def learn_from(hs: Tensor, ms: Tensor, known: Known, progress: Progress = ignore) -> tuple[SubspaceSSJCN, Outcome]:
    return adapt(known.pair(hs, ms), known.sensor(hs, ms), known.options, QUICK, progress)


def rmse(estimate: Tensor, truth: Tensor) -> float:
    return float((estimate - truth).square().mean().sqrt())


@pytest.mark.parametrize(("bands", "ms_bands", "ratio"), [(5, 1, 2), (40, 12, 3), (14, 3, 5), (9, 4, 32)])
def test_untrained_it_beats_bicubic_at_any_bands_and_ratio(bands: int, ms_bands: int, ratio: int) -> None:
    shape_yx = (6 * ratio, 9 * ratio) if ratio > 8 else (48 // ratio * ratio, 60 // ratio * ratio)
    sensor, scene = make_sensor(bands, ms_bands, ratio), make_scene(bands, (96 * 2, 96 * 3))
    scene = scene[:, : shape_yx[0], : shape_yx[1]]
    hs, ms = sensor.observe(scene)
    found, notes = Known(sensor.psf, sensor.srf).run_and_notes("ssjcn", hs, ms)
    assert found.shape == scene.shape
    assert rmse(found, scene) < 0.8 * rmse(upsample_bicubic(hs[None], ratio)[0], scene)
    assert any("hypersharp adapt" in note for note in notes)


def test_learning_never_makes_the_held_out_tiles_worse_and_the_rest_of_the_net_stays() -> None:
    hs, ms, _, known = make_pair()
    told: list[float] = []
    net, outcome = learn_from(hs, ms, known, told.append)
    assert outcome.steps == 6
    assert outcome.after_db >= outcome.before_db
    assert told[-1] == 1 and told == sorted(told)
    before = pair_network(known.pair(hs, ms), make_sensor())
    for name, value in before.core.state_dict().items():
        torch.testing.assert_close(net.core.state_dict()[name], value)


def test_the_weights_for_any_sensor_stay_where_reduced_resolution_prefers_the_regression() -> None:
    hs, ms, _, known = make_pair()
    net = pair_network(known.pair(hs, ms), make_sensor(), own_features=16)
    for body in net.core.bodies:
        torch.nn.init.constant_(body.get_submodule("tail").bias, 3.0)  # a correction that is wrong everywhere
    kept = {name: value.clone() for name, value in net.core.state_dict().items()}
    pair = replace(known.pair(hs, ms), hs_valid=torch.ones(hs.shape[1:], dtype=torch.bool))
    outcome = Learning(net, pair, Options(precision="fp32"), replace(QUICK, seconds=0.0)).run(time.monotonic(), ignore)
    assert outcome.before_db < outcome.start_db - 3
    for name, value in kept.items():
        torch.testing.assert_close(net.core.state_dict()[name], value, rtol=0, atol=0)


def test_steps_give_the_same_weights_again() -> None:
    hs, ms, _, known = make_pair()
    first, second = (learn_from(hs, ms, known)[0].state_dict() for _ in range(2))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-5)  # but for the order of sums


def test_learning_lowers_the_error_of_what_is_learnt_from() -> None:
    """Five materials under one ms band: which is which is no linear matter."""
    scene, sensor = make_scene(contrast=30.0), make_sensor(ms_bands=1)
    hs, ms = sensor.observe(scene)
    torch.manual_seed(0)
    net = pair_network(TensorPair(hs, ms), sensor, own_features=16)
    pair = TensorPair(hs, ms, torch.ones(hs.shape[1:], dtype=torch.bool))
    learning = Learning(net, pair, Options(precision="fp32"), QUICK)
    learning.score = learning.learn
    before_db, random = learning.score_db(), np.random.default_rng(0)
    adam = torch.optim.Adam(learning.own.parameters(), lr=3e-3)
    for _ in range(30):
        learning.step(adam, random)
    assert learning.score_db() > before_db + 0.2


def test_of_a_large_pair_few_views_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapting, "MOST_BYTES", 1)
    monkeypatch.setattr(adapting, "SMALL_PX", 0)
    hs, ms, _, known = make_pair()
    pair, net = known.pair(hs, ms), pair_network(known.pair(hs, ms), make_sensor(), own_features=16)
    pair = replace(pair, hs_valid=torch.ones(hs.shape[1:], dtype=torch.bool))
    learning = Learning(net, pair, Options(precision="fp32"), QUICK)
    outcome = learning.run(time.monotonic(), ignore)
    assert set(learning.views) == {0, 1, 5}  # and what is scored
    assert outcome.after_db >= outcome.before_db


def test_no_time_gives_the_start_and_says_so() -> None:
    hs, ms, _, known = make_pair()
    net, outcome = adapt(known.pair(hs, ms), known.sensor(hs, ms), known.options, AdaptOptions(seconds=0.0))
    found = run_network(net, hs, ms, known.options)
    torch.testing.assert_close(found, known.run("ssjcn", hs, ms), atol=1e-5, rtol=0)
    assert outcome.steps == 0 and "adapted in 0 steps" in summary(outcome)
    assert summary(outcome).endswith("do without") and "warning: nothing was learned" in summary(outcome)


def test_the_summary_says_by_how_much_the_error_fell() -> None:
    said = summary(Outcome(start_db=-3.58, before_db=-0.6, after_db=-0.5, steps=9, seconds=2.0))
    assert "lower than a regression's by 2.98 dB before, 3.08 dB after" in said and "warning" not in said


def test_too_small_an_image_is_refused() -> None:
    hs, ms, _, known = make_pair()
    with pytest.raises(InputError, match="12 x 12"):
        learn_from(hs[:, :11], ms[:, : 11 * RATIO], known)


def test_the_weights_file_gives_what_was_learnt_and_serves_another_scene(tmp_path: Path) -> None:
    hs, ms, _, known = make_pair()
    path = tmp_path / "own.safetensors"
    adapt_pair(*(make_cube(image.numpy()) for image in (hs, ms)), path, options=QUICK, psf=known.psf, srf=known.srf)
    net, header = load_weights(path)
    assert {"steps", "after_db", "commit"} <= header.provenance.keys()
    own = replace(known, options=replace(known.options, weights=path))
    hs, ms = (image / header.provenance["scale"] for image in (hs, ms))  # as `adapt_pair` saw them
    with torch.inference_mode():
        torch.testing.assert_close(own.run("ssjcn", hs, ms), net(hs[None], ms[None])[0], atol=1e-5, rtol=0)
    other_hs, other_ms, other_scene, _ = make_pair(seed=3)
    found = own.run("ssjcn", other_hs, other_ms)
    assert rmse(found, other_scene) < rmse(upsample_bicubic(other_hs[None], RATIO)[0], other_scene)
    with pytest.raises(InputError, match="ms_bands 2"):
        replace(own, srf=None).run("ssjcn", hs, ms[:2])


def test_a_scene_in_another_unit_moves_the_means_only() -> None:
    hs, ms, _, known = make_pair()
    net = pair_network(known.pair(hs, ms), make_sensor())
    other = for_scene(net, known.pair(hs + 1, ms + 1))
    torch.testing.assert_close(other(hs[None] + 1, ms[None] + 1), net(hs[None], ms[None]) + 1, atol=1e-4, rtol=0)


def test_unmeasured_pixels_say_nothing() -> None:
    hs, ms, _, known = make_pair()
    valid = torch.ones(hs.shape[1:], dtype=torch.bool)
    valid[3:6, 4:9] = False
    spoiled = torch.where(valid, hs, hs.new_tensor(7.0))
    masked = replace(known, hs_valid=valid)
    one, other = (pair_network(masked.pair(image, ms), make_sensor()) for image in (hs, spoiled))
    torch.testing.assert_close(one.hs_mean, other.hs_mean, atol=1e-6, rtol=0)
    angles = torch.linalg.svdvals(torch.linalg.qr(one.basis).Q.mT @ torch.linalg.qr(other.basis).Q)
    assert angles.min() > 0.99


def test_tiles_are_held_out_everywhere_and_turning_turns() -> None:
    held = held_out((24, 30), AdaptOptions())
    assert 0.1 < held.float().mean() < 0.3
    image = torch.arange(6.0).view(1, 2, 3)
    assert len({str(turned(image, k).tolist()) for k in range(8)}) == 8
    assert adapting.ORIENTATIONS == 8


def test_the_verb_adapts_and_fuse_takes_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hs, ms, *_ = make_pair()
    for name, image in (("hs.npy", hs), ("ms.npy", ms)):
        save_cube(make_cube(image.numpy()), Path(name))
    runner = CliRunner()
    words = ["adapt", "hs.npy", "ms.npy", "-o", "own.safetensors", "--minutes", "0.02", "--ms-layout", "lhw"]
    result = runner.invoke(app, words)
    assert result.exit_code == 0 and "held-out" in result.stdout
    told = result.stdout.split("use them: hypersharp ")[1].replace("SHARP.tif", "sharp.npy")
    assert "--ms-layout lhw" in told  # without it the pair may not open again
    assert runner.invoke(app, told.split()).exit_code == 0
    assert np.load("sharp.npy").shape == (BANDS, *SHAPE)


COREGISTER: tuple[Coregister, Coregister] = ("local", "none")


def test_an_ms_that_lies_off_is_moved_before_anything_is_learnt(tmp_path: Path) -> None:
    scene = make_scene()
    hs, lying_off = make_sensor().observe(scene)[0], shift(scene.numpy(), (0, 0.9, -0.7), mode="nearest")
    cubes = make_cube(hs.numpy()), make_cube(make_sensor().ms(torch.from_numpy(lying_off)).numpy())
    moved, left = (
        adapt_pair(*cubes, tmp_path / f"{wanted}.safetensors", options=QUICK, coregister=wanted)
        for wanted in COREGISTER
    )
    assert "co-registered" in moved.notes[0] and not any("co-registered" in note for note in left.notes)
    assert load_weights(tmp_path / "local.safetensors")[1].provenance["notes"] == list(moved.notes)


def test_another_suffix_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    cube = make_cube(np.zeros((2, 2, 2), np.float32))
    with pytest.raises(CallError, match="safetensors"):
        adapt_pair(cube, cube, tmp_path / "weights.pt")


def test_weights_of_another_kind_are_not_for_any_sensor(tmp_path: Path) -> None:
    options = {"bands": BANDS, "ms_bands": MS_BANDS, "ratio": RATIO, "features": 8}
    path = tmp_path / "plain.safetensors"
    save_weights(path, build_network("ssjcn", options), WeightsHeader("ssjcn", options))
    hs, ms, _, known = make_pair()
    with pytest.raises(InputError, match="any sensor"):
        pair_network(known.pair(hs, ms), make_sensor(), weights=path)


def test_cubes_fuse_without_weights_that_fit() -> None:
    hs, ms, scene, _ = make_pair()
    cubes = (make_cube(image.numpy()) for image in (hs, ms))
    sharp = fuse(*cubes, method="ssjcn")
    assert rmse(torch.from_numpy(sharp.values), scene) < rmse(upsample_bicubic(hs[None], RATIO)[0], scene)
