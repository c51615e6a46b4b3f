"""Where things lie that are no output of the user's."""

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

OTHERS_MAY_WRITE = 0o022


def wished_cache_folder() -> Path:
    """HYPERSHARP_CACHE, else hypersharp/ in the user's cache folder."""
    chosen = os.environ.get("HYPERSHARP_CACHE")
    return Path(chosen or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypersharp")


def cache_folder() -> Path:
    """Where what can be made again is kept: the wished folder, made if it is missing.

    It is this user's alone, for compiled code is run from there: beside a folder of another user one with this user's
    number in its name is taken, else a temporary one.
    """
    folder = wished_cache_folder()
    if not hasattr(os, "getuid"):  # Windows, where this lies in the user's profile
        return folder
    for own in (folder, folder.with_name(f"{folder.name}-{os.getuid()}")):
        with suppress(OSError):
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (found := own.stat()).st_uid == os.getuid():
                if found.st_mode & OTHERS_MAY_WRITE:
                    own.chmod(found.st_mode & ~OTHERS_MAY_WRITE)
                return own
    return temporary_folder()


@cache
def temporary_folder() -> Path:
    """A folder for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="hypersharp-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
