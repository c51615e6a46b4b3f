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
from typing import TYPE_CHECKING, Any

from hypersharp.errors import HypersharpError
from hypersharp.system.memory import keep_memory
from hypersharp.viewer.job import Order

if TYPE_CHECKING:
    import xarray as xr

EVERY_S = 0.1  # between two messages about progress


def main() -> int:
    """Fuse as ordered; 1 where the images do not allow it."""
    threading.Thread(target=_end_with_the_viewer, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(5)
    warnings.simplefilter("ignore")
    keep_memory()
    try:
        fuse_files(Order(**json.loads(sys.argv[1])))
    except HypersharpError as exc:
        say(notes=[f"error: {exc}"])
        return 1
    return 0


def fuse_files(order: Order) -> None:
    """Fuse, in tiles where the scene is too large for the memory; predict the error where wanted and possible; save."""
    from hypersharp.cli.large import too_large
    from hypersharp.io.image import Image

    files = Image(Path(order.hs)), Image(Path(order.ms))
    reason = too_large(*files, order.method, trust=order.trust is not None)
    if reason is None:
        return fuse_whole(order, *(image.cube() for image in files))
    from hypersharp.pair.settings import FuseOptions
    from hypersharp.tiles.run import prepare

    say(notes=[reason])
    options = FuseOptions(budget_s=order.budget_s, progress=Progress(0.1))
    trust = Path(order.trust) if order.trust else None
    run = prepare(*files, Path(order.out), method=order.method, options=options, trust=trust)
    say(fraction=0.1, notes=[f"method {order.method}", *run.notes])
    run.carry_out(Progress(0.9, 0.1))


def fuse_whole(order: Order, hs: "xr.DataArray", ms: "xr.DataArray") -> None:
    """Fuse two images in memory."""
    from hypersharp.fusion.fuse import fuse
    from hypersharp.io import save_cube
    from hypersharp.uncertainty.predict import predict_error

    share = 0.6 if order.trust else 0.9  # of the work that is the fusion's
    sharp = fuse(hs, ms, method=order.method, budget_s=order.budget_s, progress=Progress(share))
    say(fraction=share, notes=str(sharp.attrs.get("hypersharp", "")).split("; "))
    save_cube(sharp, Path(order.out))
    if order.trust:
        save_cube(predict_error(sharp, hs, ms), Path(order.trust))


class Progress:
    """Passes the fraction done on, not too often."""

    def __init__(self, share: float, before: float = 0.0) -> None:
        self.share, self.before, self.last = share, before, 0.0

    def __call__(self, fraction: float) -> None:
        if time.monotonic() - self.last > EVERY_S:
            self.last = time.monotonic()
            say(fraction=self.before + self.share * fraction)


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
