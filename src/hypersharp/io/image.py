"""An image to read whole or a window at a time: a file with what the caller says of it, or a cube in memory."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.conventions.arrays import Wanted
from hypersharp.cube import crs_of, cut, flipped, leave_out, nodata_of, transform_of, wrong_mask
from hypersharp.errors import InputError, check_name
from hypersharp.grid import Window
from hypersharp.io.format import format_of, open_stored
from hypersharp.numerics.turn import Turn
from hypersharp.products.files import changed, split_part
from hypersharp.products.quality import REASONS, Kept
from hypersharp.stored import Stored
from hypersharp.system.elsewhere import name_elsewhere
from hypersharp.system.read_errors import real_path


@dataclass(frozen=True)
class Image(Wanted):
    """An image file, the options it is opened with, and which of its pixels do not count.

    `variable`, `layout`, `shape_yx` as for `open_cube`. `mask`: a file of one band on the image's own grid, anything
    but zero leaves the pixel out. `saturated`: a pixel that reaches this value in a usable band is left out.
    `product_mask`: whether a product's own quality layers count, but for the reasons to `keep`. `scale`, `offset`:
    value = scale x number + offset, instead of what the file says. `part`: the only window of the file that counts.
    `nodata`: the stored number of a missing pixel, whatever the file says.
    """

    mask: Path | None = None
    saturated: float | None = None
    product_mask: bool = True
    keep: tuple[str, ...] = ()
    scale: float | None = None
    offset: float | None = None
    part: Window | None = None
    nodata: float | None = None

    in_memory = False

    def stored(self) -> Stored:
        """The opened file, to read parts of it again and again; masked by its own quality layers alone, not checked.

        Raises: InputError as `open_cube`, and for a reason to keep that no product knows.
        """
        found = self.as_it_is()
        if self.scale is not None or self.offset is not None:
            found = replace(found, scale=1.0 if self.scale is None else self.scale, offset=self.offset or 0.0)
        for reason in self.keep if self.product_mask else ():
            check_name("reason to keep", reason, REASONS)
        if not self.product_mask or found.flags is None:
            return found
        return replace(found, valid=Kept(found.valid, found.flags, found.flags.without(self.keep)))

    def as_it_is(self) -> Stored:
        """The opened file without its own quality layers, which are among its `flags`."""
        found = open_stored(self)
        nodata = found.nodata if self.nodata is None else self.nodata
        found = replace(found, nodata=nodata)
        return found if self.part is None else found.part(self.part)

    def said(self) -> tuple[str, ...]:
        """What is known of a product: what was applied to its numbers, and the share that its masks leave out."""
        found = self.as_it_is()
        applied = found.applied
        if self.scale is not None or self.offset is not None:
            scale, offset = 1.0 if self.scale is None else self.scale, self.offset or 0.0
            applied = (f"value = {scale:g} x number {offset:+g}, as given",)
        if found.flags is None:
            return applied
        if not self.product_mask:
            return (*applied, "the product's own masks were not used")
        shares = found.flags.shares(self.keep)
        listed = ", ".join(f"{reason} {share:.1%}" for reason, share in shares.items())
        return (*applied, f"left out by the product's own masks: {listed or 'nothing'}")

    def cube(self, window: Window | None = None) -> xr.DataArray:
        """The pixels of the window (y0, x0, height, width), or all, in memory; NaN where they are left out.

        Raises: InputError as `open_cube` and `cube.leave_out`, and for a mask of several bands or another place.
        """
        cube, flags = self.stored().cube(window=window), None
        if self.mask is not None:
            mask = self._stored_mask().cube(window=window)
            if mask.shape[0] != 1:
                raise InputError(
                    f"{self.mask} of {mask.shape[0]} bands", "one band of zeros and ones", "choose the band"
                )
            here, there, crs, mask_crs = transform_of(cube), transform_of(mask), crs_of(cube), crs_of(mask)
            if mask.shape[1:] == cube.shape[1:] and here and there and crs and mask_crs:
                same_place = there.almost_equals(here, 1e-3 * max(abs(here.a), abs(here.b)))
                if mask_crs != crs or not same_place:
                    found = f"{self.mask} on another grid than its image"
                    raise InputError(found, "the same corner and pixels", "resample the mask to the image's grid")
            values, nodata = mask.values[0], nodata_of(mask)  # which counts as a number
            flags = np.where(np.isnan(values), 1 if nodata is None else nodata, values) != 0
        return leave_out(cube, flags, saturated=self.saturated, what=str(self.path), part=window is not None)

    def loaded(self) -> "CubeImage":
        """The same in memory. Raises: InputError as `cube`."""
        return CubeImage(self.cube(), self.path, self.said())

    def outline(self) -> xr.DataArray:
        """All but the pixels, which would be read when they are computed; neither masked nor checked."""
        return self._outline

    @cached_property
    def _outline(self) -> xr.DataArray:
        return self.stored().cube(lazy=True)  # some products are many files, and every tile asks

    def check(self) -> None:
        """Raise an InputError for a mask of another size than the image, before windows are read of both."""
        if self.mask is None:
            return
        (_, rows, columns), (_, *mask_yx) = self.stored().pixels.shape, self._stored_mask().pixels.shape
        if mask_yx != [rows, columns]:
            raise wrong_mask(mask_yx, str(self.path), (rows, columns))

    @property
    def origin(self) -> Self:
        return self

    def resolved(self) -> Self:
        """The same with absolute paths, for processes that run elsewhere."""
        path = self.path if name_elsewhere(self.path) else real_path(self.path)
        return replace(self, path=path, mask=self.mask and real_path(self.mask))

    @property
    def leaves_out(self) -> bool:
        """Whether pixels may be left out that the file itself holds."""
        flagged = self.product_mask and self.as_it_is().flags is not None
        return self.mask is not None or self.saturated is not None or flagged

    def stamp(self) -> dict[str, Any]:
        """What changes when the file does, or its header, what lies in its folder, or the mask."""
        if name_elsewhere(self.path) is not None:
            return {"path": str(self.path)}
        said = {} if self.nodata is None else {"nodata": self.nodata}
        said |= {} if self.mask is None else {"mask": changed(self.mask, deep=True)}
        version = changed(split_part(self.path)[0], deep=True)
        return {"path": str(real_path(self.path)), "changed": version, **said}

    def _stored_mask(self) -> Stored:
        """The opened mask file; an array of two axes is one band."""
        assert self.mask is not None
        return Image(self.mask, layout="hw" if format_of(self.mask).options else None, part=self.part).stored()


@dataclass(frozen=True, eq=False)
class CubeImage:
    """A cube in memory that is read as an `Image` is; `path`: the file that it came from, if any."""

    values: xr.DataArray
    path: Path | None = None
    known: tuple[str, ...] = ()  # what the product says

    leaves_out = False
    in_memory = True

    @property
    def origin(self) -> "Image | CubeImage":
        """The image that it was made from."""
        return self

    def said(self) -> tuple[str, ...]:
        return self.known

    def loaded(self) -> "CubeImage":
        return self

    def cube(self, window: Window | None = None) -> xr.DataArray:
        """The window (y0, x0, height, width), or all: a view of the cube's own pixels."""
        whole = window is None or window == (0, 0, *self.values.shape[1:])
        return self.values if window is None or whole else cut(self.values, window)

    def outline(self) -> xr.DataArray:
        return self.values

    def check(self) -> None:
        """Nothing to check: what is left out is NaN already."""

    def resolved(self) -> Self:
        return self

    def stamp(self) -> dict[str, Any]:
        """What a record can say of it: shape and type."""
        return {"shape": list(self.values.shape), "dtype": str(self.values.dtype)}


