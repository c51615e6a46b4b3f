"""DHSIS as a method: a closed-form start, what its network adds, a closed-form finish.

Dian, Li, Guo, Fang, "Deep Hyperspectral Image Sharpening", IEEE TNNLS 29(11), 2018. X_in explains hs and ms near the
bicubic hs (eq. 6), X_cnn is X_in and what the network adds, X_fin explains hs and ms near X_cnn (eq. 9). Both steps
are circular in the paper; under a PSF that does not wrap around, images are mirrored at their borders first.
"""

from dataclasses import dataclass

from torch import Tensor

from hypersharp.methods.base import Apply
from hypersharp.networks.inference import Inference, choose_weights, explain, for_noise, network_in
from hypersharp.networks.onnx.export import in_runtime
from hypersharp.pair.options import Options, Progress, choose_device
from hypersharp.pair.sensor import PairSensor
from hypersharp.pair.tensors import TensorPair
from hypersharp.sensor.observe import Sensor

WEIGHT = 5e-4  # of the prior in both closed-form steps, as in the paper; the authors' program has 5e-5


@dataclass(frozen=True, eq=False)
class Explanation(Apply):
    """What is done at every place, under a sensor."""

    inference: Inference
    sensor: Sensor
    notes: tuple[str, ...] = ()
    weights: str | None = None

    def __call__(self, pair: TensorPair, options: Options, progress: Progress) -> Tensor:
        corrected = self.inference(pair, options, progress)
        hs = self.inference.hs_of(pair).to(corrected)
        return explain(hs, pair.ms.to(corrected), corrected, self.sensor, WEIGHT)


def learn(pair: TensorPair, sensor: PairSensor, options: Options) -> Apply:
    """The network and the sensor for the pair.

    Raises: InputError where no weights fit, the given ones do not, or the pair does not show its sensor.
    """
    weights, notes = choose_weights("dhsis", pair, options)
    net = in_runtime(network_in(weights.path, choose_device(options.device)), weights.header, options)
    inference = for_noise(Inference(net, sensor.sensor, WEIGHT, notes), pair)
    return Explanation(inference, sensor.sensor, inference.notes, weights.name)
