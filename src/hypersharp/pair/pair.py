"""A pair, checked once: hs and ms on nested grids, their usable bands, wavelengths, unit, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.cube import check_cube, fwhm_nm, usable_bands, wavelengths_nm, with_bands_of
from hypersharp.describe import gap_warnings, named_bands, saturation_warnings
from hypersharp.errors import InputError
from hypersharp.grid import Window, middle
from hypersharp.io.image import CubeImage, Image
from hypersharp.numerics.spikes import Spikes
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.changes import CHANGED_ABOVE, Changes
from hypersharp.pair.coarser import coarser_warnings
from hypersharp.pair.defects import LEAST_LINES, LOOKED_AT_MS_PX, defect_warnings, ms_warnings, striped_lines
from hypersharp.pair.defects import LOOKED_AT_PX as DEFECTS_PX
from hypersharp.pair.destripe import without_stripes
from hypersharp.pair.placement import Placement
from hypersharp.pair.redundant import telling_bands
from hypersharp.pair.sample import Sample
from hypersharp.pair.tensors import TensorPair, measured, to_tensor
from hypersharp.pair.units import unit_warnings
from hypersharp.sensor.spectra import Spectra


@dataclass(frozen=True, eq=False)
class Pair:
    """hs and ms of one place, as they are fused.

    `hs_bands` and `ms_bands` are the usable ones of `all_bands` = (those of hs, those of ms); `unit` is the value that
    counts as 1; `sample` is what the scene as a whole is learned from, None where that is done; `left_out`: how many
    bands, and which share of the sample's pixels, do not count; `changes`: what else of hs does not; `spikes`: what is
    replaced as it is read.
    """

    placement: Placement
    hs_bands: NDArray[np.intp]
    ms_bands: NDArray[np.intp]
    all_bands: tuple[int, int]
    unit: float
    spectra: Spectra
    left_out: dict[str, dict[str, float]]
    warnings: tuple[str, ...]
    sample: TensorPair | None
    changes: Changes | None = None
    spikes: Spikes | None = None

    @property
    def ratio(self) -> int:
        """Fine pixels per coarse pixel along a side."""
        return self.placement.ratio

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Coarse pixels along y and x."""
        return self.placement.shape_yx

    def read(self, window: Window) -> TensorPair:
        """What methods see of a window (y0, x0, height, width) in coarse pixels."""
        hs, ms = self.placement.read(window)
        return self.tensors(hs.isel(band=self.hs_bands), ms.isel(band=self.ms_bands))

    def whole(self) -> TensorPair:
        """What methods see of all of it; read no more than once where the sample is all."""
        is_all = Sample.of(self.shape_yx, self.ratio).is_all
        return self.sample if is_all and self.sample is not None else self.read(self.placement.everything)

    def to_learn_from(self, *, in_parts: bool) -> TensorPair:
        """The sample; in_parts: for parts of the scene, which a sample that is not all of it always is."""
        assert self.sample is not None
        if not in_parts and Sample.of(self.shape_yx, self.ratio).is_all:
            return self.sample
        return replace(self.sample, in_parts=True, scene_px=self.shape_yx[0] * self.shape_yx[1] * self.ratio**2)

    def tensors(self, hs: xr.DataArray, ms: xr.DataArray) -> TensorPair:
        """The usable bands of cubes as tensors."""
        hs = hs.copy(data=self.spikes.replaced(hs.values, ms.values)[0]) if self.spikes else hs
        values, masks = (to_tensor(hs, self.unit), to_tensor(ms, self.unit)), (measured(hs), measured(ms))
        offset, resampled = self.placement.offset_px_yx, self.placement.resamples_hs
        pair = TensorPair(*values, *masks, self.spectra, offset_px_yx=offset, hs_resampled=resampled)
        return pair if self.changes is None else self.changes.left_out(pair)

    def without(self, changes: Changes) -> Pair:
        """The same with the changed pixels of hs left out."""
        assert self.sample is not None
        changes = changes.learned_from(self.sample)
        sample, (rows, columns), known = changes.left_out(self.sample), self.shape_yx, self.left_out["hs"]
        assert sample.hs_valid is not None
        before = sample.hs_valid.numel() if self.sample.hs_valid is None else int(self.sample.hs_valid.sum())
        share = 1 - (1 - known["share"]) * int(sample.hs_valid.sum()) / max(before, 1)  # at seams nothing is changed
        found = {**known, "share": share, "pixels": round(share * rows * columns), CHANGED_ABOVE: changes.limit}
        return replace(self, changes=changes, sample=sample, left_out={**self.left_out, "hs": found})


