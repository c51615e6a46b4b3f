"""Pictures of cubes for notebooks and scripts, `hypersharp.plot`: each function returns a matplotlib figure.

    hsp.plot.composites({"hs": hs, "ms": ms, "sharp": sharp}, "infrared")
    hsp.plot.spectra({"hs": hs, "sharp": sharp}, [(120, 45)])

A figure shows itself in Jupyter; in a script `figure.savefig("name.png")`. Places are (x, y): whole numbers count
pixels of the last image from 0, others are map coordinates. Images may lie on grids of their own. Nothing global is
touched: no pyplot, no style.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypersharp.plot.figures import comparison, composites, error_map, sensor, spectra, uncertainty

__all__ = ["comparison", "composites", "error_map", "sensor", "spectra", "uncertainty"]


def __getattr__(name: str) -> Any:
    """The figures, loaded when one is asked for; `trust` is what `uncertainty` was called in 0.1."""
    if name not in __all__ and name != "trust":
        raise AttributeError(f"module 'hypersharp.plot' has no attribute '{name}'")
    return getattr(import_module("hypersharp.plot.figures"), "uncertainty" if name == "trust" else name)


def __dir__() -> list[str]:
    return __all__
