"""The scenes of a protocol on disk: where they lie, and their values scaled to 0..1.

CAVE: a folder a scene, `NAME_ms/NAME_ms_01.png` .. `_31.png` (unpacked as published, `NAME_ms` may
lie in another `NAME_ms`), 16 bits, `watercolors` 8 bits. Harvard: `NAME.mat` with `ref` (y, x, 31)
and `lbl` (y, x), 0 where something moved.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hypersharp.cube import make_cube
from hypersharp.errors import InputError, unknown_name
from hypersharp.io import open_cube
from hypersharp.simulation.protocols import Protocol


def find_scenes(protocol: Protocol, data_dir: str | Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Name -> folder or file of the scenes in `names`, in that order; None is all that are there.

    `data_dir` holds the scenes, or a folder `cave` or `harvard` that does.

    Raises InputError for a folder that is none, a name the protocol does not have, one of `names` that
    is missing, not one scene of the protocol.
    """
    wanted = protocol.scenes if names is None else tuple(names)
    for name in wanted:
        if name not in protocol.scenes:
            raise unknown_name(f"{protocol.name} scene", name, protocol.scenes)
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError(f"no folder '{root}'", f"the scenes of {protocol.name}", "give the folder that holds them")
    locate = LOCATE[protocol.dataset]
    folders = [root, root / protocol.dataset]
    found = max(({name: locate(folder, name) for name in wanted} for folder in folders), key=_count)
    missing = [name for name, path in found.items() if path is None]
    if len(missing) == len(wanted) or (missing and names is not None):
        raise InputError(
            f"{_count(found)} of {len(wanted)} {protocol.name} scenes in '{root}'",
            f"{LAYOUT[protocol.dataset]}, there or in '{root / protocol.dataset}'",
            f"add {_listed(missing)}, or choose scenes that are there",
        )
    return {name: path for name, path in found.items() if path is not None}


def load_truth(protocol: Protocol, path: str | Path, *, mask_moved: bool = False) -> xr.DataArray:
    """The scene at `path` (from find_scenes) as a float32 cube scaled to 0..1, cropped as the protocol says.

    `mask_moved` makes the pixels NaN that Harvard's `lbl` marks as having moved.

    Raises InputError for another number of bands than the protocol's, or a scene without a positive value.
    """
    raw = READ[protocol.dataset](Path(path))
    height, width = protocol.crop_yx or raw.shape[1:]
    values = np.asarray(raw.values[:, :height, :width])
    if values.shape[0] != len(protocol.wavelengths_nm):
        raise InputError(
            f"{values.shape[0]} bands in '{path}'",
            f"{len(protocol.wavelengths_nm)} bands",
            f"check it is {protocol.dataset}",
        )
    scaled = np.divide(values, _largest(protocol, values, path), dtype=np.float32)
    if mask_moved and protocol.dataset == "harvard":
        scaled[:, _moved(Path(path))[:height, :width]] = np.nan
    return make_cube(scaled, wavelengths_nm=np.array(protocol.wavelengths_nm))


def _largest(protocol: Protocol, values: np.ndarray, path: str | Path) -> float:
    """What the scene's values are divided by."""
    if protocol.scaling == "dtype" and np.issubdtype(values.dtype, np.integer):
        return float(np.iinfo(values.dtype).max)
    largest = float(np.nanmax(values)) if protocol.scaling == "scene-max" else 1.0
    if not 0 < largest < np.inf:
        raise InputError(f"a largest value of {largest} in '{path}'", "a positive one", "check the file")
    return largest


def _cave_folder(folder: Path, name: str) -> Path | None:
    """The folder with the scene's PNGs, nested as in the archive or not."""
    for stem in (f"{name}_ms", name):
        for candidate in (folder / stem / stem, folder / stem):
            if candidate.is_dir() and any(candidate.glob("*.png")):
                return candidate
    return None


def _harvard_file(folder: Path, name: str) -> Path | None:
    candidate = folder / f"{name}.mat"
    return candidate if candidate.is_file() else None


def _open_cave(path: Path) -> xr.DataArray:
    return open_cube(path)


def _open_harvard(path: Path) -> xr.DataArray:
    return open_cube(path, variable="ref", layout="hwl")


def _moved(path: Path) -> np.ndarray:
    from scipy.io import loadmat

    labels = loadmat(path, variable_names=["lbl"])  # a file whose `ref` could be read
    if "lbl" not in labels:
        raise InputError(f"no `lbl` in '{path}'", "one that marks what moved", "read it unmasked")
    return np.asarray(labels["lbl"] == 0)


def _count(found: dict[str, Any]) -> int:
    return sum(path is not None for path in found.values())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


LOCATE: dict[str, Callable[[Path, str], Path | None]] = {"cave": _cave_folder, "harvard": _harvard_file}
READ: dict[str, Callable[[Path], xr.DataArray]] = {"cave": _open_cave, "harvard": _open_harvard}
LAYOUT = {"cave": "folders such as balloons_ms with 31 .png", "harvard": "files such as img1.mat"}
