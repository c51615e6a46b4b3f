"""DBIN as a method: packaged or given weights, run over the pair; blind, for it needs neither blur nor response."""

from torch import Tensor

from hypersharp.methods.base import Method, Settings, choose_device
from hypersharp.methods.inference import run_network
from hypersharp.methods.network import choose_weights, network_of


def run(hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
    """(L, h, w) and (l, H, W) -> (L, H, W).

    Raises: InputError where no weights fit, or the given ones do not.
    """
    device = choose_device(settings.device)
    net = network_of(choose_weights("dbin", hs, ms, settings), device)
    return run_network(net, hs.to(device), ms.to(device), settings)


DBIN_METHOD = Method(
    name="dbin",
    title="Deep blind iterative fusion network",
    paper="Wang, Zeng, Fu, Huang, Ding 2019, ICCV",
    needs=("weights",),
    halo_px=96,
    licence="Apache-2.0",
    run=run,
)
