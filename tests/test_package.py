"""The package as others meet it: one version, only the dependencies it uses, nothing of ours on users' machines."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import hypersharp
from test_house import FILES, FLOORS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
USERS = {"": PROJECT["project"]["dependencies"], **PROJECT["project"]["optional-dependencies"]}
# what a declared library brings for certain, and under which name it is declared
BROUGHT_BY = {"affine": "rasterio", "fsspec": "s3fs", "pyproj": "rioxarray", "tornado": "bokeh", "google": "onnx"}
USED_BY_OTHERS = {"tensorboard"}  # by the logger of pytorch-lightning


def name_of(requirement: str) -> str:
    """The normalised name of a requirement such as `dask[array]>=2024.1`."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def imported() -> Iterator[str]:
    """The top-level names that src/ imports, wherever in a file."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.split(".")[0]


def test_dependencies_are_what_the_code_imports() -> None:
    sold_as = packages_distributions()
    declared = {name_of(text) for texts in USERS.values() for text in texts} - {"hypersharp"}
    others = set(imported()) - set(sys.stdlib_module_names) - {"hypersharp", "hypersharp_weights"}
    used = {BROUGHT_BY.get(name) or name_of(sold_as[name][0]) for name in others}
    assert used == declared - USED_BY_OTHERS


def test_users_get_no_tools_of_ours() -> None:
    tools = {"pytest", "mypy", "ruff", "sphinx", "playwright", "hypothesis", "build", "twine"}
    assert not tools & {name_of(text) for texts in USERS.values() for text in texts}
    named = {name for text in USERS["all"] for name in re.findall(r"\[(.*)\]", text)[0].split(",")}
    assert named == set(USERS) - {"", "all"}


def test_every_dependency_is_pinned_for_the_tests() -> None:
    pinned = {name_of(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"}
    groups = PROJECT["dependency-groups"].values()
    ours = {name_of(text) for group in groups for text in group if isinstance(text, str)}
    theirs = {name_of(text) for texts in USERS.values() for text in texts} - {"hypersharp"}
    assert ours | theirs <= pinned


def test_the_version_stands_in_one_place() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert hypersharp.__version__ == released[0] == cited["version"]


@pytest.mark.parametrize("file", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda file: file.name)
def test_workflows_pin_the_actions_they_use(file: Path) -> None:
    jobs = yaml.safe_load(file.read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job.get("steps", [])]
    assert steps
    assert all(re.fullmatch(r"[\w./-]+@(v\d+(\.\d+)*|release/v\d+)", step["uses"]) for step in steps if "uses" in step)


def test_contributors_read_of_every_room() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", guide[guide.index("## The house") :], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {
        room for floor in FLOORS.values() for room in floor
    }


IN_CONDA = {"torch": "pytorch", "dask": "dask-core", "matplotlib": "matplotlib-base"}


def test_the_conda_recipe_asks_for_what_the_package_does() -> None:
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())
    extras = [*USERS["geo"], *USERS["report"], *USERS["view"], *USERS["plot"]]
    wanted = {name_of(text): re.sub(r"^[\w.-]+(\[.*\])?", "", text) for text in [*USERS[""], *extras]}
    expected = {f"{IN_CONDA.get(name, name)} {bounds}" for name, bounds in wanted.items() if name != "hypersharp"}
    python = recipe["context"]["python_min"]
    assert set(recipe["requirements"]["run"]) == {"python >=${{ python_min }}", *expected}
    assert PROJECT["project"]["requires-python"] == f">={python}"
    (script,) = recipe["build"]["python"]["entry_points"]
    assert PROJECT["project"]["scripts"] == dict([script.split(" = ")])
    assert recipe["about"]["license"] == PROJECT["project"]["license"]


@pytest.mark.parametrize("file", ["Dockerfile", "recipe/apptainer.def"])
def test_containers_install_extras_and_copy_files_that_exist(file: str) -> None:
    text = (ROOT / file).read_text()
    assert set(re.findall(r'"\.\[([\w,]+)\]"', text)[0].split(",")) <= set(USERS)
    pattern = r"^COPY (?!--from)(.*) \S+$" if file == "Dockerfile" else r"^    (\S+) /source/"
    copied = [name for line in re.findall(pattern, text, re.MULTILINE) for name in line.split()]
    assert "src" in copied
    assert all((ROOT / name).exists() for name in copied)
    assert f'"torch{next(text for text in USERS[""] if name_of(text) == "torch").removeprefix("torch")}"' in text
