"""hypersharp sharpens a hyperspectral image with the multispectral, RGB or panchromatic image of the same place.

>>> import hypersharp as hsp
>>> {"open", "fuse", "save"} <= set(hsp.__all__)
True

The names are loaded on first use, so that `import hypersharp` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypersharp import plot
    from hypersharp.accessor import show
    from hypersharp.cube import leave_out
    from hypersharp.fusion.fuse import fuse
    from hypersharp.io import open_cube as open
    from hypersharp.io import save_cube as save
    from hypersharp.pair.align import align
    from hypersharp.quality.judge import judge
    from hypersharp.quality.metrics import score_cubes as score
    from hypersharp.reporting import write_report as report
    from hypersharp.simulation.pair import simulate_pair as simulate
    from hypersharp.system.memory import keep_memory
    from hypersharp.tiles.run import fuse_in_tiles
    from hypersharp.uncertainty.predict import predict_error

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "align",
    "fuse",
    "fuse_in_tiles",
    "judge",
    "keep_memory",
    "leave_out",
    "open",
    "plot",
    "predict_error",
    "report",
    "save",
    "score",
    "show",
    "simulate",
]

# public name -> (room, its name there); a room itself has none
HOME = {
    "align": ("hypersharp.pair.align", "align"),
    "fuse": ("hypersharp.fusion.fuse", "fuse"),
    "fuse_in_tiles": ("hypersharp.tiles.run", "fuse_in_tiles"),
    "judge": ("hypersharp.quality.judge", "judge"),
    "keep_memory": ("hypersharp.system.memory", "keep_memory"),
    "leave_out": ("hypersharp.cube", "leave_out"),
    "open": ("hypersharp.io", "open_cube"),
    "plot": ("hypersharp.plot", ""),
    "predict_error": ("hypersharp.uncertainty.predict", "predict_error"),
    "report": ("hypersharp.reporting", "write_report"),
    "save": ("hypersharp.io", "save_cube"),
    "score": ("hypersharp.quality.metrics", "score_cubes"),
    "show": ("hypersharp.accessor", "show"),
    "simulate": ("hypersharp.simulation.pair", "simulate_pair"),
}


def __getattr__(name: str) -> Any:
    if name not in HOME:
        raise AttributeError(f"module 'hypersharp' has no attribute '{name}'")
    import_module("hypersharp.accessor")  # cube.hyper, for every cube that is made or read
    room, name_there = HOME[name]
    module = import_module(room)
    value = globals()[name] = getattr(module, name_there) if name_there else module
    return value


def __dir__() -> list[str]:
    return __all__
