"""This process's memory: kept for the next array, or given back to the machine; how much is free there.

By default glibc gives a large array's pages back as it is freed and asks for new ones, all zeros, for the next. Methods
make and free hundreds of such arrays: that took a third to two thirds of their time.
"""

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # malloc.h
NEVER = 2**31 - 1
KEEP_MEMORY = {  # `keep_memory` for a process to be, all its threads too
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(NEVER),
    "MALLOC_ARENA_MAX": "1",
}


def keep_memory() -> None:
    """Let freed memory serve the next array: methods are 1.3 to 2.8 times as fast, and take up to a third more of it.

    For this process and threads that it starts from now on, where the C library is glibc; elsewhere nothing happens.

    >>> keep_memory()
    """
    choose = c_function("mallopt")
    if choose is not None:
        for option, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER), (ARENA_MAX, 1)):
            choose(option, value)


def give_back_memory() -> None:
    """Return what Python's cycles and glibc's heap still hold, which else grows by megabytes with each tile."""
    gc.collect()
    trim = c_function("malloc_trim")
    if trim is not None:
        trim(0)


def c_function(name: str) -> "ctypes._NamedFuncPointer | None":
    """A function of the C library, None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None


def free_bytes() -> float:
    """Memory that programs can still take on this machine, within the limit of a container where there is one."""
    import psutil  # not needed by a command that only starts

    free, group = float(psutil.virtual_memory().available), Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, IndexError):  # "max" is no number
        own = group / Path("/proc/self/cgroup").read_text().splitlines()[0].split("::/", 1)[1]
        group = own if (own / "memory.max").exists() else group
    with suppress(OSError, ValueError):
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, most - used + int(stat.get("inactive_file", 0)))  # which is given back when it is needed
    return free