@dataclass(frozen=True, eq=False)
class DerivedImage(CubeImage):
    """An image made from the one that was `given`, which still answers for what it is."""

    given: Image | CubeImage = field(kw_only=True)

    @property
    def origin(self) -> Image | CubeImage:
        return self.given.origin

    def said(self) -> tuple[str, ...]:
        return self.given.said()

    def check(self) -> None:
        self.given.check()

    def stamp(self) -> dict[str, Any]:
        return self.given.stamp()


@dataclass(frozen=True, eq=False)
class FlippedImage(DerivedImage):
    """An image file whose rows, columns or both (`axes` 0, 1) are read from their far end; `values` is its outline."""

    axes: tuple[int, ...] = field(kw_only=True)

    in_memory = False

    @classmethod
    def of(cls, image: Image | CubeImage, axes: tuple[int, ...]) -> CubeImage:
        """The image, read so; its pixels where they are in memory."""
        values = flipped(image.outline(), axes)
        if isinstance(image, CubeImage):
            return replace(image, values=values)
        return cls(values, image.path, given=image, axes=axes)

    @property
    def leaves_out(self) -> bool:  # type: ignore[override]
        return self.given.leaves_out

    def cube(self, window: Window | None = None) -> xr.DataArray:
        if window is not None:
            y, x, height, width = window
            turn = Turn(from_below=0 in self.axes, from_right=1 in self.axes)
            rows, columns = turn.lying(
                slice(y, y + height), slice(x, x + width), (self.values.shape[1], self.values.shape[2])
            )
            window = (rows.start, columns.start, height, width)
        return flipped(self.given.cube(window), self.axes)

    def loaded(self) -> CubeImage:
        return CubeImage(self.cube(), self.path, self.said())

    def resolved(self) -> Self:
        return replace(self, given=self.given.resolved())


@dataclass(frozen=True, eq=False)
class CubeParts(CubeImage):
    """Windows of a cube that is nowhere as a whole; of `values`, its outline, nobody computes the pixels.

    `parts`: windows (y0, x0, height, width) and their pixels (L, height, width). `fill`: what in all bands of a pixel
    says that it is missing.
    """

    parts: tuple[tuple[Window, NDArray[Any]], ...] = ()
    fill: float | None = None

    in_memory = False

    def cube(self, window: Window | None = None) -> xr.DataArray:
        """The window, of a part that holds all of it. Raises: InputError where none does."""
        y, x, height, width = window or (0, 0, *self.values.shape[1:])
        for (top, left, rows, columns), pixels in self.parts:
            if top <= y and left <= x and y + height <= top + rows and x + width <= left + columns:
                own = pixels[:, y - top : y - top + height, x - left : x - left + width]
                cube = cut(self.values, (y, x, height, width)).copy(data=own)
                missing = None if self.fill is None else (own == self.fill).all(0)
                return leave_out(cube, missing, part=True)
        found = "lazy images that lie further off each other than was provided for"
        raise InputError(found, "a displacement of a few hs pixels", "align them first, or fuse them in memory")
