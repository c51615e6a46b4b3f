"""What benchmarks, the demo and `simulate` write: folders, texts, figures and sets of cubes, whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from hypersharp.io import check_apart, check_output, save_cube
from hypersharp.io.format import format_for
from hypersharp.system.atomic import make_folder, staged

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_text(path: Path, text: str) -> Path:
    """Write a text. Raises: OutputError."""
    with staged(path) as place:
        place.write_text(text)
    return path


def save_figure(figure: "Figure", path: Path, dpi: int = 120) -> Path:
    """Write a figure; the suffix is the format. Raises: OutputError."""
    with staged(path) as place:
        figure.savefig(place, dpi=dpi)
    return path


def check_together(names: Iterable[str], folder: Path, suffix: str, inputs: Sequence[Path | None]) -> None:
    """Raise now what `save_together` would raise after a long computation, and as `check_apart`."""
    paths = [folder / f"{name}.{suffix}" for name in names]
    check_apart(paths, inputs)
    for path in paths:
        format_for(path).check_target(path)


def save_together(cubes: Mapping[str, xr.DataArray], folder: Path, suffix: str) -> list[Path]:
    """Write NAME.suffix into the folder for every cube: all of them, or, where one cannot be written, none.

    Raises: OutputError as `check_output`, for a folder that cannot be written or a full disk.
    """
    paths = [make_folder(folder) / f"{name}.{suffix}" for name in cubes]
    gone = [file for path in paths for file in check_output(path).goes_with(path)]
    with staged(paths[0], gone=gone) as place:
        for path, cube in zip(paths, cubes.values(), strict=True):
            save_cube(cube, place.with_name(path.name))
    return paths
