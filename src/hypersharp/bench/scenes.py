"""The scenes of a protocol on disk: where they lie, their values scaled to 0..1, and what a training learns from them.

CAVE: a folder a scene, `NAME_ms/NAME_ms_01.png` .. `_31.png` (unpacked as published, `NAME_ms` may
lie in another `NAME_ms`), 16 bits, `watercolors` 8 bits. Harvard: `NAME.mat` with `ref` (y, x, 31)
and `lbl` (y, x, not read).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import make_cube
from hypersharp.errors import InputError, check_name
from hypersharp.io import open_cube
from hypersharp.simulation.pair import crop_and_scale
from hypersharp.simulation.protocols import Protocol, find_protocol
from hypersharp.train.patches import TrainingSet


def find_scenes(protocol: Protocol, data_dir: str | Path, names: Iterable[str] | None = None) -> dict[str, Path]:
    """Name -> folder or file of the scenes in `names`, in that order; None is all that are there.

    `data_dir` holds the scenes, or a folder `cave` or `harvard` that does.

    Raises: InputError for a folder that is none, a name the protocol does not have, one of `names` that is missing,
    not one scene of the protocol.
    """
    wanted = protocol.scenes if names is None else tuple(names)
    for name in wanted:
        check_name(f"{protocol.name} scene", name, protocol.scenes)
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError(f"no folder '{root}'", f"the scenes of {protocol.name}", "give the folder that holds them")
    found: dict[str, Path] = {}
    for folder in (root, root / protocol.dataset):
        paths = {name: LOCATE[protocol.dataset](folder, name) for name in wanted}
        found = max(found, {name: path for name, path in paths.items() if path}, key=len)
    missing = [name for name in wanted if name not in found]
    if not found or (missing and names is not None):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        what = f"{len(found)} of {len(wanted)} {protocol.name} scenes in '{root}'"
        expected = f"{LAYOUT[protocol.dataset]}, there or in '{root / protocol.dataset}'"
        where = f"from {SOURCE[protocol.dataset]}, or choose others"
        raise InputError(what, expected, f"add {', '.join(missing[:5])}{more} {where}")
    return found


def load_truth(protocol: Protocol, path: str | Path) -> xr.DataArray:
    """The scene at `path` (from find_scenes) as a float32 cube scaled to 0..1, cropped as the protocol says.

    Raises: InputError for another number of bands than the protocol's, or a scene without a positive value.
    """
    harvard, nm = protocol.dataset == "harvard", np.array(protocol.wavelengths_nm)
    scene = open_cube(path, variable="ref", layout="hwl") if harvard else open_cube(path)
    if len(scene) != len(nm):
        raise InputError(f"{len(scene)} bands in '{path}'", f"{len(nm)} bands", f"check it is {protocol.dataset}")
    values = crop_and_scale(protocol, scene, f"'{path}'").values
    return make_cube(np.asarray(values, dtype=np.float32), wavelengths_nm=nm)


def cave_folder(folder: Path, name: str) -> Path | None:
    """The folder with the scene's PNGs, nested as in the archive or not."""
    stems = (f"{name}_ms", name)
    places = (place for stem in stems for place in (folder / stem / stem, folder / stem))
    return next((place for place in places if place.is_dir() and any(place.glob("*.png"))), None)


LOCATE: dict[str, Callable[[Path, str], Path | None]] = {
    "cave": cave_folder,
    "harvard": lambda folder, name: path if (path := folder / f"{name}.mat").is_file() else None,
}
LAYOUT = {"cave": "folders such as balloons_ms with 31 .png", "harvard": "files such as img1.mat"}
SOURCE = {
    "cave": "https://cave.cs.columbia.edu/repository/Multispectral (complete_ms_data.zip, 32 scenes)",
    "harvard": "https://vision.seas.harvard.edu/hyperspec/download.html (CZ_hsdb, the 50 scenes in daylight)",
}


def check_scenes(protocol: Protocol, data_dir: str | Path) -> Iterator[tuple[str, str, str | None]]:
    """Each scene of a protocol: its name, its part (train, validation, test) and None, or what is wrong with it.

    Every scene that is there is read as a benchmark reads it. Raises: InputError for a folder that is none, or that has
    no scene of the protocol.
    """
    found = find_scenes(protocol, data_dir)
    for part in ("train", "validation", "test"):
        for name in getattr(protocol, part):
            try:
                wrong = None if name in found and load_truth(protocol, found[name]).size else "missing"
            except InputError as error:
                wrong = str(error)
            yield name, part, wrong


def training_set(name: str, data_dir: Path, validation: tuple[str, ...] | None = None) -> TrainingSet:
    """Readers of a protocol's training and validation scenes; `validation`: other scenes of its training to watch.

    Raises: InputError for an unknown protocol or scene, or scenes that are missing.
    """
    protocol = find_protocol(name)
    if validation is not None:
        known = sorted(protocol.train + protocol.validation)
        for scene in validation:
            check_name("training scene", scene, known)
        train = tuple(scene for scene in known if scene not in validation)
        protocol = replace(protocol, train=train, validation=validation)
    paths = find_scenes(protocol, data_dir, protocol.train + protocol.validation)
    readers = {name: partial(read_scene, protocol, path) for name, path in paths.items()}
    return TrainingSet(
        training={name: readers[name] for name in protocol.train},
        validation={name: readers[name] for name in protocol.validation},
        sensor=protocol.sensor(),
        wavelengths_nm=protocol.wavelengths_nm,
        preset=protocol.preset,
    )


def read_scene(protocol: Protocol, path: Path) -> NDArray[np.float32]:
    """One scene (L, H, W) in 0..1."""
    return np.asarray(load_truth(protocol, path).values, dtype=np.float32)
