"""Files that other libraries' C code reads, opened in a process of its own with limits on time and memory.

A mutated file may end the process that reads it (scipy, HDF5), or keep it busy for ever; here it ends a child, and the
caller gets one line. What travels between the two is JSON and plain numbers, never pickle. The child is started once
and serves all files; it ends with its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import psutil

from hypersharp.conventions.arrays import affine_of_six
from hypersharp.errors import CallError, InputError, MissingExtraError
from hypersharp.products.files import MOST_FILES, changed, split_part
from hypersharp.products.quality import Flags
from hypersharp.stored import Pixels, Stored

if TYPE_CHECKING:
    from hypersharp.io.image import Image

Guard = Literal["none", "risky", "all"]
VARIABLE = "HYPERSHARP_GUARD"  # which formats are opened so: none, those that may hang, all that libraries read
CPU_S, WALL_S = 10.0, 60.0  # for one answer, beyond what the size of a file takes
BYTES_PER_S = 5e6
MEMORY_BYTES = 2**33  # of addresses; what a child may map, beside four times what it is asked for
HEAD = 8  # bytes of the lengths before JSON and numbers
PLAIN = ("wavelengths_nm", "fwhm_nm", "good_bands", "crs", "nodata", "scale", "offset", "notes", "product", "unit")
ASKED: ContextVar[Guard | None] = ContextVar("guard", default=None)
ERRORS = {kind.__name__: kind for kind in (InputError, CallError)}


@contextmanager
def guarding(guard: Guard) -> Iterator[None]:
    """Which formats are opened in a child within the block, by this thread."""
    token = ASKED.set(guard)
    try:
        yield
    finally:
        ASKED.reset(token)


def guard() -> str:
    """Which formats are opened in a child now."""
    return "none" if os.name != "posix" else ASKED.get() or os.environ.get(VARIABLE, "none")


def open_guarded(image: Image) -> Stored:
    """Open an image in the child; its pixels are read there too. Raises: InputError; CallError."""
    image = image.resolved()  # the child stays where it began
    real = split_part(image.path)[0]
    shape, keep = image.shape_yx and (image.shape_yx[0], image.shape_yx[1]), tuple(image.keep)  # lists, too
    return _opened(replace(image, shape_yx=shape, keep=keep), changed(real) if real.exists() else 0)


@lru_cache(maxsize=16)
def _opened(image: Image, _version: int) -> Stored:
    """What is known of an image is asked once, until its file changes."""
    facts, _ = CHILD.ask("open", image, {})

    def pixels(name: str) -> Any:
        found = facts[name]
        if found is None:
            return None
        kind = CoarsePixels if found["coarse"] else GuardedPixels
        return kind(tuple(found["shape"]), found["dtype"], image, name)

    flags, lonlat = pixels("flags"), pixels("lonlat")
    return Stored(
        pixels("pixels"),
        valid=pixels("valid"),
        flags=None if flags is None else Flags(facts["reasons"], flags),
        lonlat=None if lonlat is None else lonlat[:, :, :],
        applied=tuple(facts["applied"]),
        transform=affine_of_six(facts["transform"]),
        **{name: facts[name] for name in PLAIN},
    )


class GuardedPixels(Pixels):
    """The pixels, or the mask, of an image that the child reads."""

    def __init__(self, shape: tuple[int, int, int], dtype: Any, image: Image, name: str) -> None:
        super().__init__(shape, dtype)
        self.image, self.name = image, name

    def read(
        self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int] | None = None
    ) -> np.ndarray:
        spans = [rows.start, rows.stop, columns.start, columns.stop]
        wanted = {"name": self.name, "bands": list(bands), "spans": spans, "shape_yx": shape_yx}
        facts, content = CHILD.ask("read", self.image, json.loads(json.dumps(wanted, default=int)))
        return np.frombuffer(content, facts["dtype"]).reshape(facts["shape"])


class CoarsePixels(GuardedPixels):
    """The same of a format that gives averages."""

    def coarse(self, bands: Sequence[int], rows: slice, columns: slice, shape_yx: tuple[int, int]) -> np.ndarray:
        return self.read(bands, rows, columns, shape_yx)

    def has_overviews(self) -> bool:
        return bool(CHILD.ask("overviews", self.image, {})[0]["found"])


class Child:
    """The process that reads, started when it is needed; one question at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = 0

    def ask(self, what: str, image: Image, more: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        """The answer to a question about an image. Raises: the child's own error; InputError where it gave up."""
        fields = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(image).items()}
        question = json.dumps({"what": what, "image": fields, **more}).encode()
        with self.lock:
            process = self._running()
            answer = _Answer(process, image.path)
            try:
                assert process.stdin is not None
                process.stdin.write(len(question).to_bytes(HEAD, "little") + question)
                process.stdin.flush()
                facts, content = json.loads(answer.part()), answer.part()
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                code, late = process.poll(), isinstance(error, TimeoutError)
                with suppress(subprocess.TimeoutExpired):
                    code = code if late else process.wait(1)
                self.close()
                ended = f"that ends the process that reads it (exit code {code})"
                found = f"{image.path} {'whose reading takes too long' if late else ended}"
                do = f"check that it is whole; {VARIABLE}=none lifts the limits"
                raise InputError(found, "a whole file", do) from error
            except BaseException:  # interrupted: an answer that nobody took must not be the next one's
                self.close()
                raise
        for text in facts.pop("warnings", ()):
            warnings.warn(text, stacklevel=4)
        if "error" in facts:
            kind, parts = facts["error"]
            raise MissingExtraError(*parts) if kind == "MissingExtraError" else ERRORS.get(kind, InputError)(*parts)
        return facts, content

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
            self.owner = os.getpid()  # a forked process must not speak to its parent's child
            surroundings = os.environ | {VARIABLE: "none", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hypersharp.io.reader", str(MEMORY_BYTES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=surroundings,
            )
        return self.process

    def close(self) -> None:
        """End the child."""
        process, self.process = self.process, None
        if process is not None and self.owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None
                    pipe.close()


class _Answer:
    """What comes back, piece by piece, as long as the child keeps within limits, by the size of what it reads."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        assert process.stdout is not None
        extra_s, real = 0.0, split_part(path)[0]
        with suppress(OSError):
            files = islice(real.rglob("*"), MOST_FILES) if real.is_dir() else [real]
            extra_s = sum(file.stat().st_size for file in files) / BYTES_PER_S
        self.process, self.pipe = process, process.stdout.fileno()
        self.most_cpu_s = _cpu_s(process) + CPU_S + extra_s
        self.ends = time.monotonic() + WALL_S + 5 * extra_s

    def part(self) -> bytearray:
        """The next part, after its length. Raises: as `take`."""
        return self.take(int.from_bytes(self.take(HEAD), "little"))

    def take(self, count: int) -> bytearray:
        """So many bytes. Raises: TimeoutError; EOFError where the child is gone."""
        parts = bytearray()
        while len(parts) < count:
            ready, *_ = select.select([self.pipe], [], [], 0.2)
            if ready:
                part = os.read(self.pipe, min(count - len(parts), 2**20))
                if not part:
                    raise EOFError
                parts += part
            elif time.monotonic() > self.ends or _cpu_s(self.process) > self.most_cpu_s:
                raise TimeoutError
        return parts


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds that a child has used."""
    with suppress(psutil.Error):
        used = psutil.Process(process.pid).cpu_times()
        return float(used.user + used.system)
    return 0.0


CHILD = Child()
atexit.register(CHILD.close)
