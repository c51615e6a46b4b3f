"""What the documents say is so: their commands and code run, and print what is shown; their links lead somewhere.

A document is one story: its Python and shell blocks run from top to bottom in one folder, with the reader's files of
`docs_inputs`. A block that cannot run anywhere stands below `<!-- not run: REASON -->`; that its verbs, options and
files exist is checked all the same, as it is for what sets up (`pip`, `make`). A text block below a shell block is what
that one prints: any number in the place of a number, `...` for anything.
"""

import io
import json
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterable
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import typer

from docs_inputs import write_inputs
from hypersharp.cli import app, main
from hypersharp.cube import make_cube
from test_house import FLOORS

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
PAGES = DOCUMENTS | {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "CHANGELOG.md", "llms.txt")}
VERBS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EVERYWHERE = {"--deterministic", "--help", "--debug", "--version", "--guard", "-h"}
OF_OTHERS = {"--ntasks-per-node", "--index-url", "--group", "--only", "--grid"}  # slurm's, pip's, benchmarks', 0.1.0's
HOME = re.compile(
    r"https://(?:github|raw\.githubusercontent)\.com/hypersharp/hypersharp/(?:(?:blob|tree)/)?main/([^)#\s]+)"
)
README_BYTES = 8192
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+) -->\n)?```(?P<language>sh|python|text)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SET_UP = ("make", "pip", "source")  # what these name is looked at, they are not run
FEW = 0.25  # of the blocks may be left out of running


@dataclass(frozen=True)
class Block:
    """A block of code or of what it prints; `line` is where it begins."""

    language: str
    body: str
    reason: str | None
    line: int

    def commands(self) -> list[tuple[list[str], int]]:
        """Each command's words, and the code it is said to exit with."""
        lines = self.body.replace("\\\n", " ").splitlines()
        return [(shlex.split(line, comments=True), 1 if "# exits 1" in line else 0) for line in lines if line.strip()]


def blocks(text: str) -> list[Block]:
    return [
        Block(found["language"], found["body"], found["reason"], text.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(text)
    ]


ALL_BLOCKS = [(name, block) for name, text in PAGES.items() for block in blocks(text)]
COMMANDS = [
    pytest.param(words, id=f"{name}:{block.line}:{' '.join(words)}")
    for name, block in ALL_BLOCKS
    if block.language == "sh"
    for words, _ in block.commands()
]


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_name_what_exists(words: list[str]) -> None:
    match words:
        case ["export", *_]:
            pass
        case ["torchrun", *_]:
            test_commands_name_what_exists(words[words.index("hypersharp") :])
        case ["hypersharp", verb, *rest]:
            known = {name for p in VERBS[verb].params for name in (*p.opts, *p.secondary_opts)} | EVERYWHERE
            assert {word for word in rest if word.startswith("-")} <= known
            assert all((ROOT / word).exists() for word in rest if word.startswith("recipes/"))
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["python", script, *_]:
            assert (ROOT / script).exists()
        case ["source", script]:
            assert script == ".venv/bin/activate"
        case ["pip", "install", *rest]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(re.findall(r"\w+", rest[-1])) <= {*extras, "hypersharp"}
        case _:
            pytest.fail(f"no test knows what to make of {words}")


def test_options_in_the_text_exist() -> None:
    known = {name for verb in VERBS.values() for p in verb.params for name in (*p.opts, *p.secondary_opts)}
    for name, text in PAGES.items():
        prose = "\n".join(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)))
        said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", prose))
        assert said <= known | EVERYWHERE | OF_OTHERS, name


def test_few_blocks_are_left_out_and_say_why() -> None:
    ours = [block for _, block in ALL_BLOCKS if block.language != "text"]
    left_out = [block for block in ours if block.reason]
    assert len(left_out) <= FEW * len(ours)
    assert all(len(block.reason or "") > 15 for block in left_out)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    story = [block for block in blocks(DOCUMENTS[name]) if not block.reason]
    write_inputs("".join(block.body for block in story), tmp_path)
    names: dict[str, Any] = {}
    printed: str | None = None
    for block in story:
        if block.language == "text":
            if printed is not None:
                assert_shown(printed, block.body, f"{name}:{block.line}")
            continue
        capsys.readouterr()
        if block.language == "python":
            exec(compile(block.body, f"{name}:{block.line}", "exec"), names)
            printed = None
            continue
        for words, code in block.commands():
            assert words[0] in ("hypersharp", *SET_UP), f"{name}:{block.line} cannot run anywhere"
            if words[:2] == ["hypersharp", "demo"]:
                sys.stdout.write(demo(words[1:]))
            elif words[0] == "hypersharp":
                run(words[1:], code)
        printed = "".join(capsys.readouterr())


def run(words: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == code, words


@cache
def demo_files() -> tuple[TemporaryDirectory[str], str]:
    """The files of the demo and what it prints, which are the same in every document."""
    folder = TemporaryDirectory()
    with redirect_stdout(io.StringIO()) as said, chdir(folder.name):
        run(["demo"], 0)
    return folder, said.getvalue()


def demo(words: list[str]) -> str:
    """Copy these files, of the pair whose sensor is known alone where a document asks for no more."""
    (folder, printed), known = demo_files(), words == ["demo", "-o", "demo", "--no-blind"]
    assert known or words == ["demo"]
    source, ignored = Path(folder.name) / "hypersharp-demo", ("blind", "index.html") if known else ()
    shutil.copytree(source, "demo" if known else source.name, ignore=shutil.ignore_patterns(*ignored))
    return printed


def assert_shown(printed: str, shown: str, where: str) -> None:
    """What a document shows is what was printed, but for the numbers and what `...` stands for."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n" for line in masked(shown)
    )
    found = "".join(f"{line}\n" for line in masked(printed))
    assert re.fullmatch(pattern, found), f"{where} shows\n{shown}\nwhere this was printed:\n{printed}"


def masked(text: str) -> list[str]:
    """The lines with every number as #, spaces as one, and no line without a word."""
    lines = (re.sub(r"[-+]?\d[\d,]*(\.\d+)?", "#", " ".join(line.split())) for line in text.splitlines())
    return [line for line in lines if line]


def test_names_in_the_documents_are_those_in_the_tables() -> None:
    from hypersharp.methods.table import METHODS
    from hypersharp.quality.metrics import PRESETS
    from hypersharp.simulation.protocols import PROTOCOLS

    tables: dict[str, Iterable[str]] = {
        "README.md": METHODS,
        "docs/protocols.md": PROTOCOLS,
        "docs/benchmarks.md": PRESETS,
    }
    for page, names in tables.items():
        assert all(f"`{name}`" in DOCUMENTS[page] for name in names)


def test_the_readme_is_short_and_reads_on_a_package_index() -> None:
    text = DOCUMENTS["README.md"]
    assert len(text.encode()) <= README_BYTES
    assert not re.findall(r"\]\((?!https://)[^)]*\)", text), "a relative link or picture is broken on a package index"


def test_every_method_has_its_page() -> None:
    from hypersharp.methods.table import METHODS

    for name in METHODS:
        page = DOCUMENTS[f"docs/methods/{name}.md"]
        assert page.startswith(f"# {name}")
        assert "**Fails**" in page


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    assert all((ROOT / path).exists() for path in HOME.findall(PAGES[name]))
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(#[^)\s]+)?\)", PAGES[name]):
        path = (ROOT / name).parent / target if target else ROOT / name
        drawn = path.parent == ROOT / "docs" / "pictures"  # while the site is built
        assert path.exists() or (drawn and f"def {path.stem}()" in (ROOT / "docs/gallery.py").read_text()), target
        if anchor and path.suffix == ".md":
            assert anchor[1:] in anchors(path.read_text()), f"{target}{anchor}"


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub and MyST make them; those made while building are not seen."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_contributing_shows_the_floors_of_the_house() -> None:
    house = PAGES["CONTRIBUTING.md"].partition("## The house")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", house, re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", rooms)) for rooms in rows] == [FLOORS[floor] for floor in sorted(FLOORS)]


def test_contributing_adds_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    method, row, its_test = (b.body for b in blocks(PAGES["CONTRIBUTING.md"]) if b.language == "python")
    module = ModuleType("hypersharp.methods.nearest")
    exec(method, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    tests: dict[str, object] = {}
    exec(its_test, tests)
    for name, check in tests.items():
        if name.startswith("test_"):
            assert callable(check)
            check()

    from hypersharp.fusion.fuse import fuse
    from hypersharp.methods.base import Method
    from hypersharp.methods.table import METHODS

    monkeypatch.setitem(METHODS, "nearest", eval(row, {"Method": Method}))
    hs, ms = make_cube(torch.rand(5, 3, 4).numpy()), make_cube(torch.rand(3, 6, 8).numpy())
    sharp = fuse(hs, ms, method="nearest")
    np.testing.assert_allclose(sharp[:, ::2, ::2].values, hs.values, rtol=1e-6)


def test_notebooks_of_pairs_are_their_how_tos() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "make_notebooks.py"))
    for name in script["HOW_TOS"]:
        text = DOCUMENTS[f"docs/howto/{name}.md"]
        cells = script["notebook"](name, text)["cells"]
        said = [block.body.strip() for block in blocks(text) if block.language != "text"]
        codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        assert [code.removeprefix("%%sh\n") for code in codes[1:-1]] == said
        assert not any(cell.get("outputs") for cell in cells)
        assert "](../" not in json.dumps(cells)
