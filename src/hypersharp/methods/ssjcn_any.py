"""SSJCN for pairs of any bands, ratio and sensor: the pair's coordinates and sensor around weights for any sensor."""

import copy
from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import Tensor

from hypersharp.errors import InputError
from hypersharp.networks.base import FusionNetwork
from hypersharp.networks.checkpoint import load_weights
from hypersharp.networks.coordinates import band_means, fit_coordinates, psf_window
from hypersharp.networks.layers import RATIOS
from hypersharp.networks.packaged import named_weights
from hypersharp.networks.subspace import SubspaceSSJCN
from hypersharp.pair.settings import Settings
from hypersharp.sensor.observe import Sensor

ANY_SENSOR = "ssjcn-any"


def pair_network(
    hs: Tensor,
    ms: Tensor,
    sensor: Sensor,
    settings: Settings,
    *,
    weights: str | Path = ANY_SENSOR,
    own_features: int = 0,
) -> SubspaceSSJCN:
    """The network for hs (L, h, w) and ms (l, H, W), on the CPU: learnt for any sensor, the rest from the pair.

    With `own_features` it has room for corrections of its own, which are zero yet.

    Raises: InputError for a ratio beyond those of SSJCN, or weights of another network.
    """
    if sensor.ratio not in RATIOS:
        raise InputError(f"ratio {sensor.ratio}", f"one of {RATIOS.start} to {RATIOS.stop - 1}", "use --method hysure")
    source, _ = load_weights(named_weights(weights).path)
    if not isinstance(source, SubspaceSSJCN):
        raise InputError(f"weights {weights}", "weights for any sensor", "leave --weights out")
    found = fit_coordinates(
        hs, ms, sensor, dimensions=source.options.dimensions, hs_valid=settings.hs_valid, ms_valid=settings.ms_valid
    )
    window = psf_window(sensor.psf, sensor.ratio)
    options = replace(
        source.options,
        bands=len(hs),
        ms_bands=len(ms),
        ratio=sensor.ratio,
        psf_px=len(window),
        dimensions=found.basis.shape[1],
        own_features=own_features,
    )
    net = SubspaceSSJCN(options)
    net.core.load_state_dict(source.core.state_dict())
    buffers = {field.name: getattr(found, field.name) for field in fields(found)}
    for name, value in {**buffers, "srf": torch.tensor(sensor.srf), "psf": window}.items():
        getattr(net, name).copy_(value)
    return net.eval()


def for_scene(net: FusionNetwork, hs: Tensor, ms: Tensor, settings: Settings) -> FusionNetwork:
    """A network adapted to one scene, with the means of another of the same sensors."""
    other = copy.deepcopy(net)
    other.get_buffer("hs_mean").copy_(band_means(hs, settings.hs_valid))
    other.get_buffer("ms_mean").copy_(band_means(ms, settings.ms_valid))
    return other.eval()
