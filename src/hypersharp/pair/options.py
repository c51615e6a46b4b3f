"""What a user chose of a fusion, once and for all of it."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from hypersharp.errors import CallError, check_name
from hypersharp.system.deterministic import is_deterministic

Mode = Literal["whole", "tiles", "patches"]
Precision = Literal["auto", "fp32", "bf16"]
Runtime = Literal["torch", "onnx"]
Frame = Literal["ms", "hs"]
Coregister = Literal["local", "affine", "shift", "none"]
Progress = Callable[[float], None]
TILE_PX, BUDGET_S = 128, 60.0  # by default, which no method but the one that heeds them is asked for


def ignore(fraction: float) -> None:
    """The progress nobody watches."""


def part_of(progress: Progress, first: float, last: float) -> Progress:
    """The progress of a part of the work that begins at the fraction `first` of all and ends at `last`."""
    return lambda fraction: progress(first + (last - first) * fraction)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a pair is fused, as far as the user chooses it; the defaults are those of `fuse`.

    Attributes:
        weights: packaged name or file, for methods with a network; by default those that fit.
        mode: how a network runs: the "whole" image, blended "tiles" of `tile_px` fine pixels a side, or the paper's
            "patches".
        tile_px: side of those tiles; None: TILE_PX.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: of a network; "auto" takes bfloat16 where this machine is faster at it.
        runtime: what runs a network, "torch" or "onnx".
        ensemble: whether a network runs on all orientations of the scene in which the PSF stays itself, for their mean.
        consistent: whether the result, blurred and downsampled, is to reproduce hs; None: where that raises the scores
            at reduced resolution.
        budget_s: seconds that the method "auto" may take, about; None: BUDGET_S.
        scale: the value that counts as 1; by default the 99.9 % quantile of hs.
        coregister: the richest displacement between hs and ms that is looked for, "local" (a smooth field), "affine",
            "shift" or "none"; the images decide.
        frame: whose pixels the result has: those of "ms", or a multiple of those of "hs", to which ms is resampled.
        destripe: whether stripes are removed from an hs that has some.
        keep_changed: whether pixels of hs count that show something else than the ms (a cloud, a changed field), and
            single values that stand out by far.
        psf_is_centred: a psf that is given is the blur alone, about the middle of a coarse pixel: where hs lies is
            looked for all the same.

    Raises InputError for an unknown mode, precision, runtime, coregister or frame.

    >>> Options(mode="tiles").chosen()
    {'mode': 'tiles'}
    """

    weights: str | Path | None = None
    mode: Mode = "whole"
    tile_px: int | None = None
    device: str = "auto"
    precision: Precision = "auto"
    runtime: Runtime = "torch"
    ensemble: bool = False
    consistent: bool | None = None
    budget_s: float | None = None
    scale: float | None = None
    coregister: Coregister = "local"
    frame: Frame = "ms"
    destripe: bool = True
    keep_changed: bool = False
    psf_is_centred: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():  # as JSON can hold them, for torch and numpy have objects of their own
            plain = str(value) if name == "device" else value.item() if isinstance(value, np.generic) else value
            object.__setattr__(self, name, plain)
        literals = {"mode": Mode, "precision": Precision, "runtime": Runtime, "coregister": Coregister, "frame": Frame}
        for name, known in literals.items():
            check_name(name, getattr(self, name), get_args(known))
        for name, least in (("scale", 0.0), ("budget_s", -1e-9)):
            if (value := getattr(self, name)) is not None and not value > least:
                raise CallError(f"{name}={value:g}", "a positive number", "correct it, or leave it out")

    def coregister_with(self, psf: object) -> Coregister:
        """What is looked for beside a PSF; one that was given fixes where the pixels of hs lie."""
        return self.coregister if psf is None or self.psf_is_centred else "none"

    def chosen(self) -> dict[str, Any]:
        """What differs from the defaults, JSON-able."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, (value, default) in values.items()
            if value != default
        }


def given_ratio(ratio: Any) -> int | None:
    """A ratio as a caller gave it, None for none. Raises: CallError for what is no whole number.

    >>> given_ratio(4.0), given_ratio(None)
    (4, None)
    """
    if ratio is None:
        return None
    if isinstance(ratio, int | float | np.number) and float(ratio).is_integer():
        return int(ratio)
    raise CallError(f"ratio={ratio!r}", "a whole number, such as ratio=4", "correct it, or leave it out")


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device, else the CPU.

    Raises: CallError for a device that torch does not know or this machine does not have.
    """
    if is_deterministic():
        torch.use_deterministic_algorithms(True, warn_only=True)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        found = f"device '{name}', which is not available here"
        raise CallError(found, "auto, cpu, cuda or cuda:N", "use auto") from exc
    return device
