"""What a worker has to know to sharpen any tile of a scene, and how it does it."""

import pickle
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.cube import fwhm_nm, good_bands, make_cube, only_usable, usable_bands, wavelengths_nm
from hypersharp.fusion.fuse import settings_for
from hypersharp.fusion.learn import learn_named
from hypersharp.fusion.sharpener import Recipe
from hypersharp.methods.base import Method
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.lazy import PairSource
from hypersharp.pair.place import check_units, note_left_out
from hypersharp.pair.sample import Sample
from hypersharp.pair.settings import FuseOptions, Settings
from hypersharp.pair.tensors import measured, missing_pixels, to_tensor
from hypersharp.sensor.psf import PSF
from hypersharp.tiles.plan import Tile, Tiling
from hypersharp.tiles.store import write_whole
from hypersharp.uncertainty.calibrate import REACH, Trust, trust_floats_per_px

HALF_WIDTHS = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class Job:
    """A pair, what was learned from it, and the form of the result.

    `bands` and `ms_bands` are the usable ones, `all_bands` counts those of hs; `unit` is the value that counts as 1;
    `dtype` is the result's; `tiling` lays out the tiles, one that is everything before they are, for so many
    `workers`; `trust` predicts the result's error, if wanted.
    """

    pair: PairSource
    recipe: Recipe
    settings: Settings
    bands: NDArray[np.intp]
    ms_bands: NDArray[np.intp]
    all_bands: int
    unit: float
    dtype: np.dtype[Any]
    tiling: Tiling
    workers: int = 1
    trust: Trust | None = None

    def sharpen(self, tile: Tile, device: str | None = None) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The core of a tile, (all bands of hs, H, W), in the unit and type of the result; its half-widths, if any."""
        hs, ms = self.read(tile)
        pair = self.tensors(hs, ms)
        with torch.inference_mode():
            sharp = self.recipe(*pair, self.told(hs, ms, device)).float().cpu()
            widths = self.trust(sharp, *pair) if self.trust else None
        core = tile.core_in_seen(self.pair.ratio)
        missing = missing_pixels(hs, ms)[core]

        def finished(image: Tensor, dtype: np.dtype[Any]) -> NDArray[Any]:
            values = image[(slice(None), *core)].numpy() * np.float32(self.unit)
            return as_type(self.with_all_bands(values), missing, dtype)

        return finished(sharp, self.dtype), None if widths is None else finished(widths, HALF_WIDTHS)

    def halo_px(self) -> int:
        """How far (fine pixels) a pixel of the result and its half-width see."""
        return self.recipe.halo_px(self.pair.ratio) + (REACH * self.pair.ratio if self.trust else 0)

    def floats_per_px(self) -> float:
        """How many float32 making a tile holds per fine pixel at most."""
        bands = len(self.bands)
        own = self.recipe.floats_per_px(bands)
        return max(own, trust_floats_per_px(bands)) if self.trust else own

    def read(self, tile: Tile) -> tuple[xr.DataArray, xr.DataArray]:
        """The usable bands of what a tile sees."""
        hs, ms = self.pair.read(tile.seen)
        return hs.isel(band=self.bands), ms.isel(band=self.ms_bands)

    def tensors(self, hs: xr.DataArray, ms: xr.DataArray) -> tuple[Tensor, Tensor]:
        return to_tensor(hs, self.unit), to_tensor(ms, self.unit)

    def told(self, hs: xr.DataArray, ms: xr.DataArray, device: str | None = None) -> Settings:
        """The settings for a part of the scene."""
        device = device or self.settings.device
        return replace(self.settings, hs_valid=measured(hs), ms_valid=measured(ms), device=device, notes=[])

    def with_all_bands(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """With NaN in place of the bands that are left out."""
        if len(self.bands) == self.all_bands:
            return values
        every = np.full((self.all_bands, *values.shape[1:]), np.nan, np.float32)
        every[self.bands] = values
        return every


def as_type(values: NDArray[np.float32], missing: NDArray[np.bool_], dtype: np.dtype[Any]) -> NDArray[Any]:
    """With NaN where a pixel is missing, or rounded to whole numbers where none can be."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    else:
        values[:, missing] = np.nan
    return values.astype(dtype, copy=False)


def learn_job(
    pair: PairSource,
    method: Method,
    options: FuseOptions,
    *,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    scale: float | None = None,
) -> Job:
    """The job for a method on a pair, learned from a sample of it; psf, srf and scale as `fuse` takes them.

    Raises: InputError for a pair that cannot be fused.
    """
    sample = Sample.of(pair.shape_yx, pair.ratio)
    hs, ms = read_sample(pair, sample)
    known = settings_for(method, hs, ms, options, psf=psf, srf=srf, ratio=pair.ratio, notes=pair.notes)
    bands, ms_bands = (np.flatnonzero(usable_in_sample(cube)) for cube in (hs, ms))
    coarse, fine = hs.isel(band=bands), ms.isel(band=ms_bands)
    unit = value_scale(coarse.values) if scale is None else scale
    note_left_out(hs, ms, known)
    check_units(coarse, fine, known)
    tensors = to_tensor(coarse, unit), to_tensor(fine, unit)
    recipe = learn_named(method, *tensors, known if sample.is_all else sample.without_seams(known))
    dtype = result_type(pair, hs, ms, all_usable=len(bands) == len(hs))
    everything = Tiling(pair.shape_yx, pair.ratio, max(pair.shape_yx), 0)
    return Job(pair, recipe, replace(known, progress=None), bands, ms_bands, len(hs), unit, dtype, everything)


def read_sample(pair: PairSource, sample: Sample) -> tuple[xr.DataArray, xr.DataArray]:
    """hs and ms of the sample, its windows side by side."""
    rows = []
    for run_y in sample.rows:
        windows = [(run_y.start, run_x.start, len(run_y), len(run_x)) for run_x in sample.columns]
        pieces = [pair.read(window) for window in windows]
        rows.append([np.concatenate([piece[i].values for piece in pieces], axis=2) for i in (0, 1)])
    outlines = pair.hs.outline(), pair.ms.outline()
    hs, ms = (
        make_cube(
            np.concatenate([row[i] for row in rows], axis=1),
            wavelengths_nm=wavelengths_nm(outline),
            fwhm_nm=fwhm_nm(outline),
            good_bands=good_bands(outline),
        )
        for i, outline in enumerate(outlines)
    )
    return hs, ms


def usable_in_sample(cube: xr.DataArray) -> NDArray[np.bool_]:
    """True for each band that can be worked with, see `cube.usable_bands`; of a sample, for the scene."""
    only_usable(cube, "the sample")
    return usable_bands(cube)


def result_type(pair: PairSource, hs: xr.DataArray, ms: xr.DataArray, *, all_usable: bool) -> np.dtype[Any]:
    """That of hs; a floating one where NaN may have to stand for something in whole numbers."""
    whole = hs.dtype.kind in "iu" and ms.dtype.kind in "iu" and all_usable
    if hs.dtype.kind == "f" or (whole and not (pair.hs.leaves_out or pair.ms.leaves_out or pair.alignment)):
        return hs.dtype
    return np.dtype(np.float32)


@lru_cache(maxsize=2)
def stored_job(path: Path, stamp_ns: int) -> Job:  # noqa: ARG001 - another stamp, another job
    """The job that `store_job` wrote; read once by a process."""
    job: Job = pickle.loads(path.read_bytes())  # written by `store_job` of the same run, beside its own tiles
    return job


def store_job(job: Job, path: Path) -> None:
    """Keep a job for other processes and for a run that goes on later."""
    write_whole(path, pickle.dumps(job))
