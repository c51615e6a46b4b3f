"""From two cubes to a weights file of their own: the door from cubes to `adapt`, for `hypersharp adapt`."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from hypersharp.errors import CallError
from hypersharp.io.image import CubeImage
from hypersharp.networks.checkpoint import save_weights
from hypersharp.networks.header import WeightsHeader
from hypersharp.pair.options import Options, Progress, ignore
from hypersharp.pair.pair import check_pair
from hypersharp.pair.place import place
from hypersharp.pair.sensor import PairSensor, given_sensor
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
    coregister: bool = True,
    device: str = "auto",
    progress: Progress = ignore,
) -> Outcome:
    """Learn from hs (L, h, w) and ms (l, H, W) in one unit and write the weights; from psf on as `fuse`.

    Raises: CallError for a file that is no .safetensors; InputError for images that do not match, do not tell
    their sensor or are too small.
    """
    check_weights_path(out)
    pair = check_pair(place(CubeImage(hs), CubeImage(ms), ratio=ratio, coregister=coregister and psf is None))
    tensors = pair.whole()
    sensor = PairSensor(tensors, *given_sensor(pair, psf, srf))
    chosen = options or AdaptOptions()
    net, learnt = adapt(tensors, sensor, Options(device=device), chosen, progress)
    outcome = replace(learnt, notes=pair.placement.notes)
    provenance = {
        **asdict(chosen),
        **asdict(outcome),
        "scale": pair.unit,
        "commit": commit(),
        "machine": machine(),
        "torch": torch.__version__,
    }
    centres = pair.spectra.hs_nm
    nm = None if centres is None else tuple(float(centre) for centre in centres)
    save_weights(out, net, WeightsHeader("ssjcn-subspace", asdict(net.options), nm, provenance))
    return outcome


def check_weights_path(out: Path) -> None:
    if out.suffix != ".safetensors":
        raise CallError(f"--out {out}", "a file that ends in .safetensors", "rename it")
