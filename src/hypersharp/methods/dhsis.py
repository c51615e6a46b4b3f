"""DHSIS as a method: a closed-form start, what its network adds, a closed-form finish.

Dian, Li, Guo, Fang, "Deep Hyperspectral Image Sharpening", IEEE TNNLS 29(11), 2018. X_in explains hs and ms
near the bicubic hs (eq. 6), X_cnn is X_in and what the network adds, X_fin explains hs and ms near X_cnn
(eq. 9). Needs blur and response: those given, else estimated from the pair. Both steps take the image to go on at its
far side, as the paper's do; in a tile that reaches no further than some 48 pixels from the scene's border.
"""

from dataclasses import dataclass

from torch import Tensor

from hypersharp.methods.base import Apply, Method
from hypersharp.networks.inference import Inference
from hypersharp.networks.load import choose_weights, network_of
from hypersharp.networks.onnx.cache import in_runtime
from hypersharp.networks.start import explain
from hypersharp.pair.sensor import find_sensor, note_estimate
from hypersharp.pair.settings import Settings, choose_device
from hypersharp.sensor.observe import Sensor

WEIGHT = 5e-4  # of the prior in both closed-form steps, as in the paper; the authors' program has 5e-5


@dataclass(frozen=True, eq=False)
class Explanation:
    """What is done at every place, under a sensor."""

    inference: Inference
    sensor: Sensor

    def __call__(self, hs: Tensor, ms: Tensor, settings: Settings) -> Tensor:
        """(L, h, w) and (l, H, W) -> (L, H, W)."""
        corrected = self.inference(hs, ms, settings)
        return explain(hs.to(corrected), ms.to(corrected), corrected, self.sensor, WEIGHT)


def learn(hs: Tensor, ms: Tensor, settings: Settings) -> Apply:
    """The network and the sensor for (L, h, w) and (l, H, W).

    Raises: InputError where no weights fit, the given ones do not, or the pair does not tell its sensor.
    """
    weights = choose_weights("dhsis", hs, ms, settings)
    estimate = find_sensor(hs, ms, settings)
    note_estimate(estimate, settings)
    net = in_runtime(network_of(weights, choose_device(settings.device)), weights.header, settings)
    return Explanation(Inference(net, estimate.sensor, WEIGHT), estimate.sensor)


DHSIS_METHOD = Method(
    name="dhsis",
    title="Deep hyperspectral image sharpening",
    paper="Dian, Li, Guo, Fang 2018, IEEE TNNLS 29(11)",
    needs=("weights", "psf", "srf"),
    halo_px=64,
    licence="Apache-2.0",
    learn=learn,
    floats_per_px=lambda bands, ms_bands: 2 * bands + ms_bands + 550,
)
