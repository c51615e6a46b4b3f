"""Where a result comes from: the commit and the machine, for weights, score rows and reports; memory taken."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@cache
def commit() -> str:
    """The short commit of the checkout this package runs from (`+` where it is changed), else its version."""
    root = Path(__file__).resolve().parents[3]
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--match=nothing", "--abbrev=10"]
    if (root / ".git").exists():
        with suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return f"version {release()}"


def release() -> str:
    """The version that is installed."""
    try:
        return version("hypersharp")
    except PackageNotFoundError:
        return "unknown"


@cache
def machine() -> str:
    """Number of cores and processor, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores, {name}"


def peak_bytes() -> int | None:
    """The most memory this process has held, on Linux since /proc/self/clear_refs was written to; None if unknown."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else 1024 * int(peak)
