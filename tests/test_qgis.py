"""The QGIS plugin without QGIS: its command, its styling, its zip. `make qgis-test` tries it in a real one."""

import ast
import importlib.util
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hypersharp
from hypersharp.methods.table import AUTO, METHODS

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "qgis" / "hypersharp_qgis"


def loaded(name: str) -> ModuleType:
    """A file of the plugin that needs no QGIS."""
    spec = importlib.util.spec_from_file_location(f"plugin_{name}", PLUGIN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


command, bands = loaded("command"), loaded("bands")


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    """A command that runs these lines of Python."""

    def make(lines: str) -> list[str]:
        (tmp_path / "script.py").write_text(lines)
        return [sys.executable, str(tmp_path / "script.py")]

    return make


def test_lines_and_progress_are_told_as_they_come(script: Callable[[str], list[str]]) -> None:
    words = script(
        "import sys\n"
        "print('progress 0.250 fusing with gsa', file=sys.stderr, flush=True)\n"
        "print('warning: dim', file=sys.stderr, flush=True)\n"
        "print('{\"Ä\": 1}')\n"
    )
    lines, fractions = list[str](), list[Any]()
    said = command.run(words, lines.append, lambda *step: fractions.append(step))
    assert said == '{"Ä": 1}'
    assert set(lines) == {"warning: dim", '{"Ä": 1}'}
    assert fractions == [(0.25, "fusing with gsa")]


def test_errors_are_the_commands_own(script: Callable[[str], list[str]]) -> None:
    words = script("import sys; print('error: found no file x', file=sys.stderr); sys.exit(1)")
    with pytest.raises(command.Failed, match=r"^found no file x$"):
        command.run(words, lambda line: None)
    with pytest.raises(command.Failed, match="code 7"):
        command.run(script("raise SystemExit(7)"), lambda line: None)
    with pytest.raises(command.Failed, match="Set up"):
        command.run(["/no/such/command"])


def test_cancelling_lets_it_clean_up(script: Callable[[str], list[str]], tmp_path: Path) -> None:
    words = script(
        "import pathlib, signal, sys, time\n"
        "def stop(*_): pathlib.Path(sys.argv[1]).touch(); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    ready, started = threading.Event(), time.monotonic()
    with pytest.raises(command.Cancelled):
        command.run([*words, tmp_path / "cleaned"], lambda line: ready.set(), is_cancelled=ready.is_set)
    assert (tmp_path / "cleaned").exists()
    assert time.monotonic() - started < 30


def test_qgis_own_python_is_hidden_from_it(script: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/no/such")
    monkeypatch.setenv("GDAL_DATA", "/of/qgis")
    said = command.run(script("import os; print(os.environ.get('GDAL_DATA'), os.environ['HYPERSHARP_PROGRESS'])"))
    assert said == "None lines"


def test_the_command_is_found_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "hypersharp"
    own.write_text(f'#!/bin/sh\nexec {sys.executable} -m hypersharp "$@"\n')
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("HYPERSHARP_COMMAND", raising=False)
    assert command.find_command("/gone") == str(own)
    monkeypatch.setenv("HYPERSHARP_COMMAND", sys.executable)
    assert command.find_command() == sys.executable
    assert command.find_command(str(own)) == str(own)
    with pytest.raises(command.Failed, match="is no hypersharp"):
        command.version_of(sys.executable)
    monkeypatch.setattr(command, "OF_QGIS", ())  # these tests may find the package by PYTHONPATH
    assert command.version_of(str(own)) == hypersharp.__version__
    assert command.methods_of(str(own)) == [AUTO.name, *METHODS]


def test_an_environment_is_made(tmp_path: Path) -> None:
    """Of a package of one line, that no index is needed for."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'hypersharp'\nversion = '9.9'\n"
    )
    wheel = "hypersharp-9.9-py3-none-any.whl"
    (source / "backend.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        f"    with zipfile.ZipFile(folder + '/{wheel}', 'w') as file:\n"
        "        file.writestr('said.py', 'def main(): print(\"9.9\")')\n"
        "        info = 'hypersharp-9.9.dist-info/'\n"
        "        file.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: hypersharp\\nVersion: 9.9\\n')\n"
        "        file.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        file.writestr(info + 'entry_points.txt', '[console_scripts]\\nhypersharp = said:main\\n')\n"
        "        file.writestr(info + 'RECORD', '')\n"
        f"    return '{wheel}'\n"
    )
    package = f"--no-index --no-deps --no-build-isolation {source}"
    made = command.make_environment(str(tmp_path / "env"), package, sys.executable, on_line=lambda line: None)
    assert command.version_of(made) == "9.9"
    assert command.find_python()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([f"Band {n}: {nm} nm" for n, nm in enumerate(range(400, 1000, 10), 1)], [25, 16, 7]),
        (["B02 (490 nm)", "B03 (560 nm)", "B04 (665 nm)"], [3, 2, 1]),
        (["Band 1", "Band 2", "Band 3"], None),
        (["900 nm", "1000 nm", "1100 nm"], None),
        (["650 nm"], None),
    ],
)
def test_true_colour_by_the_names_of_bands(names: list[str], shown: list[int] | None) -> None:
    assert bands.true_colour(names) == shown


def test_it_imports_the_standard_library_and_qgis_alone() -> None:
    for file in PLUGIN.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(), feature_version=(3, 9))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "qgis"}, file.name


def test_the_zip_holds_the_plugin(tmp_path: Path) -> None:
    contents = []
    for folder in ("a", "b"):
        make = [sys.executable, str(ROOT / "tools" / "zip_qgis.py"), str(tmp_path / folder)]
        subprocess.run(make, check=True, capture_output=True, env={**os.environ, "TZ": "Asia/Kathmandu"})
        contents.append((tmp_path / folder / f"hypersharp_qgis-{hypersharp.__version__}.zip").read_bytes())
    assert contents[0] == contents[1]
    with zipfile.ZipFile(tmp_path / "a" / f"hypersharp_qgis-{hypersharp.__version__}.zip") as file:
        names = set(file.namelist())
        assert {f"hypersharp_qgis/{path.name}" for path in PLUGIN.glob("*.py")} < names
        assert f"\nversion={hypersharp.__version__}\n" in file.read("hypersharp_qgis/metadata.txt").decode()
