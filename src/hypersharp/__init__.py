"""hypersharp sharpens a hyperspectral image with the multispectral, RGB or panchromatic image of the same place.

>>> import hypersharp as hsp
>>> sorted(hsp.__all__)
['__version__', 'align', 'fuse', 'judge', 'leave_out', 'open', 'predict_error', 'save', 'score', 'simulate']

The names are loaded on first use, so that `import hypersharp` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypersharp.bench.judge import judge
    from hypersharp.bench.protocols import simulate_pair as simulate
    from hypersharp.bench.score import score_cubes as score
    from hypersharp.bench.trust import predict_error
    from hypersharp.cube import leave_out
    from hypersharp.io import open_cube as open
    from hypersharp.io import save_cube as save
    from hypersharp.methods import fuse
    from hypersharp.methods.align import align

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "align",
    "fuse",
    "judge",
    "leave_out",
    "open",
    "predict_error",
    "save",
    "score",
    "simulate",
]

# public name -> (room, its name there)
HOME = {
    "align": ("hypersharp.methods.align", "align"),
    "fuse": ("hypersharp.methods", "fuse"),
    "judge": ("hypersharp.bench.judge", "judge"),
    "leave_out": ("hypersharp.cube", "leave_out"),
    "open": ("hypersharp.io", "open_cube"),
    "predict_error": ("hypersharp.bench.trust", "predict_error"),
    "save": ("hypersharp.io", "save_cube"),
    "score": ("hypersharp.bench.score", "score_cubes"),
    "simulate": ("hypersharp.bench.protocols", "simulate_pair"),
}


def __getattr__(name: str) -> Any:
    if name not in HOME:
        raise AttributeError(f"module 'hypersharp' has no attribute '{name}'")
    room, name_there = HOME[name]
    value = globals()[name] = getattr(import_module(room), name_there)
    return value


def __dir__() -> list[str]:
    return __all__
