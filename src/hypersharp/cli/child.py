"""What the viewer runs in a process of its own: `python -m hypersharp.cli.child ORDER` fuses, and tells how far it is.

Order and messages are JSON, a message a line.
"""

import json
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from hypersharp.errors import HypersharpError
from hypersharp.viewer.job import Order

EVERY_S = 0.1  # between two messages about progress


def main() -> int:
    """Fuse as ordered; 1 where the images do not allow it."""
    threading.Thread(target=_end_with_the_viewer, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)
    warnings.simplefilter("ignore")
    try:
        fuse_files(Order(**json.loads(sys.argv[1])))
    except HypersharpError as exc:
        say(notes=[f"error: {exc}"])
        return 1
    return 0


def fuse_files(order: Order) -> None:
    """Open, fuse, predict the error where wanted, save."""
    from hypersharp.bench.trust import predict_error
    from hypersharp.io import open_cube, save_cube
    from hypersharp.methods import fuse

    hs, ms = open_cube(order.hs), open_cube(order.ms)
    share = 0.6 if order.trust else 0.9  # of the work that is the fusion's
    progress = Progress(share)
    sharp = fuse(hs, ms, method=order.method, budget_s=order.budget_s, progress=progress)
    say(fraction=share, notes=str(sharp.attrs.get("hypersharp", "")).split("; "))
    save_cube(sharp, Path(order.out))
    if order.trust:
        save_cube(predict_error(sharp, hs, ms), Path(order.trust))


class Progress:
    """Passes the fraction done on, not too often."""

    def __init__(self, share: float) -> None:
        self.share, self.last = share, 0.0

    def __call__(self, fraction: float) -> None:
        if time.monotonic() - self.last > EVERY_S:
            self.last = time.monotonic()
            say(fraction=self.share * fraction)


def say(**message: Any) -> None:
    """One message to the viewer."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_the_viewer() -> None:
    """The viewer holds the other end of stdin: when it is gone, so is the work."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
