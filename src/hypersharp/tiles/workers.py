"""Who sharpens the tiles: a thread of this process, processes of this machine, or a dask cluster that is there.

A worker reads its part of the files itself and writes its tile into the run's folder, so that only numbers travel.
Local processes hear them on stdin and answer on stdout (`tiles.worker`): nothing listens at a port. Of a worker that
dies its tile is made by another.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

import torch

from hypersharp import errors
from hypersharp.errors import HypersharpError, InputError, needs
from hypersharp.system.memory import KEEP_MEMORY
from hypersharp.tiles.job import stored_job
from hypersharp.tiles.store import TileProgress, Tiles, write_whole
from hypersharp.tiles.values import read_metadata

DEATHS = 10  # of the workers of one tile, before it is given up
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GDAL_CACHEMAX": "64"} | KEEP_MEMORY  # of local workers: one thread each
COMMAND = (sys.executable, "-P", "-m", "hypersharp.tiles.worker")  # -P: no module from the folder one happens to be in
Submit = Callable[[Tiles, Iterable[int], TileProgress], None]


def sharpen_tile(tiles: Tiles, number: int, device: str | None = None) -> int:
    """Make one tile, unless it is there; its number."""
    path = tiles.path(number)
    if path.exists():
        return number
    gc.freeze()  # only what the tile makes is looked through afterwards
    try:
        job = stored_job(tiles, device)
        sharp, half_widths = job.sharpen(job.tiling[number], device)
        if half_widths is not None:
            write_whole(tiles.path(number, "half-width"), half_widths)
        write_whole(path, sharp)
        gc.collect()  # what a tile leaves in cycles would grow by megabytes with each
    finally:
        gc.unfreeze()
    return number


@contextmanager
def in_threads(count: int, make: Callable[[Tiles, int], Any]) -> Iterator[Submit]:
    """So many threads of this process that `make` a tile each at a time; with the block they end, begun ones made."""
    pool = ThreadPoolExecutor(count, "tiles")
    stopped = False

    def submit(tiles: Tiles, numbers: Iterable[int], progress: TileProgress) -> None:
        def work(number: int) -> None:
            if stopped or progress.failure is not None:
                return
            try:
                make(tiles, number)
                progress.finish(number)
            except BaseException as error:  # handed to whoever waits for the tile
                progress.fail(error)

        for number in numbers:
            pool.submit(work, number)

    try:
        yield submit
    finally:
        stopped = True
        pool.shutdown(cancel_futures=True)


class Worker:
    """A process with one core, and one of the GPUs if there are some, that makes tiles; it begins anew when it died."""

    process: subprocess.Popen[str] | None = None

    def __init__(self, number: int) -> None:
        self.number = number
        self.ended = False

    def make(self, tiles: Tiles, number: int) -> None:
        """Have a tile made. Raises: what making it raised; InputError where no process survives it."""
        for _ in range(DEATHS):
            with suppress(OSError):  # a pipe that a dead process leaves
                if answer := self.ask(tiles, number):
                    return check_answer(json.loads(answer))
            if self.ended:
                raise InterruptedError("the run has ended")
            self.close()
        advice = "lower --workers or --memory, then repeat the call with --resume"
        raise InputError(f"a tile whose workers died {DEATHS} times", "enough memory for each worker", advice)

    def ask(self, tiles: Tiles, number: int) -> str:
        """The line that a process answers; nothing where it died."""
        if self.process is None:
            device = gpu_of(tiles, self.number) or ""
            command = [*COMMAND, str(tiles.folder), tiles.identity, device]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        print(number, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def end(self) -> None:
        """End the process now: what it is writing appears whole or not at all."""
        self.ended = True
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Be rid of a process that is dead, or about to be."""
        if self.process is not None:
            with suppress(OSError):  # what it did not take of its last line
                self.process.communicate()
            self.process = None


