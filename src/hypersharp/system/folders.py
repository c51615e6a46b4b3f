"""Where things lie that are no output of the user's."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what can be made again is kept: HYPERSHARP_CACHE, else hypersharp/ in the user's cache folder."""
    if chosen := os.environ.get("HYPERSHARP_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hypersharp"
