"""A process that makes tiles of one job: `python -m hypersharp.tiles.worker FOLDER IDENTITY DEVICE`.

It reads their numbers from stdin, a line each, and answers with a line of JSON on stdout when one is made. When its
stdin ends, so does it.
"""

import json
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hypersharp.errors import HypersharpError
from hypersharp.tiles.store import Tiles
from hypersharp.tiles.workers import sharpen_tile


def main() -> None:
    """Make tiles until nobody asks for one any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that asks
    warnings.simplefilter("ignore")
    folder, identity, device = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints does not answer
    numbers = SimpleQueue[int]()
    threading.Thread(target=hear, args=(numbers,), daemon=True).start()
    while True:
        answer = answer_to(numbers.get(), Tiles(Path(folder), identity), device or None)
        print(json.dumps(answer), file=answers, flush=True)


def hear(numbers: "SimpleQueue[int]") -> None:
    for line in sys.stdin:
        numbers.put(int(line))
    os._exit(0)  # in the middle of a tile too: nobody is there to take it


def answer_to(number: int, tiles: Tiles, device: str | None) -> dict[str, Any]:
    """Make a tile; what was made, or why not, as `workers.check_answer` takes it."""
    try:
        return {"made": sharpen_tile(tiles, number, device)}
    except HypersharpError as error:
        return {"kind": type(error).__name__, "found": error.found, "expected": error.expected, "do": error.do}
    except OSError as error:
        return {"errno": error.errno, "text": error.strerror or str(error)}
    except Exception as error:
        return {"text": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
