"""The public face explains itself: a sentence, arguments with shapes, results, errors and an example that runs.

The public face is `hypersharp.__all__` and what docs/reference/python.md lists: among it the base classes that a
contributor implements. `pytest --doctest-modules src` runs the examples.
"""

import dataclasses
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hypersharp

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "python.md"
LISTED = re.findall(r"auto(?:function|class):: (\S+)", PAGE.read_text())
NAMES = sorted({*LISTED, *(f"hypersharp.{name}" for name in hypersharp.__all__ if not name.startswith("_"))})
ARRAYS = ("DataArray", "Tensor", "NDArray", "FloatArray", "ArrayLike", "Cube")
RAISE_NOTHING = {"keep_memory"}


def found(name: str) -> Any:
    """What a dotted name stands for."""
    room, _, last = name.rpartition(".")
    return getattr(import_module(room), last)


FACE = {name: thing for name in NAMES if not isinstance(thing := found(name), ModuleType)}
FACE |= {f"hypersharp.plot.{name}": getattr(hypersharp.plot, name) for name in hypersharp.plot.__all__}
FUNCTIONS = [pytest.param(thing, id=name) for name, thing in FACE.items() if inspect.isfunction(thing)]
CLASSES = [pytest.param(thing, id=name) for name, thing in FACE.items() if inspect.isclass(thing)]


def section(text: str, title: str) -> str:
    """The indented lines below a title; empty where there is none."""
    block = re.search(rf"^{title}:(.*(?:\n(?:[ ]+.*|(?=\n[ ])))*)", text, re.MULTILINE)
    return block[1].strip("\n") if block else ""


def entries(text: str, title: str) -> dict[str, str]:
    """Name -> what a section says of it; `a, b: ...` speaks of both."""
    parts = re.split(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*): ", section(text, title), flags=re.MULTILINE)
    return {name.strip("* "): parts[i + 1] for i in range(1, len(parts), 2) for name in parts[i].split(",")}


def check_head(text: str) -> None:
    """One sentence first; an example below."""
    assert re.match(r"[^\n]+[.:]($|\n)", text), "the first line is a sentence"
    assert ">>> " in text, "an example that runs as doctest"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_documented(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    check_head(text)
    said = entries(text, "Args")
    parameters = inspect.signature(function).parameters
    assert set(parameters) == set(said)
    for name, parameter in parameters.items():
        if any(array in str(parameter.annotation) for array in ARRAYS):
            assert "(" in said[name], f"the shape of {name}"
    if inspect.signature(function).return_annotation not in (None, "None"):
        assert section(text, "Returns")
    if function.__name__ not in RAISE_NOTHING:
        assert section(text, "Raises")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_is_documented(kind: Any) -> None:
    text = inspect.getdoc(kind) or ""
    check_head(text)
    if dataclasses.is_dataclass(kind):
        public = {field.name for field in dataclasses.fields(kind) if not field.name.startswith("_")}
        assert public == set(entries(text, "Attributes") or entries(text, "Args"))
    elif "__init__" in vars(kind) and not issubclass(kind, Exception) and not getattr(kind, "_is_protocol", False):
        assert set(inspect.signature(kind).parameters) == set(entries(text, "Args"))
    fields = getattr(kind, "__dataclass_fields__", {})
    for name, member in vars(kind).items():
        if inspect.isfunction(member) or isinstance(member, property):
            assert name.startswith("_") or name in fields or inspect.getdoc(member), name


def test_the_page_lists_the_whole_face() -> None:
    module = hypersharp.plot.__name__
    listed = {name.removeprefix("hypersharp.") for name in LISTED} | {"plot"}
    assert f"automodule:: {module}" in PAGE.read_text()
    assert {name for name in hypersharp.__all__ if not name.startswith("_")} <= listed
