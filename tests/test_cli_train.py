"""From scenes on disk to weights to a sharp file, by the command line alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hypersharp.cli import main
from hypersharp.io import open_cube
from hypersharp.simulation.protocols import PROTOCOLS

CONFIG = """
name: small
protocol: small-x4
network_options: {features: 4, iterations: 1}
steps: 2
round_steps: 1
batch: 2
patch_px: 16
precision: fp32
ema_decay: 0
"""


def call(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A protocol of one training, one validation and one test scene, in CAVE's layout."""
    row = replace(PROTOCOLS["dian-x4"], name="small-x4", train=("cd",), validation=("clay",), test=("paints",))
    monkeypatch.setitem(PROTOCOLS, row.name, row)
    for seed, scene in enumerate(row.scenes):
        folder = tmp_path / "cave" / f"{scene}_ms"
        folder.mkdir(parents=True)
        for band in range(1, 32):
            plane = np.random.default_rng([seed, band]).integers(5000, 60000, (48, 48)).astype(np.uint16)
            Image.fromarray(plane).save(folder / f"{scene}_ms_{band:02d}.png")
    return tmp_path


def test_train_bench_fuse(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(CONFIG)
    run = tmp_path / "run"
    assert call("train", config, "--data", data, "-o", run) == 0
    weights = run / "small.safetensors"
    assert weights.exists()
    assert str(weights) in capsys.readouterr().out

    assert call("bench", "small-x4", "--data", data, "-o", tmp_path / "rows", "--weights", weights) == 0
    assert "| ssjcn (small) | 1 |" in (tmp_path / "rows" / "table.md").read_text()

    pair = tmp_path / "pair"
    scene = data / "cave" / "paints_ms"
    assert call("simulate", scene, "-o", pair, "--protocol", "small-x4", "--format", "npy") == 0
    words = ["fuse", pair / "hs.npy", pair / "ms.npy", "-o", tmp_path / "sharp.npy"]
    assert call(*words, "--weights", weights, "--precision", "fp32") == 0
    assert open_cube(tmp_path / "sharp.npy").shape == (31, 48, 48)


def test_train_without_a_checkpoint_cannot_resume(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(CONFIG)
    assert call("train", config, "--data", data, "-o", tmp_path / "run", "--resume") == 1
    assert capsys.readouterr().err.startswith("error: found no last.ckpt")
