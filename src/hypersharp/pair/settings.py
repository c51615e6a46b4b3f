"""What a user chose and what is known of a pair, as methods are told it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypersharp.errors import CallError, check_name
from hypersharp.sensor.psf import PSF
from hypersharp.sensor.spectra import Spectra

Mode = Literal["whole", "tiles", "patches"]


Precision = Literal["auto", "fp32", "bf16"]


Runtime = Literal["torch", "onnx"]


Progress = Callable[[float], None]


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
