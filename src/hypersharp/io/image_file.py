"""An image on disk by its path and what the caller says of it: read whole, or a window at a time by any process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypersharp.errors import InputError
from hypersharp.io import open_cube
from hypersharp.io.mask import PLAIN, open_masked

if TYPE_CHECKING:
    import xarray as xr

    from hypersharp.grid import Window


@dataclass(frozen=True)
class ImageFile:
    """A path and the options of `open_masked`."""

    path: Path
    variable: str | None = None
    layout: str | None = None
    mask: Path | None = None
    saturated: float | None = None

    def cube(self, window: Window | None = None) -> xr.DataArray:
        """The pixels of the window (y0, x0, height, width), or all, in memory.

        Raises: InputError as `open_masked`.
        """
        return open_masked(
            self.path,
            variable=self.variable,
            layout=self.layout,
            mask=self.mask,
            saturated=self.saturated,
            window=window,
        )

    def outline(self) -> xr.DataArray:
        """All but the pixels, which would be read when they are computed; neither masked nor checked."""
        return open_cube(self.path, variable=self.variable, layout=self.layout, lazy=True)

    def resolved(self) -> ImageFile:
        """The same with absolute paths, for processes that run elsewhere."""
        return replace(self, path=self.path.resolve(), mask=self.mask and self.mask.resolve())

    def check(self) -> None:
        """Raise an InputError for a mask of another size than the image, before windows are read of both."""
        if self.mask is None:
            return
        shapes = [open_cube(path, lazy=True, **options).shape[-2:] for path, options in self._both()]
        if shapes[0] != shapes[1]:
            (rows, columns), (mask_rows, mask_columns) = shapes
            raise InputError(
                f"a mask of {mask_rows} x {mask_columns} for {self.path} of {rows} x {columns} pixels",
                "one value for each of its pixels",
                f"make the mask on the grid of {self.path}",
            )

    def _both(self) -> list[tuple[Path, dict[str, Any]]]:
        assert self.mask is not None
        layout = "hw" if self.mask.suffix.lower() in PLAIN else None
        return [(self.path, {"variable": self.variable, "layout": self.layout}), (self.mask, {"layout": layout})]

    @property
    def leaves_out(self) -> bool:
        """Whether pixels may be left out that the file itself holds."""
        return self.mask is not None or self.saturated is not None

    def stamp(self) -> dict[str, Any]:
        """What changes when the file does: path, size, time of the last change."""
        found = self.path.stat()
        return {"path": str(self.path.resolve()), "bytes": found.st_size, "changed_ns": found.st_mtime_ns}
