"""Docstrings as the code has them, plain text with `code` and formulas, made safe for reStructuredText."""

import re

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MARKUP = re.compile(r"[*|]|(?<=\w)_(?!\w)")
EXAMPLE = re.compile(r"\s*(>>>|\.\.\.)")


def made_safe(line: str) -> str:
    """One line with `code` as literal and everything else as it stands.

    >>> print(made_safe("min_X |Y - A X| by `solve`"))
    min_X \\|Y - A X\\| by ``solve``
    """
    if EXAMPLE.match(line):
        return line
    parts = CODE.split(line)
    return "".join(
        f"``{part}``" if code else MARKUP.sub(r"\\\g<0>", part) for code, part in zip(cycle(parts), parts, strict=True)
    )


def cycle(parts: list[str]) -> list[bool]:
    """Whether each part of a split line is code: every other one."""
    return [bool(number % 2) for number in range(len(parts))]


def process(_: Sphinx, __: str, ___: str, ____: object, _____: object, lines: list[str]) -> None:
    lines[:] = [made_safe(line) for line in lines]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("autodoc-process-docstring", process, priority=100)  # before napoleon reads the sections
    return {"parallel_read_safe": True, "parallel_write_safe": True}
