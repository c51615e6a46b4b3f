"""The only door between cubes (xarray, numpy) and tensors (torch), and a pair as methods see it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hypersharp.cube import usable_bands
from hypersharp.numerics.noise import signal_to_noise_db, unshared_noise
from hypersharp.sensor.diagnosis import Noise, measure_noise
from hypersharp.sensor.observe import Sensor
from hypersharp.sensor.spectra import Spectra

UNKNOWN = Spectra()
ORIENTATIONS = 8  # of a square: quarter turns, and those of its mirror image


@dataclass(frozen=True, eq=False)
class TensorPair:
    """What a method works on: HS and MS of a scene, of a part of it or of a sample, float32, about 0..1, without gaps.

    Args:
        hs: (L, h, w), the usable bands.
        ms: (l, H, W), H = ratio h and W = ratio w.
        hs_valid: (h, w), True where a pixel is measured in every band; None where all are. The tensors hold the
            nearest measured pixel elsewhere: leave those out of regressions and means.
        ms_valid: (H, W), likewise.
        spectra: what is known of the wavelengths of both.
        in_parts: what is learned from this pair is applied to other parts of its scene too, so that image-wide means
            and the like have to be kept.
        offset_px_yx: how far (down, right) off the middle of their fine pixels the centres of coarse ones lie, fine
            pixels, as far as georeference and registration know.
        hs_resampled: whether hs was resampled to come to lie on blocks of ms pixels.
        scene_px: fine pixels of the scene that this is a sample of, where that matters (times); None: its own.

    >>> TensorPair(torch.rand(5, 3, 4), torch.rand(1, 6, 8)).ratio
    2
    """

    hs: Tensor
    ms: Tensor
    hs_valid: Tensor | None = None
    ms_valid: Tensor | None = None
    spectra: Spectra = UNKNOWN
    in_parts: bool = False
    offset_px_yx: tuple[float, float] = (0.0, 0.0)
    hs_resampled: bool = False
    scene_px: int | None = None

    @property
    def ratio(self) -> int:
        """Fine pixels per coarse pixel along a side."""
        return self.ms.shape[-1] // self.hs.shape[-1]

    @property
    def centre_yx(self) -> tuple[float, float]:
        """Where the centre of coarse pixel (0, 0) lies, in fine pixels."""
        (down, right), middle = self.offset_px_yx, (self.ratio - 1) / 2
        return middle + down, middle + right

    @cached_property
    def noise(self) -> Noise:
        """That of both images, by neighbouring bands and texture: whoever asks first has it measured."""
        return measure_noise(self.hs, self.ms, self.hs_valid, self.ms_valid)

    @cached_property
    def ms_noise(self) -> Tensor:
        """The standard deviation of the noise of each ms band, (l,), by what their textures do not share."""
        return unshared_noise(self.ms, self.ms_valid)

    @cached_property
    def ms_snr_db(self) -> float:
        """The signal to that noise, of the middle band."""
        return signal_to_noise_db(measured_pixels(self.ms, self.ms_valid), self.ms_noise.double().square())

    def measured_under(self, sensor: Sensor) -> Tensor:
        """(h, w): measured in hs, and its blur sees pixels measured in ms; all where that leaves none."""
        everything = torch.ones(self.hs.shape[1:], dtype=torch.bool)
        valid = everything if self.hs_valid is None else self.hs_valid.cpu()
        if self.ms_valid is not None:
            valid = valid & sensor.sees_only(self.ms_valid).cpu()
        return valid if valid.any() else everything

    def measured_finely(self) -> Tensor:
        """(H, W): measured in ms and in the pixel of hs above."""
        valid = torch.ones(self.ms.shape[1:], dtype=torch.bool) if self.ms_valid is None else self.ms_valid.cpu()
        if self.hs_valid is not None:
            valid = valid & self.hs_valid.cpu().repeat_interleave(self.ratio, 0).repeat_interleave(self.ratio, 1)
        return valid

    def changed(self, change: Callable[[Tensor], Tensor]) -> "TensorPair":
        """The pair with both images, and their masks, changed alike."""
        hs_valid, ms_valid = (None if mask is None else change(mask) for mask in (self.hs_valid, self.ms_valid))
        return replace(self, hs=change(self.hs), ms=change(self.ms), hs_valid=hs_valid, ms_valid=ms_valid)


def turned(image: Tensor, orientation: int) -> Tensor:
    """(.., y, x) turned by orientation % 4 quarter turns, then mirrored for 4..7."""
    quarters = torch.rot90(image, orientation % 4, (-2, -1))
    return (quarters.flip(-1) if orientation >= 4 else quarters).contiguous()


def to_tensor(cube: xr.DataArray, scale: float) -> Tensor:
    """Cube (band, y, x) -> float32 tensor, divided by scale, gaps filled from the nearest pixel."""
    return torch.from_numpy(fill_gaps(np.asarray(cube.values, dtype=np.float32) / np.float32(scale)))


def fill_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same image with each pixel that has a NaN in any band taken from the nearest whole one."""
    missing = np.isnan(values).any(0)
    if not missing.any() or missing.all():
        return np.nan_to_num(values)
    nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: NDArray[np.float32] = values[:, nearest[0], nearest[1]]
    return filled


def fill_bands(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same image with each NaN taken from the nearest pixel that its band has; zero in a band without any."""
    filled, alike = np.empty_like(values), dict[bytes, list[int]]()  # by the gaps of each; `np.unique` is far slower
    for band, image in enumerate(values):
        alike.setdefault(np.packbits(np.isnan(image)).tobytes(), []).append(band)
    for bands in alike.values():
        filled[bands] = fill_gaps(values[bands])
    return filled


def usable_values(cube: xr.DataArray) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """The usable bands of a cube by number, their values (n, y, x) without gaps, and where (y, x) they had none."""
    kept = np.flatnonzero(usable_bands(cube))
    cube = cube.isel(band=kept)
    return kept, fill_gaps(np.asarray(cube.values, np.float32)), ~gaps(cube)


def gaps(cube: xr.DataArray) -> NDArray[np.bool_]:
    """(y, x): where a cube is NaN in any band."""
    found: NDArray[np.bool_] = np.zeros(cube.shape[1:], bool)
    if np.issubdtype(cube.dtype, np.floating):
        for band in cube.values:
            found |= np.isnan(band)
    return found


def measured_pixels(image: Tensor, valid: Tensor | None) -> Tensor:
    """(n, h, w) -> (n, N); all pixels where none is measured."""
    return image.flatten(1) if valid is None or not valid.any() else image[:, valid]


def measured(cube: xr.DataArray) -> Tensor | None:
    """(y, x): True where a cube has a value in every band; None where it has one everywhere."""
    missing = gaps(cube)
    return torch.from_numpy(~missing) if missing.any() else None
