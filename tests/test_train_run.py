"""A training: learns, resumes exactly, gives the same on two processes, refuses what cannot work."""

import csv
import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hypersharp.errors import InputError, OutputError
from hypersharp.networks import inference
from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.header import read_header
from hypersharp.sensor import psf
from hypersharp.sensor.observe import Sensor
from hypersharp.train.options import TrainOptions, read_options
from hypersharp.train.patches import TrainingSet
from hypersharp.train.run import CHECKPOINT, Hardware, WholeCheckpoints, train

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pytorch_lightning", "ignore::Warning:torch")

OPTIONS = TrainOptions(
    name="small",
    protocol="dian-x4",
    network_options={"features": 8, "guided": True, "spectrally_consistent": True},
    steps=8,
    round_steps=2,
    batch=4,
    patch_px=16,
    warmup_steps=2,
    lambda_deg=0.1,
    ema_decay=0.9,
    precision="fp32",
)
CPU = Hardware(accelerator="cpu")


def smooth_scene(seed: int) -> NDArray[np.float32]:
    steps = np.random.default_rng(seed).random((5, 32, 48), dtype=np.float32)
    return (steps.cumsum(1) + steps.cumsum(2)).astype(np.float32) / 80


def small_set() -> TrainingSet:
    srf = np.array([[0.5, 0.3, 0.2, 0, 0], [0, 0, 0.2, 0.3, 0.5]])
    sensor = Sensor(psf.gaussian(8, 2.0, ratio=4), srf, 4)
    training = {"a": lambda: smooth_scene(1), "b": lambda: smooth_scene(2)}
    return TrainingSet(training, {"c": lambda: smooth_scene(3)}, sensor, (450.0, 500.0, 550.0, 600.0, 650.0))


def losses(out_dir: Path) -> dict[int, float]:
    """Step -> loss from the CSV logs of all versions of a run."""
    rows = [row for log in sorted(out_dir.rglob("metrics.csv")) for row in csv.DictReader(log.read_text().splitlines())]
    return {int(row["step"]): float(row["loss"]) for row in rows if row["loss"]}


def minutes_spent(out_dir: Path) -> float:
    checkpoint = torch.load(out_dir / CHECKPOINT, weights_only=False)
    return float(checkpoint["minutes"])