def check_answer(answer: dict[str, Any]) -> None:
    """Raise what a worker's answer says went wrong."""
    if "errno" in answer:
        raise OSError(answer["errno"], answer["text"])
    if "found" in answer:
        kind = getattr(errors, answer["kind"], HypersharpError)
        raise kind(answer["found"], answer["expected"], answer["do"])
    if "text" in answer:
        raise RuntimeError(answer["text"])


@contextmanager
def in_processes(count: int) -> Iterator[Submit]:
    """So many processes of this machine, which end with the block."""
    workers = [Worker(number) for number in range(count)]
    free = SimpleQueue[Worker]()
    for worker in workers:
        free.put(worker)

    def make(tiles: Tiles, number: int) -> None:
        worker = free.get()
        try:
            worker.make(tiles, number)
        finally:
            free.put(worker)

    try:
        with in_threads(count, make) as submit:
            try:
                yield submit
            finally:
                for worker in workers:
                    worker.end()
    finally:
        for worker in workers:
            worker.close()


@contextmanager
def on_cluster(scheduler: str, announce: Callable[[str], None]) -> Iterator[Submit]:
    """The cluster of that scheduler; its dashboard is announced.

    Raises: MissingExtraError without dask.distributed, InputError for a scheduler that does not answer.
    """
    with needs("fusing on a cluster", "large"):
        import dask
        from distributed import Client
    settings = {"distributed.scheduler.allowed-failures": DEATHS, "distributed.comm.timeouts.connect": "30s"}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        try:
            client = stack.enter_context(Client(scheduler, set_as_default=False, timeout=30))
        except (OSError, TimeoutError, ValueError) as exc:
            found = f"no scheduler at {scheduler}"
            raise InputError(found, "the address of a running one", "start `dask scheduler`") from exc
        announce(f"dashboard of {len(client.nthreads())} workers: {client.dashboard_link or 'none'}")
        yield partial(submit_to, client)


def submit_to(client: Any, tiles: Tiles, numbers: Iterable[int], progress: TileProgress) -> None:
    """Give the tiles to a cluster's workers, the first ones first.

    Raises: InputError where a worker does not see the run's folder.
    """
    seen = client.run(os.path.exists, str(tiles.job))
    blind = sorted(address for address, there in seen.items() if not there)
    if blind:
        found = f"{len(blind)} of {len(seen)} workers ({blind[0]}, ...) that do not see {tiles.folder}"
        raise InputError(found, "a folder that all machines share", "write to a shared disk, where the images lie too")

    def done(future: Any) -> None:
        if future.status == "finished":
            progress.finish(future.result())
        elif future.status == "error":
            error = future.exception()
            if type(error).__name__ == "KilledWorker":
                advice = "lower --memory, then repeat the call with --resume"
                found = f"a tile whose workers died {DEATHS} times"
                error = InputError(found, "enough memory for each worker", advice)
            progress.fail(error)
        else:  # cancelled, or lost
            advice = "start it again, then repeat the call with --resume"
            progress.fail(InputError("a scheduler that is gone", "one that runs until the end", advice))

    for number in numbers:
        key = f"{tiles.identity}-{number}"
        future = client.submit(sharpen_on_worker, tiles, number, key=key, priority=-number, pure=False)
        progress.kept.append(future)  # dask cancels futures without a reference
        future.add_done_callback(done)


def sharpen_on_worker(tiles: Tiles, number: int) -> int:
    """`sharpen_tile` with the threads, and the GPU, that this worker has to itself."""
    from distributed import get_worker

    worker = get_worker()
    torch.set_num_threads(worker.state.nthreads)
    device = gpu_of(tiles, int(worker.name)) if str(worker.name).isdigit() else None
    return sharpen_tile(tiles, number, device)


def gpu_of(tiles: Tiles, worker: int) -> str | None:
    """The GPU that a worker of that number has to itself; None without one, and where the user named a device."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    call = json.loads(read_metadata(tiles.job).get("call", "{}"))
    chosen = call.get("options", {}).get("device", "auto")
    return f"cuda:{worker % gpus}" if gpus and chosen in ("auto", "cuda") else None
