"""The house: a room imports only from lower floors, no files import in a circle, and the face loads nothing heavy."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hypersharp
from hypersharp.io.format import BY_SUFFIX
from hypersharp.methods.table import METHODS

HOUSE = Path(hypersharp.__file__).parent
FLOORS = {
    14: {"__init__", "__main__", "cli"},
    13: {"batch", "bench"},
    12: {"reporting", "tiles", "viewer", "accessor"},
    11: {"uncertainty"},
    10: {"fusion", "train"},
    9: {"methods"},
    8: {"networks", "plot", "quality"},
    7: {"pair"},
    6: {"describe", "io", "simulation"},
    5: {"conventions", "products"},
    4: {"registration", "stored"},
    3: {"cube", "sensor"},
    2: {"grid", "numerics", "system"},
    0: {"errors"},
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
FILES = sorted(HOUSE.rglob("*.py"))
LARGEST_ROOM = 0.12  # of all lines
HEAVY = {"torch", "xarray", "rasterio", "scipy", "matplotlib", "pytorch_lightning", "numpy"}


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def room_of(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> Iterator[str]:
    """The rooms a file imports from, wherever in it the import stands."""
    for node in ast.walk(tree_of(file)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports relatively"
            names = [node.module or ""]
            if node.module == "hypersharp":
                names = [f"hypersharp.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("hypersharp."))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOUSE)))
def test_a_room_imports_only_from_lower_floors(file: Path) -> None:
    own = room_of(file)
    if FLOOR[own] == max(FLOORS):
        return
    too_high = {room for room in imported_rooms(file) if room != own and FLOOR.get(room, max(FLOORS)) >= FLOOR[own]}
    assert not too_high, f"{own} is on floor {FLOOR[own]}"


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(HOUSE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(file: Path) -> set[str]:
    """The files of the package that a file imports from, wherever in it, but for what a type checker alone reads."""
    known, tree, found = {module_of(other) for other in FILES}, tree_of(file), set[str]()
    checks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    unread = {id(node) for check in checks for line in check.body for node in ast.walk(line)}
    for node in (node for node in ast.walk(tree) if id(node) not in unread):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= inside or {node.module}
    return found & known - {module_of(file)}


def test_files_make_no_circle() -> None:
    try:
        TopologicalSorter({module_of(file): imported_modules(file) for file in FILES}).prepare()
    except CycleError as exc:
        pytest.fail("imports in a circle: " + " <- ".join(exc.args[1]))


def test_the_suffixes_of_formats_are_listed_once() -> None:
    """A new format costs its file, its row in io/format.py and its test: no other list names image formats."""
    known = {name for suffix in BY_SUFFIX for name in (suffix, suffix.removeprefix("."))}
    lists = [
        f"{file.relative_to(HOUSE)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1 and file.name != "format.py"
        if all(isinstance(entry, ast.Constant) and entry.value in known for entry in node.elts)
    ]
    assert not lists


def test_every_file_is_short() -> None:
    long = {file.name: lines for file in FILES if (lines := len(file.read_text().splitlines())) >= 450}
    assert not long


def loaded_by(*command: str) -> set[str]:
    """The top-level modules in memory after a Python command."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    code = "\n".join([*command, report])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_nothing_heavy() -> None:
    assert not loaded_by("import hypersharp") & HEAVY


def test_help_loads_nothing_heavy() -> None:
    show_help = ["from hypersharp.cli import main", "try: main(['--help'])", "except SystemExit: pass"]
    assert not loaded_by(*show_help) & HEAVY


def test_the_face_has_what_it_lists() -> None:
    assert all(hasattr(hypersharp, name) for name in hypersharp.__all__)
    assert not {name for name, (_, there) in hypersharp.HOME.items() if there} & set(FLOOR), "a room hides a function"
    assert set(dir(hypersharp)) == set(hypersharp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fuze'"):
        _ = hypersharp.fuze


def test_what_lists_things_loads_no_torch_and_no_scipy() -> None:
    verbs = ("--version", "methods", "weights", "sensors", "protocols", "products")
    listed = [line for verb in verbs for line in (f"try: main(['{verb}'])", "except SystemExit: pass")]
    assert not loaded_by("from hypersharp.cli import main", *listed) & {"torch", "scipy", "xarray", "rasterio"}


def test_no_room_is_large() -> None:
    lines = Counter[str]()
    for file in FILES:
        lines[room_of(file)] += len(file.read_text().splitlines())
    assert max(lines.values()) <= LARGEST_ROOM * lines.total(), lines.most_common(3)


METHOD = """
from hypersharp.methods.base import Apply


class Repetition(Apply):
    def __call__(self, pair, options, progress):
        return pair.hs.repeat_interleave(pair.ratio, -2).repeat_interleave(pair.ratio, -1)


def learn(pair, sensor, options):
    return Repetition()
"""
TRIED = """
from hypersharp.methods import table
from hypersharp.methods.base import Method

table.METHODS["nearest"] = Method("nearest", "Nearest", "-", module="extra.nearest")

import numpy as np
import hypersharp as hsp
from hypersharp.cli import main
from hypersharp.cube import make_cube
from hypersharp.fusion.choose.auto import CANDIDATES
from hypersharp.viewer.forms import METHODS

hs, ms = (make_cube(np.random.default_rng(0).random(shape)) for shape in ((4, 8, 8), (2, 16, 16)))
sharp = hsp.fuse(hs, ms, method="nearest")
np.testing.assert_allclose(sharp[:, ::2, ::2].values, hs.values, rtol=1e-6)
assert "nearest" in METHODS and "nearest" in {method.name for method in CANDIDATES}
main(["methods"])
"""


def test_a_method_costs_its_file_and_a_row(tmp_path: Path) -> None:
    """Known by its row alone to `fuse`, `auto`, the viewer and the command line."""
    package = tmp_path / "extra"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nearest.py").write_text(METHOD)
    (tmp_path / "tried.py").write_text(TRIED)
    words = [sys.executable, str(tmp_path / "tried.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "nearest" in done.stdout


def test_no_other_file_lists_methods() -> None:
    """A file may name a method or two that it is about; lists: their table, of networks, of weights to install."""
    named = {
        str(file.relative_to(HOUSE)): found
        for file in FILES
        if len(found := {node.value for node in ast.walk(tree_of(file)) if is_method(node)}) > 3
    }
    assert set(named) == {"methods/table.py", "networks/checkpoint.py", "networks/packaged.py"}, named


def is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in METHODS
