"""Where the pixels of a pair come from: one image stays as it is, and a window of both is read with what it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypersharp.cube import lonlat_of, with_bands_of
from hypersharp.grid import Grid, Window, window_transform
from hypersharp.io.image import CubeImage, Image
from hypersharp.pair.align import Alignment
from hypersharp.pair.bands import MovedBands
from hypersharp.pair.lattice import Lattice
from hypersharp.pair.native import NativeImage
from hypersharp.pair.resample import shifted
from hypersharp.pair.tiling import grown

if TYPE_CHECKING:
    import xarray as xr

SPLINE_PX = 24  # around a window that is shifted: what a cubic spline takes from beyond is below 1e-9


@dataclass(frozen=True, eq=False)
class Stripes:
    """What stripes do to the bands and lines (L, n) of hs along an axis (0 rows, 1 columns): gain x value + offset."""

    axis: int
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placement:
    """hs and ms as a pair of `shape_yx` coarse pixels, the fine ones on the grid `fine`.

    `offset_px_yx`: how far (down, right) off the middle of their fine pixels the centres of coarse ones lie, as far as
    georeference and registration know; it belongs to the PSF. `has_gaps`: whether there may be pixels that nothing was
    measured for. `notes`: what was done, a line each. `stripes`: what is taken off hs as it is read. `resamples_hs`:
    whether the pixels of hs are others than the image's own.
    """

    hs: Image | CubeImage
    ms: Image | CubeImage
    shape_yx: tuple[int, int]
    ratio: int
    fine: Grid
    notes: tuple[str, ...] = ()
    stripes: tuple[Stripes, ...] = ()
    offset_px_yx: tuple[float, float] = (0.0, 0.0)
    resamples_hs: bool = False

    @property
    def everything(self) -> Window:
        """The window of the whole pair, in coarse pixels."""
        return 0, 0, *self.shape_yx

    @property
    def lonlat(self) -> NDArray[np.float64] | None:
        """The degrees (2, H, W) of the centres of the fine pixels, where the ms is a swath on no map."""
        return lonlat_of(self.ms.outline())

    @property
    def has_gaps(self) -> bool:
        return self.hs.leaves_out or self.ms.leaves_out

    @property
    def moves_hs(self) -> bool:
        """Whether bands of hs may be resampled: not where its pixels are to stay, or are others than it came in."""
        return False

    def read(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        """hs and ms of a window (y0, x0, height, width) in coarse pixels of the pair."""
        raise NotImplementedError

    def destriped(self, hs: NDArray[Any], window: Window) -> NDArray[Any]:
        """hs (L, h, w) of a window without stripes, of a floating type where there were some."""
        for one in self.stripes:
            lines = slice(window[one.axis], window[one.axis] + window[2 + one.axis])
            gain, offset = (np.expand_dims(values[:, lines], 2 - one.axis) for values in (one.gain, one.offset))
            hs = ((hs - offset) / gain).astype(np.result_type(hs.dtype, np.float32))
        return hs

    def described(self) -> dict[str, Any]:
        """What `place` takes to place the same images again, JSON-able."""
        images = {"hs": self.hs, "ms": self.ms}.items()
        moved = {name: image.off_px_yx for name, image in images if isinstance(image, MovedBands)}
        return {f"{name}_bands_px_yx": off.tolist() for name, off in moved.items()}


@dataclass(frozen=True, eq=False)
class OnMS(Placement):
    """A pair on the pixels of the ms, of which at most bands that lie off the others are resampled.

    `blocks`: the grid of its coarse pixels, as far as the ms has a place; `evidence`: of the displacement, JSON-able.
    """

    lattice: Lattice = field(kw_only=True)
    blocks: Grid = field(kw_only=True)
    evidence: dict[str, Any] | None = None

    @classmethod
    def of(cls, hs: Image | CubeImage, ms: Image | CubeImage, fine: Grid, lattice: Lattice, **more: Any) -> OnMS:
        """That of a lattice; fine: the grid of the whole ms."""
        blocks, own = lattice.grids(fine)
        more |= {"offset_px_yx": lattice.offset_px_yx, "resamples_hs": lattice.warp is not None}
        return cls(hs, ms, lattice.shape_yx, lattice.ratio, own, lattice=lattice, blocks=blocks, **more)

    @property
    def lonlat(self) -> NDArray[np.float64] | None:
        whole, (y, x, height, width) = super().lonlat, self.lattice.window
        return None if whole is None else whole[:, y : y + height, x : x + width]

    @property
    def has_gaps(self) -> bool:
        (y, x), (height, width) = self.lattice.corner_yx, self.hs.outline().shape[1:]
        inside = min(y, x) >= 0 and y + self.shape_yx[0] <= height and x + self.shape_yx[1] <= width
        return super().has_gaps or self.resamples_hs or not inside

    @property
    def moves_hs(self) -> bool:
        return not isinstance(self.hs, NativeImage)

    def read(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        """The same; hs says that it lies on its blocks of fine pixels, the rest of its place is the offset."""
        fine = self.lattice.fine_window(window)
        (y, x), (row, column) = window[:2], self.lattice.corner_yx
        if self.lattice.warp:
            values = self.lattice.warp.resampled(self.hs, self.ms, fine, self.ratio)
        else:
            values = padded(self.hs, (y + row, x + column, window[2], window[3]))
        values, outline, blocks = self.destriped(values, window), self.hs.outline(), self.blocks
        place = blocks.transform and window_transform(blocks.transform, window)
        hs = with_bands_of(outline, values, crs=blocks.crs, transform=place)
        return hs.assign_attrs(outline.attrs), self.ms.cube(fine)

    def described(self) -> dict[str, Any]:
        native = isinstance(self.hs, NativeImage)
        lattice = self.lattice.described()
        return {"frame": "ms", "native": native, **lattice, "evidence": self.evidence, **super().described()}


@dataclass(frozen=True, eq=False)
class OnHS(Placement):
    """A pair on the pixels of hs, to which the ms is resampled.

    `corner_yx`: the pair's first coarse pixel in the image of hs. `alignment` where the grids do not nest, else
    `shift_px_yx`, how far (fine pixels) off the ms lies, None where it stays.
    """

    corner_yx: tuple[int, int] = (0, 0)
    alignment: Alignment | None = None
    shift_px_yx: tuple[float, float] | None = None

    @property
    def has_gaps(self) -> bool:
        return super().has_gaps or self.alignment is not None

    def read(self, window: Window) -> tuple[xr.DataArray, xr.DataArray]:
        y, x, height, width = window
        whole = (y + self.corner_yx[0], x + self.corner_yx[1], height, width)
        top, left, rows, columns = fine = (y * self.ratio, x * self.ratio, height * self.ratio, width * self.ratio)
        hs = self.hs.cube(whole)
        if self.stripes:
            hs = hs.copy(data=self.destriped(hs.values, window))
        if self.alignment:
            return hs, self.alignment.resampled(self.ms, fine)
        if self.shift_px_yx is None:
            return hs, self.ms.cube(fine)
        box = grown(fine, SPLINE_PX, self.fine.shape_yx)
        moved = shifted(self.ms.cube(box), self.shift_px_yx)
        return hs, moved[:, top - box[0] : top - box[0] + rows, left - box[1] : left - box[1] + columns]

    def described(self) -> dict[str, Any]:
        return {
            "frame": "hs",
            "ratio": self.ratio,
            "shift_px_yx": self.shift_px_yx and list(self.shift_px_yx),
            "to_ms": self.alignment and list(self.alignment.to_ms)[:6],
            **super().described(),
        }


def padded(image: Image | CubeImage, window: Window) -> NDArray[Any]:
    """The pixels of a window that may reach beyond the image, where they are missing."""
    outline = image.outline()
    there = grown(window, 0, outline.shape[1:])
    if there == window:
        return np.asarray(image.cube(window).values)
    values = np.full((len(outline), *window[2:]), np.nan, np.result_type(outline.dtype, np.float32))
    if 0 not in there[2:]:
        y, x = there[0] - window[0], there[1] - window[1]
        values[:, y : y + there[2], x : x + there[3]] = image.cube(there).values
    return values
