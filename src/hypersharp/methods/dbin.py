"""DBIN as a method: packaged or given weights, run over the pair; blind, for it needs neither blur nor response."""

from hypersharp.methods.base import Apply
from hypersharp.networks.inference import Inference, choose_weights, network_of
from hypersharp.networks.onnx.export import in_runtime
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """The network for the pair.

    Raises: InputError where no weights fit, or the given ones do not.
    """
    weights, notes = choose_weights("dbin", pair, options)
    net = network_of(weights, choose_device(options.device))
    return Inference(in_runtime(net, weights.header, options), notes=notes, weights=weights.name)
