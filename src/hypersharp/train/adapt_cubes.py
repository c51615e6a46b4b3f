"""From two cubes to a weights file of their own: the door from cubes to `adapt`, for `hypersharp adapt`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable
from hypersharp.errors import CallError
from hypersharp.networks.checkpoint import save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.place import known_settings, place
from hypersharp.pair.settings import Progress
from hypersharp.pair.tensors import to_tensor, value_scale
from hypersharp.sensor.psf import PSF
from hypersharp.system.build_info import commit, machine
from hypersharp.train.adapt import AdaptOptions, Outcome, adapt


def adapt_pair(
    hs: xr.DataArray,
    ms: xr.DataArray,
    out: Path,
    *,
    options: AdaptOptions | None = None,
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    move: Literal["shift", "none"] = "shift",
    device: str = "auto",
    progress: Progress | None = None,
) -> Outcome:
    """Learn from hs (L, h, w) and ms (l, H, W) in one unit and write the weights; psf, srf and move as for `fuse`.

    Raises: CallError for a file that is no .safetensors; InputError for images that do not match, do not tell
    their sensor or are too small.
    """
    check_weights_path(out)
    placed = place(hs, ms, ratio=ratio, move=move, psf_told=psf is not None)
    hs, ms = placed.hs, placed.ms
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    known = known_settings(hs, ms, psf=psf, srf=srf, ratio=placed.ratio)
    settings = replace(known, device=device, progress=progress, notes=list(placed.notes))
    chosen, unit = options or AdaptOptions(), value_scale(coarse.values)
    net, learnt = adapt(to_tensor(coarse, unit), to_tensor(fine, unit), settings, chosen)
    outcome = replace(learnt, notes=tuple(settings.notes))
    provenance = {
        **asdict(chosen),
        **asdict(outcome),
        "scale": unit,
        "commit": commit(),
        "machine": machine(),
        "torch": torch.__version__,
    }
    centres = settings.wavelengths_nm
    nm = None if centres is None else tuple(float(centre) for centre in centres)
    save_weights(out, net, WeightsHeader("ssjcn-subspace", asdict(net.options), nm, provenance))
    return outcome


def check_weights_path(out: Path) -> None:
    if out.suffix != ".safetensors":
        raise CallError(f"--out {out}", "a file that ends in .safetensors", "rename it")