def check_pair(
    placement: Placement, *, scale: float | None = None, destripe: bool = True, despike: bool = True
) -> Pair:
    """The pair of two placed images; what is known of the scene as a whole comes from its sample.

    scale: the value that counts as 1; by default `value_scale`. destripe, despike: whether stripes of hs are removed,
    and single values that stand out by far.

    Raises: InputError for an image without a usable band or pixel.
    """
    sample = Sample.of(placement.shape_yx, placement.ratio)
    hs, ms = read_sample(placement, sample)
    bands = []
    for cube, name in ((hs, "hs"), (ms, "ms")):
        bands.append(np.flatnonzero(usable_bands(cube)))
        if not bands[-1].size:
            found = f"{name} without one band that is good and has a finite value"
            raise InputError(found, "an image", "check its bad-band list, its nodata value and its extent")
    good_ms = bands[1]
    bands[1] = good_ms[telling_bands(ms.values[good_ms])]
    coarse, fine = (cube.isel(band=kept) for cube, kept in zip((hs, ms), bands, strict=True))
    for image, cube, name in ((placement.hs, coarse, "hs"), (placement.ms, fine, "ms")):
        if not image.in_memory:  # cubes were checked whole as they were placed
            check_cube(cube, name)
    middle_of_hs = middle_of(placement.hs, bands[0], DEFECTS_PX)
    striped = [] if placement.stripes else striped_lines(middle_of_hs)
    if striped and destripe and not placement.resamples_hs and min(placement.shape_yx) >= LEAST_LINES:
        return check_pair(without_stripes(placement, bands[0], striped), scale=scale, despike=despike)
    spikes, spiky = Spikes.of(coarse.values, fine.values) if despike else None, 0
    if spikes:
        values, spiky = spikes.replaced(coarse.values, fine.values)
        coarse = coarse.copy(data=values)
    unit = value_scale(coarse.values) if scale is None else scale
    spectra = Spectra(wavelengths_nm(coarse), wavelengths_nm(fine), fwhm_nm(fine))
    warnings = (*unit_warnings(coarse, fine), *defect_warnings(middle_of_hs, striped=striped, spiky=spiky))
    warnings = (*warnings, *ms_warnings(middle_of(placement.ms, bands[1], LOOKED_AT_MS_PX)))
    warnings = (*coarser_warnings(placement.ms.origin, bands[1]), *warnings)
    if untelling := np.setdiff1d(good_ms, bands[1]).tolist():
        warnings = (f"{named_bands(ms, untelling, 'ms')} left out: constant, or a copy or sum of others", *warnings)
    for cube, kept, name in ((ms, bands[1], "ms"), (hs, bands[0], "hs")):
        warnings = (*gap_warnings(cube, kept, name), *saturation_warnings(cube, kept, name), *warnings)
    pair = Pair(placement, bands[0], bands[1], (len(hs), len(ms)), unit, spectra, {}, warnings, None, spikes=spikes)
    tensors = pair.tensors(coarse, fine)
    rows, columns = placement.shape_yx
    left_out = {
        "hs": {"bands": len(hs) - len(bands[0]), **missing_of(tensors.hs_valid, rows * columns)},
        "ms": {"bands": len(ms) - len(good_ms), **missing_of(tensors.ms_valid, rows * columns * pair.ratio**2)},
    }
    return replace(pair, left_out=left_out, sample=sample.without_seams(tensors))


def middle_of(image: Image | CubeImage, bands: NDArray[np.intp], most_px: int) -> NDArray[np.floating]:
    """Values (n, y, x) of bands of an image, of as many pixels in its middle."""
    part = image.cube(middle(image.outline().shape[1:], most_px))
    return np.asarray(part.isel(band=bands).values)


def read_sample(placement: Placement, sample: Sample) -> tuple[xr.DataArray, xr.DataArray]:
    """hs and ms of the sample, its windows side by side."""
    if sample.is_all:
        return placement.read(placement.everything)
    rows = []
    for windows in sample.windows:
        pieces = [placement.read(window) for window in windows]
        rows.append([np.concatenate([piece[i].values for piece in pieces], axis=2) for i in (0, 1)])
    hs, ms = (
        with_bands_of(outline, np.concatenate([row[i] for row in rows], axis=1), crs=None, transform=None)
        for i, outline in enumerate((placement.hs.outline(), placement.ms.outline()))
    )
    return hs, ms


def missing_of(valid: Tensor | None, pixels: int) -> dict[str, float]:
    """The share of pixels that are not measured, and how many of an image that makes."""
    share = 0.0 if valid is None else float((~valid).double().mean())
    return {"pixels": round(share * pixels), "share": share}
