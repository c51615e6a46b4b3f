"""A fusion in a process of its own: the server stays responsive, and to cancel it is to end that process.

It works in a hidden folder beside the target; what it made moves into place when it has ended well.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from hypersharp.errors import HypersharpError, in_a_line
from hypersharp.system.atomic import check_parent, locked_folder
from hypersharp.system.lock import FILE

CHILD = "hypersharp.cli.child"  # by name: it stands on a higher floor
MESSAGE_BYTES = 2**22  # of the child's, in a line
State = Literal["idle", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Order:
    """What to fuse, as text for the child."""

    hs: str
    ms: str
    out: str
    method: str = "auto"
    budget_s: float = 60.0
    uncertainty: str | None = None  # of the cube of half-widths


@dataclass
class Fusion:
    """One fusion at a time, and how far it is."""

    state: State = "idle"
    fraction: float = 0.0
    notes: list[str] = field(default_factory=list)
    out: Path | None = None
    uncertainty: Path | None = None
    _process: asyncio.subprocess.Process | None = None
    _folder: Path | None = None
    _task: asyncio.Task[None] | None = None  # held, or the loop forgets it

    def start(self, order: Order) -> None:
        """Begin, in the running event loop. Raises: RuntimeError while another one runs."""
        if self.state == "running":
            raise RuntimeError("a fusion is running")
        self.state, self.fraction, self.notes = "running", 0.0, []
        self.out, self.uncertainty = Path(order.out), Path(order.uncertainty) if order.uncertainty else None
        self._task = asyncio.get_running_loop().create_task(self._run(order))

    def cancel(self) -> None:
        """End the child now, whatever it does."""
        if self.state == "running":
            self.state = "cancelled"
            self.kill()

    async def wait(self) -> None:
        """Until the fusion has ended, and what it left behind is gone."""
        if self._task is not None:
            await self._task

    def close(self) -> None:
        """End the child and take away its files, when the server ends."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _run(self, order: Order) -> None:
        """Carry an order out, and tell of whatever ends it, or it would seem to run for ever."""
        try:
            await self._carry_out(order)
        except Exception as exc:
            known = isinstance(exc, HypersharpError | OSError)
            self.notes.append(in_a_line(str(exc) if known else f"{type(exc).__name__}: {exc}"))
            self.state = "failed" if self.state == "running" else self.state

    async def _carry_out(self, order: Order) -> None:
        """Start the child, take its messages until it ends, move its files, to a new name where theirs is taken by now.

        Raises: OSError; ValueError for a message that is too long.
        """
        target, pipe = Path(order.out), asyncio.subprocess.PIPE
        check_parent(target)
        folder, lock = locked_folder(target)
        self._folder = folder
        half = order.uncertainty and str(folder / Path(order.uncertainty).name)
        inside = replace(order, out=str(folder / target.name), uncertainty=half)
        command = (sys.executable, "-P", "-m", CHILD, json.dumps(asdict(inside)))
        streams: dict[str, Any] = {"stdin": pipe, "stdout": pipe, "stderr": asyncio.subprocess.DEVNULL}
        try:
            child = self._process = await asyncio.create_subprocess_exec(
                *command, **streams, limit=MESSAGE_BYTES, start_new_session=True
            )
            if self.state == "cancelled":  # before there was a child
                self.kill()
            assert child.stdout is not None
            async for line in child.stdout:
                with suppress(AttributeError, TypeError, ValueError):  # what a library prints
                    message: dict[str, Any] = json.loads(line)
                    self.fraction = float(message.get("fraction", self.fraction))
                    self.notes += message.get("notes", [])
            code = await child.wait()
            if self.state == "running" and code != 0:
                self.state = "failed"
                self.notes = self.notes or [f"the process ended with code {code}, perhaps for want of memory"]
            if self.state == "running":
                made = [path for path in folder.iterdir() if path.name != FILE]
                stem = free_stem(target, made)
                for path in made:
                    os.replace(path, renamed(target.parent / path.name, target.stem, stem))
                if stem != target.stem:
                    self.out = renamed(target, target.stem, stem)
                    self.uncertainty = self.uncertainty and renamed(self.uncertainty, target.stem, stem)
                    self.notes.append(f"{target.name} is another file by now: the result is {self.out.name}")
                if self.uncertainty and not self.uncertainty.exists():
                    self.uncertainty = None
                self.state, self.fraction = "done", 1.0
        finally:
            self.kill()
            if self._process is not None:
                await self._process.communicate()  # until it has ended, so that its pipes are closed
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def free_stem(target: Path, made: Sequence[Path]) -> str:
    """The stem of the target, or with the first number behind it with which none of the files is there."""
    stems = chain([target.stem], (f"{target.stem}-{number}" for number in count(2)))
    places = [target.parent / path.name for path in made]
    return next(stem for stem in stems if not any(renamed(place, target.stem, stem).exists() for place in places))


def renamed(path: Path, former: str, stem: str) -> Path:
    """The path of a file, whose name begins with a stem, with another."""
    return path.with_name(stem + path.name.removeprefix(former))
