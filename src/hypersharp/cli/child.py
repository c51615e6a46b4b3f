"""What the viewer runs in a process of its own: `python -m hypersharp.cli.child ORDER` fuses, and tells how far it is.

Order and messages are JSON, a message a line.
"""

import json
import os
import sys
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from hypersharp.errors import HypersharpError
from hypersharp.system.memory import keep_memory
from hypersharp.viewer.job import Order

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
    from hypersharp.fusion.fuse import fuse_images
    from hypersharp.io import save_cube
    from hypersharp.io.image import Image
    from hypersharp.methods.table import AUTO
    from hypersharp.pair.options import Options
    from hypersharp.tiles.run import prepare
    from hypersharp.uncertainty.predict import check_predictable, predict_for

    files, out = (Image(Path(order.hs)), Image(Path(order.ms))), Path(order.out)
    uncertainty = Path(order.uncertainty) if order.uncertainty else None
    options = Options(budget_s=order.budget_s) if order.method == AUTO.name else Options()
    reason = too_large(*files, order.method, uncertainty=uncertainty is not None)
    if reason is None:
        share = 0.6 if uncertainty else 0.9  # of the work that is the fusion's
        images = [image.loaded() for image in files]
        check = partial(check_predictable, method=order.method, options=options) if uncertainty else lambda pair: None
        progress = Progress(share)
        sharp, fusion = fuse_images(*images, method=order.method, options=options, check=check, progress=progress)
        say(fraction=share, notes=list(fusion.record.lines()))
        save_cube(sharp, out)
        if uncertainty:
            save_cube(predict_for(fusion, sharp), uncertainty)
        return
    say(notes=[reason])
    run = prepare(*files, out, method=order.method, options=options, uncertainty=uncertainty, progress=Progress(0.1))
    say(fraction=0.1, notes=list(run.record.lines()))
    run.carry_out(Progress(0.9, 0.1))


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
