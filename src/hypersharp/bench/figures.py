"""Figures 4 to 6 of the SSJCN paper (Wang, Xu, Wu, Wei 2021): what the network holds on its way, on two scenes.

4: the estimate after each iteration and the attended error map added to it; 5: the true error after the first
reconstruction next to the error map that the second block predicts; 6: the degraded estimate next to the image
that was observed.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import xarray as xr

from hypersharp.bench.scenes import find_scenes, load_truth
from hypersharp.errors import InputError
from hypersharp.io.together import save_figure
from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.packaged import misfit, named_weights
from hypersharp.networks.ssjcn import SSJCN
from hypersharp.pair.options import choose_device
from hypersharp.plot.colour import Image
from hypersharp.plot.draw import panels_figure
from hypersharp.simulation.pair import simulate_pair
from hypersharp.simulation.protocols import find_protocol
from hypersharp.system.atomic import make_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROTOCOL = "dian-x4"
WEIGHTS = "ssjcn-dian-x4"
SHOWN = {"stuffed_toys": 20, "real_and_fake_apples": 30}  # scene -> band, counted from 1 as in the paper


class Iterations(NamedTuple):
    """One pair's way through an SSJCN, (band, y, x) in float32, full scale 1."""

    hs: Image
    ms: Image
    truth: Image
    estimates: list[Image]  # Z^0 .. Z^T
    corrections: list[Image]  # the attended error maps added to all but the last of them
    ms_hat: Image  # what the last degradation block makes of Z^T, and hs_hat
    hs_hat: Image
    projects: bool  # each estimate is made to agree with the ms, so that Z^t+1 - Z^t is less than the error map


def draw_all(
    data_dir: Path,
    out_dir: Path,
    *,
    weights: str = WEIGHTS,
    device: str = "auto",
    progress: Callable[[float], None] = lambda _: None,
) -> list[Path]:
    """Write figureN-SCENE-BAND.png for every scene of SHOWN into out_dir; figure 5 needs two iterations.

    Raises: InputError for scenes that are missing or weights that are not SSJCN's for this protocol; OutputError.
    """
    protocol = find_protocol(PROTOCOL)
    net = load_ssjcn(weights).to(choose_device(device))
    scenes = find_scenes(protocol, data_dir, SHOWN)
    make_folder(out_dir)
    paths = []
    for number, (scene, band) in enumerate(SHOWN.items(), 1):
        pair = simulate_pair(load_truth(protocol, scenes[scene]), protocol.sensor())
        ms_band = int(protocol.sensor().srf[:, band - 1].argmax())
        for name, figure in figures_of(look_inside(net, *pair), band - 1, ms_band).items():
            figure.suptitle(f"{scene}, band {band} ({protocol.wavelengths_nm[band - 1]:.0f} nm)")
            paths.append(save_figure(figure, out_dir / f"{name}-{scene}-{band}.png"))
        progress(number / len(SHOWN))
    return paths


def load_ssjcn(weights: str) -> SSJCN:
    """The network of the weights; InputError where it is not SSJCN's or fits another kind of pair."""
    protocol, found = find_protocol(PROTOCOL), named_weights(weights)
    net, header = load_weights(found.path)
    ms_bands, bands = protocol.sensor().srf.shape
    shape = {"bands": bands, "ms_bands": ms_bands, "ratio": protocol.ratio}
    if not isinstance(net, SSJCN) or misfit(header, shape, np.array(protocol.wavelengths_nm)):
        raise InputError(f"{header.network} weights {found}", f"SSJCN weights for {PROTOCOL}", f"use {WEIGHTS}")
    return net


def look_inside(net: SSJCN, hs: xr.DataArray, ms: xr.DataArray, truth: xr.DataArray) -> Iterations:
    """Run the network in float32 over a pair whose fine size is a multiple of 4 and keep what it makes on the way."""
    device = next(net.parameters()).device
    coarse, fine = (torch.tensor(cube.values, device=device)[None] for cube in (hs, ms))

    def image_of(batch: torch.Tensor) -> Image:
        return np.asarray(batch[0].float().cpu())

    with torch.inference_mode():
        estimates = net.estimates(coarse, fine)
        corrections = [image_of(net.correction(t, z, coarse, fine)) for t, z in enumerate(estimates[:-1])]
        ms_hat, hs_hat = map(image_of, net.degrade(estimates[-1])[-1])
    images, projects = [image_of(z) for z in estimates], net.options.spectrally_consistent
    return Iterations(hs.values, ms.values, truth.values, images, corrections, ms_hat, hs_hat, projects)


def figures_of(inside: Iterations, band: int, ms_band: int) -> "dict[str, Figure]":
    """Name -> figure of one hs band (and the ms band beside it), both counted from 0."""
    estimates = [estimate[band] for estimate in inside.estimates]
    maps = {"error map": [correction[band] for correction in inside.corrections]}
    if inside.projects:
        maps["its part that leaves ms as it is"] = [after - before for before, after in pairwise(estimates)]
    pictures = {**{f"$Z^{t}$": z for t, z in enumerate(estimates)}, "truth": inside.truth[band]}
    rows = [{f"{title} (block {t + 1})": error for t, error in enumerate(errors)} for title, errors in maps.items()]
    figures = {"figure4": panels_figure([[(pictures, False)], *([(row, True)] for row in rows)])}
    if len(estimates) > 2:
        error = inside.truth[band] - estimates[1]
        second = {"truth - $Z^1$": error}
        for title, (_, predicted, *_) in maps.items():
            correlation = float(np.corrcoef(error.ravel(), predicted.ravel())[0, 1])
            second[f"{title} (block 2)\ncorrelation {correlation:.2f}"] = predicted
        figures["figure5"] = panels_figure([[(second, True)]])
    hs_pair, ms_pair = (inside.hs_hat[band], inside.hs[band]), (inside.ms_hat[ms_band], inside.ms[ms_band])
    degraded = []
    for name, (made, seen) in {f"hs band {band + 1}": hs_pair, f"ms band {ms_band + 1}": ms_pair}.items():
        shown = {f"{name} of the degraded estimate": made, f"{name} as observed": seen}
        degraded.append([(shown, False), ({"difference": made - seen}, True)])
    figures["figure6"] = panels_figure(degraded)
    return figures
