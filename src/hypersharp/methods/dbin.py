"""DBIN as a method: packaged or given weights, run over the pair; blind, for it needs neither blur nor response."""

from torch import Tensor

from hypersharp.methods.base import Apply, Method
from hypersharp.networks.inference import Inference
from hypersharp.networks.load import choose_weights, network_of
from hypersharp.networks.onnx.cache import in_runtime
from hypersharp.pair.settings import Settings, choose_device


def learn(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """The network for (L, h, w) and (l, H, W).

    Raises: InputError where no weights fit, or the given ones do not.
    """
    weights = choose_weights("dbin", hs, ms, settings)
    net = network_of(weights, choose_device(settings.device))
    return Inference(in_runtime(net, weights.header, settings))


DBIN_METHOD = Method(
    name="dbin",
    title="Deep blind iterative fusion network",
    paper="Wang, Zeng, Fu, Huang, Ding 2019, ICCV",
    needs=("weights",),
    halo_px=96,
    licence="Apache-2.0",
    learn=learn,
    floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 900,
)
