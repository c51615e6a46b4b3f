"""What networks that need nothing but weights are as methods: packaged or given weights, run over the pair."""

from hypersharp.methods.base import Apply, Learn
from hypersharp.networks.inference import Inference, choose_weights, for_noise, network_of
from hypersharp.networks.onnx.export import in_runtime
from hypersharp.pair.options import Options, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair


def trained(network: str) -> Learn:
    """The `learn` of a network that is blind: it needs neither blur nor response."""

    def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:  # noqa: ARG001
        weights, notes = choose_weights(network, pair, options)
        net = network_of(weights, choose_device(options.device))
        inference = Inference(in_runtime(net, weights.header, options), notes=notes, weights=weights.name)
        return for_noise(inference, pair)

    return learn
