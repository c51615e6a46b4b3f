"""Who works in a folder: a lock that the operating system holds for a process, and drops however that process ends.

`flock` on POSIX systems. Where there is none (Windows, some network disks) a lock is `unsure`: nobody is kept out, and
what looks left behind by a dead process is not taken away.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from weakref import finalize

with suppress(ImportError):  # Windows
    import fcntl

FILE = ".lock"  # in a folder that somebody works in
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Lock:
    """A lock that this process holds until `release`, or until nothing refers to it any more."""

    def __init__(self, descriptor: int, *, unsure: bool) -> None:
        self._close, self.unsure = finalize(self, os.close, descriptor), unsure

    def release(self) -> None:
        self._close()


def take_lock(path: Path) -> Lock | None:
    """The lock of a file, which is made if it is missing; None where another process, or part of this one, holds it.

    Raises: OSError where the file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o600)
        unsure, there = "fcntl" not in globals(), False
        try:
            if not unsure:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(descriptor)
                return None
            unsure = True  # the system has no locks for this file
        with suppress(FileNotFoundError):
            there = os.path.samestat(path.stat(), os.fstat(descriptor))
        if unsure or there:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return Lock(descriptor, unsure=unsure)
        os.close(descriptor)  # its last holder removed it meanwhile


def holder(path: Path) -> str:
    """Who holds the lock of a file, formatted for display."""
    with suppress(OSError, ValueError):
        if text := path.read_text(encoding="utf-8")[:200].strip():
            return text
    return "another process"
