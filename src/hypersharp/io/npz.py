"""NumPy's .npz: the pixels as `cube`, wavelengths and place as arrays of their own."""

from pathlib import Path

import numpy as np
import xarray as xr

from hypersharp.errors import InputError
from hypersharp.io.arrays import described, find_variable, laid_out, metadata_of, with_stored
from hypersharp.io.image import Image
from hypersharp.stored import Stored
from hypersharp.system.read_errors import READ_ERRORS, reading


def read(image: Image) -> Stored:
    """Open the one image in an .npz archive, or the one named."""
    path = image.path
    with reading(path, "plain numbers, not pickled objects", *READ_ERRORS), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise InputError(f"{path}, an .npy array", "an .npz archive", "rename it to .npy")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    name = find_variable(image, {key: (array.shape, array.dtype) for key, array in arrays.items()}, arrays)
    pixels = laid_out(arrays[name], with_stored(image, arrays, "lhw"), f"'{name}' in {path}", arrays)
    return described(pixels, arrays)


def write(cube: xr.DataArray, path: Path) -> None:
    """Write the numbers as `cube` and all that is known about them."""
    with path.open("wb") as file:
        np.savez(file, cube=np.asarray(cube.data), **metadata_of(cube))
