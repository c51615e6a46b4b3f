"""Memory that is kept, or given back, as the machine counts it."""

import subprocess
import sys

import pytest

from hypersharp.system.memory import c_function, free_bytes

MIB = 2**20
PROGRAM = """
import numpy as np, psutil
from hypersharp.system.memory import give_back_memory, keep_memory

def resident():
    return psutil.Process().memory_info().rss

if {keep}:
    keep_memory()
before = resident()
array = np.ones(2**27, np.uint8)
pin = np.ones(2**16, np.uint8)  # above it in the heap
del array
kept = resident() - before
give_back_memory()
print(kept, resident() - before)
"""


def measured(keep: bool) -> tuple[float, float]:
    """MiB that a freed array of 128 still takes, and what of it after giving back."""
    run = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], capture_output=True, text=True, check=True)
    kept, left = (int(word) / MIB for word in run.stdout.split())
    return kept, left


@pytest.mark.skipif(c_function("mallopt") is None, reason="this C library has no mallopt")
def test_kept_memory_outlives_its_array_until_it_is_given_back() -> None:
    kept, left = measured(keep=True)
    assert kept > 100 and left < 20
    assert measured(keep=False)[0] < 20


def test_some_memory_is_free() -> None:
    assert free_bytes() > MIB


def test_a_function_that_the_c_library_lacks_is_none() -> None:
    assert c_function("no_such_function") is None
