"""What a method is, and the only door between cubes (xarray, numpy) and tensors (torch)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hypersharp.cube import SCALED_ALREADY, like_ms_with_bands_of_hs, only_usable, usable_bands
from hypersharp.errors import CallError, check_name
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.spectra import Spectra

Mode = Literal["whole", "tiles", "patches"]
Precision = Literal["auto", "fp32", "bf16"]
Runtime = Literal["torch", "onnx"]
Progress = Callable[[float], None]
SCALE_QUANTILE = 0.999


@dataclass(frozen=True, kw_only=True)
class FuseOptions:
    """What a user may choose of how any method runs.

    `weights`: of the network, a packaged name or a file. `mode`: how a network runs, over tiles of `tile_px` fine
    pixels a side where not over the whole image. `runtime`: what runs it. `consistent`: whether the result is to give
    back hs; None: where that does no harm. `budget_s`: the seconds that `auto` may take, about. `progress` is called
    with the fraction done.

    Raises: InputError for an unknown mode, precision or runtime.
    """

    weights: str | Path | None = None
    mode: Mode = "whole"
    tile_px: int = 128
    device: str = "auto"
    precision: Precision = "auto"
    runtime: Runtime = "torch"
    consistent: bool | None = None
    budget_s: float = 60.0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_name("mode", self.mode, get_args(Mode))
        check_name("precision", self.precision, get_args(Precision))
        check_name("runtime", self.runtime, get_args(Runtime))


DEFAULTS = FuseOptions()


@dataclass(frozen=True)
class Settings(FuseOptions):
    """What the user chose and what is known of the pair; a method takes from it what it needs.

    `wavelengths_nm` (L,) are those of hs, `ms_wavelengths_nm` and `ms_fwhm_nm` (l,) centres and widths of the ms
    bands, None where they are not known. `psf` and `srf` (l, L) are None where the user gave none: a method then takes
    its own or estimates them.
    `hs_valid` (h, w) and `ms_valid` (H, W) are True where a pixel is measured in every band, None where all
    are. The tensors hold the nearest measured pixel elsewhere: leave those out of regressions and means.
    `in_parts`: what is learned will be applied to other parts of the scene than it was learned from, so that image-wide
    means and the like have to be kept. `pixels`: of the whole ms, where a sample of it is compared on and times are to
    be those of the whole.
    """

    ratio: int
    wavelengths_nm: NDArray[np.float64] | None = None
    ms_wavelengths_nm: NDArray[np.float64] | None = None
    ms_fwhm_nm: NDArray[np.float64] | None = None
    psf: PSF | None = None
    srf: NDArray[np.float64] | None = None
    hs_valid: Tensor | None = None
    ms_valid: Tensor | None = None
    in_parts: bool = False
    pixels: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def spectra(self) -> Spectra:
        """What is known of the wavelengths of both images."""
        return Spectra(self.wavelengths_nm, self.ms_wavelengths_nm, self.ms_fwhm_nm)

    def report(self, fraction: float) -> None:
        if self.progress:
            self.progress(fraction)

    def note(self, text: str) -> None:
        """Something the user should read after the run; once is enough."""
        if text not in self.notes:
            self.notes.append(text)


class Apply(Protocol):
    """hs (L, h, w) and ms (l, H, W) of a scene or a part of it, float32, about 0..1 -> estimate (L, H, W)."""

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor: ...


class Learn(Protocol):
    """hs (L, h, w) and ms (l, H, W) of a scene, or a sample of it -> what sharpens any part of that scene.

    What is given back can be pickled, so that other processes can apply it.
    """

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Apply: ...


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    `learn` finds what belongs to a scene as a whole (subspace, sensor, gains, pooled means); what it gives back is
    local: a result pixel sees `halo_px` fine pixels or `halo_coarse` coarse ones far, whichever is further; less than
    1e-4 of the range comes in from beyond.
    `floats_per_px`: for (L, l), how many float32 applying it holds per fine pixel at most, hs, ms and result included
    (measured: peak of the resident memory on 256 and 448 pixels a side, and a little).
    """

    name: str
    title: str
    paper: str
    needs: tuple[str, ...]
    halo_px: int
    licence: str
    learn: Learn
    floats_per_px: Callable[[int, int], float] = lambda bands, ms_bands: 8.0 * bands + ms_bands
    halo_coarse: int = 5  # what any blur and interpolation reach

    def run(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W): what the pair tells applied to the pair."""
        return self.learn(hs, ms, settings)(hs, ms, settings)


def local(apply: Apply) -> Learn:
    """How a method learns that takes nothing from the scene as a whole."""
    return partial(learn_nothing, apply)


def learn_nothing(apply: Apply, hs: Tensor, ms: Tensor, settings: Settings) -> Apply:  # noqa: ARG001
    return apply


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device, else the CPU.

    Raises: CallError for a device that torch does not know or this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        raise CallError(
            f"device '{name}', which is not available here", "auto, cpu, cuda or cuda:N", "use auto"
        ) from exc
    return device


def value_scale(hs: NDArray[np.generic]) -> float:
    """The value that counts as 1: that of the dtype's user, or 1 for floats that are scaled already."""
    finite = hs[np.isfinite(hs)]
    top = float(np.quantile(finite, SCALE_QUANTILE))
    floating = np.issubdtype(hs.dtype, np.floating)
    return 1.0 if floating and top <= SCALED_ALREADY or top <= 0 else top


