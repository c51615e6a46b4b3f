"""What the documents say is so: their commands exist, their code runs."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import typer

from hypersharp.cli import app, main
from hypersharp.cube import make_cube
from hypersharp.io import save_cube
from hypersharp.methods.packaged import packaged_weights

ROOT = Path(__file__).parents[1]
README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Every call of a program in the documents' shell blocks, without its comment."""
    lines = "\n".join(blocks(README + CONTRIBUTING, "sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.split()[:1] == [program]]


def scene_at(path: Path, side: int = 48) -> np.ndarray:
    """Smooth spectra with edges in space, so that every method has something to do."""
    y, x = np.mgrid[:side, :side] / side
    weights = np.stack([y, x, (x > y) * 0.5])
    spectra = np.random.default_rng(0).uniform(0.1, 0.6, (3, 31))
    values = np.einsum("kyx,kl->lyx", weights, spectra).astype(np.float32)
    save_cube(make_cube(values, wavelengths_nm=np.arange(400.0, 701.0, 10)), path)
    return values


@pytest.mark.parametrize("words", commands("hypersharp"), ids=" ".join)
def test_documented_commands_exist(words: list[str]) -> None:
    known = {option for parameter in VERBS[words[1]].params for option in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= known


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for words in commands("make")} <= targets
    assert len(commands("make")) >= 3


def test_documented_names_are_those_in_the_tables() -> None:
    from hypersharp.bench.protocols import PROTOCOLS
    from hypersharp.methods import METHODS
    from hypersharp.metrics import PRESETS

    for table in (METHODS, PROTOCOLS, PRESETS):
        assert all(f"`{name}`" in README for name in table)


def test_documented_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README + CONTRIBUTING):
        assert (ROOT / target).exists(), target


def test_readme_simulates_fuses_evaluates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene_at(tmp_path / "scene.tif")
    needed = ("hyperspectral.tif", "DATA")  # what only a user has; the scenes, and many minutes
    calls = [words for words in commands("hypersharp") if not any(w.startswith(needed) for w in words)]
    assert {words[1] for words in calls} >= {"simulate", "fuse", "evaluate"}
    for words in calls:
        with pytest.raises(SystemExit) as stop:
            main(words[1:])
        assert stop.value.code == 0
    assert (tmp_path / "sharp.tif").exists()


@pytest.mark.skipif(not packaged_weights(), reason="no weights are packaged in this checkout")
def test_readme_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = scene_at(tmp_path / "scene.tif")
    with pytest.raises(SystemExit):
        main(["simulate", "scene.tif", "-o", ".", "--protocol", "dian-x4"])
    Path("hs.tif").rename("hyperspectral.tif")
    Path("ms.tif").rename("multispectral.tif")
    names = {"truth": values}
    exec("\n".join(blocks(README, "python")), names)
    assert names["sharp"].shape == values.shape
    assert names["scores"].psnr_db > 25


def test_contributing_adds_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    method, its_test = blocks(CONTRIBUTING, "python")
    module = ModuleType("hypersharp.methods.nearest")
    exec(method, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    tests: dict[str, object] = {}
    exec(its_test, tests)
    for name, check in tests.items():
        if name.startswith("test_"):
            assert callable(check)
            check()

    from hypersharp.methods import METHODS, fuse

    monkeypatch.setitem(METHODS, "nearest", module.NEAREST)
    hs, ms = make_cube(torch.rand(5, 3, 4).numpy()), make_cube(torch.rand(3, 6, 8).numpy())
    sharp = fuse(hs, ms, method="nearest")
    np.testing.assert_allclose(sharp[:, ::2, ::2].values, hs.values, rtol=1e-6)
