"""`python -m tests.fuzz.crowd`: a viewer under slow and many visitors, and what an ordinary one sees of it meanwhile.

First 300 connections that send or read a byte a second: requests that never end, uploads, downloads. Then, twice, 1,000
pages asked for by 250 addresses (of 127.0.0.0/8, which Linux has), 100 at a time, those given held open for a while.
"""

import argparse
import asyncio
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from hypersharp.cube import make_cube
from hypersharp.io import save_cube
from hypersharp.system.build_info import commit, machine

VISITOR, PATIENCE_S = "127.0.0.1", 120.0
HELD_S = 20.0  # for which a page that was given is kept open
SLOW = (
    "GET / HTTP/1.1\r\n{own}X-Slow: ",
    "POST /upload?name=slow{number}.npy HTTP/1.1\r\n{own}Content-Length: 1000000\r\n\r\n",
    "GET /download?name=a.tif HTTP/1.1\r\n{own}\r\n",
)
WEBSOCKET = (
    "GET /ws HTTP/1.1\r\n{own}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bokeh, {token}\r\n\r\n"
)


class Crowd:
    """Clients of a viewer that another process runs, from any loopback address."""

    def __init__(self, port: int) -> None:
        self.port, self.own = port, f"Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"

    async def get(self, path: str, address: str) -> tuple[int, bytes]:
        """Status (0: the connection was refused or closed) and content of an answer."""
        with suppress(OSError, ValueError, IndexError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
            try:
                writer.write(f"GET {path} HTTP/1.1\r\n{self.own}Connection: close\r\n\r\n".encode())
                content = await reader.read(2**24)
                while part := await reader.read(2**24):
                    content += part
                return int(content.split(b" ", 2)[1]), content
            finally:
                writer.close()
        return 0, b""

    async def be_slow(self, number: int, address: str, until: float) -> float:
        """Send or read a byte a second; the seconds after which the server had enough, or it was over."""
        begun = time.monotonic()
        kind = SLOW[number % len(SLOW)]
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0), limit=1)
            writer.write(kind.format(own=self.own, number=number).encode())
            while time.monotonic() < until:
                await asyncio.sleep(1)
                if kind is SLOW[-1]:
                    if not await reader.read(1):
                        break
                else:
                    writer.write(b"a")
                    await writer.drain()
                    if reader.at_eof():
                        break
            writer.close()
        return time.monotonic() - begun

    async def hold_page(self, address: str) -> int:
        """Ask for a page, and keep its websocket open where it is given; the status."""
        status, content = await self.get("/", address)
        if status == 200:
            token = content.split(b'"token": "', 1)[1].split(b'"', 1)[0].decode()
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
                writer.write(WEBSOCKET.format(own=self.own, token=token).encode())
                await asyncio.sleep(HELD_S)
                writer.close()
        return status

    async def visit(self, over: asyncio.Event) -> list[tuple[str, int, float]]:
        """What an ordinary visitor asks for every few seconds: path, status and seconds of each."""
        seen = []
        while not over.is_set():
            for path in ("/page.css", "/download?name=a.tif", "/"):
                begun = time.monotonic()
                status, _ = await asyncio.wait_for(self.get(path, VISITOR), PATIENCE_S)
                seen.append((path, status, time.monotonic() - begun))
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 5)
        return seen

    async def slow_ones(self, count: int, seconds: float) -> str:
        """That many slow clients of ten addresses for so long; what happened."""
        over, until = asyncio.Event(), time.monotonic() + seconds
        visits = asyncio.create_task(self.visit(over))
        lasted = await asyncio.gather(*(self.be_slow(n, f"127.0.2.{n % 10 + 1}", until) for n in range(count)))
        await asyncio.sleep(until - time.monotonic())
        over.set()
        cut = sum(one < seconds - 1 for one in lasted)
        return f"{count} slow clients for {seconds:g} s: {cut} cut off before; {told(await visits)}"

    async def many_pages(self, count: int) -> str:
        """That many pages, a hundred at a time, of 250 addresses; what happened."""
        over, room = asyncio.Event(), asyncio.Semaphore(100)
        visits = asyncio.create_task(self.visit(over))

        async def one(number: int) -> int:
            async with room:
                return await self.hold_page(f"127.0.3.{number % 250 + 1}")

        found = Counter(await asyncio.gather(*(one(number) for number in range(count))))
        over.set()
        return f"{count} pages asked for: {dict(sorted(found.items()))}; {told(await visits)}"


def told(visits: list[tuple[str, int, float]]) -> str:
    """The visitor's answers and the longest wait for each path, formatted for display."""
    rows = []
    for path in dict.fromkeys(path for path, *_ in visits):
        own = [(status, waited) for one, status, waited in visits if one == path]
        counts = dict(Counter(status for status, _ in own))
        rows.append(f"{path} {counts} in at most {max(waited for _, waited in own):.1f} s")
    return "visitor: " + ", ".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.crowd", description=__doc__)
    parser.add_argument("--slow", type=int, default=300, help="slow clients")
    parser.add_argument("--seconds", type=float, default=90.0, help="for which they stay")
    parser.add_argument("--pages", type=int, default=1000, help="pages asked for")
    chosen = parser.parse_args()
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )  # as shells have it
    with tempfile.TemporaryDirectory() as name:
        image = save_cube(make_cube(np.random.default_rng(0).random((16, 512, 512), "f4")), Path(name) / "a.tif")
        command = [sys.executable, "-u", "-m", "hypersharp", "view", str(image), "--no-open", "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found
        crowd, known = Crowd(int(found[1])), psutil.Process(process.pid)

        def say(text: str) -> None:
            print(f"{text}; {known.memory_info().rss / 1e6:.0f} MB, {known.num_fds()} files", flush=True)  # noqa: T201

        try:
            say(asyncio.run(crowd.slow_ones(0, 15)))
            say(asyncio.run(crowd.slow_ones(chosen.slow, chosen.seconds)))
            for _ in range(2):
                say(asyncio.run(crowd.many_pages(chosen.pages)))
                time.sleep(HELD_S)
            say(asyncio.run(crowd.slow_ones(0, 15)))
        finally:
            process.terminate()
            process.wait(20)
    print(f"{commit()}, {machine()}")  # noqa: T201


if __name__ == "__main__":
    main()
