"""What networks that need nothing but weights are as methods: packaged or given weights, run over the pair."""

from hypersharp.methods.base import Apply
from hypersharp.networks.inference import Inference, choose_weights, for_noise, network_in
from hypersharp.networks.onnx.export import in_runtime
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair


def learn(network: str, pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
    """That of a network which is blind: it needs neither blur nor response."""
    weights, notes = choose_weights(network, pair, options)
    net = network_in(weights.path, choose_device(options.device))
    inference = Inference(in_runtime(net, weights.header, options), notes=notes, weights=weights.name)
    return for_noise(inference, pair)