def stop_after_rounds(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Make the next training end early, as a killed one does after its last checkpoint."""
    import pytorch_lightning as pl

    real = pl.Trainer

    def shorter(**options: object) -> pl.Trainer:
        return real(**{**options, "max_epochs": rounds})

    monkeypatch.setattr(pl, "Trainer", shorter)


def test_weights_carry_options_and_provenance(tmp_path: Path) -> None:
    header = read_header(train(OPTIONS, small_set(), tmp_path, hardware=CPU))
    assert header.options == {**OPTIONS.network_options, "bands": 5, "ms_bands": 2, "ratio": 4}
    assert header.wavelengths_nm == (450.0, 500.0, 550.0, 600.0, 650.0)
    expected = {"steps": 8, "protocol": "dian-x4", "training_scenes": ["a", "b"], "validation_scenes": ["c"]}
    assert expected.items() <= header.provenance.items()
    assert header.provenance["val_psnr_db"] > 0


@pytest.mark.parametrize("faster", [True, False])
def test_a_training_takes_bf16_where_the_machine_is_fast_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    monkeypatch.setattr(inference, "bf16_is_faster", lambda _: faster)
    options = replace(OPTIONS, precision="auto", steps=2)
    assert read_header(train(options, small_set(), tmp_path, hardware=CPU)).provenance["precision"] == (
        "bf16" if faster else "fp32"
    )


@pytest.mark.parametrize(
    ("network", "options", "start_weight"),
    [("dbin", {"features": 8, "refinements": 1, "blocks": 1}, 0.0), ("dhsis", {"features": 8, "layers": 3}, 5e-4)],
)
def test_every_network_is_trained_the_same_way(
    tmp_path: Path, network: str, options: dict[str, int], start_weight: float
) -> None:
    chosen = replace(OPTIONS, network=network, network_options=options, start_weight=start_weight, loss="mse", steps=2)
    path = train(chosen, small_set(), tmp_path, hardware=CPU)
    header = read_header(path)
    assert (header.network, header.provenance["start_weight"]) == (network, start_weight)
    assert load_weights(path)[1] == header


def test_a_longer_training_scores_better(tmp_path: Path) -> None:
    short, longer = (
        train(
            replace(OPTIONS, steps=steps, round_steps=steps, learning_rate=2e-3),
            small_set(),
            tmp_path / str(steps),
            hardware=CPU,
        )
        for steps in (2, 60)
    )
    scores = [read_header(path).provenance["val_psnr_db"] for path in (short, longer)]
    assert scores[1] > scores[0] + 1


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / CHECKPOINT
    WholeCheckpoints().save_checkpoint({"step": 1}, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="no space left"):
        WholeCheckpoints().save_checkpoint({"step": 2}, path)
    assert WholeCheckpoints().load_checkpoint(path) == {"step": 1} and [file.name for file in tmp_path.iterdir()] == [
        CHECKPOINT
    ]


def test_a_checkpoint_that_could_run_something_is_refused(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    for content in ({"state_dict": Code()}, None):
        torch.save(content, tmp_path / CHECKPOINT)
        if content is None:
            (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 no whole file")
        with pytest.raises(InputError, match=r"last\.ckpt unreadable"):
            train(OPTIONS, small_set(), tmp_path, resume=True, hardware=CPU)
    assert not (tmp_path / "ran").exists()


def test_resume_gives_the_losses_of_an_uninterrupted_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(OPTIONS, small_set(), tmp_path / "whole", hardware=CPU)
    with monkeypatch.context() as patched:
        stop_after_rounds(patched, rounds=2)
        train(OPTIONS, small_set(), tmp_path / "cut", hardware=CPU)
    spent = minutes_spent(tmp_path / "cut")
    resumed = train(OPTIONS, small_set(), tmp_path / "cut", resume=True, hardware=CPU)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == OPTIONS.steps
    assert minutes_spent(tmp_path / "cut") > spent > 0
    for a, b in zip(load_weights(resumed)[0].parameters(), load_weights(whole)[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_protocols_do_not_share_degraded_scenes(tmp_path: Path) -> None:
    """One cache, two sensors: each training learns from its own pairs."""
    cache = tmp_path / "cache"
    train(OPTIONS, small_set(), tmp_path / "one", cache_dir=cache, hardware=CPU)
    box = replace(small_set(), sensor=Sensor(psf.box(4), small_set().sensor.srf, 4))
    other = replace(OPTIONS, protocol="uestc-x4")
    train(other, box, tmp_path / "cached", cache_dir=cache, hardware=CPU)
    train(other, box, tmp_path / "fresh", hardware=CPU)
    assert losses(tmp_path / "cached") == losses(tmp_path / "fresh")


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    train(OPTIONS, small_set(), tmp_path / "one", hardware=CPU)
    two = Hardware(accelerator="cpu", devices=2, strategy="ddp_fork")
    train(OPTIONS, small_set(), tmp_path / "two", hardware=two)
    one, other = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(other) == list(one)
    np.testing.assert_allclose(list(other.values()), list(one.values()), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"), [({"batch": 3}, "multiple of the devices"), ({"round_steps": 3}, "whole rounds")]
)
def test_numbers_that_do_not_divide_are_refused(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(replace(OPTIONS, **changes), small_set(), tmp_path, hardware=replace(CPU, devices=2))


def test_resume_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no last\.ckpt"):
        train(OPTIONS, small_set(), tmp_path, resume=True)


@pytest.mark.parametrize("recipe", sorted(Path(__file__).parents[1].glob("recipes/*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(recipe: Path) -> None:
    options = read_options(recipe)
    assert options.name == recipe.stem
    assert options.header(31, 3, 4).options["bands"] == 31


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nprotocol: b\nstep: 3", "step"),
        ("name: a\nprotocol: b\nsteps: -3", "steps"),
        ("name: [", "no YAML"),
        ("", "dictionary"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_options(path)
