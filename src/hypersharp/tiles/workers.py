"""Who sharpens the tiles: a thread of this process, a local cluster of processes, or a cluster that is there already.

A worker reads its part of the files itself and writes its tile into the run's folder, so that only numbers travel; of a
worker that dies its unfinished tiles are given to others (dask.distributed).
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from hypersharp.errors import InputError, needs
from hypersharp.system.memory import KEEP_MEMORY
from hypersharp.tiles.job import stored_job
from hypersharp.tiles.store import JOB, TileProgress, tile_path, write_whole

DEATHS = 10  # of the workers of one tile, before it is given up
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GDAL_CACHEMAX": "64"} | KEEP_MEMORY  # of local workers: one thread each
Submit = Callable[[Path, Iterable[int], TileProgress], None]


def sharpen_tile(folder: Path, number: int, stamp_ns: int, device: str | None = None) -> int:
    """Make one tile of the run in a folder, unless it is there; its number."""
    path = tile_path(folder, number)
    if not path.exists():
        job = stored_job(folder / JOB, stamp_ns)
        sharp, half_widths = job.sharpen(job.tiling[number], device)
        if half_widths is not None:
            write_whole(tile_path(folder, number, "half-width"), half_widths)
        write_whole(path, sharp)
        gc.collect()  # what a tile leaves in cycles would grow by megabytes with each
    return number


def stamp_of(folder: Path) -> int:
    return (folder / JOB).stat().st_mtime_ns


@contextmanager
def in_process() -> Iterator[Submit]:
    """One thread of this process, with all the cores that torch takes."""
    pool = ThreadPoolExecutor(1, "tiles")
    stopped = False

    def submit(folder: Path, numbers: Iterable[int], progress: TileProgress) -> None:
        def work(number: int) -> None:
            if stopped:
                return
            try:
                progress.finish(sharpen_tile(folder, number, stamp_of(folder)))
            except BaseException as error:  # handed to whoever waits for the tile
                progress.fail(error)

        for number in numbers:
            pool.submit(work, number)

    try:
        yield submit
    finally:
        stopped = True
        pool.shutdown(cancel_futures=True)


@contextmanager
def on_cluster(scheduler: str | None, workers: int, announce: Callable[[str], None]) -> Iterator[Submit]:
    """The cluster of that scheduler, or a local one of so many processes; its dashboard is announced.

    Raises: MissingExtraError without dask.distributed, InputError for a scheduler that does not answer.
    """
    with needs("fusing with several workers", "large"):
        import dask
        from distributed import Client, LocalCluster
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
        "distributed.comm.timeouts.connect": "30s",
        "distributed.worker.profile.enabled": False,  # it took a seventh of two workers' time
        "distributed.admin.log-format": "%(message)s",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            try:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                    local_directory=stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)),
                )
            except RuntimeError as exc:
                found = f"workers that died as they started ({exc})"
                raise InputError(found, "processes that live", "repeat with --resume") from exc
            stack.enter_context(cluster)
        try:
            client = Client(scheduler or cluster, set_as_default=False, timeout=30)
        except (OSError, TimeoutError, ValueError) as exc:
            found = f"no scheduler at {scheduler}"
            raise InputError(found, "the address of a running one", "start `dask scheduler`") from exc
        stack.enter_context(client)
        announce(f"dashboard of {len(client.nthreads())} workers: {client.dashboard_link or 'none'}")
        yield lambda folder, numbers, progress: submit_to(client, folder, numbers, progress)


def submit_to(client: Any, folder: Path, numbers: Iterable[int], progress: TileProgress) -> None:
    """Give the tiles to a cluster's workers, the first ones first.

    Raises: InputError where a worker does not see the run's folder.
    """
    seen = client.run(os.path.exists, str(folder / JOB))
    blind = sorted(address for address, there in seen.items() if not there)
    if blind:
        found = f"{len(blind)} of {len(seen)} workers ({blind[0]}, ...) that do not see {folder}"
        raise InputError(found, "a folder that all machines share", "write to a shared disk, where the images lie too")
    stamp_ns = stamp_of(folder)

    def done(future: Any) -> None:
        if future.status == "finished":
            progress.finish(future.result())
        elif future.status == "error":
            progress.fail(explained(future.exception()))

    for number in numbers:
        future = client.submit(
            sharpen_on_worker, folder, number, stamp_ns, key=f"{folder.name}-{number}", priority=-number, pure=False
        )
        progress.kept.append(future)  # dask cancels futures without a reference
        future.add_done_callback(done)


def sharpen_on_worker(folder: Path, number: int, stamp_ns: int) -> int:
    """`sharpen_tile` with the threads, and the GPU, that this worker has to itself."""
    from distributed import get_worker

    worker = get_worker()
    torch.set_num_threads(worker.state.nthreads)
    gpus = torch.cuda.device_count()
    device = f"cuda:{int(worker.name) % gpus}" if gpus and str(worker.name).isdigit() else None
    return sharpen_tile(folder, number, stamp_ns, device)


def explained(error: BaseException) -> BaseException:
    """A worker's death in our words; its other errors as they are."""
    if type(error).__name__ != "KilledWorker":
        return error
    advice = "lower --workers or --memory, then repeat the call with --resume"
    return InputError(f"a tile whose workers died {DEATHS} times", "enough memory for each worker", advice)
