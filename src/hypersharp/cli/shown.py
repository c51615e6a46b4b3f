"""What people see of a run: text and tables on stdout, progress on stderr."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any

from hypersharp.errors import OutputError, Stopped

if TYPE_CHECKING:
    import xarray as xr

PIPE_WIDTH = 200  # columns of a table that no screen limits


def say(text: Any) -> None:
    """Print text or a rich table to stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    try:
        Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=isinstance(text, str)).print(text)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = io.StringIO()  # what is left to write would fail once more at the end
        found = f"a standard output that cannot be written ({error.strerror})"
        raise OutputError(
            found, "a screen, a file or a pipe that takes it", "free space; files named are whole"
        ) from error


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr for what takes over two seconds; gives the function to call with the fraction done.

    With HYPERSHARP_PROGRESS=lines, for programs, lines such as "progress 0.25 fusing with gsa" instead. The function
    raises Stopped where the command was told to end and did not.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    percent = TextColumn("{task.percentage:.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeRemainingColumn())
    console, lines = Console(stderr=True), os.environ.get("HYPERSHARP_PROGRESS") == "lines"
    with Progress(*columns, console=console, transient=True, disable=lines or not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0, visible=False)

        def move(fraction: float) -> None:
            Stopped.heed()
            if lines:
                print(f"progress {fraction:.3f} {title}", file=sys.stderr, flush=True)  # noqa: T201
            bar.update(task, completed=fraction, visible=time.monotonic() - started > 2)

        yield move


def json_of(value: Any) -> str:
    """JSON of numbers and texts, with null for the numbers that it has no form for."""
    from json import dumps

    def plain(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: plain(part) for name, part in one.items()}
        if isinstance(one, list | tuple):
            return [plain(part) for part in one]
        return None if isinstance(one, float) and not isfinite(one) else one

    return dumps(plain(value))


def size(cube: "xr.DataArray") -> str:
    """Width, height and bands, as people say them."""
    bands, height, width = cube.shape
    return f"{width} x {height}, {bands} band{'s' * (bands != 1)}"


def table(heading: list[str], rows: list[list[str]]) -> Any:
    """A rich table without boxes."""
    from rich.table import Table

    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in heading:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def say_facts(facts: dict[str, str]) -> None:
    """Print a line each, names under each other; what has no text is left out."""
    width = max(map(len, facts))
    say("\n".join(f"{name:{width}}  {text}" for name, text in facts.items() if text))


def shown(value: Any) -> str:
    """A number as people read it: four significant decimals at most."""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
