"""The main job: two images in, one sharp image out, in the user's units, on the ms's grid."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hypersharp.cube import only_usable
from hypersharp.errors import CallError, check_name
from hypersharp.fusion.choose.auto import AUTO
from hypersharp.fusion.learn import run_named
from hypersharp.methods.base import Method
from hypersharp.methods.bicubic import BICUBIC
from hypersharp.methods.cnmf import CNMF
from hypersharp.methods.dbin import DBIN_METHOD
from hypersharp.methods.dhsis import DHSIS_METHOD
from hypersharp.methods.fuse_wei import FUSE
from hypersharp.methods.glp import GLP
from hypersharp.methods.gsa import GSA
from hypersharp.methods.hysure import HYSURE
from hypersharp.methods.sfim import SFIM
from hypersharp.methods.ssjcn import SSJCN_METHOD
from hypersharp.networks.onnx.cache import SUFFIX
from hypersharp.networks.packaged import named_weights
from hypersharp.numerics.unit import value_scale
from hypersharp.pair.align import to_ms_grid
from hypersharp.pair.place import Move, check_units, known_settings, note_left_out, place
from hypersharp.pair.sample import Sample
from hypersharp.pair.settings import FuseOptions, Mode, Precision, Progress, Runtime, Settings
from hypersharp.pair.tensors import from_tensor, to_tensor
from hypersharp.sensor.psf import PSF

OutGrid = Literal["pair", "ms"]

METHODS: dict[str, Method] = {
    "auto": AUTO,
    "bicubic": BICUBIC,
    "cnmf": CNMF,
    "dbin": DBIN_METHOD,
    "dhsis": DHSIS_METHOD,
    "fuse": FUSE,
    "glp": GLP,
    "gsa": GSA,
    "hysure": HYSURE,
    "sfim": SFIM,
    "ssjcn": SSJCN_METHOD,
}


def fuse(
    hs: xr.DataArray,
    ms: xr.DataArray,
    *,
    method: str = "auto",
    weights: str | Path | None = None,
    mode: Mode = "whole",
    tile_px: int = 128,
    device: str = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "torch",
    psf: str | Path | PSF | None = None,
    srf: str | Path | NDArray[np.float64] | None = None,
    ratio: int | None = None,
    scale: float | None = None,
    consistent: bool | None = None,
    budget_s: float = 60.0,
    move: Move = "shift",
    grid: OutGrid = "pair",
    progress: Progress | None = None,
) -> xr.DataArray:
    """Sharpen hs with ms, after bringing the two to one grid (`align`) where their georeferences do not nest.

    Args:
        hs: hyperspectral image (L, h, w), any unit; NaN where missing.
        ms: multispectral, RGB or panchromatic image (l, H, W) of the same place in the same unit.
        method: a name of METHODS; "auto" tries them on the pair degraded once more and takes the best, or their
            blend, but the network of the weights where some are given.
        weights: packaged name or file, for methods with a network; by default those that fit.
        runtime: what runs a network, "torch" or, in float32, "onnx", as weights in an ONNX file always are.
        mode: how a network runs: "whole" image, blended "tiles" of tile_px, or the paper's "patches".
        psf: blur of hs, a spec such as "gaussian:8:2" or a file; by default the method's own or estimated.
        srf: response (l, L) of ms, a name or a file; by default the one of the weights or estimated.
        ratio: fine pixels per coarse one; by default from the sizes, which it must agree with.
        scale: the value that counts as 1; by default 1 for floats up to about 1, else the 99.9 % quantile of hs.
        consistent: change the result as little as it takes to give back hs, within its noise, when it is
            degraded (`consistency.project`). None: where the psf is known or estimated anyway and that raises the
            scores on the pair degraded once more.
        budget_s: seconds that "auto" may take in all, about.
        move: "shift" moves the ms by a fraction of a pixel to lie on hs where the images prove that it does not, and
            says so; a psf that is given tells where hs's pixels lie, and nothing is moved.
        grid: where ms had to be aligned, the result's: "pair" nests exactly in hs's pixels, "ms" is that of the
            ms given, at the cost of a second resampling.
        progress: called with the fraction done, 0..1.

    Returns:
        (L, H, W) with the bands of hs, the grid and CRS of ms (aligned), the unit and dtype of hs; what was chosen
        stands in attrs["hypersharp"].

    Raises:
        InputError: unusable or ill-matched images, an unknown name, no weights that fit.
    """
    check_name("move", move, get_args(Move))
    check_name("grid", grid, get_args(OutGrid))
    options = FuseOptions(
        weights=weights,
        mode=mode,
        tile_px=tile_px,
        device=device,
        precision=precision,
        runtime=runtime,
        consistent=consistent,
        budget_s=budget_s,
        progress=progress,
    )
    method = method_for(method, weights)
    placed = place(hs, ms, ratio=ratio, move=move, psf_told=psf is not None)
    hs, ms = placed.hs, placed.ms
    settings = settings_for(METHODS[method], hs, ms, options, psf=psf, srf=srf, ratio=placed.ratio, notes=placed.notes)
    coarse, fine = only_usable(hs, "hs"), only_usable(ms, "ms")
    sample = Sample.of((coarse.shape[1], coarse.shape[2]), placed.ratio)
    unit = value_scale(sample.coarse(coarse.values)) if scale is None else scale
    note_left_out(hs, ms, settings)
    check_units(coarse, fine, settings)
    pair = to_tensor(coarse, unit), to_tensor(fine, unit)
    sharp = from_tensor(run_named(METHODS[method], *pair, settings), hs, ms, unit)
    sharp.attrs["hypersharp"] = "; ".join([f"method {method}, ratio {placed.ratio}, scale {unit:g}", *settings.notes])
    return to_ms_grid(sharp, placed.aligned) if placed.aligned and grid == "ms" else sharp


def settings_for(
    method: Method,
    hs: xr.DataArray,
    ms: xr.DataArray,
    options: FuseOptions,
    *,
    psf: str | Path | PSF | None,
    srf: str | Path | NDArray[np.float64] | None,
    ratio: int | None,
    notes: Sequence[str] = (),
) -> Settings:
    """What a method is told of a pair on nested grids, and what the user chose; notes: what was noted before.

    Raises: as `known_settings` and `with_runtime`.
    """
    known = known_settings(hs, ms, psf=psf, srf=srf, ratio=ratio)
    return with_runtime(method, replace(known, **vars(options), notes=list(notes)))


def find_method(name: str) -> Method:
    """A method by name.

    Raises: InputError, with the nearest names, for an unknown one.
    """
    check_name("method", name, METHODS)
    return METHODS[name]


def method_for(name: str, weights: str | Path | None) -> str:
    """The name, or that of the weights' network where weights are given and the method is not.

    Raises: InputError for an unknown method, or weights that are not there.
    """
    find_method(name)
    return named_weights(weights).method if weights is not None and name == AUTO.name else name


def with_runtime(method: Method, settings: Settings) -> Settings:
    """The settings, with onnxruntime where the weights are an ONNX file, and a note where it runs the network.

    Raises: CallError where it is asked for and the method has no network, or for bfloat16.
    """
    if settings.weights is not None and Path(settings.weights).suffix == SUFFIX:
        settings = replace(settings, runtime="onnx")
    if settings.runtime != "onnx":
        return settings
    if "weights" not in method.needs:
        raise CallError(
            f"--runtime onnx with method {method.name}",
            "a method with a network",
            "name --method ssjcn, dbin or dhsis, or leave --runtime out",
        )
    if settings.precision == "bf16":
        raise CallError("--runtime onnx with --precision bf16", "fp32 or auto", "leave --precision out")
    settings.note("network run by onnxruntime in fp32")
    return settings
