"""The same bits again, whatever the number of processors: sums are taken in one order, by one thread, in float32."""

import os
import sys

VARIABLE = "HYPERSHARP_DETERMINISTIC"
SURROUNDINGS = {
    VARIABLE: "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without which cuBLAS sums as it likes
}


def be_deterministic() -> None:
    """Let this process, from now on, and those that it starts compute alike on any number of processors."""
    os.environ.update(SURROUNDINGS)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def is_deterministic() -> bool:
    """Whether `be_deterministic` was called, here or by whoever started this process."""
    return os.environ.get(VARIABLE) == "1"