def to_tensor(cube: xr.DataArray, scale: float) -> Tensor:
    """Cube (band, y, x) -> float32 tensor, divided by scale, gaps filled from the nearest pixel."""
    values = np.asarray(cube.values, dtype=np.float32) / np.float32(scale)
    return torch.from_numpy(fill_gaps(values))


def fill_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same image with each pixel that has a NaN in any band taken from the nearest whole one."""
    missing = np.isnan(values).any(0)
    if not missing.any() or missing.all():
        return np.nan_to_num(values)
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: NDArray[np.float32] = values[:, nearest[0], nearest[1]]
    return filled


def from_tensor(estimate: Tensor, hs: xr.DataArray, ms: xr.DataArray, scale: float) -> xr.DataArray:
    """Tensor (L', H, W) -> cube in the user's units, with the bands of hs, on ms's grid, gaps of either put back.

    L' are the usable bands of hs; the others are NaN in their place. The dtype is that of hs, or, where NaN has
    to stand for something in whole numbers, a floating one.
    """
    values = estimate.float().cpu().numpy() * np.float32(scale)
    kept = usable_bands(hs)
    missing = missing_pixels(only_usable(hs, "hs"), only_usable(ms, "ms"))
    if not kept.all():
        values, found = np.full((len(kept), *missing.shape), np.nan, np.float32), values
        values[kept] = found
    if np.issubdtype(hs.dtype, np.floating):
        values = values.astype(hs.dtype, copy=False)
    elif kept.all() and not missing.any():
        limits = np.iinfo(hs.dtype)
        return like_ms_with_bands_of_hs(
            np.clip(np.rint(values), limits.min, limits.max).astype(hs.dtype), hs, ms
        )
    values[:, missing] = np.nan
    return like_ms_with_bands_of_hs(values, hs, ms)


def missing_pixels(hs: xr.DataArray, ms: xr.DataArray) -> NDArray[np.bool_]:
    """(H, W): where ms, or the coarse pixel of hs above it, is NaN in any band."""
    ratio = ms.shape[1] // hs.shape[1]
    coarse = gaps(hs).repeat(ratio, axis=0).repeat(ratio, axis=1)
    missing: NDArray[np.bool_] = coarse | gaps(ms)
    return missing


def gaps(cube: xr.DataArray) -> NDArray[np.bool_]:
    """(y, x): where a cube is NaN in any band."""
    found: NDArray[np.bool_] = np.zeros(cube.shape[1:], bool)
    if np.issubdtype(cube.dtype, np.floating):
        for band in cube.values:
            found |= np.isnan(band)
    return found


def measured(cube: xr.DataArray) -> Tensor | None:
    """(y, x): True where a cube has a value in every band; None where it has one everywhere."""
    missing = gaps(cube)
    return torch.from_numpy(~missing) if missing.any() else None
