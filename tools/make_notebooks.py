"""Notebooks of the how-tos of product pairs, with the miniatures that their commands name.

    python tools/make_notebooks.py FOLDER

Text and commands are those of docs/howto; what a page shows as printed is left out, for the notebook prints it.
`make notebooks` makes them and runs them, which takes two minutes.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOW_TOS = ("enmap", "prisma", "emit", "drone")
HOME = "https://github.com/hypersharp/hypersharp/blob/main/docs"
PICTURES = "https://raw.githubusercontent.com/hypersharp/hypersharp/main/docs"
BLOCK = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SET_UP = """# Miniatures of real products take the place of your files: leave this cell out for those.
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})  # of a clone of hypersharp
from docs_inputs import write_inputs

Path({folder!r}).mkdir()
%cd -q {folder}
write_inputs({names!r}, Path.cwd())"""
LOOK = """%matplotlib inline
import hypersharp as hsp

sharp = hsp.open("sharp.tif")
print(sharp.attrs["hypersharp"][:300])
hsp.plot.composites({"sharp": sharp})"""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in HOW_TOS:
        text = (ROOT / "docs" / "howto" / f"{name}.md").read_text()
        path = folder / f"{name}.ipynb"
        path.write_text(json.dumps(notebook(name, text), indent=1) + "\n")
        print(path)


def notebook(name: str, text: str) -> dict[str, object]:
    """A how-to as a notebook without outputs."""
    title, _, rest = text.partition("\n")
    commands = " ".join(body for kind, body in BLOCK.findall(text) if kind != "text")
    set_up = SET_UP.format(tests=str(ROOT / "tests"), folder=f"{name}-files", names=" ".join(commands.split()))
    cells = [markdown(title), code(set_up), *cells_of(rest), markdown("## The result"), code(LOOK)]
    for number, cell in enumerate(cells):
        cell["id"] = f"{name}-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def cells_of(text: str) -> Iterator[dict[str, object]]:
    """The cells of a page: its text, and its blocks of code."""
    place = 0
    for found in BLOCK.finditer(text):
        yield from [markdown(part)] if (part := text[place : found.start()].strip()) else []
        kind, body = found.groups()
        if kind != "text":
            yield code(f"%%sh\n{body.strip()}" if kind == "sh" else body.strip())
        place = found.end()
    yield from [markdown(part)] if (part := text[place:].strip()) else []


def markdown(text: str) -> dict[str, object]:
    """A cell of text, whose links to other pages lead to where these are read."""
    text = re.sub(r"\]\(\.\./(images/[^)]+)\)", rf"]({PICTURES}/\1)", text)
    text = re.sub(r"\]\(\.\./([^)]+)\)", rf"]({HOME}/\1)", text)
    text = re.sub(r"\]\((\w[\w-]*\.md[^)]*)\)", rf"]({HOME}/howto/\1)", text)
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(text: str) -> dict[str, object]:
    """A cell of code that has not run."""
    lines = text.splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": lines}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
